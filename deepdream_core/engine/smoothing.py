"""What is done to a gradient before the step: Gaussian cascade, Laplacian-pyramid and plain normalisation; total variation.

All of it is global, once per picture and never per tile, in place and channel by channel: a plane of a 100-megapixel
picture takes 400 MB, and three copies of everything would not fit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from deepdream_core.engine.resample import resize

if TYPE_CHECKING:
    from torch import Tensor

Normalizer = Literal["std", "mean_abs", "none"]

CASCADE = (0.5, 1.0, 2.0)
_TRUNCATE = 3.0
_TINY = 1e-30


def gaussian_blur(plane: Tensor, sigma_px: float) -> Tensor:
    """Blur float32 [1, 1, H, W] with a Gaussian cut off at 3 σ, edges replicated; returns a new tensor."""
    radius = max(1, math.ceil(_TRUNCATE * sigma_px))
    at = torch.arange(-radius, radius + 1, dtype=torch.float32, device=plane.device)
    kernel = torch.exp(-0.5 * (at / sigma_px) ** 2)
    kernel /= kernel.sum()
    across = F.conv2d(F.pad(plane, (radius, radius, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    return F.conv2d(F.pad(across, (0, 0, radius, radius), mode="replicate"), kernel.view(1, 1, -1, 1))


def smooth_cascade_(gradient: Tensor, sigma_px: float) -> Tensor:
    """Replace a gradient, float32 [1, 3, H, W], by the mean of its blurs with σ/2, σ and 2σ; σ = 0 does nothing.

    The wide Gaussian lets large shapes grow, the narrow one keeps their edges (the cascade of Alexander Mordvintsev's
    and ProGamerGov's DeepDream code, and of the Gordić implementation).
    """
    if sigma_px > 0:
        for plane in torch.split(gradient, 1, dim=1):
            blurred = gaussian_blur(plane, sigma_px * CASCADE[0])
            for factor in CASCADE[1:]:
                blurred += gaussian_blur(plane, sigma_px * factor)
            torch.mul(blurred, 1 / len(CASCADE), out=plane)
    return gradient


def normalize_(gradient: Tensor, normalizer: Normalizer) -> Tensor:
    """Divide a gradient by its standard deviation or its mean absolute value, over all channels; `none`: leave it."""
    if normalizer == "std":
        gradient /= gradient.std(unbiased=False) + _TINY
    elif normalizer == "mean_abs":
        gradient /= torch.linalg.vector_norm(gradient, ord=1) / gradient.numel() + _TINY
    return gradient


def normalize_laplacian_(gradient: Tensor, levels: int) -> Tensor:
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
        coarse = resize(rest, (height // 2, width // 2))
        bands.append(rest - resize(coarse, (height, width)))
        rest = coarse
    merged = rest / (rest.std(unbiased=False) + _TINY)
    while bands:
        band = bands.pop()
        band /= band.std(unbiased=False) + _TINY
        merged = band.add_(resize(merged, (band.shape[2], band.shape[3])))
    return gradient.copy_(merged)


def add_total_variation_(direction: Tensor, difference: Tensor, weight: float) -> Tensor:
    """Subtract `weight` times the gradient of the total variation of `difference` from `direction`, [1, 3, H, W].

    Taken of what the dream has added, not of the photograph, whose grain is to stay. Isotropic (Rudin, Osher & Fatemi
    1992) with forward differences, smoothed so that differences below 1/255 count little.
    """
    if weight == 0:
        return direction
    for plane, change in zip(torch.split(direction, 1, dim=1), torch.split(difference, 1, dim=1), strict=True):
        right = F.pad(change[..., :, 1:] - change[..., :, :-1], (0, 1))
        down = F.pad(change[..., 1:, :] - change[..., :-1, :], (0, 0, 0, 1))
        steepness = torch.sqrt(right**2 + down**2 + (1 / 255) ** 2)
        right /= steepness
        down /= steepness
        divergence = right + down
        divergence[..., :, 1:] -= right[..., :, :-1]
        divergence[..., 1:, :] -= down[..., :-1, :]
        plane.add_(divergence, alpha=weight)
    return direction
