"""Which part of a picture is seen in a window, and how large: pure arithmetic, no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

LARGEST = 16.0
"""Screen pixels for a pixel of the picture, at most."""
STEPS = 2
"""Steps of zoom from one size to its double."""


@dataclass(frozen=True)
class Box:
    """A rectangle: of the picture in its pixels, or of the screen."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Sight:
    """A picture of `width` × `height` px seen in a room of `across` × `down` px of the screen.

    `zoom`: screen pixels for a pixel of the picture, None to fit it into the room. `x`, `y`: the picture's point in the
    room's middle, which counts where the picture is larger than the room.
    """

    width: int
    height: int
    across: int = 1
    down: int = 1
    zoom: float | None = None
    x: float = 0.0
    y: float = 0.0

    @property
    def fitting(self) -> float:
        """The zoom at which the whole picture is seen; small ones are enlarged by a whole number."""
        scale = min(self.across / self.width, self.down / self.height)
        return min(LARGEST, math.floor(scale)) if scale >= 2 else min(scale, 1.0)

    @property
    def scale(self) -> float:
        """Screen pixels for a pixel of the picture."""
        return self.fitting if self.zoom is None else self.zoom

    @property
    def corner(self) -> tuple[float, float]:
        """Where on the screen the picture's upper left corner is."""
        return (
            _begin(self.across, self.width * self.scale, self.x * self.scale),
            _begin(self.down, self.height * self.scale, self.y * self.scale),
        )

    @property
    def window(self) -> Box:
        """The part of the picture that is seen, in whole pixels."""
        (left, top), scale = self.corner, self.scale
        x, y = max(0, math.floor(-left / scale)), max(0, math.floor(-top / scale))
        right = min(self.width, math.ceil((self.across - left) / scale))
        bottom = min(self.height, math.ceil((self.down - top) / scale))
        return Box(x, y, max(1, right - x), max(1, bottom - y))

    @property
    def whole(self) -> bool:
        """Whether all of the picture is seen."""
        return self.window == Box(0, 0, self.width, self.height)

    def point(self, across: float, down: float) -> tuple[float, float]:
        """Return the picture's point at a place of the screen."""
        left, top = self.corner
        return (across - left) / self.scale, (down - top) / self.scale

    def place(self, box: Box) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of a part on the screen, without what lies beside picture or room."""
        (left, top), scale = self.corner, self.scale
        x, y = max(0.0, box.x), max(0.0, box.y)
        right, bottom = min(self.width, box.x + box.width), min(self.height, box.y + box.height)
        return (
            max(0, round(left + x * scale)),
            max(0, round(top + y * scale)),
            min(self.across, round(left + right * scale)),
            min(self.down, round(top + bottom * scale)),
        )

    def resized(self, across: int, down: int) -> Sight:
        """Return the sight in another room."""
        return replace(self, across=max(1, across), down=max(1, down))

    def fitted(self) -> Sight:
        """Return the sight of the whole picture."""
        return replace(self, zoom=None, x=self.width / 2, y=self.height / 2)

    def zoomed(self, zoom: float, across: float | None = None, down: float | None = None) -> Sight:
        """Return the sight at another zoom; what is at this place of the screen, else in the middle, stays there."""
        across = self.across / 2 if across is None else across
        down = self.down / 2 if down is None else down
        x, y = self.point(across, down)
        zoom = min(zoom, LARGEST)
        if zoom <= self.fitting and zoom != 1.0:
            return self.fitted()
        return self._at(zoom, x + (self.across / 2 - across) / zoom, y + (self.down / 2 - down) / zoom)

    def stepped(self, steps: int, across: float | None = None, down: float | None = None) -> Sight:
        """Return the sight some steps nearer, or further away."""
        now = math.log2(self.scale) * STEPS
        after = math.floor(now + steps + 1e-6) if steps > 0 else math.ceil(now + steps - 1e-6)
        return self.zoomed(2 ** (after / STEPS), across, down)

    def moved(self, across: float, down: float) -> Sight:
        """Return the sight of what is so many screen pixels further right and down."""
        if self.zoom is None:
            return self
        x, y = self.point(self.across / 2 + across, self.down / 2 + down)
        return self._at(self.zoom, x, y)

    def centred(self, x: float, y: float) -> Sight:
        """Return the sight with this point of the picture in the middle."""
        return self if self.zoom is None else self._at(self.zoom, x, y)

    def _at(self, zoom: float, x: float, y: float) -> Sight:
        """Return the sight there, without room beside a picture that is larger than the room."""
        return replace(
            self, zoom=zoom, x=_within(x, self.across / zoom, self.width), y=_within(y, self.down / zoom, self.height)
        )


def _begin(room: int, size: float, middle: float) -> float:
    return float(round((room - size) / 2)) if size <= room else min(0.0, max(room - size, room / 2 - middle))


def _within(middle: float, seen: float, size: int) -> float:
    return size / 2 if seen >= size else min(max(middle, seen / 2), size - seen / 2)
