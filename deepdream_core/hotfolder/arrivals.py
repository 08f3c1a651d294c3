"""Which files of a drop folder have rested long enough to be tried: data, without threads, clocks or files.

Whoever uses it says what was seen and what time it is, in monotonic seconds; an idea of paperless-ngx's document consumer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deepdream_core.hotfolder.scanning import Found

BATCH_S = 5.0
"""Files that come no more than this apart came together …"""
LONGEST_BATCH_S = 60.0
"""… but a copy that lasts for hours is many batches, so that something fresh need not wait for its end."""
TRY_AGAIN_S = (5.0, 10.0, 20.0, 40.0, 60.0)
"""Pauses between tries of a file that could not be read yet."""

Standing = Literal["resting", "taken", "waiting", "finished"]


@dataclass(slots=True)
class Arrival:
    """A file in a drop folder. `batch` counts the groups in which files came."""

    found: Found
    batch: int
    seen_at: float
    changed_at: float
    standing: Standing = "resting"
    not_before: float = 0.0
    why: str = ""
    tries: int = 0
    scan: int = 0
    unstable: bool = False
    """Whether its inode has changed though size and time have not: it does not count from then on."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.found.path


@dataclass(slots=True)
class _Batch:
    number: int
    first: float
    last: float


class Arrivals:
    """The files of one drop folder; `settle_s` is how long size and time must not have changed.

    Only files for which `drop_of` returns the same can have come together: those in one folder that was dropped.
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
        """Return the file of that name, if it has been seen."""
        return self._files.get(path)

    def saw(self, found: Found, now: float) -> Arrival:
        """Take note of a file as it is now; the rest of one that has changed starts over, whatever was known of it."""
        known = self._files.get(found.path)
        if known is not None:
            known.scan = self._scan
            same = known.found.version == found.version
            if same and (known.unstable or known.found.inode == found.inode):
                return known
            known.unstable = known.unstable or same
            known.found, known.changed_at = found, now
            if known.standing != "taken":  # whoever has it looks again afterwards
                known.standing, known.not_before, known.tries, known.why = "resting", 0.0, 0, ""
            return known
        arrival = Arrival(found, self._batch_of(found.path, now), now, now, scan=self._scan)
        self._files[found.path] = arrival
        return arrival

    def _batch_of(self, path: Path, now: float) -> int:
        drop = self._drop_of(path)
        batch = self._batches.get(drop)
        if batch is None or now - batch.last > BATCH_S or now - batch.first > LONGEST_BATCH_S:
            self._batch += 1
            self._batches = {key: one for key, one in self._batches.items() if now - one.last <= BATCH_S}
            batch = self._batches[drop] = _Batch(self._batch, now, now)
        batch.last = now
        return batch.number

    def gone(self, path: Path) -> None:
        """Forget a file that is not there any more, unless somebody has taken it."""
        known = self._files.get(path)
        if known is not None and known.standing != "taken":
            del self._files[path]

    def begin_scan(self) -> None:
        """Begin to hear of all files again."""
        self._scan += 1

    def end_scan(self) -> None:
        """Forget the files that were not told since `begin_scan`: they are not there any more."""
        for path in [path for path, one in self._files.items() if one.scan != self._scan]:
            self.gone(path)

    def due(self, now: float) -> list[Arrival]:
        """Return the files that may be tried now."""
        return [one for one in self._files.values() if self._is_due(one, now)]

    def _is_due(self, one: Arrival, now: float) -> bool:
        rested = now - one.changed_at >= self.settle_s
        return rested and (one.standing == "resting" or (one.standing == "waiting" and now >= one.not_before))

    def next_at(self, now: float) -> float | None:
        """Return when the next file may become due, None when nothing is waited for."""
        times = [
            max(one.changed_at + self.settle_s, one.not_before)
            for one in self._files.values()
            if one.standing in ("resting", "waiting")
        ]
        return max(now, min(times)) if times else None

    def take(self, one: Arrival) -> None:
        """Note that somebody tries it now."""
        one.standing, one.why = "taken", ""

    def put_off(self, one: Arrival, now: float, why: str, pause_s: float | None = None) -> None:
        """Note that it could not be done yet, and is tried again after `pause_s`, or after pauses that grow."""
        one.not_before = now + (TRY_AGAIN_S[min(one.tries, len(TRY_AGAIN_S) - 1)] if pause_s is None else pause_s)
        one.standing, one.why = "waiting", why
        one.tries += 1

    def finish(self, one: Arrival, why: str = "") -> None:
        """Note that it stays where it is and is left alone until it changes."""
        one.standing, one.why = "finished", why

    def reopen(self, one: Arrival) -> None:
        """Note that it is to be tried after all."""
        one.standing, one.why, one.tries = "resting", "", 0

    def forget(self, one: Arrival) -> None:
        """Note that it has been moved away."""
        self._files.pop(one.path, None)

    def try_all(self) -> None:
        """Let whatever waits be tried at once."""
        for one in self._files.values():
            if one.standing == "waiting":
                one.not_before = 0.0
