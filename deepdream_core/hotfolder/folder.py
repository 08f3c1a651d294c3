"""One drop folder that is watched: which file comes next, what happened to it, and whether the folder rests."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deepdream_core.errors import DeepDreamError, OutputError, PictureError
from deepdream_core.hotfolder import delivery, fault, guide_folder
from deepdream_core.hotfolder.contents import Contents
from deepdream_core.hotfolder.notification import summary
from deepdream_core.hotfolder.originals import set_aside
from deepdream_core.hotfolder.rest import Rest
from deepdream_core.hotfolder.scanning import look
from deepdream_core.hotfolder.task import Outcome, Task
from deepdream_core.hotfolder.writers import has_writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepdream_core.hotfolder.arrivals import Arrival
    from deepdream_core.hotfolder.journal import Journal
    from deepdream_core.hotfolder.layout import Layout
    from deepdream_core.settings import Config

OTHERS_FIRST_S = 1.0
"""After a rest, the picture that had the problem is tried last: it may be the cause."""
HOLD_OFF_S = 1.0
"""Seconds until a file that a program has open for writing is checked again."""
UNSTABLE = (
    "its inode changes though size and time do not, as on some network file systems: size, time and content decide"
)


class Folder:
    """A drop folder. Times are those of `clock`, except that times kept for after a restart are those of `wall_clock`.

    `uid` is the user whose files are taken (others' with `other_owners`), None where files have no owners. Any thread may
    call `wake`, which says that there is something new to look at; `beat` is called for each file that is looked at, as a
    sign of life. The clocks count seconds, as `time.monotonic` and `time.time`.
    """

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        say: Callable[[str], None],
        uid: int | None,
        wake: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self._journal, self._say, self._uid = journal, say, uid
        self._contents = Contents(layout, journal, say, uid, wake, clock, wall_clock, beat)
        self._rest = Rest(layout.root, journal, clock, wall_clock)
        self.working: set[Path] = set()
        self._held = guide_folder.Held(say)
        self._repaired = False
        self._batch = {"done": 0, "failed": 0}

    @property
    def layout(self) -> Layout:
        """The folder's layout and settings."""
        return self._contents.layout

    @property
    def root(self) -> Path:
        """The folder."""
        return self.layout.root

    @property
    def cluster(self) -> str | None:
        """The address of the cluster that helps with this folder, if any."""
        return self.layout.settings.cluster

    @property
    def watcher_died(self) -> bool:
        """Whether the folder is usable, but changes in it go unnoticed."""
        watcher = self._contents.watcher
        return not self._contents.offline and watcher is not None and not watcher.sound

    def look_around(self, now: float) -> None:
        """Look for files that have come, gone or changed, as far as it is time to."""
        was_offline = self._contents.offline
        self._contents.look_around(now)
        if was_offline and not self._contents.offline:
            self._repaired = False
        for why in self._held.changed(now):
            self._contents.arrivals.reopen_all(why)

    # --- which file comes next

    def resting(self, now: float) -> str:
        """Return why no picture may begin in this folder now, "" if one may."""
        return self._contents.offline or self._rest.why(now, self.layout.settings.quiet_hours)

    def ready(self, now: float) -> list[Arrival]:
        """Return the files that may begin now, after whatever was interrupted before is finished."""
        if self.resting(now):
            return []
        if not self._repaired:
            if self.working:
                return []  # `repair` would treat what is being done as interrupted
            try:
                delivery.repair(self._journal, self.layout, self._say)
            except OutputError as error:
                self.rest(str(error))
                return []
            self._repaired = True
        return self._contents.arrivals.due(now)

    def task(self, arrival: Arrival, config: Config, now: float) -> Task | None:
        """Take a file; None if it must wait, as a program still writes it, or is gone, or was set aside after a fault."""
        try:
            return self._task(arrival, config, now)
        except DeepDreamError:
            raise
        except Exception as error:
            why = fault.log(self._say, arrival.path, error)
        with contextlib.suppress(Exception):
            if set_aside(self.layout, arrival.path, why) is not None:
                self._say(f"{arrival.path}: failed: {why}")
                self._contents.arrivals.remove(arrival.path)
                return None
        self._contents.leave_alone(arrival, why)
        return None

    def _task(self, arrival: Arrival, config: Config, now: float) -> Task | None:
        arrivals, watcher = self._contents.arrivals, self._contents.watcher
        if why := self._held.why(self._guides_at(arrival), now):
            arrivals.put_off(arrival, now, why, guide_folder.LOOK_AGAIN_S)
            return None
        found = look(arrival.path, self.root)
        if found is None:
            arrivals.remove(arrival.path)
            return None
        if arrivals.track(found, now).changed_at == now or self._contents.finish_if_settled(arrival):
            return None
        if has_writer(arrival.path):
            arrivals.put_off(arrival, now, "a program is still writing it", HOLD_OFF_S)
            arrival.tries -= 1
            return None
        preset = self.layout.preset_of(arrival.path)
        try:
            guides = guide_folder.guides_of(self.layout, arrival.path, self._uid)
        except PictureError as error:
            self._wait_for_guide(arrival, str(error), now)
            return None
        settings = config.dream_settings(preset, {"guides": guides} if guides else {})
        patient = now - arrival.changed_at < self.layout.settings.give_up_s
        arrivals.take(arrival)
        self.working.add(arrival.path)
        # The kernel does not say who writes the files of other users, or those that another machine writes.
        shared = (watcher is not None and watcher.shared) or self._uid not in (None, found.uid)
        if arrival.unstable:
            found = replace(found, inode=0)
        return Task(self.layout, found, settings, preset, config.engine.max_megapixels, patient, shared, bool(guides))

    # --- what happened to it

    def on_outcome(self, outcome: Outcome, now: float) -> None:
        """Record how an attempt ended."""
        path = outcome.task.found.path
        self.working.discard(path)
        arrival = self._contents.arrivals.get(path)
        if arrival is None:
            return
        try:
            self._on_outcome(arrival, outcome, now)
        except DeepDreamError:
            raise
        except Exception as error:
            self._contents.leave_alone(arrival, fault.log(self._say, path, error))

    def _on_outcome(self, arrival: Arrival, outcome: Outcome, now: float) -> None:
        arrivals = self._contents.arrivals
        match outcome.ended:
            case "done" | "known" | "failed":
                if why := self._held.end(self._guides_at(arrival)):
                    arrivals.reopen_all(why)
                if outcome.ended in self._batch:
                    self._batch[outcome.ended] += 1
                self._settle(arrival, outcome, now)
                self._rest.end()
            case "alone":
                self._contents.leave_alone(arrival, outcome.why)
            case "dream":
                arrivals.finish(arrival, outcome.why)
            case "gone":
                arrivals.forget(arrival)
            case "changed":
                arrivals.forget(arrival)
                self._contents.look_at(arrival.path, now)
            case "world":
                self._repaired = False
                if not outcome.everywhere or self.cluster is None:  # a cluster goes on while this machine rests
                    self.rest(outcome.why)
                arrivals.put_off(arrival, now, outcome.why, self._rest.left_s(now) + OTHERS_FIRST_S)
            case "guide":
                self._wait_for_guide(arrival, outcome.why, now)
            case "stopped":
                arrivals.put_off(arrival, now, outcome.why, 0.0)
            case "wait":
                arrivals.put_off(arrival, now, outcome.why)

    def _wait_for_guide(self, arrival: Arrival, why: str, now: float) -> None:
        before = self._held.begin(self._guides_at(arrival), why, now)
        self._contents.arrivals.put_off(arrival, now, why, guide_folder.LOOK_AGAIN_S)
        if before not in ("", why):  # what the others wait for is over
            self._contents.arrivals.reopen_all(before)

    def _guides_at(self, arrival: Arrival) -> tuple[Path, ...]:
        return tuple(self.layout.guide_folders(arrival.path))

    def _settle(self, arrival: Arrival, outcome: Outcome, now: float) -> None:
        """Forget an original that was put away; leave it alone if it stayed."""
        self._contents.arrivals.forget(arrival)
        found, entry = look(arrival.path, self.root), outcome.entry
        if found is None:
            return
        tracked = self._contents.arrivals.track(found, now)
        if entry is not None and found.version == (entry.size, entry.mtime_ns) and entry.inode in (found.inode, 0):
            self._contents.finish(tracked, entry)

    def rest(self, why: str) -> None:
        """Rest for a while because of a problem of disk or helper."""
        pause_s = self._rest.begin(why)
        if pause_s:
            self._say(f"{self.root}: rests for {pause_s:.0f} s: {why}")

    def batch_summary(self) -> str:
        """Return what happened to the last drop once all of it is done, "" before and afterwards."""
        busy = self.working or any(arrival.state in ("resting", "taken") for arrival in self._contents.arrivals)
        if busy or not any(self._batch.values()):
            return ""
        counts, self._batch = self._batch, {"done": 0, "failed": 0}
        return summary(**counts)

    def try_all(self) -> None:
        """Try all files that wait at once."""
        self._rest.end()
        self._held = guide_folder.Held(self._say)
        self._contents.try_all()

    def change(self, layout: Layout) -> None:
        """Use other settings from now on."""
        self._contents.change(layout)

    def close(self) -> None:
        """Stop watching, until `look_around` is called again."""
        self._contents.close()

    def status(self, now: float) -> dict[str, Any]:
        """Return the folder's state for `deepdream status`."""
        waiting = [arrival for arrival in self._contents.arrivals if arrival.state in ("resting", "waiting")]
        problems = self._held.problems()
        settle_s, watcher = self.layout.settings.settle_s, self._contents.watcher
        return {
            "folder": str(self.root),
            "watched": watcher.mode if watcher else "",
            "resting": self.resting(now),
            "waiting": len(waiting),
            "guide": next((arrival.why for arrival in waiting if arrival.why in problems), ""),
            "put_off": [
                {"path": str(arrival.path), "why": arrival.why or UNSTABLE,
                 "in_s": round(max(0.0, arrival.not_before - now, arrival.changed_at + settle_s - now), 1)}
                for arrival in waiting if arrival.why or arrival.unstable
            ][:100],
            **self._contents.alone.status(),
        }  # fmt: skip
