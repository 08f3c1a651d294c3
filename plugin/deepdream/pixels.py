"""A drawable's pixels as bytes for the helper, and back: the region, its surroundings and the format.

The helper gets pixels in the image's own colour space with its own curve, as float, so that an image with a profile keeps
its colours and nothing is clipped.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Babl, Gegl, Gimp  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

MARGIN_PX = 128
"""Pixels around the selection that the network also sees; about half of what a cell of the deeper layers sees."""
STRIP_BYTES = 1 << 28
"""GEGL counts bytes with 32 bits, so larger regions are moved in strips."""
PIECE_BYTES = 1 << 24
"""Read in a few hundredths of a second."""
_MODELS = {1: "Y'", 2: "Y'A", 3: "R'G'B'", 4: "R'G'B'A"}


class Refused(Exception):  # noqa: N818 - GIMP's answer, not a fault of the program
    """GIMP does not allow the change; the text is its reason."""


@dataclass(frozen=True)
class Region:
    """A rectangle of a drawable, in its own pixels."""

    x: int
    y: int
    width: int
    height: int

    def rows(self, top: int, count: int) -> Region:
        """Return `count` of its rows from `top` on."""
        return Region(self.x, self.y + top, self.width, count)

    def strips(self, bytes_per_pixel: int, most: int = STRIP_BYTES) -> list[Region]:
        """Return pieces of it that GEGL can move at once."""
        step = max(1, most // (self.width * bytes_per_pixel))
        return [self.rows(top, min(step, self.height - top)) for top in range(0, self.height, step)]

    def contains(self, other: Region) -> bool:
        """Return whether all of another one is in it."""
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.x + other.width <= self.x + self.width
            and other.y + other.height <= self.y + self.height
        )

    def rectangle(self) -> Gegl.Rectangle:
        """Return it as GEGL's."""
        return Gegl.Rectangle.new(self.x, self.y, self.width, self.height)


@dataclass(frozen=True)
class Selected:
    """The part of a drawable that changes (`inner`), and the part that the helper gets (`outer`)."""

    inner: Region
    outer: Region


def selected(drawable: Gimp.Drawable) -> Selected | None:
    """Return the part of the drawable inside the selection's bounds, or None when there is none."""
    touches, x, y, width, height = drawable.mask_intersect()
    if not touches or width <= 0 or height <= 0:
        return None
    left, top = max(0, x - MARGIN_PX), max(0, y - MARGIN_PX)
    right = min(drawable.get_width(), x + width + MARGIN_PX)
    bottom = min(drawable.get_height(), y + height + MARGIN_PX)
    return Selected(Region(x, y, width, height), Region(left, top, right - left, bottom - top))


@dataclass(frozen=True)
class Surface:
    """What must not change during a dream: the layer's shape, and the selection over it."""

    layer: tuple[object, ...]
    selection: tuple[object, ...]

    @classmethod
    def of(cls, image: Gimp.Image, drawable: Gimp.Drawable, part: Selected) -> Surface:
        """Return the current state; `part` is the dreamed part."""
        layer = (drawable.get_width(), drawable.get_height(), Babl.get_name(drawable.get_format()))
        if Gimp.Selection.is_empty(image):
            return cls(layer, (None,))
        mask = _read(image.get_selection(), _on_canvas(drawable, part.inner), "Y float", 4)
        return cls(layer, (selected(drawable), hashlib.sha256(mask).hexdigest()))


def channels(drawable: Gimp.Drawable) -> int:
    """Return 1 for gray, 3 for RGB, and one more with transparency."""
    return (1 if drawable.is_gray() else 3) + bool(drawable.has_alpha())


def format_of(drawable: Gimp.Drawable, count: int, sample: str) -> str:
    """Return the name of the format with `count` channels in the drawable's own space; `sample`: `float` or `u8`."""
    return str(Babl.get_name(Babl.format_with_space(f"{_MODELS[count]} {sample}", drawable.get_format())))


def sample_of(drawable: Gimp.Drawable) -> str:
    """Return the type of its samples, such as `u8`, `half` or `float`."""
    return str(Babl.get_name(Babl.format_get_type(drawable.get_format(), 0)))


def is_opaque(drawable: Gimp.Drawable) -> bool:
    """Return whether no pixel is transparent, to 8 bits."""
    if not drawable.has_alpha():
        return True
    region = Region(0, 0, drawable.get_width(), drawable.get_height())
    return not _read(drawable, region, "A u8", 1).translate(None, b"\xff")


def is_hard(image: Gimp.Image, drawable: Gimp.Drawable, part: Selected) -> bool:
    """Return whether each pixel of the part is selected wholly or not at all."""
    if Gimp.Selection.is_empty(image):
        return True
    mask = _read(image.get_selection(), _on_canvas(drawable, part.inner), "Y u8", 1)
    return not mask.translate(None, b"\x00\xff")


def read(drawable: Gimp.Drawable, region: Region) -> bytearray:
    """Return the region as float32 [height, width, channels], 1.0 for white."""
    count = channels(drawable)
    return _read(drawable, region, format_of(drawable, count, "float"), count * 4)


