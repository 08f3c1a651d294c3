"""What of a picture is seen at which zoom, and which part of a layer is dreamed by itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_folder import FACTS, apart, sight

from deepdream_core.engine import pyramid

if TYPE_CHECKING:
    from collections.abc import Callable

Sight, Box = sight.Sight, sight.Box
ROOM = {"across": 400, "down": 300}
sides, rooms = st.integers(1, 9000), st.integers(1, 3000)
moves: list[Callable[[sight.Sight], sight.Sight]] = [
    lambda seen: seen.stepped(1, 10, 20),
    lambda seen: seen.stepped(-1),
    lambda seen: seen.moved(70, -30),
    lambda seen: seen.centred(1, 1),
    lambda seen: seen.zoomed(1.0),
    lambda seen: seen.fitted(),
    lambda seen: seen.resized(90, 700),
]


@given(sides, sides, rooms, rooms, st.lists(st.sampled_from(moves), max_size=12))
def test_the_window_lies_in_the_picture_wherever_one_goes(
    width: int, height: int, across: int, down: int, ways: list[Callable[[sight.Sight], sight.Sight]]
) -> None:
    seen = Sight(width, height).fitted().resized(across, down)
    assert seen.whole
    for go in ways:
        seen = go(seen)
        window = seen.window
        assert 0 <= window.x < window.x + window.width <= width
        assert 0 <= window.y < window.y + window.height <= height
        assert seen.scale <= sight.LARGEST


@pytest.mark.parametrize(("size", "scale"), [((4000, 300), 0.1), ((1, 1), 16), ((100, 100), 3), ((399, 299), 1)])
def test_a_picture_fits_and_a_small_one_is_enlarged_by_a_whole_number(size: tuple[int, int], scale: float) -> None:
    seen = Sight(*size, **ROOM).fitted()
    assert seen.scale == pytest.approx(scale)
    assert seen.whole


def test_what_is_below_the_mouse_stays_there() -> None:
    seen = Sight(4000, 3000, **ROOM).fitted().zoomed(0.5)
    before = seen.point(100, 50)
    after = seen.stepped(2, 100, 50)
    assert after.scale == 1.0
    assert after.point(100, 50) == pytest.approx(before, abs=1)


def test_steps_come_past_100_percent_and_back_to_all_of_it() -> None:
    seen = Sight(1600, 1200, **ROOM).fitted()
    scales = [seen.scale]
    while scales[-1] < 2:
        seen = seen.stepped(1)
        scales.append(seen.scale)
    assert 1.0 in scales
    assert scales == sorted(scales)
    for _ in scales:
        seen = seen.stepped(-1)
    assert seen.zoom is None


def test_a_drag_stops_at_the_edge() -> None:
    seen = Sight(1000, 1000, **ROOM).fitted().zoomed(1.0).moved(-5000, -5000)
    assert (seen.window.x, seen.window.y) == (0, 0)
    assert seen.moved(30, 40).window == Box(30, 40, 400, 300)
    assert seen.moved(9999, 9999).window == Box(600, 700, 400, 300)


@given(sides, sides, rooms, rooms, st.lists(st.sampled_from(moves), max_size=12), st.data())
def test_of_a_part_with_its_surroundings_only_the_picture_is_on_the_screen(
    width: int,
    height: int,
    across: int,
    down: int,
    ways: list[Callable[[sight.Sight], sight.Sight]],
    data: st.DataObject,
) -> None:
    seen = Sight(width, height).resized(across, down).fitted()
    for go in ways:
        seen = go(seen)
    whole = left, top, right, bottom = seen.place(Box(0, 0, width, height))
    assert 0 <= left <= right <= seen.across
    assert 0 <= top <= bottom <= seen.down
    margins = [data.draw(st.integers(0, 200)) for _ in range(4)]
    assert seen.place(Box(-margins[0], -margins[1], width + sum(margins[::2]), height + sum(margins[1::2]))) == whole
    assert seen.place(seen.window) == whole, "what is seen of it fills its room"


def test_a_part_s_surroundings_are_not_beside_a_picture_narrower_than_the_room() -> None:
    seen = Sight(200, 3000, **ROOM).fitted().zoomed(1.0)
    assert seen.place(Box(-128, 1000, 456, 1000)) == (100, 0, 300, 300)


# A part by itself

LARGE = (3000, 4000)
LOOK = Box(1800, 1300, 400, 300)


def settings(**other: Any) -> dict[str, Any]:
    return {**FACTS.defaults, "finest": "full", **other}


def octaves(size: tuple[int, int], chosen: dict[str, Any]) -> list[tuple[int, int]]:
    finest = pyramid.finest_size(size, chosen["finest"], upscale=chosen["upscale"])
    return pyramid.octave_sizes(finest, chosen["octaves"], chosen["octave_scale"])


@given(
    x=st.integers(0, 3600), y=st.integers(0, 2700), finest=st.sampled_from(["full", 2900, 2000, 1400]),
    octave_scale=st.floats(1.1, 2), number=st.sampled_from(["auto", 1, 3, 9]),
)  # fmt: skip
def test_a_part_has_the_octaves_and_the_pattern_size_of_the_whole(
    x: int, y: int, finest: int | str, octave_scale: float, number: int | str
) -> None:
    chosen = settings(finest=finest, octave_scale=octave_scale, octaves=number)
    seen = Box(x, y, 400, 300)
    found = apart.apart(LARGE, chosen, seen)
    whole = octaves(LARGE, chosen)
    if found is None:  # with so many octaves a part would be nearly as large
        assert number != 1
        return
    box, its = found
    assert {key for key in its if its[key] != chosen[key]} <= {"finest", "octaves"}
    part = octaves((int(box.height), int(box.width)), its)
    assert len(part) == len(whole)
    for (height, width), (_, whole_width) in zip(part, whole, strict=True):
        assert math.isclose(width / box.width, whole_width / LARGE[1], rel_tol=1 / 30)
        assert min(height, width) >= pyramid.SMALLEST_SIDE
    assert box.x <= seen.x
    assert box.x + box.width >= seen.x + seen.width
    assert box.y <= seen.y
    assert box.y + box.height >= seen.y + seen.height
    assert box.x >= 0
    assert box.x + box.width <= LARGE[1]
    assert box.y >= 0
    assert box.y + box.height <= LARGE[0]


@pytest.mark.parametrize(
    "other",
    [{"finest": 800}, {"tileable": True}, {"channels": {"strongest:8": 1.0}}],
    ids=lambda other: next(iter(other)),
)
def test_a_part_is_not_dreamed_where_the_whole_is_quick_or_another_dream(other: dict[str, Any]) -> None:
    assert apart.apart(LARGE, settings(), LOOK)
    assert apart.apart(LARGE, settings(**other), LOOK) is None


@pytest.mark.parametrize("size", [(1, 1), (300, 4000), (20, 60000), (600, 800)])
def test_a_small_or_thin_layer_is_dreamed_whole(size: tuple[int, int]) -> None:
    assert apart.apart(size, settings(), Box(0, 0, min(400, size[1]), min(300, size[0]))) is None


def test_what_is_nearly_the_whole_is_dreamed_whole() -> None:
    assert apart.apart(LARGE, settings(), Box(0, 0, 2600, 2000)) is None
