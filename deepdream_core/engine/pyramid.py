"""Octave sizes: pure integers. Sizes are (height, width) in pixels."""

from __future__ import annotations

from itertools import count
from typing import Literal

Size = tuple[int, int]

COARSEST_SHORT_SIDE = 120
"""`octaves: auto` adds octaves until the short side is about this many pixels; smaller pictures are dreamed enlarged."""

SMALLEST_SIDE = 32
"""No side handed to the network is shorter: the deepest layer, pool5, has a stride of 32."""

THIN = 25
"""A picture is thin whose long side is more than so many times its short one; it takes no longer than a square one."""


def scaled(size: Size, factor: float) -> Size:
    """Return `size` times `factor`, rounded, each side at least 1."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def finest_size(size: Size, finest: int | Literal["full"], *, upscale: bool = False) -> Size:
    """Return the size at which dreaming stops.

    `finest` is the shorter side in pixels, or `full` for the picture's own. A picture with a shorter side below `finest`
    is enlarged to it only with `upscale`; a tiny one is enlarged so that the network sees something in it. A thin one
    takes no more pixels than a square one of its `finest`.
    """
    short = min(size)
    wanted = size
    if finest != "full" and (finest < short or upscale):
        wanted = scaled(size, finest / short)
    smallest = COARSEST_SHORT_SIDE if finest == "full" else min(finest, COARSEST_SHORT_SIDE)
    if min(wanted) < smallest:
        wanted = scaled(wanted, smallest / min(wanted))
    if max(size) <= THIN * short:
        return max(SMALLEST_SIDE, wanted[0]), max(SMALLEST_SIDE, wanted[1])
    area = max(size[0] * size[1], min(THIN * smallest**2, max(smallest, *size) ** 2))
    if finest != "full":
        area = finest**2 if upscale else min(area, finest**2)
    return _within(wanted, area)


def _within(size: Size, area: int) -> Size:
    """Return `size` made smaller until it takes no more than `area`; where the short side would get too short, squeezed."""
    factor = min(1.0, (area / (size[0] * size[1])) ** 0.5)
    short = max(SMALLEST_SIDE, round(min(size) * factor))
    long = max(short, min(round(max(size) * factor), area // short))
    return (short, long) if size[0] < size[1] else (long, short)


def octave_sizes(finest: Size, octaves: int | Literal["auto"], octave_scale: float, multiple: int = 1) -> list[Size]:
    """Return the sizes to dream at, coarsest first, each `octave_scale` times the one before, `finest` last.

    `auto`: as many as fit until the short side is about `COARSEST_SHORT_SIDE`. A fixed number is cut short where a side
    would fall below `SMALLEST_SIDE` or where two sizes would be the same. Sides are rounded to multiples of `multiple`.
    """
    sizes = [_rounded(finest, multiple)]
    for number in count(1):
        if octaves != "auto" and number >= octaves:
            break
        size = _rounded(scaled(finest, octave_scale**-number), multiple)
        if min(size) < (COARSEST_SHORT_SIDE / octave_scale**0.5 if octaves == "auto" else SMALLEST_SIDE):
            break
        if size != sizes[-1]:
            sizes.append(size)
        elif multiple == 1:
            break
    return sizes[::-1]


def _rounded(size: Size, multiple: int) -> Size:
    height, width = (max(1, round(side / multiple)) * multiple for side in size)
    return height, width
