"""A picture that repeats without an edge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def periodic(picture: Tensor) -> Tensor:
    """Return float32 [1, C, H, W] without the jumps at its borders: they are spread smoothly over the whole picture.

    The periodic component of L. Moisan, "Periodic plus Smooth Image Decomposition" (Journal of Mathematical Imaging and
    Vision, 2011). The smooth component that is taken away solves a Poisson equation whose source is the jumps.
    """
    height, width = picture.shape[2:]
    rows = torch.arange(height, dtype=torch.float32).mul_(2 * math.pi / height).cos_()
    columns = torch.arange(width // 2 + 1, dtype=torch.float32).mul_(2 * math.pi / width).cos_()
    laplacian = 2 * (rows[:, None] + columns) - 4
    laplacian[0, 0] = 1
    planes: list[Tensor] = []
    for plane in picture[0]:
        values = plane.cpu()
        jumps = torch.zeros_like(values)
        down, right = values[-1] - values[0], values[:, -1] - values[:, 0]
        jumps[0] += down
        jumps[-1] -= down
        jumps[:, 0] += right
        jumps[:, -1] -= right
        spectrum = torch.fft.rfft2(jumps) / laplacian
        spectrum[0, 0] = 0
        planes.append(values - torch.fft.irfft2(spectrum, s=(height, width)))
    return torch.stack(planes)[None].to(picture.device)
