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

    from deepdream_core.hotfolder.picture import Attempt
    from deepdream_core.work.backend import Backend

THREADS = 3


class PictureThreads:
    """Runs attempts and returns their outcomes. `engine` opens the helper, as in `Daemon`; each thread has its own."""

    def __init__(self, engine: Callable[[Backend | None], Backend], say: Callable[[str], None]) -> None:
        self._engine, self._say = engine, say
        self._own = threading.local()
        self._attempts: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"picture thread {number}", daemon=True)
            for number in range(THREADS)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def begin(self, attempt: Attempt) -> None:
        """Give an attempt to the next free thread."""
        self._attempts.put(attempt)

    def wake(self) -> None:
        """End the current or the next wait for an outcome; may be called from signal handlers."""
        self._outcomes.put(None)

    def outcome(self, within_s: float) -> Outcome | None:
        """Wait for the next outcome; return None after so many seconds, or after `wake`."""
        with contextlib.suppress(queue.Empty):
            return self._outcomes.get(timeout=within_s)
        return None

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcomes that are there already."""
        while not self._outcomes.empty():
            if (outcome := self._outcomes.get()) is not None:
                yield outcome

    def engine(self) -> Backend:
        """Return the calling thread's own engine, which is the helper."""
        self._own.engine = self._engine(getattr(self._own, "engine", None))
        engine: Backend = self._own.engine
        return engine

    def dead(self) -> str:
        """Return the name of a thread that has died, "" if all are alive."""
        return next((thread.name for thread in self._threads if not thread.is_alive()), "")

    def end(self) -> None:
        """Let each thread end after its attempt."""
        for _ in self._threads:
            self._attempts.put(None)

    def _work(self) -> None:
        while (attempt := self._attempts.get()) is not None:
            try:
                outcome = attempt.run()
            except Exception as error:  # must not end the thread
                outcome = Outcome(attempt.task, "alone", fault.log(self._say, attempt.task.found.path, error))
            self._outcomes.put(outcome)
