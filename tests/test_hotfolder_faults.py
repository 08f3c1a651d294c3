"""Whatever is wrong with one file, or with the program when it meets that file: the others are dreamed, and it is told."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from in_process import Drop, Engine
from watching import photograph

from deepdream_core.hotfolder import delivery, folder, hidden_folder, moves, picture, scanning, shared_state
from deepdream_core.hotfolder.folder import Folder
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.hotfolder.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    State = dict[str, Any]

pytestmark = pytest.mark.slow("faults")

BAD = "bad.png"


def failing(call: Callable[..., Any]) -> Callable[..., Any]:
    """A call that has a fault when it is about the bad file, in whichever argument."""

    def failed(*arguments: Any, **options: Any) -> Any:
        for one in arguments:
            named = [one, *(getattr(one, key, None) for key in ("name", "path", "label", "task"))]
            if any(BAD in str(name) for name in named):
                raise ZeroDivisionError("of one file")
        return call(*arguments, **options)

    return failed


def by_name(call: Callable[..., Any]) -> Callable[..., Any]:
    """A dream that has a fault for the bad file."""

    def dream(self: Any, *arguments: Any) -> Any:
        return (failing(lambda _label: call(self, *arguments)))(self.label)

    return dream


@pytest.mark.parametrize(
    ("where", "what", "moved"),
    [
        (scanning, "_found", False),
        (Journal, "of_version", False),
        (folder, "has_writer", True),
        (Layout, "preset_of", True),
        (picture, "sha256_of", True),
        (Journal, "take", True),
        (picture, "read_photo", True),
        (Journal, "claim", True),
        (Engine, "dream", True),
        (picture, "write_photo", True),
        (hidden_folder, "prepare", True),
        (Journal, "note", True),
        (delivery, "deliver", True),
        (delivery, "_name_files", True),
        (delivery, "put_away", None),
        (moves, "move", None),
        (Folder, "_settle", None),
    ],
)  # fmt: skip
def test_a_bug_at_one_file_is_reported_and_the_others_are_dreamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, what: str, moved: bool | None
) -> None:
    drop = Drop(tmp_path)
    real = getattr(where, what)
    monkeypatch.setattr(where, what, by_name(real) if where is Engine else failing(real))
    photograph(drop.root / BAD, 1)
    photograph(drop.root / "good.png", 2)

    def settled(state: State) -> bool:
        apart = BAD in drop.alone() or f"failed/{BAD}.why.txt" in drop.files() or f"done/{BAD}" in drop.files()
        return state["waiting"] == 0 and apart and "done/good.png" in drop.files()

    drop.watched(settled)
    assert any(line.startswith("Traceback") for line in drop.said)
    assert "ZeroDivisionError: of one file" in drop.said
    if moved is True:
        assert drop.files() == ["done/good.png", f"failed/{BAD}", f"failed/{BAD}.why.txt", "out/good.png"]
        assert "ZeroDivisionError" in (drop.root / f"failed/{BAD}.why.txt").read_text()
        assert "ZeroDivisionError" in drop.explained(f"failed/{BAD}")
        assert "ZeroDivisionError" in drop.explained(BAD)
    elif moved is False:
        assert drop.files() == [BAD, "done/good.png", "out/good.png"]
        assert "ZeroDivisionError" in drop.alone()[BAD]
        assert "ZeroDivisionError" in drop.explained(BAD)
    photograph(drop.root / "later.png", 3)
    drop.watched(lambda state: state["waiting"] == 0 and "done/later.png" in drop.files())
    assert len([name for name in drop.files() if name.endswith(BAD)]) in (1, 2), "it lies there still, in one place"


def looks(monkeypatch: pytest.MonkeyPatch, **give: Callable[[int], int]) -> None:
    """Have every look at a file or folder give other numbers: `st_ino` or `st_mtime_ns`, made of the real ones."""
    for name in ("stat", "lstat", "fstat"):
        real = getattr(os, name)

        def changed(*arguments: Any, _real: Any = real, **options: Any) -> os.stat_result:
            status = _real(*arguments, **options)
            named = {key: getattr(status, key) for key in dir(status) if key.startswith("st_")}
            named.update({key: made(named[key]) for key, made in give.items()})
            return os.stat_result(
                [named[key] for key in LISTED], {key: named[key] for key in named if key not in LISTED}
            )

        monkeypatch.setattr(os, name, changed)


LISTED = (
    "st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size", "st_atime", "st_mtime", "st_ctime",
)  # fmt: skip


@pytest.mark.parametrize(
    "numbers",
    [
        {"st_mtime_ns": 10_413_792_000 * 10**9},  # in the year 2300
        {"st_mtime_ns": 2**63 * 10**9},
        {"st_mtime_ns": -(2**63) * 10**9},
        {"st_mtime_ns": -1},
        {"st_ino": 2**63},
        {"st_ino": 2**64 - 1},
        {"st_ino": 2**128 - 1},  # as Windows' ReFS gives
    ],
)
@pytest.mark.parametrize("originals", ["move", "keep"])
def test_numbers_of_the_system_have_no_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: dict[str, int], originals: str
) -> None:
    drop = Drop(tmp_path, originals=originals, give_up_s=2)
    looks(monkeypatch, **{key: lambda _real, number=number: number for key, number in numbers.items()})
    photograph(drop.root / "cat.png", 1)
    (drop.root / "bad.png").write_bytes(b"no picture")
    drop.watched(lambda state: (state["done"], state["failed"], state["waiting"]) == (1, 1, 0), 20)
    drop.watched(lambda state: state["waiting"] == 0)
    assert (drop.state["done"], drop.state["known"], drop.state["left_alone_count"]) == (1, 0, 0), drop.said
    assert drop.explained("cat.png").startswith("was dreamed at")
    assert "Traceback" not in "\n".join(drop.said)


@pytest.mark.parametrize("originals", ["move", "keep"])
def test_where_inodes_change_at_every_look_size_time_and_content_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, originals: str
) -> None:
    drop = Drop(tmp_path, originals=originals)
    count = iter(range(2**63, 2**64))
    looks(monkeypatch, st_ino=lambda _inode: next(count))
    for seed in range(3):
        photograph(drop.root / f"{seed}.png", seed)
    drop.watched(lambda state: state["done"] == 3, 20)
    drop.watched(lambda state: state["waiting"] == 0)
    where = "done/" if originals == "move" else ""
    names = [f"{folder}{seed}.png" for seed in range(3) for folder in (where, "out/")]
    assert drop.files() == sorted(names)
    assert (drop.state["done"], drop.state["known"]) == (3, 0), drop.said
    assert drop.said.count("another folder is in its place") == 0
    assert drop.journal.problem() == ""
    shutil.copy(photograph(tmp_path / "other.png", 4), drop.root / "0.png")
    drop.watched(lambda state: state["done"] == 4, 20)
    assert "out/0 (2).png" in drop.files()


def test_where_inodes_change_now_and_then_an_original_that_stays_is_read_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = Drop(tmp_path, originals="keep")
    mounted = [0]
    looks(monkeypatch, st_ino=lambda inode: inode + mounted[0])
    photograph(drop.root / "cat.png", 1)
    drop.watched(lambda state: state["done"] == 1)
    for mounted[0] in (1, 2, 3):
        drop.watched(lambda state: (state["waiting"], state["known"]) == (0, 1))
    assert drop.files() == ["cat.png", "out/cat.png"]
    assert len([line for line in drop.said if "not dreamed again" in line]) == 1


def test_that_an_inode_changes_by_itself_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = Drop(tmp_path, settle_s=3600, give_up_s=3600)
    count = iter(range(2**63, 2**64))
    looks(monkeypatch, st_ino=lambda _inode: next(count))
    photograph(drop.root / "cat.png", 1)
    drop.watched(lambda state: bool(state["put_off"]))
    monkeypatch.setattr(shared_state, "states", lambda: [{**ALIVE, "folders": [drop.state]}])
    assert drop.explained("cat.png").startswith(f"{folder.UNSTABLE}; tried again in")


def test_another_content_of_the_same_size_and_time_in_its_place_is_dreamed(tmp_path: Path) -> None:
    drop = Drop(tmp_path, originals="keep")
    path, other = (photograph(tmp_path / f"{seed}.bmp", seed) for seed in range(2))
    for one in (path, other):
        os.utime(one, (1e9, 1e9))
    path.rename(drop.root / "cat.bmp")
    drop.watched(lambda state: state["done"] == 1)
    other.rename(drop.root / "cat.bmp")
    drop.watched(lambda state: state["done"] == 2)
    assert "out/cat (2).bmp" in drop.files()


@pytest.mark.parametrize("own", ["out", "done"])
def test_an_unwritable_folder_costs_only_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    drop, real = Drop(tmp_path), moves.move

    def refused(source: Path, target: Path) -> None:
        if target.parent == drop.root / own / "locked":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        real(source, target)

    monkeypatch.setattr(moves, "move", refused)
    photograph(drop.root / "locked" / BAD, 1)
    photograph(drop.root / "good.png", 2)
    drop.watched(lambda state: (state["done"] + state["failed"], state["waiting"]) == (2, 0))
    files = drop.files()
    if own == "out":
        assert files == ["done/good.png", f"failed/locked/{BAD}", f"failed/locked/{BAD}.why.txt", "out/good.png"]
        assert "Permission denied" in drop.explained(f"failed/locked/{BAD}")
    else:
        assert files == ["done/good.png", f"locked/{BAD}", "out/good.png", f"out/locked/{BAD}"]
        assert "cannot be moved: Permission denied" in drop.explained(f"locked/{BAD}")


def test_a_file_that_must_not_be_moved_is_dreamed_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop, real = Drop(tmp_path), moves.move

    def refused(source: Path, target: Path) -> None:
        if source == drop.root / BAD:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(source))
        real(source, target)

    monkeypatch.setattr(moves, "move", refused)
    photograph(drop.root / BAD, 1)
    photograph(drop.root / "good.png", 2)
    for _ in range(2):  # after a restart, too
        drop.watched(lambda state: (state["done"], state["waiting"]) == (2, 0))
        assert drop.files() == [BAD, "done/good.png", "out/bad.png", "out/good.png"]
        assert "cannot be moved: Operation not permitted" in drop.alone()[BAD]
        assert "cannot be moved: Operation not permitted" in drop.explained(BAD)


ALIVE = {"pid": 1, "hangs": False, "paused": False, "busy": ""}
