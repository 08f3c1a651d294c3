"""The button that shows the chosen preset, and opens all of them as pictures, like GIMP's choice of brushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gi
import widgets
from words import _

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GLib, Gtk, Pango  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from facts import Facts
    from grid import Grid
    from plugin_errors import PluginError
    from preview import Preview
    from series import Order, Series

SMALL = 2
"""The picture on the button is this many times smaller."""
COLUMNS = 4
GAP = 6
TALLEST = 400
"""Height in px from which the grid scrolls: it must fit into the dialog's window."""


class Gallery:
    """A button that shows the chosen preset, and opens the grid of all; `chosen` is called with a preset's name.

    A preset without a picture gets one while the grid is open; the `preview` waits meanwhile.
    """

    def __init__(self, facts: Facts, preview: Preview, chosen: Callable[[str], None]) -> None:
        self._facts, self._preview, self._chosen = facts, preview, chosen
        self._grid: Grid | None = None
        self._series: Series | None = None
        self._small = Gtk.Image()
        self._small.set_size_request(*(px // SMALL for px in widgets.THUMBNAIL))
        self._loading = 0
        self._name = Gtk.Label(xalign=0, ellipsize=Pango.EllipsizeMode.END)
        row = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=GAP)
        row.pack_start(self._small, False, False, 0)
        row.pack_start(self._name, True, True, 0)
        row.pack_start(Gtk.Image.new_from_icon_name("pan-down-symbolic", Gtk.IconSize.BUTTON), False, False, 0)
        self.widget = Gtk.Button()
        self.widget.add(row)
        self.widget.connect("clicked", lambda _button: self._open())

    def show(self, preset: str) -> None:
        """Show this preset as the chosen one."""
        if self._name.get_text() == preset:
            return
        self._name.set_text(preset)
        if (
            not self._loading
        ):  # the first picture of a process can take 0.2 s where glycin decodes it in another process
            self._loading = GLib.idle_add(self._load_small, priority=GLib.PRIORITY_LOW + 1)

    def refresh(self) -> None:
        """Show the presets that exist now."""
        if self._grid is not None and self._series is not None:
            self._series.stop()
            self._grid.fill()
            if self._popover.get_visible():
                self._show_all()
        if not self._loading:
            self._loading = GLib.idle_add(self._load_small, priority=GLib.PRIORITY_LOW + 1)

    def end(self) -> None:
        """Stop loading and dreaming."""
        if self._loading:
            GLib.source_remove(self._loading)
        if self._series is not None:
            self._series.stop()

    def _load_small(self) -> bool:
        import thumbnails  # late: the dialog opens sooner without it

        self._loading = 0
        picture = thumbnails.load(self._name.get_text(), self._facts, SMALL)
        self._small.set_from_pixbuf(picture)
        return False

    def _open(self) -> None:
        if self._grid is None:  # only when needed: the dialog opens sooner
            self._build()
        self._popover.popup()
        self._show_all()

    def _build(self) -> None:
        from grid import Grid
        from series import Series
        from thumbnails import order

        self._grid = Grid(self._facts, widgets.THUMBNAIL, COLUMNS, TALLEST, self._taken)
        self._series = Series(
            self._facts, lambda name: order(name, self._facts), self._made, self._failed, _("thumbnail")
        )
        self._popover = Gtk.Popover.new(self.widget)
        self._popover.add(self._grid.widget)
        self._popover.connect("closed", lambda _popover: self._closed())
        self.widget.get_toplevel().connect("key-press-event", self._pressed)

    def _show_all(self) -> None:
        """Show the pictures that exist, and begin to make the others."""
        import thumbnails

        assert self._grid is not None
        assert self._series is not None
        self._grid.clear()
        missing = []
        for name in self._grid.names:
            picture = thumbnails.load(name, self._facts)
            if picture is None:
                missing.append(name)
            else:
                self._grid.show(name, picture)
        self._grid.select(self._name.get_text())
        if missing:
            self._preview.pause()
            self._series.begin(missing)

    def _made(self, name: str, order: Order, samples: bytearray) -> None:
        import thumbnails

        assert self._grid is not None
        self._grid.show(name, thumbnails.keep(order, self._facts, samples))
        if name == self._name.get_text():
            self._load_small()

    def _failed(self, name: str, error: PluginError) -> None:
        assert self._grid is not None
        self._grid.complain(name, _("No picture yet: {why}").format(why=error))

    def _closed(self) -> None:
        assert self._series is not None
        self._series.stop()
        self._preview.resume()

    def _pressed(self, _dialog: Gtk.Dialog, event: Gdk.EventKey) -> bool:
        """Let Escape close the grid and not the dialog, even before the grid has the focus."""
        if event.keyval != Gdk.KEY_Escape or not self._popover.get_visible():
            return False
        self._popover.popdown()
        return True

    def _taken(self, preset: str) -> None:
        self._popover.popdown()
        self._chosen(preset)
