"""Hints that something has changed in a drop folder. They are quick but may be missing; scans find everything."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog import events as kinds

from deepdream_core.hotfolder.hints import Hints
from deepdream_core.hotfolder.system_events import Events, in_plain_words, shared_with_others
from deepdream_core.machine.drop_folder import CANARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchdog.events import FileSystemEvent

    from deepdream_core.hotfolder.hints import Hint

logger = logging.getLogger(__name__)

CANARY_S = 5.0
"""How long an event may take to arrive."""
CANARY_EVERY_S = 3600.0
TRY_AGAIN_S = 10.0
"""An observer that ends by itself is not restarted more often than this."""
JUMP_S = 30.0
"""How far the wall clock may move against the monotonic clock: more means that the machine slept or the clock was set."""

_WHY = {
    kinds.EVENT_TYPE_CREATED: "it appeared",
    kinds.EVENT_TYPE_MOVED: "it was given this name",
    kinds.EVENT_TYPE_CLOSED: "a program has written it",
    kinds.EVENT_TYPE_MODIFIED: "a program writes it",
    kinds.EVENT_TYPE_ATTRIB: "its permissions or times have changed",
}
_NO_EVENTS = "this file system does not report changes made here; therefore"


class Watcher:
    """Collects hints about one folder from the system's events; without events, hints regularly to scan everything.

    All methods are for one thread, except `drain`, which any thread may call. Any thread may call `wake` when the first
    hint is there to drain. `passed_over(path, is_folder)` leaves out files and folders.
    `clock` and `wall_clock` count seconds, as `time.monotonic` and `time.time`.
    """

    def __init__(
        self,
        root: Path,
        *,
        passed_over: Callable[[Path, bool], bool],
        wake: Callable[[], object] = lambda: None,
        polled_every_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self.polled_every_s = polled_every_s
        self._passed_over = passed_over
        self._clock, self._wall_clock = clock, wall_clock
        self._pending = Hints(root, wake)
        self._real = root
        self._identity: tuple[int, int] | None = None
        self._events: Events | None = None
        self._offset = self._next_poll = self._next_canary = 0.0
        self._revived_at = float("-inf")
        self._trouble = self._shared = self._untested = ""
        self._no_events = False
        self._canary = root / f"{CANARY}{os.getpid()}"
        self._canary_due: float | None = None
        self._canary_seen = threading.Event()
        self._overflown = False

    @property
    def mode(self) -> str:
        """Return `events`, or `polling` if events do not report everything."""
        return "polling" if self._events is None or self._trouble or self._shared or self._no_events else "events"

    @property
    def sound(self) -> bool:
        """Return whether changes are noticed, by events or by intended polling."""
        return self.mode == "polling" or (self._events is not None and self._events.alive)

    @property
    def shared(self) -> bool:
        """Return whether other machines can change the folder unnoticed."""
        return bool(self._shared)

    @property
    def why(self) -> str:
        """Return why it polls and what would help, or what is unknown about the events; "" if there is no problem."""
        if self.mode == "events":
            return self._untested
        if self._identity is None:
            return "the folder does not exist, or its disk does not answer"
        reason = self._trouble or self._shared or _NO_EVENTS
        return f"{reason} DeepDream scans the folder every {self.polled_every_s:g} s"

    def drain(self) -> list[Hint]:
        """Return the hints since the last call, each path once; a scan that begins now covers all of them."""
        return self._pending.drain()

    def start(self) -> None:
        """Begin; the first hint is to scan everything. If events cannot come, `why` says so; nothing is raised."""
        now = self._clock()
        self._offset = self._wall_clock() - now
        self._open(now, "the start")
        self.canary(now)

    def restart(self, why: str) -> None:
        """Begin again, for example after the folder was offline, and hint to scan everything."""
        self._close()
        now = self._clock()
        self._open(now, why)
        self.canary(now)

    def stop(self) -> None:
        """End all threads within two seconds, and leave nothing in the folder. May be called again."""
        self._close()
        with contextlib.suppress(OSError):
            self._canary.unlink()

    def tick(self, now: float) -> None:
        """Notice what events do not report: a lost folder, an ended thread, a clock that jumped. Call every second or so.

        `now` is the time of `clock`. Raises nothing.
        """
        offset = self._wall_clock() - now
        if abs(offset - self._offset) > JUMP_S:
            self._pending.everything("the clock jumped: the machine slept, or the clock was set")
        self._offset = offset
        if not self._is_there():
            return
        self._check_events(now)
        self._check_canary(now)
        if self.mode == "polling" and now >= self._next_poll:
            self._next_poll = now + self.polled_every_s
            self._pending.everything("polling")

    def canary(self, now: float) -> None:
        """Write and remove a hidden file to test whether events arrive; `tick` checks the result."""
        self._next_canary = now + CANARY_EVERY_S
        self._canary_due, self._untested = None, ""
        if self._events is None:
            return
        self._canary_seen.clear()
        try:
            self._canary.unlink(missing_ok=True)
            try:
                os.close(os.open(self._canary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            finally:
                self._canary.unlink(missing_ok=True)
        except OSError as error:
            self._untested = (
                f"DeepDream could not test whether this system reports changes here: {error.strerror or error}"
            )
        else:
            self._canary_due = now + CANARY_S

    def _open(self, now: float, why: str) -> None:
        """Watch for events first and then hint to scan everything, so that no change falls between."""
        self._next_poll = now + self.polled_every_s
        self._trouble = self._shared = ""
        self._identity = _identity(self.root)
        # A link is not followed by the watches themselves.
        self._real = Path(os.path.realpath(self.root))
        try:
            self._events = Events(self._real, self._take, self._leaves_out, self._lost)
            self._shared = shared_with_others(self._real)
        except Exception as error:  # each system's part of watchdog has its own ways to fail
            self._trouble = in_plain_words(error)
        self._pending.everything(why)

    def _close(self) -> None:
        self._canary_due = None
        if self._events is not None:
            self._events.stop()
            self._events = None

    def _is_there(self) -> bool:
        """Return whether the folder exists; begin again if it was replaced: mounted, unmounted, or created again.

        watchdog does not report the end of a folder: if it is removed one thread ends, if it is unmounted none does.
        """
        identity = _identity(self.root)
        if identity is None:
            self._close()
        elif identity != self._identity and not self._is_unstable(identity):
            self.restart("the folder is back" if self._identity is None else "another folder is in its place")
        self._identity = identity
        return identity is not None

    def _is_unstable(self, identity: tuple[int, int]) -> bool:
        """Return whether the folder's inode is useless because it changes at every look, on the same disk."""
        was = self._identity
        return was is not None and was[0] == identity[0] and _identity(self.root) not in (None, identity)

    def _check_events(self, now: float) -> None:
        if self._events is None:
            return
        refused = self._events.refused
        if refused is not None:  # a part of the folder is not watched, and others may need what the rest takes
            self._close()
            self._trouble, self._next_poll = in_plain_words(refused), now
        elif not self._events.alive and now >= self._revived_at + TRY_AGAIN_S:
            self._revived_at = now
            self.restart("the observer had ended")
        elif not self._events.alive:
            self._trouble = "the observer ended again and will be restarted in a few seconds; until then"

    def _check_canary(self, now: float) -> None:
        if self._overflown and self._canary_due is not None:  # the canary's own event may be among the lost
            self.canary(now)
        self._overflown = False
        if self._canary_seen.is_set():
            self._canary_due = None
            if self._no_events:
                self._no_events = False
                self._pending.everything("events arrive again")
        elif self._canary_due is not None and now >= self._canary_due:
            self._canary_due, self._no_events, self._next_poll = None, True, now
        if now >= self._next_canary:
            if self._events is None:
                self.restart("retrying to get events")
            else:
                self.canary(now)

    def _lost(self) -> None:
        self._overflown = True
        self._pending.everything("more changed at once than the system could report")

    def _take(self, event: FileSystemEvent) -> None:
        """Make a hint of an event; on watchdog's thread, which an exception would end."""
        try:
            self._hint(event)
        except Exception:
            logger.exception("an event could not be understood: %r", event)
            self._pending.everything("an event could not be understood")

    def _hint(self, event: FileSystemEvent) -> None:
        place = os.fsdecode(event.dest_path if event.event_type == kinds.EVENT_TYPE_MOVED else event.src_path)
        if not place or event.event_type not in _WHY:
            return
        path = self.root / Path(place).relative_to(self._real)
        why = _WHY[event.event_type]
        if path == self.root:
            self._pending.everything(why)
        elif path.parent == self.root and path.name.startswith(CANARY):
            if path == self._canary:
                self._canary_seen.set()
        elif not self._is_passed_over(path, event.is_directory):
            self._pending.add(path, why)

    def _leaves_out(self, folder: str) -> bool:
        """Return whether a folder need not be watched; on watchdog's thread, or on ours at the start."""
        try:
            return self._is_passed_over(self.root / Path(folder).relative_to(self._real), True)
        except Exception:
            logger.exception("cannot decide whether to watch %r", folder)
            return False

    def _is_passed_over(self, path: Path, is_folder: bool) -> bool:
        """Ask about a path and about all folders that contain it."""
        steps = path.relative_to(self.root).parts
        folder = self.root
        for step in steps[:-1]:
            folder /= step
            if self._passed_over(folder, True):
                return True
        return bool(steps) and self._passed_over(path, is_folder)


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
