"""Room in memory for the pictures that a program works on at once."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from deepdream_core.engine.free_memory import free_memory_bytes
from deepdream_core.photo.decoded import before_decoding

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES_PER_PIXEL = 48
"""What a picture takes at most while it is decoded, sent, fetched and encoded: mostly three times 12 bytes as float32."""
LOOK_EVERY_S = 1.0


class Stopped(BaseException):
    """The user stopped the program."""


class Room:
    """Lets as many pictures be decoded as fit into `budget` bytes, and always one; without it, half of what is free.

    Files are read one after the other, so that no more than one waits for room in memory.
    """

    def __init__(self, budget: int | None = None) -> None:
        self._budget = free_memory_bytes() // 2 if budget is None else budget
        self._changed = threading.Condition()
        self._held = 0
        self._reading = self._stopped = False

    def stop(self) -> None:
        """Let every thread that waits raise `Stopped`."""
        self._stopped = True

    @contextlib.contextmanager
    def picture(self) -> Iterator[None]:
        """Return the context in which the calling thread reads a picture and works on it; waits inside until it fits."""
        held, reads = 0, True

        def hold(pixels: int) -> None:
            nonlocal held, reads
            more = pixels * BYTES_PER_PIXEL - held
            with self._changed:
                while reads and self._held and self._held + more > self._budget:
                    self._wait()
                if more > 0:
                    self._held += more
                    held += more
                if reads:
                    self._reading = reads = False
                    self._changed.notify_all()

        with self._changed:
            while self._reading:
                self._wait()
            self._reading = True
        before = before_decoding.set(hold)
        try:
            yield
        finally:
            before_decoding.reset(before)
            with self._changed:
                self._held -= held
                if reads:
                    self._reading = False
                self._changed.notify_all()

    def _wait(self) -> None:
        if self._stopped:
            raise Stopped
        self._changed.wait(LOOK_EVERY_S)
