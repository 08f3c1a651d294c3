"""From a whole result to its place: killed between any two steps, nothing is lost, doubled or half."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from watching import another_disk

from deepdream_core.errors import OutputError
from deepdream_core.hotfolder import delivery, hidden_folder, moves
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.hotfolder.layout import Layout
from deepdream_core.hotfolder.scanning import look
from deepdream_core.machine_settings import FolderSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepdream_core.hotfolder.journal import Entry

ORIGINAL, RESULT, SIDECAR = b"original", b"dreamed", b"recipe"


class Killed(BaseException):
    """The program is gone between two steps."""


class Drop:
    """A drop folder with one original, and what is done to it."""

    def __init__(self, folder: Path, originals: Literal["move", "keep", "trash"] = "move") -> None:
        self.root = folder / "drop"
        (self.root / "holiday").mkdir(parents=True)
        self.path = self.root / "holiday" / "cat.bmp"
        self.path.write_bytes(ORIGINAL)
        self.layout = Layout.of(FolderSettings(path=str(self.root), originals=originals), ("fur",))
        self.journal_path = folder / "journal.sqlite3"
        self.journal = Journal(self.journal_path)

    def take(self) -> Entry:
        found = look(self.path, self.root)
        assert found is not None
        return self.journal.take(self.root, found, hashlib.sha256(ORIGINAL).hexdigest())

    def dream_and_deliver(self) -> Entry:
        """What `picture.Attempt` does with a picture whose format has no place for a recipe."""
        entry = self.take()
        entry = self.journal.note(entry, "taken", deaths=0)
        stage = hidden_folder.prepare(self.layout, entry)
        (stage / "cat.bmp").write_bytes(RESULT)
        (stage / "cat.bmp.dream.yaml").write_bytes(SIDECAR)
        files = hidden_folder.staged_files(stage, 0o640)
        return delivery.deliver(self.journal, self.layout, entry, files, 1.5)

    def fail(self) -> Entry:
        return delivery.fail(self.journal, self.layout, self.take(), "It is no picture.\nGive one.")

    def restarted(self) -> None:
        """Begin again with what is on the disk."""
        self.journal.close()
        self.journal = Journal(self.journal_path)
        delivery.repair(self.journal, self.layout, lambda _text: None)

    def files(self) -> dict[str, bytes]:
        """Everything that lies there, hidden files too."""
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def drop(tmp_path: Path) -> Iterator[Drop]:
    made = Drop(tmp_path)
    yield made
    made.journal.close()


def killing(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], bool]:
    """Kill the program before or after its step number `at`; return what says whether that came to pass."""
    steps = itertools.count()
    came = []

    def stepped(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            for moment in ("before", "after"):
                if next(steps) == at:
                    came.append(moment)
                    raise Killed
                if moment == "before":
                    answer = call(*arguments, **options)
            return answer

        return step

    monkeypatch.setattr(Journal, "note", stepped(Journal.note))
    monkeypatch.setattr(Journal, "take", stepped(Journal.take))
    monkeypatch.setattr(moves, "move", stepped(moves.move))
    monkeypatch.setattr(moves, "make_folder", stepped(moves.make_folder))
    monkeypatch.setattr(hidden_folder, "remove", stepped(hidden_folder.remove))
    return lambda: bool(came)


def moments(act: Callable[[Drop], object], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drop]:
    """Kill the program in every moment of what it does, one after the other, and let it begin again."""
    for at in itertools.count():
        drop = Drop(folder / str(at))
        with monkeypatch.context() as patching:
            came = killing(patching, at)
            with contextlib.suppress(Killed):
                act(drop)
        try:
            if not came():
                assert at > 10
                return
            drop.restarted()
            yield drop
        finally:
            drop.journal.close()


DELIVERED = {"out/holiday/cat.bmp": RESULT, "out/holiday/cat.bmp.dream.yaml": SIDECAR, "done/holiday/cat.bmp": ORIGINAL}


def test_a_result_and_its_original_come_to_their_places(drop: Drop) -> None:
    entry = drop.dream_and_deliver()
    assert drop.files() == DELIVERED
    assert entry.state == "done"
    assert entry.result == drop.root / "out/holiday/cat.bmp"
    assert entry.original == drop.root / "done/holiday/cat.bmp"
    assert entry.seconds == 1.5
    assert not list(drop.layout.out.glob(".deepdream-*"))


def test_a_result_gets_the_originals_permissions_and_never_more(drop: Drop) -> None:
    drop.dream_and_deliver()
    assert (drop.root / "out/holiday/cat.bmp").stat().st_mode & 0o777 == 0o640


def test_killed_in_any_moment_of_a_delivery_it_is_finished_or_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for drop in moments(Drop.dream_and_deliver, tmp_path, monkeypatch):
        files = drop.files()
        assert files in (DELIVERED, {"holiday/cat.bmp": ORIGINAL})
        ends.append(len(files))
        if len(files) == 1:
            drop.dream_and_deliver()
            assert drop.files() == DELIVERED
        assert not drop.journal.unfinished(drop.root)
        assert drop.journal.counts(drop.root) == {"done": 1}
    assert {1, 3} == set(ends)
    assert ends == sorted(ends), "from one moment on it is finished, and never begun again after that"


def test_killed_in_any_moment_while_files_go_to_another_disk_none_is_half_or_double(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, copy = moves._renamed, shutil.copy2

    def renamed(source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, "another disk")
        rename(source, target)

    def copied(source: Path, target: Path, **options: Any) -> None:
        target.write_bytes(source.read_bytes()[:3])
        halves.append(at_half())
        copy(source, target, **options)

    halves: list[bool] = []
    for at in itertools.count():
        drop = Drop(tmp_path / str(at))
        with monkeypatch.context() as patching:
            steps = itertools.count()

            def at_half(steps: Iterator[int] = steps, at: int = at) -> bool:
                if next(steps) == at:
                    raise Killed
                return True

            def killed_around(call: Callable[..., Any], half: Callable[[], bool] = at_half) -> Callable[..., Any]:
                def step(*arguments: Any, **options: Any) -> None:
                    half()
                    call(*arguments, **options)
                    half()

                return step

            patching.setattr(moves, "_renamed", killed_around(renamed))
            patching.setattr(shutil, "copy2", copied)
            patching.setattr(moves, "_remove_unfinished", lambda _path: None)  # a kill runs no clean-up
            patching.setattr(Path, "unlink", killed_around(Path.unlink))
            try:
                drop.dream_and_deliver()
                ended = True
            except Killed:
                ended = False
        with monkeypatch.context() as patching:
            patching.setattr(moves, "_renamed", renamed)
            drop.restarted()
            if drop.files() == {"holiday/cat.bmp": ORIGINAL}:
                drop.dream_and_deliver()
        assert drop.files() == DELIVERED
        drop.journal.close()
        if ended:
            break
    assert at > 10
    assert halves


FAILED = {"failed/holiday/cat.bmp": ORIGINAL, "failed/holiday/cat.bmp.why.txt": b"It is no picture.\nGive one.\n"}


def test_what_cannot_be_dreamed_is_set_aside_with_the_reason(drop: Drop) -> None:
    entry = drop.fail()
    assert drop.files() == FAILED
    assert (entry.state, entry.why) == ("failed", "It is no picture.\nGive one.")


def test_killed_in_any_moment_of_a_failure_it_is_set_aside_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for drop in moments(Drop.fail, tmp_path, monkeypatch):
        seen.append(len(drop.files()))
        if seen[-1] == 1:
            assert drop.files() == {"holiday/cat.bmp": ORIGINAL}
            drop.fail()
        assert drop.files() == FAILED
        assert drop.journal.counts(drop.root) == {"failed": 1}
    assert {1, 2} == set(seen)


SECOND = {
    "out/holiday/cat (2).bmp": RESULT,
    "out/holiday/cat (2).bmp.dream.yaml": SIDECAR,
    "done/holiday/cat.bmp": ORIGINAL,
}


@pytest.mark.parametrize("taken", ["cat.bmp", "cat.bmp.dream.yaml"])
def test_a_name_that_is_taken_is_left_alone(drop: Drop, taken: str) -> None:
    (drop.root / "out/holiday").mkdir(parents=True)
    (drop.root / "out/holiday" / taken).write_bytes(b"somebody's")
    drop.dream_and_deliver()
    assert drop.files() == {f"out/holiday/{taken}": b"somebody's", **SECOND}


@pytest.mark.parametrize("taken", ["cat.bmp", "cat.bmp.dream.yaml"])
def test_a_name_that_is_taken_in_the_last_moment_is_left_alone(
    drop: Drop, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = moves.move

    def move(source: Path, target: Path) -> None:
        if target == drop.root / "out/holiday" / taken and not target.exists():
            target.write_bytes(b"somebody's")
        real(source, target)

    monkeypatch.setattr(moves, "move", move)
    drop.dream_and_deliver()
    assert drop.files() == {f"out/holiday/{taken}": b"somebody's", **SECOND}


def test_an_original_of_the_same_name_in_done_is_left_alone(drop: Drop) -> None:
    (drop.root / "done/holiday").mkdir(parents=True)
    (drop.root / "done/holiday/cat.bmp").write_bytes(b"another")
    drop.dream_and_deliver()
    assert drop.files()["done/holiday/cat.bmp"] == b"another"
    assert drop.files()["done/holiday/cat (2).bmp"] == ORIGINAL


def test_an_original_that_was_replaced_during_the_dream_stays(drop: Drop) -> None:
    entry = drop.take()
    drop.path.unlink()
    drop.path.write_bytes(b"quite another")
    stage = hidden_folder.prepare(drop.layout, entry)
    (stage / "cat.bmp").write_bytes(RESULT)
    delivery.deliver(drop.journal, drop.layout, entry, hidden_folder.staged_files(stage, 0o600), 1.0)
    assert drop.files() == {"holiday/cat.bmp": b"quite another", "out/holiday/cat.bmp": RESULT}


def test_originals_can_stay(tmp_path: Path) -> None:
    drop = Drop(tmp_path, "keep")
    entry = drop.dream_and_deliver()
    assert set(drop.files()) == {"holiday/cat.bmp", "out/holiday/cat.bmp", "out/holiday/cat.bmp.dream.yaml"}
    assert (entry.state, entry.original) == ("done", None)
    drop.journal.close()


def test_originals_can_go_to_the_trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    drop = Drop(tmp_path, "trash")
    drop.dream_and_deliver()
    assert set(drop.files()) == {"out/holiday/cat.bmp", "out/holiday/cat.bmp.dream.yaml"}
    trashed = [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == ORIGINAL]
    assert len(trashed) == 1
    drop.journal.close()


def test_a_half_result_is_not_delivered_after_a_restart(drop: Drop) -> None:
    entry = drop.take()
    stage = hidden_folder.prepare(drop.layout, entry)
    (stage / "cat.bmp").write_bytes(RESULT)
    files = hidden_folder.staged_files(stage, 0o600)
    drop.journal.note(entry, "written", staged=files, result=drop.root / "out/holiday/cat.bmp")
    (stage / "cat.bmp").write_bytes(RESULT[:-1])
    drop.restarted()
    assert drop.files() == {"holiday/cat.bmp": ORIGINAL}
    assert drop.journal.counts(drop.root) == {"waiting": 1}


def test_a_file_that_the_program_died_of_again_and_again_is_set_aside(drop: Drop) -> None:
    for death in range(delivery.DEATHS):
        assert drop.path.exists(), death
        drop.take()
        drop.restarted()
    assert "ended 5 times while it read this file" in drop.files()["failed/holiday/cat.bmp.why.txt"].decode()


def test_one_that_could_be_read_is_never_set_aside_for_that(drop: Drop) -> None:
    for _ in range(2 * delivery.DEATHS):
        drop.journal.note(drop.take(), "taken", deaths=0)
        drop.restarted()
    assert drop.files() == {"holiday/cat.bmp": ORIGINAL}


def test_unknown_hidden_folders_are_removed(drop: Drop) -> None:
    (drop.layout.out / ".deepdream-77").mkdir(parents=True)
    (drop.layout.out / ".deepdream-77" / "cat.bmp").write_bytes(b"half")
    drop.restarted()
    assert drop.files() == {"holiday/cat.bmp": ORIGINAL}


def test_a_full_disk_is_not_the_pictures_fault(drop: Drop) -> None:
    entry = drop.take()
    with another_disk(drop.layout.out, "size=64k,nr_inodes=4"):
        stage = hidden_folder.prepare(drop.layout, entry)
        (stage / "cat.bmp").write_bytes(RESULT)
        files = hidden_folder.staged_files(stage, 0o600)
        (drop.layout.out / "full").touch()  # the last that this disk has room for
        entry = drop.journal.note(entry, "taken", deaths=0)
        with pytest.raises(OutputError, match="free some space; DeepDream then continues by itself") as caught:
            delivery.deliver(drop.journal, drop.layout, entry, files, 1.0)
        assert caught.value.errno
        (drop.layout.out / "full").unlink()
        drop.restarted()
        assert drop.files() == DELIVERED_ALONE


DELIVERED_ALONE = {"out/holiday/cat.bmp": RESULT, "done/holiday/cat.bmp": ORIGINAL}


def test_moving_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"2")
    with pytest.raises(FileExistsError):
        moves.move(tmp_path / "one", tmp_path / "two")
    assert ((tmp_path / "one").read_bytes(), (tmp_path / "two").read_bytes()) == (b"1", b"2")


@pytest.mark.parametrize("without", ["renameat2", "renameat2 and hard links"])
def test_moving_never_overwrites_on_plainer_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    monkeypatch.setattr(moves, "_rename_noreplace", lambda: None)
    if without != "renameat2":

        def refused(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refused)
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"2")
    with pytest.raises(FileExistsError):
        moves.move(tmp_path / "one", tmp_path / "two")
    moves.move(tmp_path / "one", tmp_path / "three")
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == [("three", b"1"), ("two", b"2")]


def test_moving_to_another_disk_keeps_everything(tmp_path: Path) -> None:
    with another_disk(tmp_path / "disk") as elsewhere:
        (tmp_path / "one").write_bytes(b"1" * 100_000)
        os.utime(tmp_path / "one", ns=(1, 10**18 + 7))
        moves.move(tmp_path / "one", elsewhere / "one")
        assert (elsewhere / "one").read_bytes() == b"1" * 100_000
        assert (elsewhere / "one").stat().st_mtime_ns == 10**18 + 7
        assert [path.name for path in tmp_path.iterdir()] == ["disk"]
        (tmp_path / "one").write_bytes(b"2")
        with pytest.raises(FileExistsError):
            moves.move(tmp_path / "one", elsewhere / "one")
        assert sorted(path.name for path in elsewhere.iterdir()) == ["one"]
        assert (tmp_path / "one").read_bytes() == b"2"
