"""The dialog's list of guides: the layers of all open images, and a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gi
import kinds
import what
from words import _

gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facts import Facts

_NO_GUIDE = (None, None)
_WIDEST = 24
"""Characters of a long name."""


class GuideRow:
    """A list of what to dream toward, for the arguments `guide` and `guide-file` of `config`."""

    def __init__(self, config: Gimp.ProcedureConfig, facts: Facts) -> None:
        self._config, self._facts = config, facts
        self._entries: list[tuple[Any, Any]] = []
        self.widget = Gtk.ComboBoxText()
        for cell in self.widget.get_cells():
            cell.set_property("width-chars", _WIDEST)
            cell.set_property("ellipsize", 2)
        self._handler = self.widget.connect("changed", self._changed)
        self.show()

    def show(self) -> None:
        """List what is open now, and show what is chosen."""
        chosen = tuple(self._config.get_property(name) for name in what.GUIDES)
        entries = {_NO_GUIDE: self._without()}
        entries.update(((layer, None), name) for layer, name in _layers())
        entries.setdefault(chosen, ", ".join(_name(each) for each in chosen if each))
        with self.widget.handler_block(self._handler):
            self.widget.remove_all()
            for name in (*entries.values(), _("A file …")):
                self.widget.append_text(name)
            self._entries = list(entries)
            self.widget.set_active(self._entries.index(chosen))

    def _without(self) -> str:
        settings = self._facts.presets[self._config.get_property("preset")]["settings"]
        return _("as the preset says") if settings["guides"] else _("no guide")

    def _changed(self, _widget: Gtk.ComboBoxText) -> None:
        number = self.widget.get_active()
        if number < len(self._entries):
            guide, file = self._entries[number]
        else:
            guide, file = None, self._asked_for()
            if file is None:
                self.show()
                return
        self._config.set_property("guide", guide)
        self._config.set_property("guide-file", file)

    def _asked_for(self) -> Any:
        """Return the file that the user chooses, None for none."""
        asking = Gtk.FileChooserNative.new(
            _("A picture to dream toward"), self.widget.get_toplevel(), Gtk.FileChooserAction.OPEN, None, None
        )
        asking.set_modal(True)
        chosen = asking.run() == Gtk.ResponseType.ACCEPT
        file = asking.get_file() if chosen else None
        asking.destroy()
        return file


def _layers() -> Iterator[tuple[Gimp.Layer, str]]:
    for image in Gimp.get_images():
        for layer in kinds.layers_in(image.get_layers()):
            yield layer, f"{image.get_name()}: {layer.get_name()}"


def _name(guide: Any) -> str:
    if isinstance(guide, Gimp.Drawable) and not guide.is_valid():
        return _("The layer to dream toward no longer exists")
    return str(guide.get_name() if isinstance(guide, Gimp.Drawable) else guide.get_basename())
