"""A part of a picture, perhaps smaller, for a screen: what a client asks for instead of all samples.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
"""

from __future__ import annotations

from dataclasses import dataclass

from .npy import ArrayHeader


@dataclass(frozen=True)
class View:
    """The part at `x`, `y` of `width` × `height` px, made smaller until its longer side is at most `longest` px."""

    x: int
    y: int
    width: int
    height: int
    longest: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in which it is shown."""
        scale = min(1.0, self.longest / max(self.width, self.height))
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    def header(self, channels: int) -> ArrayHeader:
        """Return the array in which it is sent: uint8, whatever the picture's own type is."""
        width, height = self.size
        return ArrayHeader("uint8", (height, width, channels))

    def within(self, height: int, width: int) -> bool:
        """Return whether it lies in a picture of this size."""
        return (
            min(self.x, self.y) >= 0
            and min(self.width, self.height, self.longest) >= 1
            and self.x + self.width <= width
            and self.y + self.height <= height
        )

    @property
    def query(self) -> str:
        """What is added to the address of a result."""
        return f"window={self.x},{self.y},{self.width},{self.height}&longest={self.longest}"
