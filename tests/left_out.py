"""The last line of a run that leaves slow tests out says how many they are, and of which kinds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTS = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    none: Counter[str] = Counter()
    config.stash[COUNTS] = none


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        mark = item.get_closest_marker("slow")
        if mark and item.config.option.markexpr == "not slow" and not item.config.option.keyword:
            item.config.stash[COUNTS][mark.args[0]] += 1


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[COUNTS].items())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every process has collected, and left out, the same tests."""
    left_out: dict[str, int] = getattr(node, "workeroutput", {}).get("left_out", {})
    counts = node.config.stash[COUNTS]
    counts |= Counter(left_out)


def said(counts: Counter[str]) -> str:
    """Return the line."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
    return f"{counts.total()} slow tests were left out: {kinds}"


def pytest_unconfigure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if config.stash[COUNTS] and reporter and not hasattr(config, "workerinput"):
        reporter.write_line(said(config.stash[COUNTS]))
