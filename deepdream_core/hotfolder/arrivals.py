"""Which files of a drop folder have rested long enough to be tried: data, without threads, clocks or files.

The caller passes in what it saw and the time, in monotonic seconds. Follows paperless-ngx's document consumer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deepdream_core.hotfolder.scanning import Found

BATCH_S = 5.0
"""Files that arrive no more than this apart are one batch …"""
LONGEST_BATCH_S = 60.0
"""… but a copy that takes hours is many batches, so that fresh files need not wait for its end."""
TRY_AGAIN_S = (5.0, 10.0, 20.0, 40.0, 60.0)
"""Pauses between tries of a file that could not be read yet."""

ArrivalState = Literal["resting", "taken", "waiting", "finished"]


@dataclass(slots=True)
class Arrival:
    """A file in a drop folder; files that arrived together have the same `batch`."""

    found: Found
    batch: int
    changed_at: float
    state: ArrivalState = "resting"
    not_before: float = 0.0
    why: str = ""
    tries: int = 0
    scan: int = 0
    unstable: bool = False
    """Whether its inode has changed though size and time have not: the inode does not count from then on."""

    @property
    def path(self) -> Path:
        """The file's path."""
        return self.found.path


@dataclass(slots=True)
class _Batch:
    number: int
    first: float
    last: float


class Arrivals:
    """The files of one drop folder; `settle_s` is how long size and time must not have changed.

    Only files for which `drop_of` returns the same can be one batch: those in one folder that was dropped.
    """

    def __init__(self, settle_s: float, drop_of: Callable[[Path], object] = lambda _path: None) -> None:
        self.settle_s = settle_s
        self._drop_of = drop_of
        self._files: dict[Path, Arrival] = {}
        self._batch = self._scan = 0
        self._batches: dict[object, _Batch] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Arrival]:
        return iter(list(self._files.values()))

    def get(self, path: Path) -> Arrival | None:
        """Return the arrival of a path, if it is known."""
        return self._files.get(path)

    def track(self, found: Found, now: float) -> Arrival:
        """Record a file as it is now; a file that has changed starts to rest again, whatever its state was."""
        known = self._files.get(found.path)
        if known is not None:
            known.scan = self._scan
            same = known.found.version == found.version
            if same and (known.unstable or known.found.inode == found.inode):
                return known
            known.unstable = known.unstable or same
            known.found, known.changed_at = found, now
            if known.state != "taken":  # the attempt that has it looks again at its end
                known.state, known.not_before, known.tries, known.why = "resting", 0.0, 0, ""
            return known
        arrival = Arrival(found, self._batch_of(found.path, now), now, scan=self._scan)
        self._files[found.path] = arrival
        return arrival

    def _batch_of(self, path: Path, now: float) -> int:
        drop = self._drop_of(path)
        batch = self._batches.get(drop)
        if batch is None or now - batch.last > BATCH_S or now - batch.first > LONGEST_BATCH_S:
            self._batch += 1
            self._batches = {key: old for key, old in self._batches.items() if now - old.last <= BATCH_S}
            batch = self._batches[drop] = _Batch(self._batch, now, now)
        batch.last = now
        return batch.number

    def remove(self, path: Path) -> None:
        """Forget a file that no longer exists, unless an attempt has taken it."""
        known = self._files.get(path)
        if known is not None and known.state != "taken":
            del self._files[path]

    def begin_scan(self) -> None:
        """Begin a scan, which tracks all files that still exist."""
        self._scan += 1

    def end_scan(self) -> None:
        """Forget the files that were not tracked since `begin_scan`: they no longer exist."""
        for path in [path for path, arrival in self._files.items() if arrival.scan != self._scan]:
            self.remove(path)

    def due(self, now: float) -> list[Arrival]:
        """Return the files that may be tried now."""
        return [arrival for arrival in self._files.values() if self._is_due(arrival, now)]

    def _is_due(self, arrival: Arrival, now: float) -> bool:
        rested = now - arrival.changed_at >= self.settle_s
        return rested and (arrival.state == "resting" or (arrival.state == "waiting" and now >= arrival.not_before))

    def take(self, arrival: Arrival) -> None:
        """Record that an attempt begins."""
        arrival.state, arrival.why = "taken", ""

    def put_off(self, arrival: Arrival, now: float, why: str, pause_s: float | None = None) -> None:
        """Record that the file has to wait; it is tried again after `pause_s`, or after pauses that grow."""
        arrival.not_before = now + (
            TRY_AGAIN_S[min(arrival.tries, len(TRY_AGAIN_S) - 1)] if pause_s is None else pause_s
        )
        arrival.state, arrival.why = "waiting", why
        arrival.tries += 1

    def finish(self, arrival: Arrival, why: str = "") -> None:
        """Record that the file stays where it is and is left alone until it changes."""
        arrival.state, arrival.why = "finished", why

    def reopen(self, arrival: Arrival) -> None:
        """Record that the file is to be tried after all."""
        arrival.state, arrival.why, arrival.tries = "resting", "", 0

    def reopen_all(self, why: str) -> None:
        """Record that the files that wait for this reason are to be tried."""
        for arrival in self._files.values():
            if arrival.state == "waiting" and arrival.why == why:
                self.reopen(arrival)

    def forget(self, arrival: Arrival) -> None:
        """Forget a file that was moved away."""
        self._files.pop(arrival.path, None)

    def try_all(self) -> None:
        """Let the files that wait be tried at once."""
        for arrival in self._files.values():
            if arrival.state == "waiting":
                arrival.not_before = 0.0
