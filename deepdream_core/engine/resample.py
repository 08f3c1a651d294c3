"""Changing a picture's size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_core.engine.pyramid import Size


_MOST_AT_ONCE = 16
"""CUDA's antialiased kernel keeps its filter in shared memory and refuses very strong reductions; they go in stages."""


def resize(picture: Tensor, size: Size, *, wrap: bool = False) -> Tensor:
    """Return float32 [1, C, H, W] resampled to `size`: bicubic, with the kernel widened when it shrinks (antialiased).

    The same tensor comes back when the size is already right. With `wrap` the picture goes on at its opposite border.
    Works channel by channel to hold less memory, and on the CPU for Apple's GPU, which lacks the antialiased kernel.
    """
    if tuple(picture.shape[2:]) == size:
        return picture
    if wrap:
        return _resized_in_circle(picture, size)
    source = picture.cpu() if picture.device.type == "mps" else picture
    height, width = source.shape[2:]
    if source.device.type == "cuda" and (height > _MOST_AT_ONCE * size[0] or width > _MOST_AT_ONCE * size[1]):
        return resize(resize(source, (max(size[0], height // 8), max(size[1], width // 8))), size)
    resized = source.new_empty((1, source.shape[1], *size))
    for channel in range(source.shape[1]):
        plane = source[:, channel : channel + 1]
        resized[:, channel : channel + 1] = F.interpolate(
            plane, size=size, mode="bicubic", antialias=True, align_corners=False
        )
    return resized.to(picture.device)


def _resized_in_circle(picture: Tensor, size: Size) -> Tensor:
    """Resize with margins from the opposite border that are a whole number of pixels before and after.

    Rows and columns after each other: a margin may be as wide as the picture, where its sides have no common divisor.
    """
    height, width = picture.shape[2:]
    (top, new_top), (left, new_left) = _margin(height, size[0]), _margin(width, size[1])
    planes: list[Tensor] = []
    for plane in torch.split(picture, 1, dim=1):
        higher = inside(resize(around(plane, top, 0), (size[0] + 2 * new_top, width)), new_top, 0)
        planes.append(inside(resize(around(higher, 0, left), (size[0], size[1] + 2 * new_left)), 0, new_left))
    return torch.cat(planes, dim=1)


def _margin(side: int, wanted: int) -> tuple[int, int]:
    """Return the smallest margin of a side that holds the bicubic kernel's reach, and what it becomes."""
    if side == wanted:
        return 0, 0
    common = math.gcd(side, wanted)
    reach = 2 * max(1.0, side / wanted)
    times = math.ceil(reach * common / side)
    return side // common * times, wanted // common * times


def around(picture: Tensor, top: int, left: int | None = None) -> Tensor:
    """Return [1, C, H, W] with `top` more rows above and below and `left` columns, from the opposite border."""
    for dim, margin in ((2, top), (3, top if left is None else left)):
        if margin == 0:
            continue
        length = picture.shape[dim]
        at = torch.arange(-margin, length + margin, device=picture.device) % length
        picture = picture.index_select(dim, at)
    return picture


def inside(picture: Tensor, top: int, left: int | None = None) -> Tensor:
    """Return the part of [1, C, H, W] that `around` went around, a view."""
    left = top if left is None else left
    return picture[:, :, top : picture.shape[2] - top, left : picture.shape[3] - left]
