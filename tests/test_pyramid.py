"""Octave sizes for every picture there may be."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.engine.pyramid import COARSEST_SHORT_SIDE, SMALLEST_SIDE, THIN, finest_size, octave_sizes

SIDES = st.integers(1, 20_000)
FINEST = st.one_of(st.just("full"), st.integers(32, 5_000))


@given(SIDES, SIDES, FINEST, st.booleans())
def test_the_network_always_sees_enough_and_never_absurdly_much(
    height: int, width: int, finest: int | Literal["full"], upscale: bool
) -> None:
    size = finest_size((height, width), finest, upscale=upscale)
    assert min(size) >= SMALLEST_SIDE
    if finest == "full" and min(height, width) >= COARSEST_SHORT_SIDE:
        assert size == (height, width)
    if finest != "full" and max(height, width) > THIN * min(height, width):
        assert size[0] * size[1] <= finest**2
    elif not upscale:
        assert size[0] * size[1] <= max(height * width, THIN * COARSEST_SHORT_SIDE**2) * 1.1


@given(st.integers(200, 5_000), st.integers(200, 5_000), st.integers(150, 5_000))
def test_dreaming_stops_at_the_short_side_asked_for(height: int, width: int, finest: int) -> None:
    size = finest_size((height, width), finest)
    assert min(size) == min(finest, height, width)
    assert size[0] / size[1] == pytest.approx(height / width, rel=0.01)


def test_a_smaller_picture_is_enlarged_only_when_asked() -> None:
    assert finest_size((300, 400), 500) == (300, 400)
    assert finest_size((300, 400), 500, upscale=True) == (500, 667)


def test_a_small_finest_is_taken_at_its_word() -> None:
    assert finest_size((3000, 4000), 64) == (64, 85)


@pytest.mark.parametrize(
    ("size", "finest", "dreamed"),
    [
        ((2, 300), 800, (32, 2812)), ((300, 2), 800, (2812, 32)), ((8, 600), 800, (69, 5196)),
        ((1, 1_000_000), 800, (32, 20_000)),
        ((1000, 30_000), 800, (146, 4382)), ((2, 300), 32, (32, 32)), ((100, 5000), 800, (100, 5000)),
    ],
)  # fmt: skip
def test_a_thin_picture_costs_no_more_than_a_square_one(
    size: tuple[int, int], finest: int, dreamed: tuple[int, int]
) -> None:
    assert finest_size(size, finest) == dreamed


def test_a_thin_picture_is_not_enlarged_beyond_a_square_one_either() -> None:
    assert finest_size((2, 300), 800, upscale=True) == (65, 9798)


def test_pictures_of_ordinary_shape_are_dreamed_at_the_sizes_of_old_recipes() -> None:
    assert finest_size((90, 728), 800) == (120, 971)
    assert finest_size((100, 1000), "full") == (120, 1200)
    assert finest_size((2000, 20_000), 800) == (800, 8000)
    assert finest_size((1080, 20_000), 800) == (800, 14_815)
    assert finest_size((100, 400), 800, upscale=True) == (800, 3200)


def test_tiny_pictures_are_enlarged() -> None:
    assert finest_size((1, 1), "full") == (120, 120)
    assert finest_size((16, 10_000), "full") == (32, 11_250)


@given(SIDES, SIDES, FINEST, st.one_of(st.just("auto"), st.integers(1, 40)), st.floats(1.05, 4))
def test_octaves_grow_to_the_finest(
    height: int, width: int, finest: int | Literal["full"], octaves: int | Literal["auto"], scale: float
) -> None:
    last = finest_size((height, width), finest)
    sizes = octave_sizes(last, octaves, scale)
    assert sizes[-1] == last
    assert sorted(sizes) == sizes
    assert len(set(sizes)) == len(sizes)
    assert min(min(size) for size in sizes) >= SMALLEST_SIDE
    assert octaves == "auto" or len(sizes) <= octaves


@given(st.integers(150, 6_000), st.floats(1.1, 2))
def test_automatic_octaves_start_at_about_120_pixels(side: int, scale: float) -> None:
    coarsest = octave_sizes((side, side * 2), "auto", scale)[0]
    assert COARSEST_SHORT_SIDE / scale <= min(coarsest) <= COARSEST_SHORT_SIDE * scale


def test_a_number_of_octaves_is_that_number() -> None:
    assert octave_sizes((800, 1200), 3, 2.0) == [(200, 300), (400, 600), (800, 1200)]
