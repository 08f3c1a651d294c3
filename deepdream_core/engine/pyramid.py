"""Octave sizes: pure integers. Sizes are (height, width) in pixels."""

from __future__ import annotations

from typing import Literal

Size = tuple[int, int]

COARSEST_SHORT_SIDE = 120
"""`octaves: auto` adds octaves until the short side is about this many pixels; smaller pictures are dreamed enlarged."""

SMALLEST_SIDE = 32
"""No side handed to the network is shorter: the deepest layer, pool5, has a stride of 32."""

MAX_ENLARGED_AREA = 4_000_000
"""A thin picture is not enlarged beyond this area just to make its short side longer."""


def scaled(size: Size, factor: float) -> Size:
    """Return `size` times `factor`, rounded, each side at least 1."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def finest_size(size: Size, finest: int | Literal["full"], *, upscale: bool = False) -> Size:
    """Return the size at which dreaming stops.

    `finest` is the shorter side in pixels, or `full` for the picture's own. A picture with a shorter side below `finest`
    is enlarged to it only with `upscale`; a tiny one is enlarged so that the network sees something in it.
    """
    short = min(size)
    if finest != "full" and (finest < short or upscale):
        size = scaled(size, finest / short)
    return _enlarged(size, COARSEST_SHORT_SIDE if finest == "full" else min(finest, COARSEST_SHORT_SIDE))


def _enlarged(size: Size, short_side: int) -> Size:
    """Enlarge a tiny or thin picture: short side up to `short_side`, area within bounds, no side too short.

    A picture so thin that this would take too much area is dreamed with its long side squeezed.
    """
    most = max(MAX_ENLARGED_AREA, size[0] * size[1])
    short = min(size)
    if short < short_side:
        within_area = (MAX_ENLARGED_AREA / (size[0] * size[1])) ** 0.5
        size = scaled(size, max(1.0, min(short_side / short, within_area)))
    height, width = (max(SMALLEST_SIDE, min(side, most // SMALLEST_SIDE)) for side in size)
    return height, width


def octave_sizes(finest: Size, octaves: int | Literal["auto"], octave_scale: float) -> list[Size]:
    """Return the sizes to dream at, coarsest first, each `octave_scale` times the one before, `finest` last.

    `auto`: as many as fit until the short side is about `COARSEST_SHORT_SIDE`. A fixed number is cut short where a side
    would fall below `SMALLEST_SIDE` or where two sizes would be the same.
    """
    sizes = [finest]
    while octaves == "auto" or len(sizes) < octaves:
        size = scaled(finest, octave_scale ** -len(sizes))
        if min(size) < (COARSEST_SHORT_SIDE / octave_scale**0.5 if octaves == "auto" else SMALLEST_SIDE):
            break
        if size == sizes[-1]:
            break
        sizes.append(size)
    return sizes[::-1]
