"""Tile arithmetic: which part of the picture a tile sees, and which cells of a feature map are its own. Pure integers.

The loss is a sum over feature cells, so the picture's gradient is the sum of the gradients of the tiles' own cells. It is
exact when a tile's crop holds everything its own cells depend on: their receptive field, cut off only where the picture
itself ends; and when the crop starts at a multiple of the stride, so that its cells are the picture's cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepdream_core.engine.pyramid import Size
    from deepdream_core.layers import Layer


class Span(NamedTuple):
    """Rows or columns `start` … `stop - 1`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many there are."""
        return self.stop - self.start

    @property
    def indices(self) -> slice:
        """The span as a slice."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class Tile:
    """One tile: the pixels it owns (`core`) and the pixels it sees (`crop`), as (rows, columns) of the picture."""

    core: tuple[Span, Span]
    crop: tuple[Span, Span]

    def own_cells(self, stride: int) -> tuple[slice, slice]:
        """Return the rows and columns of its own cells in a feature map of this stride computed from its crop."""
        rows, columns = (
            slice((core.start - crop.start) // stride, core.stop // stride - crop.start // stride)
            for core, crop in zip(self.core, self.crop, strict=True)
        )
        return rows, columns


def halo_px(layers: Iterable[Layer]) -> int:
    """Return the pixels a tile must see around its own: the widest margin, rounded up to the deepest stride."""
    chosen = list(layers)
    stride = max(layer.stride for layer in chosen)
    return round_up(max(layer.margin for layer in chosen), stride)


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def tile_grid(size: Size, tile_px: int | None, stride: int, halo: int, *, wrap: bool = False) -> list[Tile]:
    """Cut a picture of `size` into tiles of about equal size whose cores are at most `tile_px` wide and high.

    Cores start at multiples of `stride`; `halo` must be one too. A core narrower than the stride, which may have no cell
    of its own, is not made: `tile_px` counts as at least `stride`, and the last core takes what is left. None is one tile
    that sees everything. With `wrap` the picture, whose sides must be multiples of `stride`, goes on at the opposite
    border, and crops run over the border instead of ending there.
    """
    rows, columns = (
        [(core, _grown(core, halo, length, wrap=wrap)) for core in _spans(length, tile_px, stride)] for length in size
    )
    return [Tile((row, column), (seen_row, seen_column)) for row, seen_row in rows for column, seen_column in columns]


def _spans(length: int, tile_px: int | None, stride: int) -> list[Span]:
    cells = -(-length // stride)
    count = 1 if tile_px is None else -(-cells // max(1, tile_px // stride))
    edges = [min(length, cells * i // count * stride) for i in range(count + 1)]
    if count > 1 and length - edges[-2] < stride:
        del edges[-2]
    return [Span(start, stop) for start, stop in pairwise(edges)]


def _grown(core: Span, halo: int, length: int, *, wrap: bool) -> Span:
    if wrap:
        return Span(core.start - halo, core.stop + halo)
    return Span(max(0, core.start - halo), min(length, core.stop + halo))


def wrapped(span: Span, shift: int, length: int) -> list[tuple[Span, Span]]:
    """Say where the pixels `span` of a row rolled by `shift` come from, as (place in the row, place in the span) pairs.

    A roll moves pixel i to (i + shift) mod `length`, as `torch.roll` does; a span that runs over the edge has two parts.
    """
    pairs: list[tuple[Span, Span]] = []
    done = 0
    while done < span.length:
        start = (span.start + done - shift) % length
        stop = min(length, start + span.length - done)
        pairs.append((Span(start, stop), Span(done, done + stop - start)))
        done += stop - start
    return pairs
