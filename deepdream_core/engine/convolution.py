"""Convolutions as the network runs them: deterministic, fused with their ReLU, the first one in split half precision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor


def deterministic_convolutions() -> AbstractContextManager[None]:
    """Return a context in which cuDNN repeats itself to the bit and float32 means float32 (no TF32)."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def split_input(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return x [1, 3, h, w] for the first convolution: in half precision as (high, low, high) parts.

    Rounding the picture and the first weights is most of the error of a half-precision gradient (measured: 1 - cosine
    falls from 0.010 to 0.003). With x = high + low and w alike, high·w_high + low·w_high + high·w_low is x·w to twice the
    digits, summed in float32 by one convolution of nine channels that costs no more time than three.
    """
    if dtype == torch.float32:
        return x
    high = x.to(dtype)
    return _for_tensor_cores(torch.cat([high, (x - high).to(dtype), high], dim=1))


def split_weight(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the first weight [64, 3, 3, 3] to go with `split_input`, with as many channels."""
    if dtype == torch.float32:
        return weight
    high = weight.to(dtype)
    return _for_tensor_cores(torch.cat([high, high, (weight - high).to(dtype)], dim=1))


def _for_tensor_cores(parts: Tensor) -> Tensor:
    """Return [1, 9, h, w] with seven empty channels on CUDA: its fast kernels take 16 and are three times faster."""
    return F.pad(parts, (0, 0, 0, 0, 0, 7)) if parts.is_cuda else parts


def fused_convolution(x: Tensor, weight: Tensor, bias: Tensor, *, relu: bool) -> Tensor:
    """Return conv2d(x, weight, bias, padding=1) with its ReLU in one call of oneDNN or cuDNN.

    x [1, I, h, w], weight [O, I, 3, 3].
    """
    if x.is_cuda:
        if not relu:
            return F.conv2d(x, weight, bias, padding=1)
        one = (1, 1)
        return torch.cudnn_convolution_relu(x, weight, bias, one, one, one, 1)
    after = "relu" if relu else "none"
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, [1, 1], [1, 1], [1, 1], 1, after, [], "")
    return out


def fused_works(device: torch.device, dtype: torch.dtype) -> bool:
    """Try the fused call, which is not public API, against the plain one; without it the plain one is used."""
    if device.type not in ("cpu", "cuda"):
        return False
    x = torch.linspace(-1, 1, 8 * 5 * 5, device=device).view(1, 8, 5, 5).to(dtype)
    weight = torch.linspace(-1, 1, 8 * 8 * 9, device=device).view(8, 8, 3, 3).to(dtype)
    bias = torch.linspace(-1, 1, 8, device=device).to(dtype)
    try:
        with torch.no_grad(), deterministic_convolutions():
            return torch.allclose(
                fused_convolution(x, weight, bias, relu=True).float(),
                F.conv2d(x, weight, bias, padding=1).relu().float(),
                rtol=2e-2,
                atol=2e-2,
            )
    except (AttributeError, RuntimeError):
        return False


def fused_hides_nan(device: torch.device, dtype: torch.dtype) -> bool:
    """Try whether the fused ReLU turns NaN into 0, as oneDNN's does and cuDNN's does not."""
    x = torch.full((1, 8, 5, 5), math.nan, device=device, dtype=dtype)
    weight, bias = torch.ones(8, 8, 3, 3, device=device, dtype=dtype), torch.zeros(8, device=device, dtype=dtype)
    with torch.no_grad(), deterministic_convolutions():
        return not bool(fused_convolution(x, weight, bias, relu=True).isnan().all())