def read_small(
    drawable: Gimp.Drawable, region: Region, longest: float, count: int | None = None
) -> tuple[bytes, int, int]:
    """Return the region scaled down to `longest` px, as uint8 [height, width, channels] in sRGB, and its width and height.

    `count`: how many channels, by default the drawable's own.

    """
    width, height = _scaled(region, longest / max(region.width, region.height))
    return read_sized(drawable, region, width, height, count or channels(drawable)), width, height


def read_sized(drawable: Gimp.Drawable, region: Region, width: int, height: int, count: int) -> bytes:
    """Return the region scaled to a size, as uint8 [height, width, count] in sRGB."""
    return _read_sized(drawable, region, width, height, f"{_MODELS[count]} u8")


def read_selection(drawable: Gimp.Drawable, region: Region, width: int, height: int) -> bytes | None:
    """Return how much of a drawable's region is selected, scaled to a size, as uint8; None if all of it is."""
    image = drawable.get_image()
    if Gimp.Selection.is_empty(image):
        return None
    mask = _read_sized(image.get_selection(), _on_canvas(drawable, region), width, height, "Y u8")
    return mask if mask.translate(None, b"\xff") else None


def read_guide(drawable: Gimp.Drawable, most: int) -> tuple[bytes, int, int]:
    """Return all of a drawable on gray, as uint16 [height, width, 3] in sRGB of at most `most` pixels, width and height."""
    region = Region(0, 0, drawable.get_width(), drawable.get_height())
    width, height = _scaled(region, (most / (region.width * region.height)) ** 0.5)
    return _read_sized(drawable, region, width, height, "R'G'B' u16", over="#808080"), width, height


def _scaled(region: Region, scale: float) -> tuple[int, int]:
    """Return the region's width and height, scaled down."""
    scale = min(1.0, scale)
    return max(1, int(region.width * scale)), max(1, int(region.height * scale))


def _read_sized(drawable: Gimp.Drawable, region: Region, width: int, height: int, name: str, over: str = "") -> bytes:
    """Return the region in a format, scaled to a size and put over a colour.

    Scaling has its own graph: in plug-ins, reading a drawable's buffer at a scale gives black (seen in 3.0.4 and 3.2.6).
    """
    Gegl.init(None)  # without it a GIMP without a display has no operations
    graph = Gegl.Node()

    def node(operation: str, source: Gegl.Node | None, **properties: Any) -> Gegl.Node:
        new = graph.create_child(operation)
        for key, value in properties.items():
            new.set_property(key, value)
        if source is not None:
            source.link(new)
        return new

    last = node("gegl:buffer-source", None, buffer=drawable.get_buffer())
    where = {key: float(getattr(region, key)) for key in ("x", "y", "width", "height")}
    last = node("gegl:crop", last, **where)
    last = node("gegl:translate", last, x=float(-region.x), y=float(-region.y))
    last = node("gegl:scale-size", last, x=float(width), y=float(height))
    if over:
        above, last = last, node("gegl:over", node("gegl:color", None, value=Gegl.Color.new(over)))
        above.connect_to("output", last, "aux")
        last = node("gegl:crop", last, width=float(width), height=float(height))  # a colour has no end
    small = Gegl.Buffer.new(name, 0, 0, width, height)
    node("gegl:write-buffer", last, buffer=small).process()
    return bytes(small.get(Gegl.Rectangle.new(0, 0, width, height), 1.0, name, Gegl.AbyssPolicy.NONE))


def pieces(drawable: Gimp.Drawable, region: Region) -> Iterator[bytes]:
    """Yield what `read` returns in pieces, so that a window stays alive meanwhile."""
    count = channels(drawable)
    buffer, name = drawable.get_buffer(), format_of(drawable, count, "float")
    for strip in region.strips(count * 4, PIECE_BYTES):
        yield buffer.get(strip.rectangle(), 1.0, name, Gegl.AbyssPolicy.NONE)


def for_screen(drawable: Gimp.Drawable, samples: bytes | bytearray, width: int, height: int, sample: str) -> bytes:
    """Return samples in the drawable's own space, `float` or `u8`, as uint8 RGB in sRGB, with alpha where they have it."""
    count = channels(drawable)
    name = format_of(drawable, count, sample)
    buffer, whole = Gegl.Buffer.new(name, 0, 0, width, height), Gegl.Rectangle.new(0, 0, width, height)
    buffer.set(whole, name, bytes(samples))
    seen = _MODELS[3 + (count in (2, 4))] + " u8"
    return bytes(buffer.get(whole, 1.0, seen, Gegl.AbyssPolicy.NONE))


