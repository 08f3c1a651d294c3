"""One drop folder while it is watched: what lies in it, what comes next, and whether it can be worked in at all."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from deepdream_core.errors import DeepDreamError, OutputError
from deepdream_core.hotfolder import delivery, fault, left_alone, mount_check
from deepdream_core.hotfolder.arrivals import Arrival, Arrivals
from deepdream_core.hotfolder.lease import Lease
from deepdream_core.hotfolder.notification import summary
from deepdream_core.hotfolder.picture import Outcome, Work
from deepdream_core.hotfolder.quiet_hours import quiet, quiet_until
from deepdream_core.hotfolder.scanning import look, scan
from deepdream_core.hotfolder.watching import Watcher
from deepdream_core.hotfolder.writers import has_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.hotfolder.layout import Places
    from deepdream_core.hotfolder.scanning import Found
    from deepdream_core.settings import Config

PAUSES_S = (5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""How long a folder rests when the world is not well, the longer the more often in a row."""
OTHERS_FIRST_S = 1.0
"""After such a rest, the picture that met with the trouble is the last to be tried: it may be its own."""
HOLD_OFF_S = 1.0
"""A file that somebody has open for writing is looked at again so soon."""
UNSTABLE = (
    "its inode changes though size and time do not, as on some network file systems: size, time and content decide"
)


class _Pause(NamedTuple):
    """Why nothing is begun, how often in a row that was so, and until when, in monotonic seconds."""

    why: str
    tries: int
    until: float


