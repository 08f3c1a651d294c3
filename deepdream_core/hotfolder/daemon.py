"""The hot folder's daemon: looks around, chooses what comes next, and has a few pictures on their way at once.

While the device works on one picture the next is decoded and sent, and the last is encoded: each picture has a thread of
its own, and the helper's queue puts them in order. The threads know nothing of folders; this one decides everything.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.hotfolder import fault
from deepdream_core.hotfolder.folder import Folder
from deepdream_core.hotfolder.layout import Places
from deepdream_core.hotfolder.left_alone import own_uid
from deepdream_core.hotfolder.notification import announce
from deepdream_core.hotfolder.order import chosen
from deepdream_core.hotfolder.picture import Attempt, Outcome
from deepdream_core.hotfolder.spare_memory import Neighbour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Journal
    from deepdream_core.settings import Config, FolderSettings
    from deepdream_core.work.backend import Backend

HANDS = 3
"""Pictures on their way at once: one being decoded, one dreamed, one encoded."""
TICK_S = SHOW_EVERY_S = 0.5
END_S = 20.0
"""A picture that is being delivered when the program ends is waited for so long; others are given up after `LET_GO_S`."""
LET_GO_S = 2.0


class Daemon:
    """Watches drop folders until `stop`.

    `load` reads the configuration again and returns it with the folders to watch, which have been checked; it raises
    `SettingsError` for one that is broken, and then the last good one stays. `engine` opens the helper, given what it
    returned to the same thread before, or None. `say` gets one line about each picture, `show` the whole state about twice
    a second, and `beat` is called in every turn of the loop, and for each file in a long one. `clock` and `wall_clock`
    count seconds, as `time.monotonic` and `time.time`; `tick_s` is how long nothing may happen until the loop looks around
    nevertheless. Raises from the constructor what `load` raises.
    """

    def __init__(
        self,
        load: Callable[[], tuple[Config, Sequence[FolderSettings]]],
        journal: Journal,
        engine: Callable[[Backend | None], Backend],
        say: Callable[[str], None],
        show: Callable[[dict[str, Any]], None],
        *,
        paused: Callable[[], bool] = lambda: False,
        beat: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        tick_s: float = TICK_S,
    ) -> None:
        self._load, self._journal, self._engine = load, journal, engine
        self._say, self._show, self._paused, self._beat = say, show, paused, beat
        self._clock, self._wall_clock, self._tick_s = clock, wall_clock, tick_s
        # Signal handlers set these: an Event's lock would shut out the very thread that holds it.
        self._stopped = self._to_reload = self._was_nudged = False
        self._outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._works: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._attempts: dict[Path, Attempt] = {}
        self._leaving: dict[Path, Folder] = {}
        self._waits: dict[Path, str] = {}
        self._hands: list[threading.Thread] = []
        self._own = threading.local()
        self._neighbour, self._busy, self._complained = Neighbour(clock=clock), "", ""
        self._turn = 0
        self._show_at = float("-inf")
        self._config, wanted = load()
        self._folders = [self._folder(places) for places in self._places(wanted)]

    @property
    def roots(self) -> list[Path]:
        """The folders that are watched."""
        return [folder.root for folder in self._folders]

    # --- from outside, also from signal handlers

    def stop(self) -> None:
        """End within one iteration."""
        self._stopped = True
        self._wake()

    def reload(self) -> None:
        """Read the configuration again."""
        self._to_reload = True
        self._wake()

    def nudge(self) -> None:
        """Try at once whatever waits."""
        self._was_nudged = True
        self._wake()

    def _wake(self) -> None:
        """Have the loop look around at once."""
        self._outcomes.put(None)

    # --- the loop

    def run(self) -> None:
        """Work until `stop`."""
        self._hands = [
            threading.Thread(target=self._hand, name=f"hand {number}", daemon=True) for number in range(HANDS)
        ]
        for hand in self._hands:
            hand.start()
        try:
            while not self._stopped:
                with self._surviving():
                    self._turned(self._clock())
                with self._surviving(), contextlib.suppress(queue.Empty):
                    self._heard(self._outcomes.get(timeout=self._tick_s))
        finally:
            self._ended()

    def _turned(self, now: float) -> None:
        if self._to_reload:
            self._to_reload = False
            self._reloaded()
        if self._was_nudged:
            self._was_nudged = False
            for folder in self._folders:
                with self._surviving():
                    folder.try_all()
        while not self._outcomes.empty():
            self._heard(self._outcomes.get())
        for folder in self._folders:
            with self._surviving():
                folder.look_around(now)
        self._busy = "" if not self._folders else self._neighbour.why(self._config.engine)
        with self._surviving():
            if not self._paused() and not self._busy:
                self._begin(now)
        for folder in self._folders:
            with self._surviving():
                self._announce(folder)
        if now >= self._show_at:
            self._show_at = now + SHOW_EVERY_S
            with self._surviving():
                self._show(self.told(now))
        self._beat()

    def problem(self) -> str:
        """Return what is broken so that only a new start helps, "" when nothing is; for the loop's thread.

        Asked are the threads that take pictures through, those that bring the system's events, and the journal, which is
        read and written for it; when that does not return, nothing is well either.
        """
        for hand in self._hands:
            if not hand.is_alive():
                return f"{hand.name}, a thread that takes pictures through, has died"
        for folder in self._folders:
            if folder.unwatched:
                return f"{folder.root}: the thread that tells of changes has died"
        return self._journal.problem()

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """Go on when the journal cannot be used, as its disk is full, or after a fault; told once, not in every turn."""
        try:
            yield
        except DeepDreamError as error:
            if str(error) != self._complained:
                self._say(str(error))
            self._complained = str(error)
        except Exception as error:
            if repr(error) != self._complained:
                fault.tell(self._say, "the drop folders", error)
            self._complained = repr(error)

    def _begin(self, now: float) -> None:
        """Begin as many pictures as there are hands for."""
        while len(self._attempts) < HANDS:
            work = None
            with self._surviving():
                due = {one.path: (folder, one) for folder in self._folders for one in folder.ready(now)}
                if not due:
                    return
                folder, one = due[chosen([one for _, one in due.values()], self._turn).path]
                work = folder.work(one, self._config, now)
                if work is None:
                    continue
            if work is None:
                return
            self._turn += 1
            attempt = Attempt(work, self._journal, self._opened_engine, self._stopping(folder), self._say)
            self._attempts[one.path] = attempt
            self._works.put(attempt)

    def _stopping(self, folder: Folder) -> Callable[[], bool]:
        """Return what says to a picture of this folder that it is to be given up."""
        return lambda: self._stopped or folder.root in self._leaving

    def _heard(self, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        path = outcome.work.found.path
        self._attempts.pop(path, None)
        now = self._clock()
        for folder in (*self._folders, *self._leaving.values()):
            with self._surviving():
                if folder.root == outcome.work.places.root:
                    folder.heard(outcome, now)
                elif outcome.everywhere:
                    folder.rest(outcome.why)
        self._leaving = {root: folder for root, folder in self._leaving.items() if folder.working}
        if outcome.ended not in ("world", "stopped", "changed", "alone") and self._is_news(outcome):
            self._say(_line(outcome))

    def _is_news(self, outcome: Outcome) -> bool:
        """Say whether the log does not have this already: what waits may do so for days, and is tried every minute."""
        path = outcome.work.found.path
        before = self._waits.pop(path, None)
        if outcome.ended != "wait":
            return True
        self._waits[path] = outcome.why
        return outcome.why != before

    def _announce(self, folder: Folder) -> None:
        """Tell the person at the desktop when all that was dropped is done."""
        told = folder.batch_is_done()
        if told and folder.places.settings.notify:
            title = f"DeepDream: {folder.root.name}"
            threading.Thread(target=announce, args=(title, told), name="announce", daemon=True).start()

    def _hand(self) -> None:
        while (attempt := self._works.get()) is not None:
            try:
                outcome = attempt.run()
            except Exception as error:  # must not cost a hand
                outcome = Outcome(attempt.work, "alone", fault.tell(self._say, attempt.work.found.path, error))
            self._outcomes.put(outcome)

    def _opened_engine(self) -> Backend:
        """Return the helper in the engine's place, one for each thread."""
        engine = self._engine(getattr(self._own, "engine", None))
        self._own.engine = engine
        return engine

    def _ended(self) -> None:
        for _ in self._hands:
            self._works.put(None)
        began = time.monotonic()
        while self._attempts:
            writing = any(one.stage == "writing" for one in self._attempts.values())
            if time.monotonic() - began > (END_S if writing else LET_GO_S):
                break  # those that wait for the helper: it notices by itself
            with contextlib.suppress(queue.Empty):
                self._heard(self._outcomes.get(timeout=0.1))
        for folder in self._folders:
            folder.close()

    # --- configuration

    def _places(self, wanted: Sequence[FolderSettings]) -> list[Places]:
        return [Places.of(one, tuple(self._config.presets), self._config.ignore) for one in wanted]

    def _folder(self, places: Places) -> Folder:
        return Folder(
            places, self._journal, self._say, own_uid(), self._wake, self._clock, self._wall_clock, self._beat
        )

    def _reloaded(self) -> None:
        engine = self._config.engine
        try:
            self._config, settings = self._load()
        except SettingsError as error:
            self._say(f"{error}; the last good configuration stays")
            return
        wanted = {places.root: places for places in self._places(settings)}
        kept = []
        for folder in self._folders:
            places = wanted.pop(folder.root, None)
            if places is None:
                folder.close()
                self._say(f"{folder.root}: is not watched any more")
                if folder.working:
                    self._leaving[folder.root] = folder
                continue
            folder.change(places)
            kept.append(folder)
        for root, places in wanted.items():
            self._say(f"{root}: is watched now")
            folder = self._leaving.pop(root) if root in self._leaving else self._folder(places)
            folder.change(places)
            kept.append(folder)
        self._folders = kept
        self.nudge()
        self._say("the configuration was read again")
        if self._config.engine != engine:
            self._say(
                "`engine` has changed: a helper that runs goes by it when it starts again (deepdream helper --stop)"
            )

    # --- what is going on

    def told(self, now: float) -> dict[str, Any]:
        """Return everything that `status` shows."""
        attempts = list(self._attempts.items())
        folders = []
        for folder in self._folders:
            counts = self._journal.counts(folder.root)
            folders.append({
                **folder.told(now),
                **{state: counts.get(state, 0) for state in ("done", "known", "failed")},
                "running": [
                    {"path": str(path), "stage": one.stage, "fraction": round(one.fraction, 4),
                     "seconds": round(max(0.0, time.monotonic() - one.began), 1)}
                    for path, one in attempts if path.is_relative_to(folder.root)
                ],
            })  # fmt: skip
        state = {"pid": os.getpid(), "at": time.time(), "paused": self._paused(), "busy": self._busy}
        return {**state, "folders": folders}


def _line(outcome: Outcome) -> str:
    """Return what a log says of a picture."""
    path = outcome.work.found.path
    entry = outcome.entry
    if outcome.ended == "done" and entry is not None:
        return f"{path}: dreamed in {entry.seconds:.1f} s → {entry.result}"
    words = {"known": "not dreamed again", "failed": "failed", "dream": "left alone", "wait": "waits", "gone": "gone"}
    return f"{path}: {words.get(outcome.ended, outcome.ended)}: {outcome.why.removeprefix(f'{path}: ')}"
