"""What the daemon shares with other commands: the journal, locks, the pause, and the daemon's state.

All of it is in private folders of this user. No command talks to the daemon: commands read the state that the daemon wrote
last, and leave files that the daemon notices within a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock, Timeout

from deepdream_core.errors import DeepDreamError, OutputError, SettingsError
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.link import private_files, user_folders, wire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

JOURNAL = "journal.sqlite3"
STALE_S = 10.0
"""Age in seconds from which the daemon's state means that it hangs or has died."""


def state_folder() -> Path:
    """Return the private folder of journal and locks, created if missing; raises `SettingsError` and `OutputError`."""
    try:
        above = user_folders.state_folder()
    except wire.WireError as error:
        raise _as_error(error, SettingsError) from None
    folder = above / "hotfolder"
    try:
        private_files.make_private_folder(above)
        private_files.make_private_folder(folder)
    except wire.WireError as error:
        raise _as_error(error, OutputError) from None
    return folder


def _as_error(error: wire.WireError, kind: type[DeepDreamError]) -> DeepDreamError:
    what, _, step = str(error).rpartition(" — ")
    return kind(what, step)


def open_journal() -> Journal:
    """Return this user's journal; raises `OutputError`."""
    return Journal(state_folder() / JOURNAL)


class Locks:
    """Locks that allow one daemon for each drop folder; raises `SettingsError` for a folder that another daemon watches."""

    def __init__(self) -> None:
        self._held: dict[Path, FileLock] = {}

    def hold(self, roots: Sequence[Path]) -> None:
        """Hold the locks of these folders and no others."""
        for root in roots:
            if root in self._held:
                continue
            name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:24]
            lock = FileLock(state_folder() / f"{name}.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                raise SettingsError(
                    f"{root}: another daemon watches this folder", "end that one first; `deepdream status` shows it"
                ) from None
            self._held[root] = lock
        for root in [root for root in self._held if root not in roots]:
            self._held.pop(root).release()

    def release(self) -> None:
        """Release all locks."""
        self.hold([])


def is_paused() -> bool:
    """Return whether somebody has paused the hot folders."""
    return (state_folder() / "paused").exists()


def set_paused(paused: bool) -> None:
    """Pause or resume all hot folders; a pause survives a restart. Raises `OutputError`."""
    mark = state_folder() / "paused"
    try:
        mark.touch() if paused else mark.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{mark}: {error.strerror}", "free some space, or make the folder writable") from None


def nudge() -> None:
    """Ask the daemons to try all waiting files at once; raises `OutputError`."""
    mark = state_folder() / "nudge"
    try:
        mark.write_text(f"{time.time_ns()}\n", "ascii")
    except OSError as error:
        raise OutputError(f"{mark}: {error.strerror}", "free some space, or make the folder writable") from None


def nudged() -> str:
    """Return a text that changes with each `nudge`."""
    with contextlib.suppress(OSError):
        return (state_folder() / "nudge").read_text("ascii")
    return ""


def write_state(state: dict[str, Any]) -> None:
    """Write the daemon's state for `states`; a full disk does not matter."""
    path = state_folder() / f"state-{os.getpid()}.json"
    temporary = path.with_suffix(".tmp")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(state), "utf-8")
        temporary.replace(path)


def remove_state() -> None:
    """Remove the state of this daemon, which ends."""
    with contextlib.suppress(OSError):
        (state_folder() / f"state-{os.getpid()}.json").unlink(missing_ok=True)


def states() -> list[dict[str, Any]]:
    """Return the state of every running daemon, and remove those of dead ones."""
    found = []
    for path in sorted(state_folder().glob("state-*.json")):
        try:
            state = json.loads(path.read_text("utf-8"))
            if not psutil.pid_exists(int(state["pid"])):
                path.unlink(missing_ok=True)
                continue
        except (OSError, ValueError, KeyError):
            continue
        state["hangs"] = time.time() - state["at"] > STALE_S
        found.append(state)
    return found
