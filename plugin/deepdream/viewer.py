"""A picture before and after in a window: zoom, pan, a split line. Pictures alone: not every GIMP's Python has cairo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gi
from sight import Box, Sight
from words import _

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GdkPixbuf, GLib, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_PX = 48
"""An arrow key pans by so many screen pixels, and moves the split line by half as many."""
NEAR_PX = 8
"""As near to the split line a press drags it."""
LEAST_PX = (384, 288)
FOCUS, LINE, CHECKS = 0x3584E4FF, 0xFFFFFFFF, (8, 0x999999, 0x666666)
_ZOOMS = {"plus": 1, "equal": 1, "KP_Add": 1, "minus": -1, "KP_Subtract": -1}
_EXACT, _FIT = ("1", "KP_1", "KP_End"), ("0", "KP_0", "KP_Insert")
_ARROWS = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}


class Viewer:
    """Shows `before` and `after`, pieces of a picture one upon the other.

    `seen` is called when something else is to be seen, `on_split` when a key asks for the split line, or to end it.
    """

    def __init__(self, width: int, height: int, seen: Callable[[], None]) -> None:
        self.sight = Sight(width, height).fitted()
        self.before: list[tuple[Box, GdkPixbuf.Pixbuf]] = []
        self.after: list[tuple[Box, GdkPixbuf.Pixbuf]] = []
        self._seen = seen
        self.on_split: Callable[[bool], None] = self.split
        self._split: float | None = None
        self._original = False
        self._dragged: tuple[float, float] | None = None
        self._drags_line = False
        self._drawing = 0
        self._wheel = 0.0
        self._image = Gtk.Image()
        self.widget = Gtk.Layout(can_focus=True)
        self.widget.set_size_request(*LEAST_PX)
        self.widget.put(self._image, 0, 0)
        self.widget.get_accessible().set_name(_("Preview"))
        mask = Gdk.EventMask
        self.widget.add_events(
            mask.BUTTON_PRESS_MASK | mask.BUTTON_RELEASE_MASK | mask.BUTTON1_MOTION_MASK | mask.SCROLL_MASK
            | mask.SMOOTH_SCROLL_MASK | mask.KEY_PRESS_MASK | mask.KEY_RELEASE_MASK | mask.FOCUS_CHANGE_MASK
        )  # fmt: skip
        for signal, handler in (
            ("size-allocate", self._resized), ("button-press-event", self._pressed), ("scroll-event", self._scrolled),
            ("button-release-event", self._released), ("motion-notify-event", self._moved), ("key-press-event", self._key),
            ("key-release-event", self._key_up), ("focus-in-event", self._focus), ("focus-out-event", self._focus),
            ("destroy", lambda _widget: self.end()),
        ):  # fmt: skip
            self.widget.connect(signal, handler)

    # --- what is shown

    def redraw(self) -> None:
        """Show everything as it is now, once the main loop has time."""
        if not self._drawing:
            self._drawing = GLib.idle_add(self._draw)

    def end(self) -> None:
        """Draw no more."""
        if self._drawing:
            GLib.source_remove(self._drawing)
            self._drawing = 0

    def show_original(self, shown: bool) -> None:
        """Show what was before, or no longer."""
        if shown != self._original:
            self._original = shown
            self._seen()
            self.redraw()

    @property
    def compares(self) -> bool:
        """Whether some of the original is to be seen."""
        return self._original or self._split is not None

    def split(self, wanted: bool) -> None:
        """Show the original left of a line, or no longer."""
        if wanted != (self._split is not None):
            self._split = 0.5 if wanted else None
            self._seen()
            self.redraw()

    def look(self, sight: Sight) -> None:
        """Show another part."""
        if sight != self.sight:
            self.sight = sight
            self._seen()
            self.redraw()

    def _draw(self) -> bool:
        self._drawing = 0
        sight = self.sight
        drawn = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, False, 8, sight.across, sight.down)
        drawn.fill(0x404040FF)
        _paint(drawn, sight, self.before if self._original else self.after or self.before, sight.across)
        if self._split is not None and not self._original:
            line = self._line()
            _paint(drawn, sight, self.before, line)
            _bar(drawn, line - 1, 0, 2, sight.down, LINE)
        if self.widget.has_focus():
            for x, y, width, height in (
                (0, 0, sight.across, 2), (0, sight.down - 2, sight.across, 2), (0, 0, 2, sight.down),
                (sight.across - 2, 0, 2, sight.down),
            ):  # fmt: skip
                _bar(drawn, x, y, width, height, FOCUS)
        self._image.set_from_pixbuf(drawn)
        return False

    def _shown(self) -> tuple[float, float]:
        """Return where on the screen the picture begins and how wide it is there."""
        left = max(0.0, self.sight.corner[0])
        return left, min(float(self.sight.across), self.sight.corner[0] + self.sight.width * self.sight.scale) - left

    def _line(self) -> int:
        left, across = self._shown()
        return round(left + across * (0.0 if self._split is None else self._split))

    def _split_at(self, x: float) -> None:
        left, across = self._shown()
        self._split = min(1.0, max(0.0, (x - left) / max(1.0, across)))
        self.redraw()

    # --- mouse and keys

    def _resized(self, _widget: Gtk.Widget, room: Any) -> None:
        self.look(self.sight.resized(room.width, room.height))

    def _pressed(self, _widget: Gtk.Widget, event: Any) -> bool:
        self.widget.grab_focus()
        if event.button == 1:
            self._dragged = (event.x, event.y)
            self._drags_line = self._split is not None and abs(event.x - self._line()) <= NEAR_PX
        return True

    def _moved(self, _widget: Gtk.Widget, event: Any) -> bool:
        if self._dragged is None:
            return False
        if self._drags_line:
            self._split_at(event.x)
        else:
            self.look(self.sight.moved(self._dragged[0] - event.x, self._dragged[1] - event.y))
            self._dragged = (event.x, event.y)
        return True

    def _released(self, _widget: Gtk.Widget, _event: Any) -> bool:
        self._dragged = None
        return True

    def _scrolled(self, _widget: Gtk.Widget, event: Any) -> bool:
        smooth, _across, down = event.get_scroll_deltas()
        direction = event.direction
        self._wheel -= down if smooth else {Gdk.ScrollDirection.UP: -1, Gdk.ScrollDirection.DOWN: 1}.get(direction, 0)
        if steps := int(self._wheel):  # a touchpad moves by less
            self._wheel -= steps
            self.look(self.sight.stepped(steps, event.x, event.y))
        return True

    def _key(self, _widget: Gtk.Widget, event: Any) -> bool:
        name = Gdk.keyval_name(event.keyval) or ""
        other = Gdk.ModifierType.CONTROL_MASK | Gdk.ModifierType.MOD1_MASK
        if event.state & other:
            return False
        shift = bool(event.state & Gdk.ModifierType.SHIFT_MASK)
        if name in _ZOOMS:
            self.look(self.sight.stepped(_ZOOMS[name]))
        elif name in _EXACT:
            self.look(self.sight.zoomed(1.0))
        elif name in _FIT:
            self.look(self.sight.fitted())
        elif name in ("o", "O"):
            self.show_original(True)
        elif name in ("s", "S"):
            self.on_split(self._split is None)
        elif name in _ARROWS and (shift or self.sight.whole) and self._split is not None:
            self._split_at(self._line() + _ARROWS[name][0] * STEP_PX / 2)
        elif name in _ARROWS:
            across, down = _ARROWS[name]
            self.look(self.sight.moved(across * STEP_PX, down * STEP_PX))
        else:
            return False
        return True

    def _key_up(self, _widget: Gtk.Widget, event: Any) -> bool:
        if Gdk.keyval_name(event.keyval) in ("o", "O"):
            self.show_original(False)
        return False

    def _focus(self, _widget: Gtk.Widget, event: Any) -> bool:
        if not event.in_:
            self.show_original(False)
        self.redraw()
        return False


def _paint(onto: GdkPixbuf.Pixbuf, sight: Sight, pieces: list[tuple[Box, GdkPixbuf.Pixbuf]], right: int) -> None:
    """Paint pieces one upon the other, left of a place of the screen; transparent ones on a chequerboard."""
    (left, top), scale = sight.corner, sight.scale
    size, light, dark = CHECKS
    for box, picture in pieces:
        x, y = left + box.x * scale, top + box.y * scale
        from_x, from_y, to_x, to_y = sight.place(box)
        to_x = min(right, to_x)
        if to_x <= from_x or to_y <= from_y:
            continue
        times = box.width * scale / picture.get_width(), box.height * scale / picture.get_height()
        how = GdkPixbuf.InterpType.NEAREST if min(times) >= 1 else GdkPixbuf.InterpType.BILINEAR
        picture.composite_color(
            onto,
            from_x,
            from_y,
            to_x - from_x,
            to_y - from_y,
            x,
            y,
            *times,
            how,
            255,
            from_x,
            from_y,
            size,
            light,
            dark,
        )


def _bar(onto: GdkPixbuf.Pixbuf, x: int, y: int, width: int, height: int, colour: int) -> None:
    x, y = min(max(0, x), max(0, onto.get_width() - width)), max(0, y)
    width, height = min(width, onto.get_width() - x), min(height, onto.get_height() - y)
    if width > 0 and height > 0:
        onto.new_subpixbuf(x, y, width, height).fill(colour)
