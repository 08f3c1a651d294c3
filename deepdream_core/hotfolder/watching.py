"""Hints that something has changed in a drop folder. They are quick, and not to be relied upon: scans tell the truth."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from watchdog import events as kinds
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchdog.events import FileSystemEvent

logger = logging.getLogger(__name__)

CANARY_S = 5.0
"""How long a change may take to be told."""
CANARY_EVERY_S = 3600.0
TRY_AGAIN_S = 10.0
"""Observers that end by themselves are not started again more often than this."""
JUMP_S = 30.0
"""How far the wall clock may move against the monotonic one: more is a resume after sleep, or somebody set it."""
STOP_S = 2.0
MOST_PATHS = 10_000
"""With more paths than this waiting, everything is looked through instead."""

_CANARY = ".deepdream-canary-"
_SOUGHT: list[type[FileSystemEvent]] = [
    kinds.FileCreatedEvent, kinds.FileMovedEvent, kinds.FileClosedEvent, kinds.FileModifiedEvent, kinds.FileAttribEvent,
    kinds.DirCreatedEvent, kinds.DirMovedEvent, kinds.DirAttribEvent,
]  # fmt: skip
_WHY = {
    kinds.EVENT_TYPE_CREATED: "it appeared",
    kinds.EVENT_TYPE_MOVED: "it was given this name",
    kinds.EVENT_TYPE_CLOSED: "a program has written it",
    kinds.EVENT_TYPE_MODIFIED: "a program writes it",
    kinds.EVENT_TYPE_ATTRIB: "its permissions or times have changed",
}
_SHARED = frozenset(
    {"9p", "afpfs", "afs", "ceph", "cifs", "davfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
    | {"fuse.gvfsd-fuse", "fuse.rclone", "fuse.sshfs", "fuse.vmhgfs-fuse", "vboxsf", "virtiofs", "vmhgfs", "webdav"}
)
_UNHEARD = "this file system tells of no changes made here; therefore"


@dataclass(frozen=True)
class Hint:
    """Something may have changed at `path`, a file or a folder below `root`; anywhere there when it is None."""

    root: Path
    path: Path | None
    why: str


class Watcher:
    """Gathers hints about one folder from the system's events; where there are none, says regularly to look everywhere.

    All methods are for one thread, but for `drain`, which any may call. `wake` is called, from any thread, when there is
    something to drain and was nothing before. `passed_over(path, is_folder)` leaves out files and whole folders.
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
        self._pending = _Pending(root, wake)
        self._real = root
        self._identity: tuple[int, int] | None = None
        self._events: _Events | None = None
        self._offset = self._next_poll = self._next_canary = 0.0
        self._revived_at = float("-inf")
        self._trouble = self._shared = self._untested = ""
        self._unheard = False
        self._canary = root / f"{_CANARY}{os.getpid()}"
        self._canary_due: float | None = None
        self._canary_seen = threading.Event()
        self._overflown = False

    @property
    def mode(self) -> str:
        """Return `events`, or `polling` where they do not tell all."""
        return "polling" if self._events is None or self._trouble or self._shared or self._unheard else "events"

    @property
    def why(self) -> str:
        """Return why it polls and what would help, or what is not known of the events; empty when all is well."""
        if self.mode == "events":
            return self._untested
        if self._identity is None:
            return "the folder is not there, or does not answer"
        reason = self._trouble or self._shared or _UNHEARD
        return f"{reason} the folder is looked through every {self.polled_every_s:g} s"

    def drain(self) -> list[Hint]:
        """Return what has gathered since the last time, each path once; all of it is covered by a scan begun now."""
        return self._pending.drain()

    def start(self) -> None:
        """Begin; the first hint is to look everywhere. Whatever keeps events from coming is told by `why`, not raised."""
        now = self._clock()
        self._offset = self._wall_clock() - now
        self._open(now, "the start")
        self.canary(now)

    def restart(self, why: str) -> None:
        """Begin anew, as after the folder was away, and hint to look everywhere."""
        self._close()
        now = self._clock()
        self._open(now, why)
        self.canary(now)

    def stop(self) -> None:
        """End all threads, within two seconds; nothing of ours stays in the folder. May be called again."""
        self._close()
        with contextlib.suppress(OSError):
            self._canary.unlink()

    def tick(self, now: float) -> None:
        """Notice what events do not tell: a lost folder, an ended thread, a clock that jumped. Call it every second or so.

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
        """Write a hidden file and remove it, to see whether events arrive; `tick` says so once they should have."""
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
            self._untested = f"whether changes are told here could not be tried: {error.strerror or error}"
        else:
            self._canary_due = now + CANARY_S

    def _open(self, now: float, why: str) -> None:
        """Have the system tell of changes, and only then hint to look everywhere, so that nothing falls between."""
        self._next_poll = now + self.polled_every_s
        self._trouble = self._shared = ""
        self._identity = _identity(self.root)
        # A link is not followed by the watches themselves.
        self._real = Path(os.path.realpath(self.root))
        try:
            self._events = _Events(self._real, self._take, self._leaves_out, self._lost)
            self._shared = _shared_with_others(self._real)
        except Exception as error:  # each system's part of watchdog has its own ways to fail
            self._trouble = _in_plain_words(error)
        self._pending.everything(why)

    def _close(self) -> None:
        self._canary_due = None
        if self._events is not None:
            self._events.stop()
            self._events = None

    def _is_there(self) -> bool:
        """Say whether the folder is; begin anew when it is another than before: mounted, or unmounted, or made again.

        Of its end watchdog says nothing to us: when it is removed one thread ends, when it is unmounted none does.
        """
        identity = _identity(self.root)
        if identity is None:
            self._close()
        elif identity != self._identity:
            self.restart("the folder is back" if self._identity is None else "another folder is in its place")
        self._identity = identity
        return identity is not None

    def _check_events(self, now: float) -> None:
        if self._events is None:
            return
        refused = self._events.refused
        if refused is not None:  # a part of the folder is not watched, and others may need what the rest takes
            self._close()
            self._trouble, self._next_poll = _in_plain_words(refused), now
        elif not self._events.alive and now >= self._revived_at + TRY_AGAIN_S:
            self._revived_at = now
            self.restart("the observer had ended")
        elif not self._events.alive:
            self._trouble = "the observer has ended again and is started anew in a few seconds; until then"

    def _check_canary(self, now: float) -> None:
        if self._overflown and self._canary_due is not None:  # the canary's own event may be among the lost
            self.canary(now)
        self._overflown = False
        if self._canary_seen.is_set():
            self._canary_due = None
            if self._unheard:
                self._unheard = False
                self._pending.everything("changes are told again")
        elif self._canary_due is not None and now >= self._canary_due:
            self._canary_due, self._unheard, self._next_poll = None, True, now
        if now >= self._next_canary:
            if self._events is None:
                self.restart("another try to have changes told")
            else:
                self.canary(now)

    def _lost(self) -> None:
        self._overflown = True
        self._pending.everything("more changed at once than the system could tell")

    def _take(self, event: FileSystemEvent) -> None:
        """Turn an event into a hint; on watchdog's thread, which an exception would end."""
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
        elif path.parent == self.root and path.name.startswith(_CANARY):
            if path == self._canary:
                self._canary_seen.set()
        elif not self._is_passed_over(path, event.is_directory):
            self._pending.add(path, why)

    def _leaves_out(self, folder: str) -> bool:
        """Say whether a folder need not be watched; on watchdog's thread, or on ours at the start."""
        try:
            return self._is_passed_over(self.root / Path(folder).relative_to(self._real), True)
        except Exception:
            logger.exception("cannot say whether %r is to be watched", folder)
            return False

    def _is_passed_over(self, path: Path, is_folder: bool) -> bool:
        """Ask about a path and about all the folders it lies in."""
        steps = path.relative_to(self.root).parts
        folder = self.root
        for step in steps[:-1]:
            folder /= step
            if self._passed_over(folder, True):
                return True
        return bool(steps) and self._passed_over(path, is_folder)


