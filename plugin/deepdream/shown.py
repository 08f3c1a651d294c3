"""What the preview shows of a layer: its pixels before and after, at the size at which one looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gi
import pixels
import viewer_buttons
import widgets
from overview import Overview
from sight import Box, Sight
from viewer import Viewer

gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import GdkPixbuf, Gimp, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.link.view import View
else:  # the copy beside this file
    from link.view import View

SMALL_PX = 384
"""The longer side of the small copy, which is shown and dreamed first."""
LARGEST_VIEW_PX = 4096
"""The helper sends no larger ones."""


class Shown:
    """The viewer, its buttons and the overview, for the selected part of a layer. `seen`: another part of it is shown."""

    def __init__(self, drawable: Gimp.Drawable, part: pixels.Selected, seen: Callable[[], None]) -> None:
        self._drawable, self._part = drawable, part
        self.small, self.small_size = b"", (0, 0)
        self._seen = seen
        self._viewer = Viewer(part.inner.width, part.inner.height, self._looks_elsewhere)
        self._overview = Overview(lambda x, y: self._viewer.look(self._viewer.sight.centred(x, y)))
        self.overview = self._overview.widget
        self.buttons = viewer_buttons.row(self._viewer)
        self.widget = Gtk.Frame(shadow_type=Gtk.ShadowType.IN)
        self.widget.add(self._viewer.widget)

    def read(self, part: pixels.Selected) -> None:
        """Read a part of the layer, small, and show it; another one than before is shown whole."""
        self._part, inner, sight = part, part.inner, self._viewer.sight
        self.channels = pixels.channels(self._drawable)
        self._shown_channels = 3 + (self.channels in (2, 4))
        self._all = Box(0, 0, inner.width, inner.height)
        if (sight.width, sight.height) != (inner.width, inner.height):
            self._viewer.sight = Sight(inner.width, inner.height, sight.across, sight.down).fitted()
        self.small, width, height, self._selection = self._read_small()
        self.small_size = width, height
        rgb = self.small
        if self.channels < 3:
            rgb, *_same = pixels.read_small(self._drawable, inner, SMALL_PX, self._shown_channels)
        self._viewer.before = [(self._all, widgets.pixbuf(rgb, width, height, self._shown_channels))]
        self.show_small(self.small)

    def is_current(self) -> bool:
        """Return whether the part still looks and is selected as it was when it was read."""
        return self._read_small() == (self.small, *self.small_size, self._selection)

    def _read_small(self) -> tuple[bytes, int, int, bytes | None]:
        """Return the small copy, its width and height, and how much of it is selected."""
        small, width, height = pixels.read_small(self._drawable, self._part.inner, SMALL_PX)
        return small, width, height, pixels.read_selection(self._drawable, self._part.inner, width, height)

    def show_small(self, samples: bytes | bytearray) -> None:
        """Show a dream of the small copy."""
        rgb = widgets.in_colour(samples, self.channels)
        self._put(0, self._all, self._over(self._part.inner, bytes(rgb), *self.small_size))

    def show(
        self,
        part: pixels.Region,
        samples: bytes | bytearray,
        width: int,
        height: int,
        sample: str,
        opacity: float = 1.0,
    ) -> None:
        """Show samples of a part of the layer, in its own space, over the layer; a smaller part upon the whole."""
        inner = self._part.inner
        box = Box(part.x - inner.x, part.y - inner.y, part.width, part.height)
        rgb = pixels.for_screen(self._drawable, samples, width, height, sample)
        self._put(int(box != self._all), box, self._over(part, rgb, width, height, opacity))

    def _over(
        self, part: pixels.Region, samples: bytes, width: int, height: int, opacity: float = 1.0
    ) -> GdkPixbuf.Pixbuf:
        """Return a dream of a part of the layer over the layer itself: at an opacity, and where it is selected."""
        channels = self._shown_channels
        selection = pixels.read_selection(self._drawable, part, width, height)
        if selection is not None:
            samples, channels = widgets.faded(samples, channels, selection), 4
        picture = widgets.pixbuf(samples, width, height, channels)
        if selection is None and opacity == 1:
            return picture
        layer = pixels.read_sized(self._drawable, part, width, height, self._shown_channels)
        below = widgets.pixbuf(layer, width, height, self._shown_channels).copy()  # what is made of bytes is read-only
        picture.composite(below, 0, 0, width, height, 0, 0, 1, 1, GdkPixbuf.InterpType.NEAREST, round(255 * opacity))
        return below

    def _put(self, place: int, box: Box, picture: GdkPixbuf.Pixbuf) -> None:
        self._viewer.after[place:] = [(box, picture)]
        self._frame()
        self._viewer.redraw()

    def _frame(self) -> None:
        if self._viewer.after:
            self._overview.show(self._viewer.after[0][1], self._viewer.sight)

    def _looks_elsewhere(self) -> None:
        self._frame()
        self._seen()

    @property
    def region(self) -> pixels.Region:
        """The part of the layer that is seen."""
        window, inner = self._viewer.sight.window, self._part.inner
        return pixels.Region(inner.x + int(window.x), inner.y + int(window.y), int(window.width), int(window.height))

    @property
    def view(self) -> View:
        """What is seen, as a view of a picture of the part's outer region."""
        seen, outer = self.region, self._part.outer
        longest = max(1, min(LARGEST_VIEW_PX, round(self._longest)))
        return View(seen.x - outer.x, seen.y - outer.y, seen.width, seen.height, longest)

    @property
    def _longest(self) -> float:
        """How many pixels the longer side of what is seen needs."""
        seen = self.region
        return max(seen.width, seen.height) * min(1.0, self._viewer.sight.scale)

    def sharpen(self) -> None:
        """Where some of the original is to be seen, read it as sharp as it is seen."""
        seen, inner = self.region, self._part.inner
        scale = min(1.0, SMALL_PX / max(inner.width, inner.height))
        if not self._viewer.compares or self._longest <= scale * max(seen.width, seen.height):
            return
        samples, width, height = pixels.read_small(self._drawable, seen, self._longest, self._shown_channels)
        box = Box(seen.x - inner.x, seen.y - inner.y, seen.width, seen.height)
        self._viewer.before[1:] = [(box, widgets.pixbuf(samples, width, height, self._shown_channels))]
        self._viewer.redraw()
