"""The colours that a BMP's header describes; follows Microsoft's BITMAPV4HEADER and BITMAPV5HEADER."""

from __future__ import annotations

import struct

from deepdream_core.photo import icc
from deepdream_core.photo.colour_tags import Description
from deepdream_core.photo.container.blocks import Blocks
from deepdream_core.photo.icc import D65, Chromaticities

_HEADER = 14  # start of the header proper, from which the profile's offset counts
_V4, _V5 = 108, 124
_CALIBRATED, _EMBEDDED, _LINKED = 0, 0x4D424544, 0x4C494E4B


def blocks_of(view: memoryview) -> Blocks:
    """Return the profile of a BMP, or the colours that its header describes; nothing for sRGB and for damaged fields."""
    size = int.from_bytes(view[_HEADER : _HEADER + 4], "little")
    if size < _V4 or len(view) < _HEADER + size:
        return Blocks()
    (kind,) = struct.unpack_from("<I", view, 70)
    if kind == _EMBEDDED and size >= _V5:
        start, length = struct.unpack_from("<II", view, 126)
        return Blocks(icc=bytes(view[_HEADER + start : _HEADER + start + length]) or None)
    if kind == _LINKED and size >= _V5:
        return Blocks(dropped=("linked colour profile, which is in another file",))
    if kind != _CALIBRATED:
        return Blocks()
    points = [value / (1 << 30) for value in struct.unpack_from("<9I", view, 74)]
    exponents = [value / 65_536 for value in struct.unpack_from("<3I", view, 110)]
    sums = [sum(points[at : at + 3]) for at in (0, 3, 6)]
    if not all(sums) or not all(0.1 <= exponent <= 10 for exponent in exponents):
        return Blocks()  # most programs leave zeros there
    if all(abs(total - 1) < 0.01 for total in sums):  # chromaticities instead of colours, as ImageMagick writes
        white = D65
    else:
        white_x, white_y, total = sum(points[::3]), sum(points[1::3]), sum(points)
        white = white_x / total, white_y / total
    x, y = ([points[3 * place + axis] / sums[place] for place in range(3)] for axis in (0, 1))
    chromaticities: Chromaticities = (x[0], y[0], x[1], y[1], x[2], y[2], *white)
    exponents = [exponent if exponent >= 1 else 1 / exponent for exponent in exponents]  # ImageMagick's is the inverse
    if all(2.17 < exponent < 2.23 for exponent in exponents):  # how sRGB is written
        curves: tuple[bytes, ...] = (icc.SRGB_CURVE,)
    else:
        curves = tuple(icc.gamma_curve(exponent) for exponent in exponents)
    return Blocks(described=Description("calibrated colours", "the BMP's header", chromaticities, curves))
