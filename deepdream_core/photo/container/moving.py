"""What the stored frames of an animated PNG, GIF or WebP look like, taken out of it as picture files of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Disposal = Literal["keep", "clear", "restore"]
"""What becomes of a frame's place before the next one: it stays, becomes transparent, or is as it was before the frame."""


@dataclass(frozen=True)
class Stored:
    """One stored frame: its place on the canvas in pixels, and `file`, a still picture of the animation's format.

    `over`: laid over what is there, else put in its place.
    """

    left: int
    top: int
    width: int
    height: int
    duration_ms: float
    dispose: Disposal
    over: bool
    file: bytes


@dataclass(frozen=True)
class Moving:
    """An animation. `plays`: how often it runs, 0 for ever. `still`: a picture for programs that know no animation."""

    width: int
    height: int
    plays: int
    frames: tuple[Stored, ...]
    still: bytes | None = None
