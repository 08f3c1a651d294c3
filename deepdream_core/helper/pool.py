"""The worker processes as the helper sees them: started when there is work, heard, ended, and noticed when they die."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import threading
from typing import TYPE_CHECKING, Any, Protocol

from deepdream_core.helper import worker

if TYPE_CHECKING:
    import asyncio

    from deepdream_core.helper.job import Job
    from deepdream_core.helper.worker_messages import Told
    from deepdream_core.settings import EngineSettings


UNHEARD = 256
"""A worker that leaves so many messages unread is ended."""
BROKEN_S = 60.0
"""A device that could not be opened is left alone for so long, where there are others."""


class Ears(Protocol):
    """Who is told, in the event loop's thread, what workers say and that one has died."""

    def on_told(self, slot: Slot, told: Told) -> None:
        """Hear a worker."""

    def on_death(self, slot: Slot, reason: str) -> None:
        """Hear that a slot's worker is gone, and why; it was not asked to go."""


class Process:
    """One life of a worker process."""

    def __init__(self, slot: Slot, settings: EngineSettings, ears: Ears, loop: asyncio.AbstractEventLoop) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._slot, self._ears, self._loop = slot, ears, loop
        self._outbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._why_killed: str | None = None
        self.process = context.Process(
            target=worker.main, args=(theirs, settings), name="deepdream worker", daemon=True
        )
        self.process.start()
        theirs.close()
        self._threads = [
            threading.Thread(target=self._hear, name=f"hears {slot.device}", daemon=True),
            threading.Thread(target=self._speak, name=f"speaks to {slot.device}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def say(self, message: object) -> None:
        """Send a message, without waiting for a worker that does not listen; what a dead one is told is lost."""
        if self._outbox.qsize() > UNHEARD:
            self.kill("it did not listen")
        self._outbox.put(message)

    def end(self) -> None:
        """Ask the process to end at once."""
        self.say(None)

    def kill(self, why: str | None = None) -> None:
        """End the process without asking; its death is heard as any other, and told with this reason."""
        self._why_killed = self._why_killed or why
        self.process.kill()

    def finish(self, within_s: float) -> None:
        """Wait for the process to end; then end it."""
        self.process.join(within_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        for thread in self._threads:
            thread.join(within_s)

    def _speak(self) -> None:
        """Send what is said, in a thread: a pipe that nobody reads must not stop the event loop."""
        while True:
            message = self._outbox.get()
            try:
                self._connection.send(message)
            except OSError:  # its death is heard by itself
                return
            if message is None:
                return

    def _hear(self) -> None:
        while True:
            try:
                told = self._connection.recv()
            except (EOFError, OSError):
                break
            self._in_loop(self._told, told)
        self.process.join()
        self._outbox.put(None)
        self._in_loop(self._died)

    def _in_loop(self, call: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: the helper is on its way out
            self._loop.call_soon_threadsafe(call, *arguments)

    def _told(self, told: Told) -> None:
        if self._slot.process is self:
            self._ears.on_told(self._slot, told)

    def _died(self) -> None:
        if self._slot.process is self:
            self._slot.process = None
            self._ears.on_death(self._slot, self._why_killed or death_in_words(self.process.exitcode))


class Slot:
    """A device and its worker, while there is one.

    Device and precision are what the first worker found, and stay: a worker that takes its place must not fall back to
    another device without a word.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.process: Process | None = None
        self.about: dict[str, Any] = {}
        self.memory = 0
        self.current: Job | None = None
        self.opened: dict[str, Job] = {}
        self.warming: list[asyncio.Future[dict[str, Any]]] = []
        self.idle_since = 0.0
        self.broken_until = 0.0

    @property
    def device(self) -> str:
        """The device's name, or `auto` until a worker has said which one that is."""
        return self.settings.device

    @property
    def state(self) -> str:
        """`off`, `starting`, `ready` or `busy`."""
        if self.process is None:
            return "off"
        if self.current is not None:
            return "busy" if self.memory else "starting"
        return "ready" if self.memory else "starting"

    def learn(self, about: dict[str, Any]) -> None:
        """Keep what a worker said of its device."""
        self.about = about
        found = {"device": about["device"], "precision": about["precision"]}
        self.settings = self.settings.model_copy(update=found)
        for job in self.opened.values():
            job.device = self.device

    def running(self, ears: Ears, loop: asyncio.AbstractEventLoop) -> Process:
        """Return the slot's process, started if there is none."""
        if self.process is None:
            self.memory = 0
            self.process = Process(self, self.settings, ears, loop)
        return self.process


def death_in_words(exitcode: int | None) -> str:
    """Return why a process ended, for people."""
    if exitcode == worker.DEVICE_LOST:
        return "its device was lost"
    if exitcode is None or exitcode >= 0:
        return f"it ended with code {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    out_of_memory = "; the system may have run out of memory" if name == "SIGKILL" else ""
    return f"it was ended by {name}{out_of_memory}"
