"""Small parts of the dialog: labels of fixed height, words in place of numbers, pictures from samples."""

from __future__ import annotations

from typing import Any

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import GdkPixbuf, GLib, Gtk, Pango  # noqa: E402

THUMBNAIL = (120, 80)
"""Width and height of a preset's picture in px."""


def label(lines: int) -> Gtk.Label:
    """Return a label with the height of so many lines, so that no text makes the window jump."""
    text = Gtk.Label(xalign=0, yalign=0, wrap=True, lines=lines, ellipsize=Pango.EllipsizeMode.END, max_width_chars=36)
    text.set_size_request(-1, lines * text.create_pango_layout("Äg").get_pixel_size()[1])
    return text


class Notice:
    """A sentence of so many lines with a warning sign; there is none at first."""

    def __init__(self, lines: int) -> None:
        self._label = label(lines)
        self._label.set_max_width_chars(32)
        self._label.show()
        sign = Gtk.Image.new_from_icon_name("dialog-warning-symbolic", Gtk.IconSize.BUTTON)
        sign.set_valign(Gtk.Align.START)
        sign.show()
        self.widget = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=6, no_show_all=True)
        self.widget.pack_start(sign, False, False, 0)
        self.widget.pack_start(self._label, True, True, 0)

    def show(self, text: str) -> None:
        """Show this sentence; what does not fit is in the tooltip."""
        self._label.set_text(text)
        self.widget.set_tooltip_text(text)
        self.widget.show()


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


def picture(samples: bytes | bytearray, width: int, height: int, channels: int) -> GdkPixbuf.Pixbuf:
    """Return uint8 samples as people see them: gray as three equal channels, transparency on a chequerboard."""
    alpha = channels in (2, 4)
    found = pixbuf(bytes(in_colour(samples, channels)), width, height, 3 + alpha)
    if not alpha:
        return found
    return found.composite_color_simple(width, height, GdkPixbuf.InterpType.NEAREST, 255, 8, 0x999999, 0x666666)


def pixbuf(samples: bytes, width: int, height: int, channels: int) -> GdkPixbuf.Pixbuf:
    """Return uint8 samples, 3 or 4 channels, as a picture."""
    return GdkPixbuf.Pixbuf.new_from_bytes(
        GLib.Bytes.new(samples), GdkPixbuf.Colorspace.RGB, channels == 4, 8, width, height, width * channels
    )


def faded(samples: bytes, channels: int, mask: bytes) -> bytes:
    """Return uint8 samples, 3 or 4 channels, with an alpha that is multiplied by a mask of uint8."""
    faded = bytearray(4 * len(mask))
    for channel in range(3):
        faded[channel::4] = samples[channel::channels]
    faded[3::4] = mask if channels == 3 else bytes(a * m // 255 for a, m in zip(samples[3::4], mask))
    return bytes(faded)


def in_colour(samples: bytes | bytearray, channels: int) -> bytes | bytearray:
    """Return uint8 samples of 1 to 4 channels with gray as three equal ones."""
    if channels > 2:
        return samples
    more = 3 + (channels == 2)
    rgb = bytearray(len(samples) // channels * more)
    for channel in range(3):
        rgb[channel::more] = samples[0::channels]
    if channels == 2:
        rgb[3::4] = samples[1::2]
    return rgb
