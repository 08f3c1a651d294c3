"""The border to watchdog: the system's events about a folder, and what watchdog does not report about them."""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
import warnings
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from watchdog import events as kinds
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from watchdog.events import FileSystemEvent

# An emitter that is stopped while it reads logs an error, which would only puzzle people.
logging.getLogger("watchdog.observers.inotify").addFilter(lambda record: "thread is inactive" not in str(record.msg))

STOP_S = 2.0
"""`stop` does not wait longer for threads to end."""
_SOUGHT: list[type[FileSystemEvent]] = [
    kinds.FileCreatedEvent, kinds.FileMovedEvent, kinds.FileClosedEvent, kinds.FileModifiedEvent, kinds.FileAttribEvent,
    kinds.DirCreatedEvent, kinds.DirMovedEvent, kinds.DirAttribEvent,
]  # fmt: skip
_SHARED = frozenset(
    {"9p", "afpfs", "afs", "ceph", "cifs", "davfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
    | {"fuse.gvfsd-fuse", "fuse.rclone", "fuse.sshfs", "fuse.vmhgfs-fuse", "vboxsf", "virtiofs", "vmhgfs", "webdav"}
)


class _Handler(kinds.FileSystemEventHandler):
    def __init__(self, take: Callable[[FileSystemEvent], None]) -> None:
        self._take = take

    def dispatch(self, event: FileSystemEvent) -> None:
        self._take(event)


class Events:
    """The system's events about one folder, and the threads that bring them; raises, mostly OSError, if it has none.

    `take` gets each event, and `lost` is called if events were lost, both on these threads, which an exception would end.
    `leaves_out(folder)` returns whether a folder need not be watched.
    """

    def __init__(
        self,
        root: Path,
        take: Callable[[FileSystemEvent], None],
        leaves_out: Callable[[str], bool],
        lost: Callable[[], None],
    ) -> None:
        # watchdog warns of a folder that was moved out and comes back with its watches, but handles it well.
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
                raise OSError(errno.ENOSYS, "this system does not report changes")
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
        """Return whether all threads run and the folder is still watched."""
        return all(thread.is_alive() for thread in self._threads()) and not (self._reader and self._reader.ended)

    @property
    def refused(self) -> OSError | None:
        """Return why a folder below could not be watched, if the system is out of watches."""
        return self._reader.refused if self._reader else None

    def _threads(self) -> list[threading.Thread]:
        threads: list[threading.Thread] = [self._observer, *self._observer.emitters]
        return [*threads, self._reader] if self._reader else threads

    def stop(self) -> None:
        """End the threads."""
        end = time.monotonic() + STOP_S
        threads = self._threads()
        self._observer.stop()
        if self._reader:
            self._reader.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))


if TYPE_CHECKING or sys.platform == "linux":
    from watchdog.observers.inotify import InotifyEmitter
    from watchdog.observers.inotify_c import InotifyFD

    if TYPE_CHECKING:
        from watchdog.observers.inotify_c import CallbackId, InotifyEvent, Mask, WatchCallback, WatchDescriptor

    class _Reader(InotifyFD):
        """watchdog's reader of inotify, extended to report what it otherwise keeps silent.

        When the kernel's queue overflows, watchdog renews its watches and logs that, but calls no handler. It continues
        silently if a folder below the root cannot be watched, for lack of watches or permission, and if the root was
        unmounted. It would also watch the folders that we write to.
        """

        def __init__(self, root: bytes, leaves_out: Callable[[str], bool], lost: Callable[[], None]) -> None:
            super().__init__()
            self._root, self._leaves_out, self._tell_lost = root, leaves_out, lost
            self._root_watch = -1
            self.refused: OSError | None = None
            self.ended = False

        def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
            if path != self._root and self._leaves_out(os.fsdecode(path)):
                raise OSError(
                    errno.ECANCELED, "not to be watched"
                )  # watchdog then continues as if the folder were gone
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


def in_plain_words(error: Exception) -> str:
    """Return why events do not come, and what helps."""
    if isinstance(error, RecursionError):  # watchdog uses os.walk, which is recursive before Python 3.12
        return "folders are nested too deeply to be watched; therefore"
    what, limit, enough = {
        errno.ENOSPC: ("watches", "max_user_watches", 524_288),
        errno.EMFILE: ("instances", "max_user_instances", 1_024),
    }.get(getattr(error, "errno", None) or 0, ("", "", 0))
    if not limit:
        return f"DeepDream cannot watch this folder for changes: {getattr(error, 'strerror', None) or error}; therefore"
    try:
        present = int(Path(f"/proc/sys/fs/inotify/{limit}").read_text())
    except (OSError, ValueError):
        return f"out of inotify {what}: raise it with `sudo sysctl fs.inotify.{limit}={enough}`; until then"
    return (
        f"out of inotify {what} (fs.inotify.{limit} is {present}): "
        f"raise it with `sudo sysctl fs.inotify.{limit}={max(enough, 2 * present)}`; until then"
    )


def shared_with_others(folder: Path) -> str:
    """Return that other machines can change this file system, which inotify does not report; "" if they cannot."""
    try:
        mounts = [(Path(mount.mountpoint), mount.fstype) for mount in psutil.disk_partitions(all=True)]
    except (OSError, psutil.Error):
        return ""
    over = [(len(place.parts), kind) for place, kind in reversed(mounts) if folder.is_relative_to(place)]
    _, kind = max(over, key=itemgetter(0), default=(0, ""))  # of several mounts in one place, the last is on top
    return (
        f"other machines can change this file system ({kind}) without an event; therefore"
        if kind.lower() in _SHARED
        else ""
    )
