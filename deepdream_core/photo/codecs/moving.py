"""What the animated formats share: PNG, GIF and WebP store frames that each become a still picture of the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_core.photo.decoded import check_plausible, check_size
from deepdream_core.photo.facts import Facts

if TYPE_CHECKING:
    from deepdream_core.photo.container import Blocks
    from deepdream_core.photo.container.moving import Moving


def check_stored(moving: Moving, max_megapixels: float, most_pixels: int | None = None) -> None:
    """Raise for an animation larger than allowed, or with a frame larger than its bytes can hold.

    `most_pixels`: how many pixels one byte can stand for at most.
    """
    check_size(moving.width, moving.height, len(moving.frames) + (moving.still is not None), max_megapixels)
    for frame in moving.frames:
        check_size(frame.width, frame.height, 1, max_megapixels)
        if most_pixels is not None:
            check_plausible(frame.width * frame.height, len(frame.file), most_pixels)


def facts_of(moving: Moving, blocks: Blocks, depth: str = "8", *, alpha: bool) -> Facts:
    """Return the facts of an animation."""
    sizes = ((moving.width, moving.height),) * (len(moving.frames) + (moving.still is not None))
    durations = tuple(frame.duration_ms for frame in moving.frames)
    return Facts(sizes, (blocks,), depth, alpha, durations, moving.plays)
