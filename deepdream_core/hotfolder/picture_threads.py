"""The threads that work on pictures: one is decoded while another is dreamed and a third is encoded."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING

from deepdream_core.hotfolder import fault
from deepdream_core.hotfolder.task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from deepdream_core.hotfolder.picture import Attempt

    Room = AbstractContextManager[None]


class PictureThreads:
    """Runs attempts, each in a thread, and returns their outcomes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._begun = 0
        self._attempts: queue.SimpleQueue[tuple[Attempt, Room] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def begin(self, attempt: Attempt, room: Room) -> None:
        """Give an attempt to the next free thread, or to a new one if all work; it is run within `room`."""
        self._begun += 1
        if self._begun > len(self._threads):
            name = f"picture thread {len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()
        self._attempts.put((attempt, room))

    def wake(self) -> None:
        """End the current or the next wait for an outcome; may be called from signal handlers."""
        self._outcomes.put(None)

    def outcome(self, within_s: float) -> Outcome | None:
        """Wait for the next outcome; return None after so many seconds, or after `wake`."""
        with contextlib.suppress(queue.Empty):
            return self._counted(self._outcomes.get(timeout=within_s))
        return None

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcomes that are there already."""
        while not self._outcomes.empty():
            if (outcome := self._counted(self._outcomes.get())) is not None:
                yield outcome

    def _counted(self, outcome: Outcome | None) -> Outcome | None:
        self._begun -= outcome is not None
        return outcome

    def dead(self) -> str:
        """Return the name of a thread that has died, "" if all are alive."""
        return next((thread.name for thread in self._threads if not thread.is_alive()), "")

    def end(self) -> None:
        """Let each thread end after its attempt."""
        for _ in self._threads:
            self._attempts.put(None)

    def _work(self) -> None:
        while (begun := self._attempts.get()) is not None:
            attempt, room = begun
            try:
                with room:
                    outcome = attempt.run()
            except Exception as error:  # must not end the thread
                outcome = Outcome(attempt.task, "alone", fault.log(self._say, attempt.task.found.path, error))
            self._outcomes.put(outcome)
