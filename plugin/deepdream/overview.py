"""All of the picture, small, with a frame around the part that the viewer shows, which the mouse drags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gi
from words import _

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GdkPixbuf, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from sight import Sight

ACROSS, DOWN = 112, 84
"""Screen pixels that it takes at most."""
FRAME = 0xFFFFFFFF


class Overview:
    """A small picture; `moved` is called with the point of the picture that is to be in the middle."""

    def __init__(self, moved: Callable[[float, float], None]) -> None:
        self._moved = moved
        self._picture: GdkPixbuf.Pixbuf | None = None
        self._scale = 1.0
        self._image = Gtk.Image(halign=Gtk.Align.START, valign=Gtk.Align.START)
        self.widget = Gtk.EventBox()
        self.widget.set_size_request(ACROSS, DOWN)
        self.widget.add(self._image)
        self.widget.set_tooltip_text(_("All of it: drag the frame to what you want to look at"))
        self.widget.get_accessible().set_name(_("Overview"))
        self.widget.add_events(Gdk.EventMask.BUTTON_PRESS_MASK | Gdk.EventMask.BUTTON1_MOTION_MASK)
        for signal in ("button-press-event", "motion-notify-event"):
            self.widget.connect(signal, self._dragged)

    def show(self, picture: GdkPixbuf.Pixbuf, sight: Sight) -> None:
        """Show the whole picture, and the frame where not all of it is seen."""
        self._scale = min(ACROSS / sight.width, DOWN / sight.height)
        across, down = max(1, round(sight.width * self._scale)), max(1, round(sight.height * self._scale))
        how = GdkPixbuf.InterpType.BILINEAR
        drawn = picture.composite_color_simple(across, down, how, 255, 4, 0x999999, 0x666666)
        if not sight.whole:
            window = sight.window
            left, top = round(window.x * self._scale), round(window.y * self._scale)
            right = max(left + 3, round((window.x + window.width) * self._scale))
            bottom = max(top + 3, round((window.y + window.height) * self._scale))
            right, bottom = min(right, across), min(bottom, down)
            for x, y, width, height in (
                (left, top, right - left, 1), (left, bottom - 1, right - left, 1), (left, top, 1, bottom - top),
                (right - 1, top, 1, bottom - top),
            ):  # fmt: skip
                if width > 0 and height > 0 and x < across and y < down:
                    drawn.new_subpixbuf(x, y, width, height).fill(FRAME)
        self._image.set_from_pixbuf(drawn)

    def _dragged(self, _widget: Gtk.Widget, event: Any) -> bool:
        self._moved(event.x / self._scale, event.y / self._scale)
        return True
