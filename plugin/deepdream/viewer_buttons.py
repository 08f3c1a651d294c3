"""The buttons below the preview: zoom, and before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gi
from words import _

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from viewer import Viewer

GAP = 6


def row(viewer: Viewer) -> Gtk.Box:
    """Return the buttons of a viewer in a row."""
    box = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=GAP)
    for icon, about, call in (
        ("zoom-fit-best-symbolic", _("Show all of it (0)"), lambda: viewer.look(viewer.sight.fitted())),
        ("zoom-original-symbolic", _("Show it at 100 % (1)"), lambda: viewer.look(viewer.sight.zoomed(1.0))),
        ("zoom-out-symbolic", _("Zoom out (−)"), lambda: viewer.look(viewer.sight.stepped(-1))),
        ("zoom-in-symbolic", _("Zoom in (+)"), lambda: viewer.look(viewer.sight.stepped(1))),
    ):
        box.pack_start(_icon(icon, about, call), False, False, 0)
    box.pack_end(_split(viewer), False, False, 0)
    box.pack_end(_original(viewer), False, False, 0)
    return box


def _icon(name: str, about: str, call: Callable[[], None]) -> Gtk.Button:
    button = Gtk.Button.new_from_icon_name(name, Gtk.IconSize.BUTTON)
    button.set_tooltip_text(about)
    button.get_accessible().set_name(about)
    button.connect("clicked", lambda _button: call())
    return button


def _original(viewer: Viewer) -> Gtk.Button:
    """Return a button that shows the original as long as it is held, also by the space bar."""
    button = Gtk.Button(label=_("Original"))
    button.set_tooltip_text(_("Hold it, or O in the preview, to see the layer as it is"))

    def key(_button: Gtk.Button, event: Any) -> bool:
        if event.keyval not in (Gdk.KEY_space, Gdk.KEY_KP_Space):
            return False
        viewer.show_original(event.type == Gdk.EventType.KEY_PRESS)
        return True

    for signal, shown in (("pressed", True), ("released", False)):
        button.connect(signal, lambda _button, shown: viewer.show_original(shown), shown)
    for signal in ("key-press-event", "key-release-event"):
        button.connect(signal, key)
    button.connect("focus-out-event", lambda *_event: viewer.show_original(False))
    return button


def _split(viewer: Viewer) -> Gtk.ToggleButton:
    button = Gtk.ToggleButton(label=_("Split"))
    button.set_tooltip_text(
        _("Show the layer as it is left of a line (S in the preview); drag it, or press Shift and an arrow key")
    )
    button.connect("toggled", lambda button: viewer.split(button.get_active()))
    viewer.on_split = button.set_active
    return button
