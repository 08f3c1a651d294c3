"""Files that are left alone: counted, told in one line, explained, and taken where the configuration says so."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from in_process import Drop
from rich.console import Console
from watching import photograph

from deepdream_core.hotfolder import daemon, left_alone, scanning, shared_state
from deepdream_core.hotfolder.heartbeat import status_line
from deepdream_core.hotfolder.left_alone import OTHERS, LeftAlone
from deepdream_core.hotfolder.terminal import drawn
from deepdream_core.hotfolder.unwatched_state import unwatched

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make all files another user's."""

    def now() -> None:
        for module in (left_alone, daemon):
            monkeypatch.setattr(module, "own_uid", lambda: 4242)

    return now


def shown(state: dict[str, object]) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        for part in drawn({"paused": False, "busy": "", "folders": [state]}):
            console.print(part)
    return captured.get()


def test_files_of_others_are_counted_logged_in_one_line_and_explained(
    tmp_path: Path, another: Callable[[], None]
) -> None:
    another()
    drop = Drop(tmp_path)
    for seed in range(120):
        (drop.root / f"{seed:03}.png").write_bytes(b"")
    drop.watched(lambda state: state["left_alone_count"] == 120)
    assert (drop.state["waiting"], len(drop.state["left_alone"])) == (0, 100)
    said = [line for line in drop.said if OTHERS in line]
    assert said == [
        f"{drop.root}: 120 files, such as 000.png: belongs to another user; left alone, `other_owners: true` under its"
        " folder in config.yaml takes such files too"
    ]
    assert "120 left alone: belongs to another user" in shown(drop.state)
    assert "120 left alone" in status_line({"folders": [drop.state], "paused": False, "busy": ""})
    assert drop.explained("007.png").startswith("belongs to another user, and is left alone; `other_owners: true`")
    for path in drop.root.glob("0*.png"):
        path.unlink()
    drop.watched(lambda state: state["left_alone_count"] == 20)


def test_they_are_taken_where_the_configuration_says_so(tmp_path: Path, another: Callable[[], None]) -> None:
    another()
    drop = Drop(tmp_path, other_owners=True)
    photograph(drop.root / "scan.png", 1)
    whole = photograph(drop.root / "half.tif", 2, side=64).read_bytes()
    (drop.root / "half.tif").write_bytes(whole[:-5000] + bytes(5000))  # whoever writes it, the kernel does not say
    drop.watched(lambda state: (state["done"], len(state["put_off"])) == (1, 1))
    assert drop.state["left_alone_count"] == 0
    assert drop.state["put_off"][0]["why"].startswith("it ends in zeros")
    (drop.root / "half.tif").write_bytes(whole)
    drop.watched(lambda state: state["done"] == 2)


def test_without_a_daemon_they_do_not_count_as_waiting(
    tmp_path: Path, another: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))
    drop = Drop(tmp_path)
    monkeypatch.setattr("deepdream_core.hotfolder.unwatched_state.load_config", lambda: drop.config)
    photograph(drop.root / "cat.png", 1)
    journal = shared_state.open_journal()
    journal.set_mark(drop.root, "mark")
    journal.close()

    def counted() -> tuple[int, int]:
        (state,) = unwatched([])
        return state["folders"][0]["waiting"], state["folders"][0]["left_alone_count"]

    assert counted() == (1, 0)
    another()
    assert counted() == (0, 1)
    allowed = drop.settings.model_copy(update={"other_owners": True})
    drop.config = drop.config.model_copy(update={"folders": (allowed,)})
    assert counted() == (1, 0)


def test_inaccessible_files_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scanning._found

    def refused(path: Path, status: os.stat_result) -> Any:
        if path.name == "locked.png":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return found(path, status)

    monkeypatch.setattr(scanning, "_found", refused)
    drop = Drop(tmp_path)
    for seed, name in enumerate(("locked.png", "open.png")):
        photograph(drop.root / name, seed)
    drop.watched(lambda state: (state["left_alone_count"], state["done"]) == (1, 1))
    assert drop.alone() == {"locked.png": "cannot be accessed: Permission denied"}
    assert f"{drop.root / 'locked.png'}: cannot be accessed: Permission denied; left alone" in drop.said


def test_a_reason_is_news_once() -> None:
    left, root = LeftAlone(), Path("/drop")
    for _ in range(2):
        left.begin_scan()
        left.add(root / "a.png", OTHERS)
        left.end_scan()
    assert left.news(root) == [f"/drop/a.png: {OTHERS}; left alone, {left_alone.ALLOW}"]
    assert left.news(root) == []
    left.begin_scan()
    left.end_scan()
    assert left.status()["left_alone_count"] == 0
