"""What is done to a gradient before the step: Gaussian cascade, Laplacian-pyramid and plain normalisation; total variation.

All of it is global, once per picture and never per tile, in place and channel by channel: a plane of a 100-megapixel
picture takes 400 MB, and three copies of everything would not fit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from deepdream_core.engine.resample import around, inside, resize
from deepdream_core.engine.strips import strips

if TYPE_CHECKING:
    from torch import Tensor

Normalizer = Literal["std", "mean_abs", "none"]

CASCADE = (0.5, 1.0, 2.0)
_TRUNCATE = 3.0
_TINY = 1e-30


def gaussian_blur(planes: Tensor, sigma_px: float) -> Tensor:
    """Blur float32 [1, C, H, W] with a Gaussian cut off at 3 σ, edges replicated; returns a new tensor.

    Tap by tap over strips that stay in the cache: five to twenty times faster on a CPU than a convolution of one channel.
    On CUDA that is a hundred tiny kernels, and a convolution of each channel by itself is two to five times faster.
    """
    radius = max(1, math.ceil(_TRUNCATE * sigma_px))
    taps = [math.exp(-0.5 * (at / sigma_px) ** 2) for at in range(-radius, radius + 1)]
    taps = [tap / sum(taps) for tap in taps]
    convolved = _convolved if planes.is_cuda else _summed
    blurred = torch.empty_like(planes)
    for strip in strips(planes, radius):
        padded = F.pad(planes[:, :, strip.seen], (radius, radius, strip.above, strip.below), mode="replicate")
        blurred[:, :, strip.own] = convolved(convolved(padded, taps, dim=3), taps, dim=2)
    return blurred


def _summed(padded: Tensor, taps: list[float], dim: int) -> Tensor:
    """Return [1, C, H, W] convolved with `taps` along `dim`, shorter there by as many less one, tap by tap."""
    length = padded.shape[dim] - len(taps) + 1
    total = padded.narrow(dim, 0, length) * taps[0]
    for at, tap in enumerate(taps[1:], start=1):
        total.add_(padded.narrow(dim, at, length), alpha=tap)
    return total


def _convolved(padded: Tensor, taps: list[float], dim: int) -> Tensor:
    """Return the same by torch's convolution of separate channels, which repeats itself to the bit."""
    channels = padded.shape[1]
    shape = (channels, 1, 1, len(taps)) if dim == 3 else (channels, 1, len(taps), 1)
    kernel = padded.new_tensor(taps).expand(channels, -1).reshape(shape)
    return F.conv2d(padded, kernel, groups=channels)


def smooth_cascade_(gradient: Tensor, sigma_px: float, *, wrap: bool = False) -> Tensor:
    """Replace a gradient, float32 [1, 3, H, W], by the mean of its blurs with σ/2, σ and 2σ; σ = 0 does nothing.

    The wide Gaussian lets large shapes grow, the narrow one keeps their edges (the cascade of Alexander Mordvintsev's
    and ProGamerGov's DeepDream code, and of the Gordić implementation).
    """
    if sigma_px > 0:
        for planes in torch.split(gradient, gradient.shape[1] if gradient.is_cuda else 1, dim=1):
            margin = math.ceil(_TRUNCATE * sigma_px * CASCADE[-1]) if wrap else 0
            source = around(planes, margin) if wrap else planes
            blurred = gaussian_blur(source, sigma_px * CASCADE[0])
            for factor in CASCADE[1:]:
                blurred += gaussian_blur(source, sigma_px * factor)
            torch.mul(inside(blurred, margin), 1 / len(CASCADE), out=planes)
    return gradient


def normalize_(gradient: Tensor, normalizer: Normalizer) -> Tensor:
    """Divide a gradient by its standard deviation or its mean absolute value, over all channels; `none`: leave it."""
    if normalizer == "std":
        gradient /= gradient.std(unbiased=False) + _TINY
    elif normalizer == "mean_abs":
        gradient /= torch.linalg.vector_norm(gradient, ord=1) / gradient.numel() + _TINY
    return gradient


def normalize_laplacian_(gradient: Tensor, levels: int, *, wrap: bool = False) -> Tensor:
    """Bring `levels` bands of a Laplacian pyramid, and the rest below them, to the same standard deviation.

    Low frequencies, weak in a gradient, then count as much as high ones (`lap_normalize` of the TensorFlow DeepDream
    tutorial, Mordvintsev 2015). A level is left out where a side would be shorter than 2 pixels; 0 levels do nothing.
    """
    if levels == 0:
        return gradient
    bands: list[Tensor] = []
    rest = gradient
    for _ in range(levels):
        height, width = rest.shape[2:]
        if min(height, width) < 4:
            break
        coarse = resize(rest, (height // 2, width // 2), wrap=wrap)
        bands.append(rest - resize(coarse, (height, width), wrap=wrap))
        rest = coarse
    merged = rest / (rest.std(unbiased=False) + _TINY)
    while bands:
        band = bands.pop()
        band /= band.std(unbiased=False) + _TINY
        merged = band.add_(resize(merged, (band.shape[2], band.shape[3]), wrap=wrap))
    return gradient.copy_(merged)


def add_total_variation_(direction: Tensor, difference: Tensor, weight: float, *, wrap: bool = False) -> Tensor:
    """Subtract `weight` times the gradient of the total variation of `difference` from `direction`, [1, 3, H, W].

    Taken of what the dream has added, not of the photograph, whose grain is to stay. Isotropic (Rudin, Osher & Fatemi
    1992) with forward differences, smoothed so that differences below 1/255 count little.
    """
    if weight == 0:
        return direction
    if wrap:
        wide = add_total_variation_(around(torch.zeros_like(direction), 1), around(difference, 1), weight)
        return direction.add_(inside(wide, 1))
    for plane, change in zip(torch.split(direction, 1, dim=1), torch.split(difference, 1, dim=1), strict=True):
        for strip in strips(plane, 1):
            part = F.pad(change[:, :, strip.seen], (0, 0, strip.above, strip.below), mode="replicate")
            right = F.pad(part[..., 1:] - part[..., :-1], (1, 1))
            down = part[:, :, 1:] - part[:, :, :-1]
            inner = slice(0, -1)
            steepness = torch.sqrt(right[:, :, inner, 1:] ** 2 + down**2 + (1 / 255) ** 2)
            right, down = right[:, :, inner, 1:] / steepness, down / steepness
            rows = slice(1, None)
            divergence = right[:, :, rows] + down[:, :, rows] - down[:, :, inner]
            divergence[..., 1:] -= right[:, :, rows, :-1]
            plane[:, :, strip.own].add_(divergence, alpha=weight)
    return direction
