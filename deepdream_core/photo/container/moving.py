"""The stored frames of an animated PNG, GIF or WebP, each as a separate picture file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Disposal = Literal["keep", "clear", "restore"]
"""What happens to a frame's area before the next frame: it stays, becomes transparent, or is restored."""


@dataclass(frozen=True)
class Stored:
    """A stored frame: its place on the canvas in pixels, and `file`, a still picture of the animation's format.

    `over`: blend it over the canvas; otherwise it replaces the canvas.
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
    """An animation. `plays`: how often it runs, 0 for ever. `still`: a picture for programs that show no animation."""

    width: int
    height: int
    plays: int
    frames: tuple[Stored, ...]
    still: bytes | None = None
