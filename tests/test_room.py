"""Room in memory: as many pictures at once as fit, and always one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from conftest import picture_file
from helper_process import until

from deepdream_core.errors import PictureError
from deepdream_core.photo import read_photo
from deepdream_core.work.room import BYTES_PER_PIXEL, Room, Stopped

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = 40 * 30


class Working:
    """A thread that reads a picture within a room, and works on it until it is told to end."""

    def __init__(self, room: Room, path: Path) -> None:
        self.decoded, self.over, self.stopped = threading.Event(), threading.Event(), False
        self._room, self._path = room, path
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self) -> None:
        try:
            with self._room.picture():
                read_photo(self._path, max_megapixels=1)
                self.decoded.set()
                self.over.wait()
        except Stopped:
            self.stopped = True

    def end(self) -> None:
        self.over.set()
        self.thread.join()


@pytest.mark.parametrize(("fit", "kind"), [(1, ".png"), (2, ".tif"), (3, ".jpg"), (0, ".webp")])
def test_as_many_pictures_are_decoded_as_fit_and_at_least_one(tmp_path: Path, fit: int, kind: str) -> None:
    path = picture_file(tmp_path / f"a{kind}", size=(40, 30))
    room = Room(fit * PIXELS * BYTES_PER_PIXEL)
    works = [Working(room, path) for _ in range(6)]

    def decoded() -> list[Working]:
        return [work for work in works if work.decoded.is_set() and work.thread.is_alive()]

    for left in range(6, 0, -1):
        at_once = min(max(1, fit), left)
        until(lambda: len(decoded()) >= at_once)  # noqa: B023 - called at once
        assert len(decoded()) == at_once
        decoded()[0].end()
    assert all(work.decoded.is_set() and not work.thread.is_alive() for work in works)


def test_a_picture_that_cannot_be_read_leaves_its_room(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nbad")
    room = Room(0)
    for _ in range(2):
        with pytest.raises(PictureError), room.picture():
            read_photo(tmp_path / "bad.png", max_megapixels=1)
    with room.picture():
        read_photo(picture_file(tmp_path / "a.png"), max_megapixels=1)


def test_what_waits_for_room_can_be_stopped(tmp_path: Path) -> None:
    path = picture_file(tmp_path / "a.png", size=(40, 30))
    room = Room(0)
    works = [Working(room, path) for _ in range(3)]
    until(lambda: any(work.decoded.is_set() for work in works))
    room.stop()
    until(lambda: sum(work.stopped for work in works) == 2)
    for work in works:
        work.end()
