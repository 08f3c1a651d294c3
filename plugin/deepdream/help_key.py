"""Help by keyboard: F1 in a window opens the page that its Help button opens."""

from __future__ import annotations

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gimp, Gtk  # noqa: E402

_KEYS = (Gdk.KEY_F1, Gdk.KEY_KP_F1, Gdk.KEY_Help)


def connect(window: Gtk.Window, page: str) -> None:
    """Let the keys for help open a page of help/en/gimp-help.xml; GIMP 3.2 itself leaves them unanswered."""

    def pressed(_window: Gtk.Window, event: Gdk.EventKey) -> bool:
        return event.keyval in _KEYS and bool(Gimp.help(None, page))

    window.connect("key-press-event", pressed)
