"""Octave sizes for every picture there may be."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.engine.pyramid import (
    COARSEST_SHORT_SIDE,
    MAX_ENLARGED_AREA,
    SMALLEST_SIDE,
    finest_size,
    octave_sizes,
)

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
    if not upscale:
        assert size[0] * size[1] <= max(height * width, MAX_ENLARGED_AREA) * 1.1


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


def test_absurdly_thin_pictures_stay_affordable() -> None:
    height, width = finest_size((1, 1_000_000), 800)
    assert (height, width) == (32, 125_000)


def test_tiny_pictures_are_enlarged() -> None:
    assert finest_size((1, 1), "full") == (120, 120)
    assert finest_size((16, 10_000), "full") == (80, 50_000)


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
