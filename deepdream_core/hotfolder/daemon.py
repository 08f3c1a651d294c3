"""The hot folder's daemon: looks for files, chooses which comes next, and works on a few pictures at once.

While the device dreams one picture, the next is decoded and sent and the last is encoded: each picture has a thread of its
own, and the helper's queue orders them. These threads do not know folders; the daemon's own thread makes all decisions.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.hotfolder import fault
from deepdream_core.hotfolder.engines import Elsewhere, Engines, no_cluster
from deepdream_core.hotfolder.folder import Folder
from deepdream_core.hotfolder.layout import Layout
from deepdream_core.hotfolder.left_alone import own_uid
from deepdream_core.hotfolder.notification import announce
from deepdream_core.hotfolder.order import chosen
from deepdream_core.hotfolder.picture import Attempt
from deepdream_core.hotfolder.picture_threads import PictureThreads
from deepdream_core.hotfolder.spare_memory import SpareMemory
from deepdream_core.work.guides import GuideFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Journal
    from deepdream_core.hotfolder.task import Outcome
    from deepdream_core.machine_settings import FolderSettings
    from deepdream_core.settings import Config
    from deepdream_core.work.backend import Backend

TICK_S = SHOW_EVERY_S = 0.5
END_S = 20.0
"""Seconds that the daemon waits at its end for a picture that is being delivered; `LET_GO_S` is for others."""
LET_GO_S = 2.0


class Daemon:
    """Watches drop folders until `stop`.

    `load` reads the configuration and returns it with the folders to watch, which it has checked. It raises `SettingsError`
    for a broken one, and the daemon then keeps the last good one; the constructor raises what `load` raises. `engine` opens
    the helper; it gets what it returned to the same thread before, or None. `elsewhere` opens a cluster. `say` gets one
    line about each picture, `show` the status about twice a second, and `beat` is called in every turn of the loop, and for
    each file in a long turn.
    `clock` and `wall_clock` count seconds, as `time.monotonic` and `time.time`; `tick_s` is the longest pause.
    """

    def __init__(
        self,
        load: Callable[[], tuple[Config, Sequence[FolderSettings]]],
        journal: Journal,
        engine: Callable[[Backend | None], Backend],
        say: Callable[[str], None],
        show: Callable[[dict[str, Any]], None],
        *,
        elsewhere: Callable[[str], Elsewhere] | None = None,
        paused: Callable[[], bool] = lambda: False,
        beat: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        tick_s: float = TICK_S,
    ) -> None:
        self._load, self._journal = load, journal
        self._say, self._show, self._paused, self._beat = say, show, paused, beat
        self._clock, self._wall_clock, self._tick_s = clock, wall_clock, tick_s
        # Signal handlers set these: an Event's lock would block the very thread that holds it.
        self._stopped = self._to_reload = self._was_nudged = False
        self._threads = PictureThreads(say)
        self._engines = Engines(engine, elsewhere or no_cluster, say, clock)
        self._places: dict[Path, Elsewhere | None] = {}
        self._attempts: dict[Path, Attempt] = {}
        self._here_first: set[Path] = set()
        self._guides = GuideFiles()
        self._leaving: dict[Path, Folder] = {}
        self._waits: dict[Path, str] = {}
        self._spare_memory, self._last_error = SpareMemory(clock=clock), ""
        self._turn = 0
        self._show_at = float("-inf")
        self._config, wanted = load()
        self._folders = [self._folder(layout) for layout in self._layouts(wanted)]

    @property
    def roots(self) -> list[Path]:
        """The watched folders."""
        return [folder.root for folder in self._folders]

    # --- from outside, also from signal handlers

    def stop(self) -> None:
        """End within one iteration."""
        self._stopped = True
        self._threads.wake()

    def reload(self) -> None:
        """Read the configuration again."""
        self._to_reload = True
        self._threads.wake()

    def nudge(self) -> None:
        """Try all files that wait at once."""
        self._was_nudged = True
        self._threads.wake()

    # --- the loop

    def run(self) -> None:
        """Work until `stop`."""
        try:
            while not self._stopped:
                with self._surviving():
                    self._run_turn(self._clock())
                with self._surviving():
                    self._on_outcome(self._threads.outcome(self._tick_s))
        finally:
            self._end()

    def _run_turn(self, now: float) -> None:
        if self._to_reload:
            self._to_reload = False
            self._reload_config()
        if self._was_nudged:
            self._was_nudged = False
            self._engines.backoff.end()
            for folder in self._folders:
                with self._surviving():
                    folder.try_all()
        for outcome in self._threads.outcomes():
            self._on_outcome(outcome)
        for folder in self._folders:
            with self._surviving():
                folder.look_around(now)
        self._engines.busy = "" if not self._folders else self._spare_memory.shortage(self._config.engine)
        with self._surviving():
            if not self._paused():
                self._begin(now)
        for folder in self._folders:
            with self._surviving():
                self._announce(folder)
        if now >= self._show_at:
            self._show_at = now + SHOW_EVERY_S
            with self._surviving():
                self._show(self.status(now))
        self._beat()

    def problem(self) -> str:
        """Return a problem that only a restart solves, "" if there is none; for the loop's thread.

        Checks the threads that work on pictures, those that bring the system's events, and the journal by reading and
        writing it, which hangs if the journal does.
        """
        if dead := self._threads.dead():
            return f"{dead}, which dreams and delivers pictures, has died"
        for folder in self._folders:
            if folder.watcher_died:
                return f"{folder.root}: the thread that notices changes has died"
        return self._journal.problem()

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """Return a context that survives an unusable journal, or a fault; the same error is logged once, not every turn."""
        try:
            yield
        except DeepDreamError as error:
            if str(error) != self._last_error:
                self._say(str(error))
            self._last_error = str(error)
        except Exception as error:
            if repr(error) != self._last_error:
                fault.log(self._say, "the drop folders", error)
            self._last_error = repr(error)

    def _begin(self, now: float) -> None:
        """Begin as many pictures as this machine and the folders' clusters have room for."""
        while True:
            task = None
            with self._surviving():
                due = {
                    arrival.path: (folder, arrival)
                    for folder in self._folders if self._engines.free(folder.cluster)
                    for arrival in folder.ready(now)
                    if arrival.path not in self._here_first or self._engines.free(folder.cluster, here_first=True)
                }  # fmt: skip
                if not due:
                    return
                folder, arrival = due[chosen([arrival for _, arrival in due.values()], self._turn).path]
                task = folder.task(arrival, self._config, now)
                if task is None:
                    continue
            if task is None:
                return
            self._turn += 1
            place = self._places[arrival.path] = self._engines.place(folder.cluster)
            attempt = Attempt(
                replace(task, elsewhere=place is not None),
                self._journal,
                partial(self._engines.engine, place),
                self._stopping(folder),
                self._say,
                self._guides,
            )
            self._attempts[arrival.path] = attempt
            self._threads.begin(attempt, self._engines.room(place))

    def _stopping(self, folder: Folder) -> Callable[[], bool]:
        """Return a function that says whether pictures of this folder are to be given up."""
        return lambda: self._stopped or folder.root in self._leaving

    def _on_outcome(self, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        path = outcome.task.found.path
        self._attempts.pop(path, None)
        if path in self._places:
            self._engines.leave(self._places.pop(path))
        self._here_first.discard(path)
        if outcome.task.elsewhere and outcome.ended == "wait":
            self._here_first.add(path)
        now = self._clock()
        if outcome.everywhere and (pause_s := self._engines.backoff.begin(outcome.why)) and self._has_clusters:
            self._say(f"this machine rests for {pause_s:.0f} s: {outcome.why}")
        elif outcome.ended == "done" and not outcome.task.elsewhere:
            self._engines.backoff.end()
        for folder in (*self._folders, *self._leaving.values()):
            with self._surviving():
                if folder.root == outcome.task.layout.root:
                    folder.on_outcome(outcome, now)
                elif outcome.everywhere and folder.cluster is None:
                    folder.rest(outcome.why)
        self._leaving = {root: folder for root, folder in self._leaving.items() if folder.working}
        if outcome.ended not in ("world", "guide", "stopped", "changed", "alone") and self._is_news(outcome):
            self._say(_line(outcome))

    def _is_news(self, outcome: Outcome) -> bool:
        """Return whether the log lacks this outcome: a file may wait for days, and is tried every minute."""
        path = outcome.task.found.path
        before = self._waits.pop(path, None)
        if outcome.ended != "wait":
            return True
        self._waits[path] = outcome.why
        return outcome.why != before

    def _announce(self, folder: Folder) -> None:
        """Notify the person at the desktop when a drop is done."""
        text = folder.batch_summary()
        if text and folder.layout.settings.notify:
            title = f"DeepDream: {folder.root.name}"
            threading.Thread(target=announce, args=(title, text), name="announce", daemon=True).start()

    def _end(self) -> None:
        self._threads.end()
        began = time.monotonic()
        while self._attempts:
            writing = any(attempt.stage == "writing" for attempt in self._attempts.values())
            if time.monotonic() - began > (END_S if writing else LET_GO_S):
                break  # attempts that wait for the helper: it notices the end by itself
            self._on_outcome(self._threads.outcome(0.1))
        for folder in self._folders:
            folder.close()

    # --- configuration

    def _layouts(self, wanted: Sequence[FolderSettings]) -> list[Layout]:
        return [Layout.of(settings, tuple(self._config.presets), self._config.ignore) for settings in wanted]

    def _folder(self, layout: Layout) -> Folder:
        return Folder(
            layout, self._journal, self._say, own_uid(), self._threads.wake, self._clock, self._wall_clock, self._beat
        )

    def _reload_config(self) -> None:
        engine = self._config.engine
        try:
            self._config, settings = self._load()
        except SettingsError as error:
            self._say(f"{error}; DeepDream keeps the last good configuration")
            return
        wanted = {layout.root: layout for layout in self._layouts(settings)}
        kept = []
        for folder in self._folders:
            layout = wanted.pop(folder.root, None)
            if layout is None:
                folder.close()
                self._say(f"{folder.root}: is no longer watched")
                if folder.working:
                    self._leaving[folder.root] = folder
                continue
            folder.change(layout)
            kept.append(folder)
        for root, layout in wanted.items():
            self._say(f"{root}: is now watched")
            folder = self._leaving.pop(root) if root in self._leaving else self._folder(layout)
            folder.change(layout)
            kept.append(folder)
        self._folders = kept
        self._engines.keep([folder.cluster for folder in kept])
        self.nudge()
        self._say("reloaded the configuration")
        if self._config.engine != engine:
            self._say("`engine` has changed: a running helper uses it after a restart (deepdream helper --stop)")

    # --- status

    def _busy(self) -> str:
        """Return why this machine begins no pictures though none of its folders rests."""
        return self._engines.busy or (self._engines.backoff.problem() if self._has_clusters else "")

    @property
    def _has_clusters(self) -> bool:
        return any(folder.cluster is not None for folder in self._folders)

    def status(self, now: float) -> dict[str, Any]:
        """Return everything that `deepdream status` shows."""
        attempts = list(self._attempts.items())
        folders = []
        for folder in self._folders:
            counts = self._journal.counts(folder.root)
            folders.append({
                **folder.status(now),
                **{state: counts.get(state, 0) for state in ("done", "known", "failed")},
                "running": [
                    {"path": str(path), "stage": attempt.stage, "fraction": round(attempt.fraction, 4),
                     "seconds": round(max(0.0, time.monotonic() - attempt.began), 1)}
                    for path, attempt in attempts if path.is_relative_to(folder.root)
                ],
            })  # fmt: skip
        state = {"pid": os.getpid(), "at": time.time(), "paused": self._paused(), "busy": self._busy()}
        return {**state, "folders": folders}


def _line(outcome: Outcome) -> str:
    """Return the log's line about a picture."""
    path = outcome.task.found.path
    entry = outcome.entry
    if outcome.ended == "done" and entry is not None:
        return f"{path}: dreamed in {entry.seconds:.1f} s → {entry.result}"
    words = {"known": "not dreamed again", "failed": "failed", "dream": "left alone", "wait": "waits", "gone": "gone"}
    return f"{path}: {words.get(outcome.ended, outcome.ended)}: {outcome.why.removeprefix(f'{path}: ')}"
