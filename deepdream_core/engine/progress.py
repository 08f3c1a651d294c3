"""What a dream yields after each step; no torch in it, because the helper and its clients pass it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Progress:
    """The state of a dream after a step. Octaves and iterations count from 1; `size` is (height, width) in pixels.

    `objective` is what grows, before the step: for layers the norm of their activations.
    `fraction` of the whole work, in 0…1, is done.
    `tile_px` is the width of the tiles, None without. `notes` are for the user, such as a tile made smaller.
    `picture()` returns the result so far, full size, float32 [1, 3, H, W] in 0…1, as a tensor if the engine is in this
    process, else as a numpy array; call it before the next step.
    """

    octave: int
    octaves: int
    size: tuple[int, int]
    iteration: int
    iterations: int
    objective: float
    fraction: float
    tile_px: int | None
    notes: tuple[str, ...]
    picture: Callable[[], Any]
