"""One picture's way when something is wrong with the program itself, or with the world: nothing is lost, others go on."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from watching import photograph

from deepdream_core.errors import (
    DamagedPictureError,
    DeviceError,
    HelperError,
    NumericError,
    OutOfMemoryError,
    OutputError,
    PictureError,
    WeightsError,
)
from deepdream_core.hotfolder import duplicates, picture
from deepdream_core.hotfolder.ending import TRIES
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.hotfolder.layout import Layout
from deepdream_core.hotfolder.picture import Attempt
from deepdream_core.hotfolder.scanning import look
from deepdream_core.hotfolder.task import Outcome, Task
from deepdream_core.machine_settings import FolderSettings
from deepdream_core.photo import read_photo
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Drop:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "drop"
        self.layout = Layout.of(FolderSettings(path=str(self.root)), ())
        self.path = photograph(self.root / "cat.png")
        self.journal = Journal(folder / "journal.sqlite3")
        self.said: list[str] = []

    def tried(self, *, patient: bool = False) -> Outcome:
        found = look(self.path, self.root)
        assert found is not None
        task = Task(self.layout, found, DreamSettings(), None, 10.0, patient)

        def engine() -> Any:
            raise AssertionError("no picture comes so far here")

        return Attempt(task, self.journal, engine, lambda: False, self.said.append).run()

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def drop(tmp_path: Path) -> Iterator[Drop]:
    made = Drop(tmp_path)
    yield made
    made.journal.close()


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def read(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(picture, "read_photo", read)


class Panic(BaseException):
    """What decoders written in Rust raise."""


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError(), Panic(), OSError("of no system call")])
def test_a_fault_of_the_program_is_tried_again_and_then_set_aside(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    raising(monkeypatch, error)
    for _ in range(TRIES - 1):
        assert drop.tried().ended == "wait"
        assert drop.files() == ["cat.png"]
    assert drop.tried().ended == "failed"
    assert drop.files() == ["failed/cat.png", "failed/cat.png.why.txt"]
    assert type(error).__name__ in (drop.root / "failed/cat.png.why.txt").read_text()
    assert any(line.startswith("Traceback") for line in drop.said)
    assert type(error).__name__ in drop.said[-1]


@pytest.mark.parametrize(
    "error",
    [
        HelperError("no helper answers", "start one"),
        DeviceError("the device was lost", "look"),
        WeightsError("the weights are gone", "fetch them"),
    ],
)
def test_problems_of_helper_device_and_weights_are_not_the_pictures_fault(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    raising(monkeypatch, error)
    for _ in range(2 * TRIES):
        outcome = drop.tried()
        assert (outcome.ended, outcome.everywhere) == ("world", True)
    assert drop.files() == ["cat.png"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_disk_problem_is_not_the_pictures_fault_and_concerns_one_folder(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    raising(monkeypatch, OutputError("x cannot be written", "free some space", number))
    outcome = drop.tried()
    assert (outcome.ended, outcome.everywhere) == ("world", False)
    assert drop.files() == ["cat.png"]


def test_a_bad_sector_concerns_one_file(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_path: Path) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(picture, "sha256_of", read)
    for _ in range(2 * TRIES):
        outcome = drop.tried()
        assert (outcome.ended, outcome.why) == ("wait", "cannot be read: Input/output error")
    assert drop.files() == ["cat.png"]


@pytest.mark.parametrize(
    "error",
    [
        OutputError("TIFF ends at 10 pixels", "choose .png"),
        OutputError("the name is too long", "rename it", errno.ENAMETOOLONG),
        NumericError("the network returned NaN", "other settings"),
        HelperError("two workers died of it", "another picture", "poisonous"),
        DamagedPictureError("truncated", "get an intact copy"),
    ],
)
def test_a_picture_at_fault_is_set_aside_at_once(drop: Drop, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    raising(monkeypatch, error)
    assert drop.tried().ended == "failed"
    assert drop.files() == ["failed/cat.png", "failed/cat.png.why.txt"]


@pytest.mark.parametrize("error", [OutOfMemoryError("9 GB", "smaller"), HelperError("it died", "again", "worker_died")])
def test_a_picture_that_may_be_at_fault_is_tried_three_times(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    raising(monkeypatch, error)
    assert [drop.tried().ended for _ in range(TRIES)] == ["wait"] * (TRIES - 1) + ["failed"]


def test_half_a_picture_waits_while_it_may_still_be_written(drop: Drop) -> None:
    drop.path.write_bytes(drop.path.read_bytes()[:-50])
    for _ in range(2 * TRIES):
        assert drop.tried(patient=True).ended == "wait"
    assert drop.files() == ["cat.png"]
    assert drop.tried(patient=False).ended == "failed"


@pytest.mark.parametrize(
    "content",
    [
        b"not a picture at all\n",
        b"<!DOCTYPE html><html>",
        b"%PDF-1.7",
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(80),
        b"x",
    ],
)
def test_a_file_that_can_never_become_a_picture_is_reported_at_once(drop: Drop, content: bytes) -> None:
    drop.path.write_bytes(content)
    assert drop.tried(patient=True).ended == "failed"
    assert drop.files() == ["failed/cat.png", "failed/cat.png.why.txt"]
    assert "Not a JPEG, PNG" in (drop.root / "failed/cat.png.why.txt").read_text()


@pytest.mark.parametrize("content", [b"", b"\x89PN", bytes(5000), b"\0\0\0\x20ft", b"RIFF\x10\0\0\0WE"])
def test_a_file_that_may_become_a_picture_waits(drop: Drop, content: bytes) -> None:
    drop.path.write_bytes(content)
    for _ in range(2 * TRIES):
        assert drop.tried(patient=True).ended == "wait"
    assert drop.tried(patient=False).ended == "failed"


BESIDE = [
    "cat.png.part", "cat.Ab1-d_E3.png.part", "CAT.PNG.PART", "cat.png.crdownload", "cat.png.download", "cat.png.opdownload",
    "cat.png.!ut", "cat.png.!qB", "cat.png.filepart", "cat.png.1a2b3c4d.partial", "cat.png.tmp", "cat.tmp", "cat.part",
    "Unconfirmed 123456.crdownload", ".syncthing.cat.png.tmp", "~syncthing~cat.png.tmp",
]  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("half", [b"", b"\x89PNG\r\n\x1a\n"])
def test_a_placeholder_waits_as_long_as_its_download_is_beside_it(drop: Drop, name: str, half: bytes) -> None:
    drop.path.write_bytes(half)
    (drop.root / name).write_bytes(b"so far")
    for _ in range(2 * TRIES):
        outcome = drop.tried(patient=False)
        assert outcome.ended == "wait"
        assert outcome.why.endswith(f"; the download {name} beside it is not finished")
    assert drop.files() == sorted(["cat.png", name])
    (drop.root / name).unlink()
    assert drop.tried(patient=False).ended == "failed"


@pytest.mark.parametrize("name", ["cat.jpg.part", "a cat.png.part", "cat (1).png.part", "cat.small.png.part", "b.tmp"])
def test_another_files_download_is_not_waited_for(drop: Drop, name: str) -> None:
    drop.path.write_bytes(b"")
    (drop.root / name).touch()
    assert drop.tried(patient=False).ended == "failed"


@pytest.mark.parametrize("ending", [".aria2", ".lftp-pget-status"])
def test_a_file_that_is_filled_in_place_waits_while_the_note_about_it_is_there(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    raising(monkeypatch, AssertionError("it is read"))
    (drop.root / f"cat.png{ending}").touch()
    outcome = drop.tried(patient=False)
    assert (outcome.ended, outcome.why) == ("wait", f"a download is not finished: cat.png{ending} is beside it")


def test_a_complete_picture_does_not_wait_for_an_abandoned_download(drop: Drop) -> None:
    (drop.root / "cat.png.part").touch()
    assert "no picture comes so far here" in drop.tried().why, "its turn at the helper has come"


def test_a_removed_or_changed_file_is_recognised(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = read_photo

    def changed(path: Path, **options: Any) -> Any:
        photo = real(path, **options)
        path.write_bytes(path.read_bytes() + b"more")
        return photo

    monkeypatch.setattr(picture, "read_photo", changed)
    assert drop.tried().ended == "changed"

    def gone(path: Path, **options: Any) -> Any:
        photo = real(path, **options)
        path.unlink()
        return photo

    drop.path.write_bytes(photograph(drop.root.parent / "other.png", 3).read_bytes())
    monkeypatch.setattr(picture, "read_photo", gone)
    assert drop.tried().ended == "gone"
    assert drop.files() == []


OLD_KEY = (
    '{"layers":{"pool4":1.0},"pooling":"max","natural":0.97,"keep_colours":false,"octaves":"auto","octave_scale":1.3,'
    '"finest":800,"upscale":false,"iterations":10,"step":2.4,"normalize":"std","laplacian":0,"smooth":0.3,"jitter":16,'
    '"tv":0.0,"soft_limit":true,"clamp":true,"strength":1.0,"seed":0} sha'
)
"""What a journal's key was made of before there were guides and channels."""


