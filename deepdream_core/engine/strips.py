"""Strips of rows: what is done to a whole picture is done in parts that stay in a CPU's cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_STRIP_PIXELS = {"cpu": 1 << 16}
_STRIP_PIXELS_ELSEWHERE = 1 << 24


class Strip(NamedTuple):
    """Some rows of a plane: `own` in the plane, `seen` with its neighbours, and how many rows are missing at the ends."""

    own: slice
    seen: slice
    above: int
    below: int


def strips(planes: Tensor, halo: int = 0) -> Iterator[Strip]:
    """Cut planes [1, C, H, W] into strips of rows, small enough for a CPU's cache; elsewhere they are large."""
    height, width = planes.shape[2:]
    rows = max(4 * halo, _STRIP_PIXELS.get(planes.device.type, _STRIP_PIXELS_ELSEWHERE) // width, 1)
    for start in range(0, height, rows):
        stop = min(height, start + rows)
        seen = slice(max(0, start - halo), min(height, stop + halo))
        yield Strip(slice(start, stop), seen, max(0, halo - start), max(0, stop + halo - height))
