"""Tile arithmetic: nothing twice, nothing missing, and every cell's receptive field in its own tile's crop."""

from __future__ import annotations

from itertools import product

import torch
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.engine.tiles import Span, halo_px, round_up, tile_grid, wrapped
from deepdream_core.layers import LAYERS, Layer

SIDES = st.integers(32, 700)
TILES = st.one_of(st.none(), st.integers(32, 400))
CHOICES = st.lists(st.sampled_from(LAYERS), min_size=1, max_size=3)


@given(CHOICES, SIDES, SIDES, TILES)
def test_cores_cover_every_pixel_once_and_are_no_larger_than_asked(
    layers: list[Layer], height: int, width: int, tile_px: int | None
) -> None:
    stride = max(layer.stride for layer in layers)
    seen = torch.zeros(height, width, dtype=torch.int32)
    for tile in tile_grid((height, width), tile_px, stride, halo_px(layers)):
        seen[tile.core[0].indices, tile.core[1].indices] += 1
        assert tile_px is None or max(span.length for span in tile.core) <= max(tile_px, 2 * stride - 1)
        assert min(span.length for span in tile.core) >= stride, "each has a cell of its own"
        assert all(
            core.start % stride == 0 and crop.start % stride == 0
            for core, crop in zip(tile.core, tile.crop, strict=True)
        )
    assert bool((seen == 1).all())


@given(CHOICES, SIDES, SIDES, TILES)
def test_every_cell_of_every_layer_belongs_to_one_tile(
    layers: list[Layer], height: int, width: int, tile_px: int | None
) -> None:
    stride = max(layer.stride for layer in layers)
    for layer in layers:
        owners = torch.zeros(height // layer.stride, width // layer.stride, dtype=torch.int32)
        for tile in tile_grid((height, width), tile_px, stride, halo_px(layers)):
            rows, columns = tile.own_cells(layer.stride)
            top, left = (crop.start // layer.stride for crop in tile.crop)
            owners[rows.start + top : rows.stop + top, columns.start + left : columns.stop + left] += 1
            assert rows.stop <= tile.crop[0].length // layer.stride
            assert columns.stop <= tile.crop[1].length // layer.stride
        assert bool((owners == 1).all())


@given(CHOICES, SIDES, SIDES, TILES)
def test_a_tile_sees_all_its_own_cells_depend_on(
    layers: list[Layer], height: int, width: int, tile_px: int | None
) -> None:
    stride = max(layer.stride for layer in layers)
    for tile, layer in product(tile_grid((height, width), tile_px, stride, halo_px(layers)), layers):
        for cells, crop, length in zip(tile.own_cells(layer.stride), tile.crop, (height, width), strict=True):
            if cells.stop <= cells.start:
                continue
            first = crop.start + cells.start * layer.stride - layer.margin
            last = crop.start + cells.stop * layer.stride + layer.margin
            assert crop.start <= max(0, first)
            assert crop.stop >= min(length, last)


def test_a_halo_is_half_the_receptive_field_beyond_the_cell_rounded_to_the_stride() -> None:
    by_name = {layer.name: layer for layer in LAYERS}
    assert halo_px([by_name["relu4_4"]]) == 56  # (116 - 8) / 2 = 54
    assert halo_px([by_name["pool4"]]) == 64  # (124 - 16) / 2 = 54
    assert halo_px([by_name["relu5_4"]]) == 128  # (252 - 16) / 2 = 118
    assert halo_px([by_name["relu5_4"], by_name["conv1_1"]]) == 128


@given(st.integers(1, 60), st.integers(-200, 200), st.data())
def test_wrapped_says_where_rolled_pixels_come_from(length: int, shift: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, length - 1))
    span = Span(start, data.draw(st.integers(start + 1, length)))
    row = torch.arange(length)
    taken = torch.cat([row[source.indices] for source, _ in wrapped(span, shift, length)])
    assert torch.equal(taken, torch.roll(row, shift)[span.indices])
    places = torch.cat([torch.arange(place.start, place.stop) for _, place in wrapped(span, shift, length)])
    assert torch.equal(places, torch.arange(span.length))


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_round_up(value: int, multiple: int) -> None:
    rounded = round_up(value, multiple)
    assert rounded % multiple == 0
    assert value <= rounded < value + multiple
