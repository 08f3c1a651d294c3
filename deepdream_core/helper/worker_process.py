"""A worker process as the helper sees it: started, sent messages, listened to, ended, and noticed when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import queue
import signal
import threading
from typing import TYPE_CHECKING, Any

from deepdream_core.helper import worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.helper.worker_messages import WorkerEvent
    from deepdream_core.machine_settings import EngineSettings

UNREAD = 256
"""A worker with this many unread messages is ended."""


class WorkerProcess:
    """One run of a worker process.

    The event loop's thread calls `on_event` with each event of the worker, and `on_death` with the reason when the process
    has ended.
    """

    def __init__(
        self,
        settings: EngineSettings,
        on_event: Callable[[WorkerProcess, WorkerEvent], None],
        on_death: Callable[[WorkerProcess, str], None],
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._on_event, self._on_death = on_event, on_death
        self._loop = asyncio.get_running_loop()
        self._outbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._why_killed: str | None = None
        self._process = context.Process(
            target=worker.main, args=(theirs, settings), name="deepdream worker", daemon=True
        )
        self._process.start()
        theirs.close()
        self._threads = [
            threading.Thread(target=target, name=f"{name} the worker on {settings.device}", daemon=True)
            for target, name in ((self._receive, "receives from"), (self._send, "sends to"))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.is_alive()

    def send(self, message: object) -> None:
        """Send a message without waiting for the worker to read it; a dead worker's messages are lost."""
        if self._outbox.qsize() > UNREAD:
            self.kill("it did not read its messages")
        self._outbox.put(message)

    def end(self) -> None:
        """Ask the process to end at once."""
        self.send(None)

    def kill(self, why: str | None = None) -> None:
        """Kill the process; `why` becomes the reason that `on_death` gets."""
        self._why_killed = self._why_killed or why
        self._process.kill()

    def finish(self, within_s: float) -> None:
        """Wait for the process to end, then kill it."""
        self._process.join(within_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        for thread in self._threads:
            thread.join(within_s)

    def _send(self) -> None:
        """Send the outbox, in a thread: a pipe that nobody reads must not stop the event loop."""
        while True:
            message = self._outbox.get()
            try:
                self._connection.send(message)
            except OSError:  # `_receive` notices the death
                return
            if message is None:
                return

    def _receive(self) -> None:
        while True:
            try:
                event = self._connection.recv()
            except (EOFError, OSError):
                break
            self._in_loop(self._on_event, self, event)
        self._process.join()
        self._outbox.put(None)
        self._in_loop(self._on_death, self, self._why_killed or death_in_words(self._process.exitcode))

    def _in_loop(self, call: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the helper is ending
            self._loop.call_soon_threadsafe(call, *arguments)


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
    return f"{name} ended it{out_of_memory}"