class _Pending:
    """Hints that wait, each path once; for any thread."""

    def __init__(self, root: Path, wake: Callable[[], object]) -> None:
        self._root = root
        self._wake = wake
        self._lock = threading.Lock()
        self._paths: dict[Path, str] = {}
        self._everything = ""

    def add(self, path: Path, why: str) -> None:
        with self._lock:
            is_first = not self._paths and not self._everything
            if not self._everything:
                self._paths[path] = why
            if len(self._paths) > MOST_PATHS:
                self._paths, self._everything = {}, f"more than {MOST_PATHS} files have changed"
        if is_first:
            self._wake()

    def everything(self, why: str) -> None:
        with self._lock:
            is_first = not self._paths and not self._everything
            self._paths, self._everything = {}, self._everything or why
        if is_first:
            self._wake()

    def drain(self) -> list[Hint]:
        with self._lock:
            paths, everything = self._paths, self._everything
            self._paths, self._everything = {}, ""
        if everything:
            return [Hint(self._root, None, everything)]
        return [Hint(self._root, path, why) for path, why in paths.items()]


class _Handler(kinds.FileSystemEventHandler):
    def __init__(self, take: Callable[[FileSystemEvent], None]) -> None:
        self._take = take

    def dispatch(self, event: FileSystemEvent) -> None:
        self._take(event)