def write(image: Gimp.Image, drawable: Gimp.Drawable, part: Selected, pixels: bytearray, count: int) -> None:
    """Put `part.inner` of a picture of `part.outer`, as `read` gives it, on the drawable through the selection.

    `count`: the picture's channels.

    GIMP applies the selection and its feather itself. At some precisions it also rounds unselected pixels, which get their
    old bytes back. Raises `Refused` when GIMP does not allow the change.
    """
    inner, outer = part.inner, part.outer
    before = None if Gimp.Selection.is_empty(image) else _read(drawable, inner, *_native(drawable))
    row, begin, length = outer.width * count * 4, (inner.x - outer.x) * count * 4, inner.width * count * 4
    shadow, name, view = drawable.get_shadow_buffer(), format_of(drawable, count, "float"), memoryview(pixels)
    for strip in inner.strips(count * 4):
        first = strip.y - outer.y
        rows = (view[(first + i) * row + begin : (first + i) * row + begin + length] for i in range(strip.height))
        shadow.set(strip.rectangle(), name, b"".join(rows))
    shadow.flush()
    if not drawable.merge_shadow(True):
        raise Refused(Gimp.get_pdb().get_last_error())
    if before is not None:
        _put_back(image, drawable, inner, before)
    drawable.update(inner.x, inner.y, inner.width, inner.height)


def _put_back(image: Gimp.Image, drawable: Gimp.Drawable, region: Region, before: bytearray) -> None:
    """Give unselected pixels their old bytes back."""
    native, native_bytes = _native(drawable)
    mask = _read(image.get_selection(), _on_canvas(drawable, region), "Y float", 4)
    after = _read(drawable, region, native, native_bytes)
    anything = 0
    for part in range(4):  # one byte for each pixel, 0 where all four of its float are
        anything |= int.from_bytes(mask[part::4], "little")
    selected_at_all = anything.to_bytes(region.width * region.height, "little")
    if after == before or 0 not in selected_at_all:
        return
    for run in re.finditer(rb"\x00+", selected_at_all):
        unselected = slice(run.start() * native_bytes, run.end() * native_bytes)
        after[unselected] = before[unselected]
    _write(drawable, region, after, native, native_bytes)


def cut(samples: bytearray, width: int, part: Region, count: int) -> bytearray:
    """Return a part of float32 samples of a picture that is `width` pixels wide, with `count` channels."""
    row, begin, length = width * count * 4, part.x * count * 4, part.width * count * 4
    view = memoryview(samples)
    return bytearray().join(
        view[(part.y + i) * row + begin : (part.y + i) * row + begin + length] for i in range(part.height)
    )


def fill(layer: Gimp.Layer, samples: bytearray, count: int) -> None:
    """Fill a new layer with float32 samples of `count` channels."""
    region = Region(0, 0, layer.get_width(), layer.get_height())
    _write(layer, region, samples, format_of(layer, count, "float"), count * 4)
    layer.update(0, 0, region.width, region.height)


def mask_of(drawable: Gimp.Drawable) -> bytearray | None:
    """Return the selection over all of a drawable, as `select` takes it; None where there is none."""
    image = drawable.get_image()
    if Gimp.Selection.is_empty(image):
        return None
    whole = Region(0, 0, drawable.get_width(), drawable.get_height())
    return _read(image.get_selection(), _on_canvas(drawable, whole), *_native(image.get_selection()))


def select(image: Gimp.Image, mask: bytearray) -> None:
    """Select in an image what `mask_of` returned for a drawable of its size, in an image of its precision."""
    channel = Gimp.Channel.new(image, "mask", image.get_width(), image.get_height(), 100.0, Gegl.Color.new("black"))
    image.insert_channel(channel, None, 0)
    whole = Region(0, 0, image.get_width(), image.get_height())
    _write(channel, whole, mask, *_native(channel))  # as it is: a selection is linear, a channel may not be
    image.select_item(Gimp.ChannelOps.REPLACE, channel)
    image.remove_channel(channel)


def _native(drawable: Gimp.Drawable) -> tuple[str, int]:
    """Return the name of a drawable's own format, and its bytes in a pixel."""
    own = drawable.get_format()
    return str(Babl.get_name(own)), Babl.format_get_bytes_per_pixel(own)


def _on_canvas(drawable: Gimp.Drawable, region: Region) -> Region:
    """Return where a drawable's region is on the canvas."""
    _ok, left, top = drawable.get_offsets()
    return Region(region.x + left, region.y + top, region.width, region.height)


def _read(drawable: Gimp.Drawable, region: Region, name: str, bytes_per_pixel: int) -> bytearray:
    buffer, pixels = drawable.get_buffer(), bytearray()
    for strip in region.strips(bytes_per_pixel):
        pixels += buffer.get(strip.rectangle(), 1.0, name, Gegl.AbyssPolicy.NONE)
    return pixels


def _write(drawable: Gimp.Drawable, region: Region, pixels: bytearray, name: str, bytes_per_pixel: int) -> None:
    buffer, view, row = drawable.get_buffer(), memoryview(pixels), region.width * bytes_per_pixel
    for strip in region.strips(bytes_per_pixel):
        top = strip.y - region.y
        buffer.set(strip.rectangle(), name, bytes(view[top * row : (top + strip.height) * row]))
    buffer.flush()
