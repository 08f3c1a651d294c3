"""Which files have rested long enough, and which comes next: data and a clock that the test holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.hotfolder.arrivals import BATCH_S, LONGEST_BATCH_S, Arrival, Arrivals
from deepdream_core.hotfolder.order import OLDEST_EVERY, chosen
from deepdream_core.hotfolder.scanning import Found


def found(name: str, size: int = 1, mtime_ns: int = 1, inode: int = 1) -> Found:
    return Found(Path("/drop", name), size, mtime_ns, inode, 1, 0, 1)


def names(due: list[Arrival]) -> list[str]:
    return [one.path.name for one in due]


@pytest.fixture
def files() -> Arrivals:
    return Arrivals(settle_s=2.0)


def test_a_file_is_due_when_it_has_rested(files: Arrivals) -> None:
    files.track(found("a"), 10.0)
    assert names(files.due(11.9)) == []
    assert names(files.due(12.0)) == ["a"]


@pytest.mark.parametrize("change", [{"size": 2}, {"mtime_ns": 2}, {"inode": 2}])
def test_any_change_makes_it_rest_again(files: Arrivals, change: dict[str, int]) -> None:
    files.track(found("a"), 10.0)
    files.track(found("a", **change), 11.5)
    assert names(files.due(12.5)) == []
    files.track(found("a", **change), 13.0)
    assert names(files.due(13.5)) == ["a"]


def test_one_that_is_taken_is_not_due_and_is_not_forgotten(files: Arrivals) -> None:
    one = files.track(found("a"), 0.0)
    files.take(one)
    files.remove(one.path)
    files.begin_scan()
    files.end_scan()
    assert files.get(one.path) is one
    assert files.due(100.0) == []
    files.track(found("a", size=2), 50.0)
    assert one.state == "taken", "who has it looks again"


def test_one_that_is_put_off_comes_again_after_pauses_that_grow(files: Arrivals) -> None:
    one = files.track(found("a"), 0.0)
    pauses = []
    now = 10.0
    for _ in range(6):
        files.take(one)
        files.put_off(one, now, "half a picture")
        assert files.due(one.not_before - 0.01) == []
        assert files.due(one.not_before) == [one]
        pauses.append(one.not_before - now)
        now = one.not_before
    assert pauses == sorted(pauses)
    assert pauses[0] == 5
    assert pauses[-1] == 60
    files.put_off(one, now, "being written", 1.0)
    assert one.not_before == now + 1.0
    files.try_all()
    assert files.due(now) == [one]


def test_a_change_lets_a_delayed_or_finished_file_begin_again(files: Arrivals) -> None:
    for end in ("put_off", "finish"):
        one = files.track(found(end), 0.0)
        if end == "finish":
            files.finish(one, "has already been dreamed")
            assert one not in files.due(1000.0)
        else:
            files.put_off(one, 0.0, "half a picture", 1000.0)
        files.track(found(end, size=5), 20.0)
        assert (one.state, one.tries, one.why) == ("resting", 0, "")
        assert one in files.due(22.0)


def test_what_a_scan_does_not_see_is_forgotten(files: Arrivals) -> None:
    for name in "abc":
        files.track(found(name), 0.0)
    files.begin_scan()
    files.track(found("a"), 1.0)
    files.track(found("new"), 1.0)
    files.remove(Path("/drop/c"))
    files.end_scan()
    assert sorted(names(list(files))) == ["a", "new"]
    assert len(files) == 2
    files.forget(files.track(found("a"), 2.0))
    assert names(list(files)) == ["new"]


def test_files_that_come_together_are_one_drop(files: Arrivals) -> None:
    batches = [files.track(found(str(at)), at).batch for at in (0.0, 1.0, 1.0 + BATCH_S, 20.0, 21.0)]
    assert batches == [1, 1, 1, 2, 2]


def test_a_copy_that_lasts_is_many_drops_and_each_folder_is_one_of_its_own() -> None:
    files = Arrivals(1.0, lambda path: path.name[0])
    long = [files.track(found(f"a{at}"), float(at)).batch for at in range(0, 200, 4)]
    assert len(set(long)) == 200 // (LONGEST_BATCH_S + 4) + 1
    assert files.track(found("b"), 197.0).batch not in long, "beside it, something else was dropped"
    assert files.track(found("a"), 198.0).batch == long[-1]


def arrivals(*sizes: int) -> list[Arrival]:
    """Drops of so many files, the oldest first."""
    made = Arrivals(0.0)
    for drop, size in enumerate(sizes):
        for number in range(size):
            made.track(found(f"{drop}-{number}"), 100.0 * drop)
    return made.due(1e9)


def order(due: list[Arrival]) -> list[str]:
    left, said = list(due), []
    for turn in range(len(due)):
        one = chosen(left, turn)
        left.remove(one)
        said.append(one.path.name)
    return said


def test_small_and_fresh_drops_overtake_a_backlog() -> None:
    assert order(arrivals(100, 3))[:3] == ["1-0", "1-1", "1-2"]
    assert order(arrivals(100, 2, 2))[:3] == ["2-0", "2-1", "1-0"]


def test_the_backlog_never_starves() -> None:
    said = order(arrivals(50, *([1] * 50)))
    assert all(name.startswith("0-") for name in said[OLDEST_EVERY - 1 : 40 : OLDEST_EVERY])


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_each_comes_once_and_a_drop_in_its_own_order(sizes: list[int]) -> None:
    due = arrivals(*sizes)
    said = order(due)
    assert sorted(said) == sorted(names(due))
    for drop, size in enumerate(sizes):
        assert [name for name in said if name.startswith(f"{drop}-")] == [f"{drop}-{n}" for n in range(size)]
