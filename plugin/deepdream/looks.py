"""Looks on this layer: every preset dreamed on a small copy of the selection, as a sheet that fills while one looks."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import choices
import gi
import guides
import pixels
import widgets
from grid import GAP, Grid
from series import Order, Series
from words import _

gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import GdkPixbuf, Gimp, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from facts import Facts
    from plugin_errors import PluginError
    from preview import Preview

LONGEST = 176
"""A look's longer side in px."""
WIDEST = 1000
TALLEST = 520
"""Room for the looks: the window must fit on a screen of 1366 × 768."""


class Looks:
    """The sheet of looks for the part of the layer that the preview shows; `chosen` is called with the preset taken.

    The `preview` waits while the sheet is open. What was dreamed stays until the dialog closes.
    """

    def __init__(
        self,
        drawable: Gimp.Drawable,
        facts: Facts,
        preview: Preview,
        arguments: Callable[[], dict[str, Any]],
        chosen: Callable[[str], None],
    ) -> None:
        self._drawable, self._facts, self._preview = drawable, facts, preview
        self._arguments, self._chosen = arguments, chosen
        self._pictures: dict[str, GdkPixbuf.Pixbuf] = {}
        self._series = Series(facts, self._order, self._made, self._failed, _("look"))
        self._window: Gtk.Dialog | None = None

    def open(self, parent: Gtk.Window) -> None:
        """Show the sheet and begin to dream what is missing; it opens only once."""
        if self._window is not None:
            return
        self._region = self._preview.part.inner
        self._samples, width, height = pixels.read_small(self._drawable, self._region, LONGEST)
        self._shape = (height, width, pixels.channels(self._drawable))
        columns = max(1, WIDEST // (max(width, widgets.THUMBNAIL[0]) + 3 * GAP))
        self._preview.pause()
        self._grid = Grid(self._facts, (width, height), columns, TALLEST, self._taken)
        self._grid.clear()
        self._status = Gtk.Label(xalign=0, wrap=True, margin=GAP)
        self._window = Gtk.Dialog(title=_("Looks on this layer"), transient_for=parent, modal=True)
        self._window.add_button(_("_Close"), Gtk.ResponseType.CLOSE)
        area = self._window.get_content_area()
        area.set_border_width(GAP)
        area.pack_start(self._grid.widget, True, True, 0)
        area.pack_start(self._status, False, False, 0)
        self._window.connect("response", lambda *_response: self.close())
        self._window.show_all()
        self._grid.select(self._arguments()["preset"])
        self._begin()

    def refresh(self) -> None:
        """Show the presets that exist now."""
        if self._window is not None:
            self._series.stop()
            self._grid.fill()
            self._grid.clear()
            self._begin()

    def close(self) -> None:
        """Close the sheet and stop dreaming."""
        self._series.stop()
        if self._window is not None:
            self._window.destroy()
            self._window = None
            self._preview.resume()

    def _begin(self) -> None:
        """Show what was dreamed before, and begin to dream the rest."""
        self._why: dict[str, str] = {}
        self._left = []
        for name in self._grid.names:
            picture = self._pictures.get(self._key(self._settings(name)))
            if picture is None:
                self._left.append(name)
            else:
                self._grid.show(name, picture)
        self._series.begin(self._left)
        self._say()

    def _settings(self, preset: str) -> dict[str, Any]:
        """Return the settings that a choice of the preset gives."""
        given = self._arguments()
        kept = {name: given[name] for name in choices.KEPT}
        return choices.settings_of({**choices.as_preset(self._facts, preset), **kept}, self._facts)

    def _key(self, settings: dict[str, Any]) -> str:
        """Return a name of all that a look depends on."""
        parts = json.dumps([self._shape, settings], sort_keys=True)
        return hashlib.sha256(parts.encode() + self._samples).hexdigest()

    def _order(self, preset: str) -> Order:
        arguments, settings = choices.as_preset(self._facts, preset), self._settings(preset)
        return Order(self._samples, self._shape, settings, guides.read(arguments, settings))

    def _made(self, preset: str, order: Order, samples: bytearray) -> None:
        height, width, channels = order.shape
        picture = self._pictures[self._key(order.settings)] = widgets.picture(samples, width, height, channels)
        self._grid.show(preset, picture)
        self._left.remove(preset)
        self._say()

    def _failed(self, preset: str, error: PluginError) -> None:
        self._grid.complain(preset, str(error))
        self._left.remove(preset)
        self._why[preset] = str(error)
        self._say()

    def _say(self) -> None:
        """Say how far the sheet is, what went wrong, or how looks differ from the result."""
        count = len(self._grid.names)
        if self._left:
            text = _("{count} of {all} looks").format(count=count - len(self._left), all=count)
        elif self._why:
            text = next(iter(self._why.values()))
        elif max(self._region.width, self._region.height) > LONGEST:
            percent = round(100 * self._shape[1] / self._region.width)
            text = _("Dreamed at {percent} %: patterns will be smaller in the result").format(percent=percent)
        else:
            text = ""
        self._status.set_text(text)

    def _taken(self, preset: str) -> None:
        self.close()
        self._chosen(preset)
