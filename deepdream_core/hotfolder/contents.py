"""The files in a drop folder, found by events and scans, as long as the folder itself can be used."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from deepdream_core.errors import DeepDreamError
from deepdream_core.hotfolder import fault, left_alone, mount_check
from deepdream_core.hotfolder.arrivals import Arrivals
from deepdream_core.hotfolder.lease import Lease
from deepdream_core.hotfolder.scanning import look, scan
from deepdream_core.hotfolder.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deepdream_core.hotfolder.arrivals import Arrival
    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.hotfolder.layout import Layout
    from deepdream_core.hotfolder.scanning import Found


class Contents:
    """The files of one drop folder: `arrivals` may be dreamed, `alone` are left alone. Parameters are those of `Folder`.

    `offline` is why the folder cannot be used, "" if it can.
    """

    def __init__(
        self, layout: Layout, journal: Journal, say: Callable[[str], None], uid: int | None, wake: Callable[[], object],
        clock: Callable[[], float], wall_clock: Callable[[], float], beat: Callable[[], object],
    ) -> None:  # fmt: skip
        self.layout = layout
        self.arrivals = Arrivals(layout.settings.settle_s, self._drop_of)
        self.alone = left_alone.LeftAlone()
        self.offline = ""
        self.watcher: Watcher | None = None
        self._journal, self._say, self._uid, self._wake, self._beat = journal, say, uid, wake, beat
        self._clock, self._wall_clock = clock, wall_clock
        self._lease = Lease(layout.root, journal.identity())
        self._scan_at = float("-inf")
        self._notice = ""

    def _drop_of(self, path: Path) -> object:
        """Return what a person dropped: the folder at the top of ours, or None for a file by itself."""
        parts = path.relative_to(self.layout.root).parts
        return parts[0] if len(parts) > 1 else None

    def _passed_over(self, path: Path, is_folder: bool) -> bool:
        """Ask the current layout: `change` may replace it while others keep this method."""
        return self.layout.passed_over(path, is_folder)

    def look_around(self, now: float) -> None:
        """Look for files that have come, gone or changed, as far as it is time to."""
        try:
            gone = mount_check.missing(self._journal, self.layout.root)
        except OSError as error:
            gone = f"cannot be used: {error.strerror or error}"
        if gone or (gone := self._lease.refused(now)):
            self._go_offline(gone)
            return
        if self.offline:
            self._say(f"{self.layout.root}: is available again")
            self.offline = ""
            self.scan_soon()
            if self.watcher is not None:
                self.watcher.restart("the folder is available again")
        self._tick_watcher(now)
        for line in self.alone.news(self.layout.root):
            self._say(line)

    def _tick_watcher(self, now: float) -> None:
        if self.watcher is None:
            self.watcher = Watcher(
                self.layout.root,
                passed_over=self._passed_over,
                wake=self._wake,
                polled_every_s=self.layout.settings.poll_s,
                clock=self._clock,
                wall_clock=self._wall_clock,
            )
            self.watcher.start()
        self.watcher.tick(now)
        if self.watcher.why != self._notice:
            self._notice = self.watcher.why
            if self._notice:
                self._say(f"{self.layout.root}: {self._notice}")
        hints = self.watcher.drain()
        for hint in hints:
            if hint.path is not None:
                self.look_at(hint.path, now)
        if now >= self._scan_at or any(hint.path is None for hint in hints):
            self._scan(now)

    def _go_offline(self, why: str) -> None:
        if why != self.offline:
            self._say(
                f"{self.layout.root}: {why}; nothing is lost, and DeepDream continues when the folder is available again"
            )
        self.offline = why

    def scan_soon(self) -> None:
        """Scan the complete folder at the next look."""
        self._scan_at = float("-inf")

    def _scan(self, now: float) -> None:
        self._scan_at = now + self.layout.settings.rescan_s
        self.arrivals.begin_scan()
        self.alone.begin_scan()
        try:
            for found in sorted(self._scanned(), key=lambda found: str(found.path)):
                with self.isolated(found.path):
                    self._see(found, now)
                self._beat()
        except OSError as error:
            self._go_offline(f"cannot be scanned: {error.strerror or error}")
            return  # files that were not seen may still exist
        self.arrivals.end_scan()
        self.alone.end_scan()

    def _scanned(self) -> Iterator[Found]:
        for found in scan(self.layout.root, self._passed_over, self._unreadable):
            self._beat()
            yield found

    def look_at(self, path: Path, now: float) -> None:
        """Look at one file or folder."""
        with self.isolated(path):
            found = look(path, self.layout.root)
            if found is not None:
                self._see(found, now)
            elif os.path.isdir(path) and not path.is_symlink():
                self._scan_at = now
            else:
                self.alone.remove(path)
                self.arrivals.remove(path)

    def _see(self, found: Found, now: float) -> None:
        known = self.arrivals.get(found.path)
        if why := left_alone.why(found, self.layout.settings, self._uid):
            self.alone.add(found.path, why)
            return
        arrival = self.arrivals.track(found, now)
        if known is not None and arrival.state == "finished":
            self.alone.keep(found.path)
        elif known is not None or not self.finish_if_settled(arrival):
            self.alone.remove(found.path)

    def finish_if_settled(self, arrival: Arrival) -> bool:
        """Leave a file alone that was dreamed and stayed where it is; return whether it was."""
        root = self.layout.root
        known = self._journal.of_version(root, arrival.found)
        if known is None or not known.stays:  # a file that was moved here is new
            other = self._journal.of_version(root, arrival.found, any_inode=True) if known is None else None
            arrival.unstable = arrival.unstable or (other is not None and other.stays)
            return False
        self.finish(arrival, known)
        return True

    def finish(self, arrival: Arrival, entry: Entry) -> None:
        """Leave a settled original alone; if it had to stay, `alone` reports that."""
        self.arrivals.finish(arrival, entry.why or f"has already been dreamed: {entry.result}")
        if entry.why and entry.state != "known":
            self.alone.add(arrival.path, entry.why)

    def leave_alone(self, arrival: Arrival, why: str) -> None:
        """Leave a file alone until it changes, and report why."""
        self.arrivals.finish(arrival, why)
        self.alone.add(arrival.path, why)

    def _unreadable(self, path: Path, error: Exception) -> None:
        """Leave a file or folder alone that cannot be looked at; log a fault of the program with its traceback, once."""
        if self.alone.unreadable(path, error) and not isinstance(error, OSError):
            fault.log(self._say, path, error)

    @contextlib.contextmanager
    def isolated(self, path: Path) -> Iterator[None]:
        """Return a context in which a fault at one file costs this file only."""
        try:
            yield
        except DeepDreamError:
            raise
        except Exception as error:
            self._unreadable(path, error)
            if (arrival := self.arrivals.get(path)) is not None:
                self.arrivals.finish(arrival, fault.why_unreadable(error))

    def try_all(self) -> None:
        """Let all files that wait be tried at once, and scan the folder."""
        self.arrivals.try_all()
        for arrival in self.arrivals:
            with self.isolated(arrival.path):
                if arrival.state == "finished" and not self.finish_if_settled(arrival):
                    self.arrivals.reopen(arrival)
        self.scan_soon()

    def change(self, layout: Layout) -> None:
        """Use other settings from now on."""
        ignored, self.layout = self.layout.ignore, layout
        self.arrivals.settle_s = layout.settings.settle_s
        if self.watcher is not None:
            self.watcher.polled_every_s = layout.settings.poll_s
            if layout.ignore != ignored:
                self.watcher.restart("other folders are ignored now")

    def close(self) -> None:
        """Stop watching, until `look_around` is called again."""
        if self.watcher is not None:
            self.watcher.stop()
            self.watcher = None
        self._lease.release()
