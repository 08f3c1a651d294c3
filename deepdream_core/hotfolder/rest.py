"""When a drop folder rests: after a problem of disk or helper, longer each time in a row, and in its quiet hours."""

from __future__ import annotations

import contextlib
import datetime
import time
from typing import TYPE_CHECKING, NamedTuple

from deepdream_core.errors import OutputError
from deepdream_core.hotfolder.quiet_hours import quiet, quiet_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Journal

PAUSES_S = (5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""How long a folder rests after a problem: longer, the more often in a row."""


class _Pause(NamedTuple):
    """What the problem is, how often in a row there was one, and until when the pause lasts in monotonic seconds."""

    why: str
    tries: int
    until: float


class Backoff:
    """Pauses after problems, each longer than the last, until something succeeds; `clock` counts monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause: _Pause | None = None

    def problem(self) -> str:
        """Return the problem during a pause, "" otherwise."""
        return self._pause.why if self._pause is not None and self.left_s(self._clock()) > 0 else ""

    def left_s(self, now: float) -> float:
        """Return how long the pause still lasts, in seconds."""
        return 0.0 if self._pause is None else max(0.0, self._pause.until - now)

    def begin(self, why: str) -> float:
        """Begin a pause after a problem; return its seconds, 0 during a pause."""
        now = self._clock()
        if self.left_s(now) > 0:
            return 0.0
        tries = (self._pause.tries if self._pause else 0) + 1
        self._pause = _Pause(why, tries, now + _length_s(tries))
        return _length_s(tries)

    def end(self) -> None:
        """End the pause after a success; the next problem counts as the first again."""
        self._pause = None


class Rest(Backoff):
    """The rests of one folder, which survive a restart; the clocks count seconds, as in `Folder`."""

    def __init__(
        self, root: Path, journal: Journal, clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> None:
        super().__init__(clock)
        self._root, self._journal, self._wall_clock = root, journal, wall_clock
        self._pause = self._kept()

    def _kept(self) -> _Pause | None:
        """Return the pause from before a restart, never longer than a pause can be, whatever the wall clock says."""
        kept = self._journal.paused(self._root)
        if kept is None:
            return None
        why, tries, until = kept
        left_s = min(until - self._wall_clock(), _length_s(tries))
        return _Pause(why, tries, self._clock() + left_s)

    def why(self, now: float, quiet_hours: str | None) -> str:
        """Return why the folder rests, "" if it does not."""
        at = datetime.datetime.fromtimestamp(self._wall_clock())
        if quiet(quiet_hours, at):
            return f"quiet hours until {quiet_until(quiet_hours, at):%H:%M}"
        left_s = self.left_s(now)
        return f"{self._pause.why}; tried again in {left_s:.0f} s" if self._pause is not None and left_s > 0 else ""

    def begin(self, why: str) -> float:
        """Begin a pause after a problem, and keep it in the journal; return its seconds, 0 during a pause."""
        length_s = super().begin(why)
        if length_s and self._pause is not None:
            with contextlib.suppress(OutputError):  # the journal's disk may be the full one
                self._journal.pause(self._root, why, self._pause.tries, self._wall_clock() + length_s)
        return length_s

    def end(self) -> None:
        """End the pause, in the journal too."""
        if self._pause is not None:
            super().end()
            self._journal.resume(self._root)


def _length_s(tries: int) -> float:
    return PAUSES_S[min(tries, len(PAUSES_S)) - 1]
