"""Dreams several pictures at once, each in a thread, where other machines compute them."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from deepdream_core.errors import DeepDreamError
from deepdream_core.work.jobs import Job
from deepdream_core.work.reporter import Reporter
from deepdream_core.work.room import Room, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

    from deepdream_core.engine.progress import Progress
    from deepdream_core.work.backend import Backend
    from deepdream_core.work.batch import DreamOne
    from deepdream_core.work.jobs import Planned
    from deepdream_core.work.reporter import Done

MOST = 256
"""Threads, whatever the number of devices."""
LOOK_EVERY_S = 1.0
_END: Any = object()
Item = TypeVar("Item")
Found = TypeVar("Found")


class AtOnce(Protocol):
    """How many pictures to work on at once, as it may change, and a way to end what waits for the machines."""

    def __call__(self) -> int:
        """Return how many."""

    def stop(self) -> None:
        """End all waiting: the user has stopped the program."""


def several(
    planned: Sequence[Planned],
    dream_one: DreamOne,
    open_engine: Callable[[], Backend],
    reporter: Reporter,
    at_once: AtOnce,
) -> list[DeepDreamError]:
    """Do what `batch.each` does, for as many pictures at once as `at_once` says and fit in memory.

    Each thread opens an engine.
    """
    together, room = _Together(reporter), Room()
    errors: list[DeepDreamError] = []
    done = 0
    engine_of = of_thread(open_engine)

    def run(number: int, job: Planned) -> list[DeepDreamError] | None:
        source = job.source if isinstance(job, Job) else job[0]
        try:
            if not isinstance(job, Job):
                raise job[1]
            together.reading(source, number, len(planned))
            with room.picture():
                return dream_one(job, engine_of, _Of(together, source))
        except DeepDreamError as error:
            error.__traceback__ = error.__context__ = None  # their frames would keep the picture
            together.failed(source, error)
            return [error]

    entries = enumerate(planned, start=1)

    def stop() -> None:
        together.stop()
        room.stop()
        at_once.stop()

    with contextlib.closing(concurrently(entries, lambda entry: run(*entry), at_once, stop)) as finished:
        for failed in finished:
            errors += failed or []
            done += failed == []
            if any(getattr(error, "code", "") == "version" for error in errors):
                break  # no machine can dream any
    reporter.finished(done, len(errors))
    return errors


def concurrently(
    items: Iterable[Item], do: Callable[[Item], Found], at_once: AtOnce, stop: Callable[[], None]
) -> Generator[Found, None, None]:
    """Yield what `do` returns for each item, as it comes, from as many threads as `at_once` says.

    `do` should raise nothing. Whatever ends this early calls `stop`, which should make `do` end soon; and an error here,
    Ctrl-C too, `at_once.stop`, but not closing this generator: its caller may want the machines again.
    """
    waiting = iter(items)
    running: set[Future[Found]] = set()
    with ThreadPoolExecutor(MOST, "picture") as threads:
        try:
            ended = False
            while running or not ended:
                while not ended and len(running) < min(MOST, max(1, at_once())):
                    item = next(waiting, _END)
                    ended = item is _END
                    if not ended:
                        running.add(threads.submit(do, item))
                finished, running = wait(running, LOOK_EVERY_S, FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BaseException as error:
            stop()
            if not isinstance(error, GeneratorExit):
                at_once.stop()
            raise


def of_thread(open_engine: Callable[[], Backend]) -> Callable[[], Backend]:
    """Return a function that returns the calling thread's own engine, opened at its first call."""
    own = threading.local()

    def engine_of() -> Backend:
        if not hasattr(own, "engine"):
            own.engine = open_engine()
        engine: Backend = own.engine
        return engine

    return engine_of


class _Together:
    """A reporter that several threads share; it hears of one picture's events at a time."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter, self._lock = reporter, threading.Lock()
        self.stopped = False

    def stop(self) -> None:
        """Let every thread stop at its next event."""
        self.stopped = True

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self.stopped:
                raise Stopped
            with self._lock:
                return getattr(self._reporter, name)(*arguments)

        return call


class _Of(Reporter):
    """What one picture reports: its notes with its name, its end, and not its steps, which would be mixed with others'."""

    def __init__(self, together: _Together, source: Path) -> None:
        self._together, self._source = together, source

    def note(self, text: str) -> None:
        """Pass a note on."""
        name = self._source.name
        self._together.note(text if text.startswith(name) else f"{name}: {text}")

    def progress(self, progress: Progress) -> None:
        """Stop when the user has stopped the program."""
        if self._together.stopped:
            raise Stopped
        for text in progress.notes:
            self.note(text)

    def skipped(self, source: Path, why: str) -> None:
        """Pass it on."""
        self._together.skipped(source, why)

    def done(self, done: Done) -> None:
        """Pass the result on."""
        self._together.done(done)
