"""Small parts of the dialog: labels of fixed height, words in place of numbers, pictures from samples."""

from __future__ import annotations

from typing import Any

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import GdkPixbuf, GLib, Gtk, Pango  # noqa: E402


def label(lines: int) -> Gtk.Label:
    """Return a label with the height of so many lines, so that no text makes the window jump."""
    text = Gtk.Label(xalign=0, yalign=0, wrap=True, lines=lines, ellipsize=Pango.EllipsizeMode.END, max_width_chars=36)
    text.set_size_request(-1, lines * text.create_pango_layout("Äg").get_pixel_size()[1])
    return text


def in_words(widget: Gtk.SpinButton, number: int, word: str) -> bool:
    """Show one number as a word."""
    if widget.get_value_as_int() != number:
        return False
    if widget.get_text() != word:
        widget.set_text(word)
    return True


def dice(colour: Any) -> GdkPixbuf.Pixbuf:
    """Return a picture of a die, in the text's colour; not every font has such a character."""
    side, edge = 16, 1
    pips = {(x, y) for x in (4, 11) for y in (4, 11)} | {(7.5, 7.5)}
    samples = bytearray()
    for y in range(side):
        for x in range(side):
            border = min(x, y, side - 1 - x, side - 1 - y) < edge
            corner = (x in (0, side - 1)) and (y in (0, side - 1))
            pip = any(abs(x - a) <= 1 and abs(y - b) <= 1 for a, b in pips)
            opaque = 255 if (border and not corner) or pip else 0
            samples += bytes([round(255 * colour.red), round(255 * colour.green), round(255 * colour.blue), opaque])
    return pixbuf(bytes(samples), side, side, 4)


def pixbuf(samples: bytes, width: int, height: int, channels: int) -> GdkPixbuf.Pixbuf:
    """Return uint8 samples, 3 or 4 channels, as a picture."""
    return GdkPixbuf.Pixbuf.new_from_bytes(
        GLib.Bytes.new(samples), GdkPixbuf.Colorspace.RGB, channels == 4, 8, width, height, width * channels
    )
