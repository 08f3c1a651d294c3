"""Changing a picture's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_core.engine.pyramid import Size


_MOST_AT_ONCE = 16
"""CUDA's antialiased kernel keeps its filter in shared memory and refuses very strong reductions; they go in stages."""


def resize(picture: Tensor, size: Size) -> Tensor:
    """Return float32 [1, C, H, W] resampled to `size`: bicubic, with the kernel widened when it shrinks (antialiased).

    The same tensor comes back when the size is already right. Works channel by channel to hold less memory, and on the
    CPU for Apple's GPU, which lacks the antialiased kernel.
    """
    if tuple(picture.shape[2:]) == size:
        return picture
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