class _Events:
    """The system's events about one folder, and the threads that bring them; raises, mostly OSError, where it has none.

    `take` gets each event and `lost` is called when some were lost, both on these threads, which an exception would end.
    `leaves_out(folder)` says which folders need not be watched.
    """

    def __init__(
        self,
        root: Path,
        take: Callable[[FileSystemEvent], None],
        leaves_out: Callable[[str], bool],
        lost: Callable[[], None],
    ) -> None:
        # watchdog warns of a folder that was moved out and comes back with its watches, and does the right thing.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        self._reader: _Reader | None = None
        self._observer: BaseObserver
        if sys.platform == "linux":
            self._reader = _Reader(os.fsencode(root), leaves_out, lost)
            self._observer = BaseObserver(InotifyEmitter, inotify_fd=self._reader)
            self._reader.start()
        else:
            self._observer = Observer()
            if isinstance(self._observer, PollingObserver):
                raise OSError(errno.ENOSYS, "this system tells of no changes")
        try:
            self._observer.schedule(_Handler(take), str(root), recursive=True, event_filter=_SOUGHT)
            self._observer.start()
            if self.refused is not None:
                raise self.refused
        except BaseException:
            self.stop()
            raise

    @property
    def alive(self) -> bool:
        """Say whether all that should run does, and the folder is still watched."""
        return all(thread.is_alive() for thread in self._threads()) and not (self._reader and self._reader.ended)

    @property
    def refused(self) -> OSError | None:
        """Return why a folder below could not be watched, when the system is out of watches."""
        return self._reader.refused if self._reader else None

    def _threads(self) -> list[threading.Thread]:
        threads: list[threading.Thread] = [self._observer, *self._observer.emitters]
        return [*threads, self._reader] if self._reader else threads

    def stop(self) -> None:
        end = time.monotonic() + STOP_S
        threads = self._threads()
        self._observer.stop()
        if self._reader:
            self._reader.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))


if sys.platform == "linux":
    from watchdog.observers.inotify import InotifyEmitter
    from watchdog.observers.inotify_c import InotifyFD

    if TYPE_CHECKING:
        from watchdog.observers.inotify_c import CallbackId, InotifyEvent, Mask, WatchCallback, WatchDescriptor

    class _Reader(InotifyFD):
        """watchdog's reader of inotify, which keeps some things to itself that matter here.

        When the kernel's queue overflows it renews its watches, writes that into the log and tells no handler. It
        goes on without a word when a folder below the root cannot be watched, for want of watches or permission, and when
        the root was unmounted. And it would watch the folders that we write to.
        """

        def __init__(self, root: bytes, leaves_out: Callable[[str], bool], lost: Callable[[], None]) -> None:
            super().__init__()
            self._root, self._leaves_out, self._tell_lost = root, leaves_out, lost
            self._root_watch = -1
            self.refused: OSError | None = None
            self.ended = False

        def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
            if path != self._root and self._leaves_out(os.fsdecode(path)):
                raise OSError(errno.ECANCELED, "not to be watched")  # as good as gone for watchdog, which then goes on
            try:
                watch = super().add_callback(path, mask, callback, id_)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    self.refused = error
                raise
            if watch == -1:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if path == self._root:
                self._root_watch = watch
            return watch

        def handle_event(self, event: InotifyEvent) -> None:
            super().handle_event(event)
            if event.is_queue_overflow:
                self._tell_lost()
            elif event.is_ignored and event.wd == self._root_watch:
                self.ended = True


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def _in_plain_words(error: Exception) -> str:
    """Say why events do not come, and what helps."""
    if isinstance(
        error, RecursionError
    ):  # os.walk, by which watchdog finds what to watch, calls itself before Python 3.12
        return "folders lie too deep within each other to be watched; therefore"
    what, limit, enough = {
        errno.ENOSPC: ("watches", "max_user_watches", 524_288),
        errno.EMFILE: ("instances", "max_user_instances", 1_024),
    }.get(getattr(error, "errno", None) or 0, ("", "", 0))
    if not limit:
        return f"changes cannot be told here: {getattr(error, 'strerror', None) or error}; therefore"
    try:
        present = int(Path(f"/proc/sys/fs/inotify/{limit}").read_text())
    except (OSError, ValueError):
        return f"out of inotify {what}: raise it with `sudo sysctl fs.inotify.{limit}={enough}`; until then"
    return (
        f"out of inotify {what} (fs.inotify.{limit} is {present}): "
        f"raise it with `sudo sysctl fs.inotify.{limit}={max(enough, 2 * present)}`; until then"
    )


def _shared_with_others(folder: Path) -> str:
    """Say that others change this file system from elsewhere, of which inotify tells nothing; empty when they do not."""
    try:
        mounts = [(Path(one.mountpoint), one.fstype) for one in psutil.disk_partitions(all=True)]
    except (OSError, psutil.Error):
        return ""
    over = [(len(place.parts), kind) for place, kind in reversed(mounts) if folder.is_relative_to(place)]
    _, kind = max(over, key=itemgetter(0), default=(0, ""))  # of several in one place, the last lies on top
    return (
        f"other machines can change this file system ({kind}) unnoticed; therefore" if kind.lower() in _SHARED else ""
    )
