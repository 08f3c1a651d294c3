"""How tests run in several processes: a file in one of them, nothing beside a test that is marked `alone`.

`pytest -n auto` starts a process for each core (pytest-xdist). A file's tests stay together, because they share what is
started once for them; those of GIMP's two series are apart. The longest files come first and the tests that are marked
`alone` last, so that no process waits long for another one.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

LOCK = pytest.StashKey[str]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return a process for each core that this one may use; the processes' own torch takes one thread."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def pieces(nodeids: Iterable[str]) -> dict[str, str]:
    """Name for each test the piece of work that it belongs to: neighbours of one file and one GIMP series."""
    found: dict[str, str] = {}
    begun: dict[str, int] = {}
    last = ""
    for nodeid in nodeids:
        series = re.search(r"\[\d\.\d\b", nodeid)
        place = f"{nodeid.partition('::')[0]} {series and series[0]}"
        if place != last:
            begun[place] = begun.get(place, 0) + 1
        found[nodeid] = f"{place} {begun[place]}"
        last = place
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Hand out pieces in the order in which they were collected."""
    from xdist.scheduler import LoadScopeScheduling

    class Pieces(LoadScopeScheduling):
        def __init__(self) -> None:
            super().__init__(config, log)
            self.named: dict[str, str] = {}

        def _split_scope(self, nodeid: str) -> str:
            if not self.named:
                self.named = pieces(self.collection or ())
            return self.named[nodeid]

        def _reschedule(self, node: Any) -> None:
            super()._reschedule(node)
            if not self.workqueue and not node.shutting_down:
                node.shutdown()  # when it has done what it has; without this it waits for a test to follow its last one

        def remove_node(self, node: Any) -> str | None:
            """Give what a process that died had not run to others, but for the test of which it died."""
            left = {
                piece: [nodeid for nodeid, is_done in tests.items() if not is_done]
                for piece, tests in self.assigned_work.pop(node).items()
            }
            died_of = next((tests.pop(0) for tests in left.values() if tests), None)
            self.workqueue.update({piece: dict.fromkeys(tests, False) for piece, tests in left.items() if tests})
            for other in self.nodes:
                self._reschedule(other)
            return died_of

    config.option.loadscopereorder = False
    return Pieces()


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return files with slow tests first, and what runs alone last."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    return sorted(items, key=lambda item: (item.get_closest_marker("alone") is not None, item.path not in slow))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items[:] = in_order(items)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.stash[LOCK] = config.workerinput["lock"]
    elif config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # for torch in those processes, and in what their tests start
        number, config.stash[LOCK] = tempfile.mkstemp(prefix="deepdream-tests-")
        os.close(number)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["lock"] = node.config.stash[LOCK]


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and LOCK in config.stash:
        for ending in ("", ".next"):
            Path(config.stash[LOCK] + ending).unlink(missing_ok=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with machine(item):
        return (yield)


@contextlib.contextmanager
def machine(item: pytest.Item) -> Iterator[None]:
    """Share the machine with the other processes' tests, or have it alone."""
    if LOCK not in item.config.stash or sys.platform == "win32":
        yield
        return
    import fcntl

    path = item.config.stash[LOCK]
    how = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    with open(path, "rb") as lock, open(f"{path}.next", "ab") as next_one:  # noqa: PTH123
        fcntl.flock(next_one, fcntl.LOCK_EX)  # who waits for the others' tests to end keeps them from more
        fcntl.flock(lock, how)
        fcntl.flock(next_one, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)
