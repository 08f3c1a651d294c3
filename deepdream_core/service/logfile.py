"""Showing log files as `tail` does, where the system keeps no log for us."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deepdream_core.errors import ServiceError
from deepdream_core.link import user_folders, wire

if TYPE_CHECKING:
    from pathlib import Path

LOOK_EVERY_S = 0.5
NAMES = ("watch.log", "helper.log")
_TAIL = 1 << 20


def show(lines: int, *, follow: bool) -> None:
    """Print the last lines of each of our log files, with `follow` also new ones; raises `ServiceError`."""
    try:
        folder = user_folders.state_folder()
    except wire.WireError as error:
        raise ServiceError(*str(error).split(" — ", 1)) from None
    logs = [_Log(folder / name) for name in NAMES]
    printed = [log for log in logs if log.last(lines)]
    if not printed and not follow:
        print(f"nothing has been logged yet in {folder}")
    try:
        while follow:
            for log in logs:
                log.more()
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        pass


class _Log:
    """A log file, which may not exist yet and may be rotated at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._inode = 0

    def last(self, lines: int) -> bool:
        """Print its last lines; return whether there are any."""
        try:
            with self._path.open("rb") as file:
                self._inode = self._path.stat().st_ino
                self._place = file.seek(0, 2)
                file.seek(max(0, self._place - _TAIL))
                found = file.read(_TAIL).decode("utf-8", "replace").splitlines()[-lines:]
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ServiceError(f"{self._path}: {error.strerror}", "make it readable") from None
        print(f"==> {self._path} <==", *found, sep="\n", flush=True)
        return bool(found)

    def more(self) -> None:
        """Print the lines added since."""
        try:
            with self._path.open("rb") as file:
                status = self._path.stat()
                if status.st_ino != self._inode or status.st_size < self._place:
                    self._inode, self._place = status.st_ino, 0
                file.seek(self._place)
                text = file.read(_TAIL)
        except OSError:
            return
        whole = text.rpartition(b"\n")[0]
        if whole:
            self._place += len(whole) + 1
            print(whole.decode("utf-8", "replace"), flush=True)
