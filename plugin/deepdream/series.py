"""Small pictures that the helper dreams one after another, at the preview's priority, while something shows them."""

from __future__ import annotations

import contextlib
import queue
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import gi
import jobs
from plugin_errors import PluginError

gi.require_version("Gtk", "3.0")
from gi.repository import GLib  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from facts import Facts

POLL_MS = 40
_ITS_OWN = frozenset(
    {"settings", "picture", "guide", "nothing", "out_of_memory", "no_memory", "numeric", "worker_died", "poisonous"}
)
"""Codes of errors that concern one picture: the next one may succeed."""


class Order(NamedTuple):
    """What to dream: uint8 samples, (height, width, channels), all settings, and the guides that they name."""

    samples: bytes
    shape: tuple[int, int, int]
    settings: dict[str, Any]
    guides: list[jobs.Guide]


class Series:
    """Dreams for each name what `order` returns, and calls `done` with it and the samples, or `failed` with its error.

    An error that would meet all of them ends the series: `failed` is called for the rest.
    """

    def __init__(
        self,
        facts: Facts,
        order: Callable[[str], Order],
        done: Callable[[str, Order, bytearray], None],
        failed: Callable[[str, PluginError], None],
        label: str,
    ) -> None:
        self._facts, self._order, self._done, self._failed, self._label = facts, order, done, failed, label
        self._waiting: deque[str] = deque()
        self._job: jobs.Dreaming | None = None
        self._now: tuple[str, Order] | None = None
        self._polling = 0

    def begin(self, names: Iterable[str]) -> None:
        """Dream these pictures, and no others any more."""
        self.stop()
        self._waiting.extend(names)
        if self._waiting:
            self._polling = GLib.timeout_add(POLL_MS, self._poll)

    def stop(self) -> None:
        """Cancel the picture that is dreamed now, and begin no more."""
        self._waiting.clear()
        if self._polling:
            GLib.source_remove(self._polling)
            self._polling = 0
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def _poll(self) -> bool:
        """Handle the job's messages and begin the next job; return whether to poll again."""
        with contextlib.suppress(queue.Empty):
            while self._job is not None and self._now is not None:
                message = self._job.messages.get_nowait()
                if message.kind == "done":
                    self._job = None
                    self._done(*self._now, message.data)
                elif message.kind == "failed":
                    self._job = None
                    self._give_up(self._now[0], message.data)
        if self._polling and self._job is None and self._waiting:
            self._next()
        if self._job is None and not self._waiting:
            self._polling = 0
        return bool(self._polling)

    def _next(self) -> None:
        name = self._waiting.popleft()
        try:
            order = self._order(name)
        except PluginError as error:
            self._failed(name, error)
            return
        self._now = name, order
        self._job = jobs.Dreaming(
            self._facts, order.samples, "uint8", order.shape, order.settings, priority="preview", guides=order.guides,
            label=self._label,
        )  # fmt: skip
        self._job.start()

    def _give_up(self, name: str, error: PluginError) -> None:
        names = [name]
        if error.code not in _ITS_OWN:
            names += self._waiting
            self._waiting.clear()
        for each in names:
            self._failed(each, error)
