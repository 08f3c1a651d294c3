"""The dialog's rows for where the dream goes, with the choices that these layers allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gi
import kinds

gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, GObject, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

_BOTH_WAYS = GObject.BindingFlags.BIDIRECTIONAL | GObject.BindingFlags.SYNC_CREATE


def output_list(config: Gimp.ProcedureConfig, drawables: Sequence[Gimp.Drawable]) -> Gtk.ComboBoxText:
    """Return a list of the outputs that fit these drawables; another value of `config` becomes the first of them."""
    words = kinds.outputs(drawables)

    def keep_to_these(*_changed: object) -> None:
        if config.get_property("output") not in words:
            config.set_property("output", next(iter(words)))

    keep_to_these()
    widget = Gtk.ComboBoxText()
    for word, label in words.items():
        widget.append(word, label)
    handler = config.connect("notify::output", keep_to_these)
    widget.connect("destroy", lambda _widget: config.disconnect(handler))
    config.bind_property("output", widget, "active-id", _BOTH_WAYS)
    return widget


def gray_box(config: Gimp.ProcedureConfig, drawables: Sequence[Gimp.Drawable]) -> Gtk.CheckButton | None:
    """Return a box in which a person says that a channel is to be dreamed, None where there is no channel."""
    if not any(map(kinds.is_bare_channel, drawables)):
        return None
    config.set_property("gray", "no")  # asked each time
    about = config.find_property("gray")
    widget = Gtk.CheckButton.new_with_mnemonic(about.nick)
    widget.set_tooltip_text(about.blurb)
    widget.connect("toggled", lambda box: config.set_property("gray", "yes" if box.get_active() else "no"))
    return widget