def test_a_picture_in_an_older_journal_is_not_dreamed_again() -> None:
    assert duplicates.dream_key(DreamSettings(), "sha", None) == hashlib.sha256(OLD_KEY.encode()).hexdigest()
    used: list[dict[str, Any]] = [
        {"tileable": True}, {"channels": {"pool4:3": 1.0}}, {"guides": [{"file": "a", "sha256": "a" * 64}]},
        {"guides": [{"file": "a", "sha256": "b" * 64}]}, {},
    ]  # fmt: skip
    assert (
        len({duplicates.dream_key(DreamSettings(layers={"conv1_1": 1.0}, **each), "sha", None) for each in used}) == 5
    )


def test_a_guide_that_was_moved_is_the_same_guide() -> None:
    keys = {
        duplicates.dream_key(DreamSettings(layers={}, guides=[{"file": file, "sha256": "a" * 64}]), "sha", None)
        for file in ("a.jpg", "elsewhere/b.jpg")
    }
    assert len(keys) == 1


def test_a_value_of_white_makes_another_dream() -> None:
    settings = DreamSettings()
    silent = duplicates.dream_key(settings, "sha", None)
    assert (
        len({silent, duplicates.dream_key(settings, "sha", 255.0), duplicates.dream_key(settings, "sha", 1000.0)}) == 3
    )


def test_a_drop_folder_can_set_white(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    drop.layout = Layout.of(FolderSettings(path=str(drop.root), white=255), ())
    said: list[float | None] = []

    def read(*_: object, white: float | None, **__: object) -> None:
        said.append(white)
        raise PictureError("enough")

    monkeypatch.setattr(picture, "read_photo", read)
    drop.tried()
    assert said == [255]
