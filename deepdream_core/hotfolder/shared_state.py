"""What the daemon and the commands beside it know in common: the journal, locks, a pause, and how things stand.

All lie in folders of this user alone. No command talks to the daemon: it reads what the daemon last wrote, and leaves a
mark that the daemon sees within a second.
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
"""A state that was written longer ago is that of a daemon that hangs or has died."""


def state_folder() -> Path:
    """Return the folder of journal and locks, made for this user alone; raises `SettingsError` and `OutputError`."""
    try:
        above = user_folders.state_folder()
    except wire.WireError as error:
        raise _told(error, SettingsError) from None
    folder = above / "hotfolder"
    try:
        private_files.make_private_folder(above)
        private_files.make_private_folder(folder)
    except wire.WireError as error:
        raise _told(error, OutputError) from None
    return folder


def _told(error: wire.WireError, kind: type[DeepDreamError]) -> DeepDreamError:
    what, _, step = str(error).rpartition(" — ")
    return kind(what, step)


def open_journal() -> Journal:
    """Return this user's journal; raises `OutputError`."""
    return Journal(state_folder() / JOURNAL)


class Locks:
    """One daemon for each drop folder, as long as this object lives; raises `SettingsError` where there is another."""

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
        """Let go of all."""
        self.hold([])


def is_paused() -> bool:
    """Say whether a person has paused the hot folders."""
    return (state_folder() / "paused").exists()


def set_paused(paused: bool) -> None:
    """Pause all hot folders, or let them go on; that survives a restart. Raises `OutputError`."""
    mark = state_folder() / "paused"
    try:
        mark.touch() if paused else mark.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{mark}: {error.strerror}", "free some space, or make the folder writable") from None


def nudge() -> None:
    """Ask the daemons to try at once what waits; raises `OutputError`."""
    mark = state_folder() / "nudge"
    try:
        mark.write_text(f"{time.time_ns()}\n", "ascii")
    except OSError as error:
        raise OutputError(f"{mark}: {error.strerror}", "free some space, or make the folder writable") from None


def nudged() -> str:
    """Return a text that is another one after each `nudge`."""
    with contextlib.suppress(OSError):
        return (state_folder() / "nudge").read_text("ascii")
    return ""


def write_state(state: dict[str, Any]) -> None:
    """Keep how things stand where `states` finds it; a disk that is full is no reason to stop."""
    path = state_folder() / f"state-{os.getpid()}.json"
    temporary = path.with_suffix(".tmp")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(state), "utf-8")
        temporary.replace(path)


def remove_state() -> None:
    """Forget how things stand: this daemon ends."""
    with contextlib.suppress(OSError):
        (state_folder() / f"state-{os.getpid()}.json").unlink(missing_ok=True)


def states() -> list[dict[str, Any]]:
    """Return how things stand in every daemon that runs; what dead ones left is removed."""
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