class Folder:
    """A drop folder. Times are those of `clock`, except where they are kept for after a restart: those of `wall_clock`.

    `uid` is the user whose files are taken (others' with `other_owners`), None where files have no owners. `wake` is
    called, from any thread, when there is something new to look at; `beat`, for each file that is looked at, shows that we
    live. The clocks count seconds, as `time.monotonic` and `time.time`.
    """

    def __init__(
        self,
        places: Places,
        journal: Journal,
        say: Callable[[str], None],
        uid: int | None,
        wake: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self.places = places
        self.journal = journal
        self.arrivals = Arrivals(places.settings.settle_s, self._drop_of)
        self.working: set[Path] = set()
        self.offline = ""
        self._say, self._uid, self._wake, self._beat = say, uid, wake, beat
        self._clock, self._wall_clock = clock, wall_clock
        self._watcher: Watcher | None = None
        self._lease = Lease(places.root, journal.identity())
        self._scan_at = float("-inf")
        self._repaired = False
        self._told = ""
        self._alone = left_alone.LeftAlone()
        self._pause = self._kept_pause()
        self._batch = [0, 0]

    @property
    def root(self) -> Path:
        """The folder."""
        return self.places.root

    @property
    def unwatched(self) -> bool:
        """Say whether changes are neither told of nor looked for, though the folder is there."""
        return not self.offline and self._watcher is not None and not self._watcher.sound

    def _drop_of(self, path: Path) -> object:
        """Return what a person dropped: the folder just below ours, or None for a file by itself."""
        below = path.relative_to(self.root).parts
        return below[0] if len(below) > 1 else None

    def _passed_over(self, path: Path, is_folder: bool) -> bool:
        """Ask the places of this moment, which `change` may exchange while others keep this method."""
        return self.places.passed_over(path, is_folder)

    # --- what is there

    def look_around(self, now: float) -> None:
        """Notice what has come, gone or changed, as far as it is time for that."""
        try:
            gone = mount_check.missing(self.journal, self.root)
        except OSError as error:
            gone = f"cannot be used: {error.strerror or error}"
        if gone or (gone := self._lease.refused(now)):
            self._offline(gone)
            return
        if self.offline:
            self._say(f"{self.root}: is there again")
            self.offline, self._repaired, self._scan_at = "", False, float("-inf")
            if self._watcher is not None:
                self._watcher.restart("the folder is there again")
        if self._watcher is None:
            self._watcher = Watcher(
                self.root,
                passed_over=self._passed_over,
                wake=self._wake,
                polled_every_s=self.places.settings.poll_s,
                clock=self._clock,
                wall_clock=self._wall_clock,
            )
            self._watcher.start()
        self._watcher.tick(now)
        if self._watcher.why != self._told:
            self._told = self._watcher.why
            if self._told:
                self._say(f"{self.root}: {self._told}")
        whole = now >= self._scan_at
        for hint in self._watcher.drain():
            if hint.path is None:
                whole = True
            else:
                self._look_at(hint.path, now)
        if whole:
            self._scan(now)
        for line in self._alone.news(self.root):
            self._say(line)

    def _offline(self, why: str) -> None:
        if why != self.offline:
            self._say(f"{self.root}: {why}; nothing is lost, it goes on when it is there again")
        self.offline = why

    def _scan(self, now: float) -> None:
        self._scan_at = now + self.places.settings.rescan_s
        self.arrivals.begin_scan()
        self._alone.begin_scan()
        try:
            for found in sorted(self._scanned(), key=lambda one: str(one.path)):
                with self._one_alone(found.path):
                    self._saw(found, now)
                self._beat()
        except OSError as error:
            self._offline(f"cannot be looked through: {error.strerror or error}")
            return  # what was not seen may still be there
        self.arrivals.end_scan()
        self._alone.end_scan()

    def _scanned(self) -> Iterator[Found]:
        for found in scan(self.root, self._passed_over, self._unseen):
            self._beat()
            yield found

    def _unseen(self, path: Path, error: Exception) -> None:
        """Leave alone what cannot be looked at; a fault of the program is told with its traceback, once."""
        if self._alone.unseen(path, error) and not isinstance(error, OSError):
            fault.tell(self._say, path, error)

    @contextlib.contextmanager
    def _one_alone(self, path: Path) -> Iterator[None]:
        """Return a context in which a fault at one file costs that one."""
        try:
            yield
        except DeepDreamError:
            raise
        except Exception as error:
            self._unseen(path, error)
            if (one := self.arrivals.get(path)) is not None:
                self.arrivals.finish(one, fault.unseen(error))

    def _look_at(self, path: Path, now: float) -> None:
        with self._one_alone(path):
            found = look(path, self.root)
            if found is not None:
                self._saw(found, now)
            elif os.path.isdir(path) and not path.is_symlink():
                self._scan_at = now
            else:
                self._alone.remove(path)
                self.arrivals.gone(path)

    def _saw(self, found: Found, now: float) -> None:
        known = self.arrivals.get(found.path)
        if why := left_alone.why(found, self.places.settings, self._uid):
            self._alone.add(found.path, why)
            return
        one = self.arrivals.saw(found, now)
        if known is not None and one.standing == "finished":
            self._alone.keep(found.path)
            return
        if known is not None or not self._finish_if_settled(one):
            self._alone.remove(found.path)

    def _finish_if_settled(self, one: Arrival) -> bool:
        """Leave a file alone that was dreamed and stayed where it is; say whether that is so."""
        known = self.journal.of_version(self.root, one.found)
        if known is None or not known.stays:  # one that was moved here is new
            other = self.journal.of_version(self.root, one.found, any_inode=True) if known is None else None
            one.unstable = one.unstable or (other is not None and other.stays)
            return False
        self._finish(one, known)
        return True

    def _finish(self, one: Arrival, entry: Entry) -> None:
        """Leave an original alone that stayed where it is; that it had to stay is worth a word."""
        self.arrivals.finish(one, entry.why or f"is dreamed already: {entry.result}")
        if entry.why and entry.state != "known":
            self._alone.add(one.path, entry.why)

    # --- what comes next

    def resting(self, now: float) -> str:
        """Return why nothing is begun in this folder now, "" when something may be."""
        if self.offline:
            return self.offline
        hours = self.places.settings.quiet_hours
        at = datetime.datetime.fromtimestamp(self._wall_clock())
        if quiet(hours, at):
            return f"quiet hours until {quiet_until(hours, at):%H:%M}"
        if self._pause is None or now >= self._pause.until:
            return ""
        return f"{self._pause.why}; tried again in {self._pause.until - now:.0f} s"

    def _kept_pause(self) -> _Pause | None:
        """Return the pause that was on when the program ended; never a longer one, whatever the clock says."""
        kept = self.journal.paused(self.root)
        if kept is None:
            return None
        why, tries, until = kept
        left_s = min(until - self._wall_clock(), PAUSES_S[min(tries, len(PAUSES_S)) - 1])
        return _Pause(why, tries, self._clock() + left_s)

    def ready(self, now: float) -> list[Arrival]:
        """Return the files that may be begun now; what was interrupted before is finished first."""
        if self.resting(now):
            return []
        if not self._repaired:
            if self.working:
                return []  # what was interrupted cannot be told from what is being done
            try:
                delivery.repaired(self.journal, self.places, self._say)
            except OutputError as error:
                self.rest(str(error))
                return []
            self._repaired = True
        return self.arrivals.due(now)

    def work(self, one: Arrival, config: Config, now: float) -> Work | None:
        """Take a file; None when it must wait, because it is still written, or is gone, or a fault has set it aside."""
        try:
            return self._work(one, config, now)
        except DeepDreamError:
            raise
        except Exception as error:
            why = fault.tell(self._say, one.path, error)
        with contextlib.suppress(Exception):
            if delivery.set_aside(self.places, one.path, why) is not None:
                self._say(f"{one.path}: failed: {why}")
                self.arrivals.gone(one.path)
                return None
        self._leave_alone(one, why)
        return None

    def _leave_alone(self, one: Arrival, why: str) -> None:
        self.arrivals.finish(one, why)
        self._alone.add(one.path, why)

    def _work(self, one: Arrival, config: Config, now: float) -> Work | None:
        found = look(one.path, self.root)
        if found is None:
            self.arrivals.gone(one.path)
            return None
        if self.arrivals.saw(found, now).changed_at == now or self._finish_if_settled(one):
            return None
        if has_writer(one.path):
            self.arrivals.put_off(one, now, "is still being written by a program", HOLD_OFF_S)
            one.tries -= 1
            return None
        preset = self.places.preset_of(one.path)
        settings = config.dream_settings(preset, {})
        patient = now - one.changed_at < self.places.settings.give_up_s
        self.arrivals.take(one)
        self.working.add(one.path)
        # Of others' files the kernel does not say who writes them, as of those that another machine writes.
        shared = (self._watcher is not None and self._watcher.shared) or self._uid not in (None, found.uid)
        if one.unstable:
            found = replace(found, inode=0)
        return Work(self.places, found, settings, preset, config.engine.max_megapixels, patient, shared)

    # --- what became of it

    def heard(self, outcome: Outcome, now: float) -> None:
        """Take note of how an attempt ended."""
        path = outcome.work.found.path
        self.working.discard(path)
        one = self.arrivals.get(path)
        if one is None:
            return
        try:
            self._took_note(one, outcome, now)
        except DeepDreamError:
            raise
        except Exception as error:
            self._leave_alone(one, fault.tell(self._say, path, error))

    def _took_note(self, one: Arrival, outcome: Outcome, now: float) -> None:
        path = one.path
        if outcome.ended in ("done", "known", "failed"):
            self._batch[0] += outcome.ended == "done"
            self._batch[1] += outcome.ended == "failed"
            self._settled(one, outcome, now)
            self.well()
        elif outcome.ended == "alone":
            self._leave_alone(one, outcome.why)
        elif outcome.ended == "dream":
            self.arrivals.finish(one, outcome.why)
        elif outcome.ended == "gone":
            self.arrivals.forget(one)
        elif outcome.ended == "changed":
            self.arrivals.forget(one)
            self._look_at(path, now)
        elif outcome.ended == "world":
            self._repaired = False
            self.rest(outcome.why)
            rests_s = self._pause.until - now if self._pause else 0.0
            self.arrivals.put_off(one, now, outcome.why, rests_s + OTHERS_FIRST_S)
        else:
            self.arrivals.put_off(one, now, outcome.why, 0.0 if outcome.ended == "stopped" else None)

    def _settled(self, one: Arrival, outcome: Outcome, now: float) -> None:
        """Forget an original that was moved away, leave one alone that stayed."""
        self.arrivals.forget(one)
        found = look(one.path, self.root)
        if found is None:
            return
        again = self.arrivals.saw(found, now)
        entry = outcome.entry
        same = entry is not None and found.version == (entry.size, entry.mtime_ns) and entry.inode in (found.inode, 0)
        if entry is not None and same:
            self._finish(again, entry)

    def rest(self, why: str) -> None:
        """Begin nothing for a while, as the world is not well; the longer the more often in a row."""
        now = self._clock()
        if self._pause is not None and now < self._pause.until:
            return  # others of the same moment
        tries = (self._pause.tries if self._pause else 0) + 1
        pause_s = PAUSES_S[min(tries, len(PAUSES_S)) - 1]
        self._pause = _Pause(why, tries, now + pause_s)
        self._say(f"{self.root}: rests for {pause_s:.0f} s: {why}")
        with contextlib.suppress(OutputError):  # it may be the journal's disk that is full
            self.journal.pause(self.root, why, tries, self._wall_clock() + pause_s)

    def well(self) -> None:
        """Note that something went well, so that the next trouble is the first again."""
        if self._pause is not None:
            self._pause = None
            self.journal.resume(self.root)

    def batch_is_done(self) -> str:
        """Return what became of the last drop once nothing is left to do, and "" until then and afterwards."""
        done, failed = self._batch
        if not done + failed or self.working or any(one.standing in ("resting", "taken") for one in self.arrivals):
            return ""
        self._batch = [0, 0]
        return summary(done, failed)

    def try_all(self) -> None:
        """Try at once whatever waits."""
        self.well()
        self.arrivals.try_all()
        for one in self.arrivals:
            with self._one_alone(one.path):
                if one.standing == "finished" and not self._finish_if_settled(one):
                    self.arrivals.reopen(one)
        self._scan_at = float("-inf")

    def change(self, places: Places) -> None:
        """Go by other settings from now on."""
        ignored, self.places = self.places.ignore, places
        self.arrivals.settle_s = places.settings.settle_s
        if self._watcher is not None:
            self._watcher.polled_every_s = places.settings.poll_s
            if places.ignore != ignored:
                self._watcher.restart("other folders are ignored now")

    def close(self) -> None:
        """Watch no more, until `look_around` is called again."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        self._lease.release()

    def told(self, now: float) -> dict[str, Any]:
        """Return the folder's state for `status`."""
        waiting = [one for one in self.arrivals if one.standing in ("resting", "waiting")]
        settle_s = self.places.settings.settle_s
        return {
            "folder": str(self.root),
            "watched": self._watcher.mode if self._watcher else "",
            "resting": self.resting(now),
            "waiting": len(waiting),
            "put_off": [
                {"path": str(one.path), "why": one.why or UNSTABLE,
                 "in_s": round(max(0.0, one.not_before - now, one.changed_at + settle_s - now), 1)}
                for one in waiting if one.why or one.unstable
            ][:100],
            **self._alone.told(),
        }  # fmt: skip
