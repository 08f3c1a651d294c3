"""One picture dreamed by the helper, as a thread; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python. GIMP's and GTK's calls belong to the main thread, which
must not wait, so a job is a thread that puts messages into a queue. Every wait has an end. When GIMP kills this process,
the helper notices by itself (see `wire.REATTACH_WITHIN_S`).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from connection import call, cancelled, connect, plugin_error
from helper_words import translated
from plugin_errors import PluginError
from words import _

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from facts import Facts

    from deepdream_core.link import client, npy
else:  # the copy beside this file
    from link import client, npy

SILENT_S = 15.0
"""A helper sends something once a second; after this much silence the job gives up."""
LOOK_S = 1.0
"""Seconds between two looks at the picture so far; a finished octave is always looked at."""
LET_GO_S = 2.0
"""The longest wait for a cancel, or for the helper to forget a result."""


Guide = tuple[Any, str, tuple[int, int, int]]
"""A guide's samples, dtype and shape."""


class Message(NamedTuple):
    """A message of a job. The last one is always `done` or `failed`.

    | kind | data |
    |---|---|
    | `starting` | {}: no helper runs, so one is started |
    | `queued` | {"position"}, 1 is next |
    | `running` | {"device", "name", "precision", …} |
    | `progress` | {"octave", "octaves", "iteration", "iterations", "fraction", "left_s": seconds or None} |
    | `note` | {"text"} |
    | `picture` | bytes: the picture so far |
    | `done` | bytearray: the result |
    | `failed` | PluginError, with the code `cancelled` after a cancel |
    """

    kind: str
    data: Any


class Dreaming(threading.Thread):
    """One picture that the helper dreams: call `start()`, then read `messages`.

    `pixels`: samples of `dtype` (a key of `npy.DTYPES`) and `shape` (height, width, channels). `settings`: all settings.
    `guides`: samples, dtype and shape of each guide that they name.
    `priority`: interactive or preview. `label` names the picture for people. With `previews`, a message brings the picture
    so far about once a second and after each octave. With `forget`, the helper forgets the result once it is fetched;
    without, it keeps the result for "last result" until `acknowledge()`.
    """

    def __init__(
        self,
        facts: Facts,
        pixels: bytes | bytearray,
        dtype: str,
        shape: tuple[int, int, int],
        settings: Mapping[str, Any],
        *,
        priority: str,
        guides: Sequence[Guide] = (),
        label: str = "",
        previews: bool = False,
        forget: bool = True,
    ) -> None:
        super().__init__(name="deepdream", daemon=True)
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.settings: Mapping[str, Any] = settings
        """As given; after `done` as the helper used them, with the channels that it picked."""
        self._facts = facts
        self._pixels: bytes | bytearray | None = pixels
        self._dtype, self._shape = dtype, shape
        self._options: dict[str, Any] = {
            "settings": settings,
            "priority": priority,
            "label": label[:200],
            "previews": previews,
            "guides": guides,
        }
        self._forgets = forget
        self._given_up = threading.Event()
        self._sending = threading.Lock()
        self._ended = False
        self._job: client.HelperJob | None = None
        self._pace = _Pace()
        self._looked_at, self._looked_like = 0.0, bytearray()

    def run(self) -> None:
        """Dream the picture."""
        try:
            self._dream()
        except Exception as error:  # a job always ends with a message
            failure = cancelled() if self._given_up.is_set() else plugin_error(error, self._facts)
            self._send("failed", failure, last=True)

    def cancel(self) -> None:
        """Cancel at once; `failed` with the code `cancelled` follows within 2 s unless the job has ended already."""
        self._given_up.set()
        if not self._ended:
            threading.Thread(target=self._cancel_job, name="deepdream's cancel", daemon=True).start()

    def acknowledge(self) -> None:
        """Let the helper forget the result, now that it is on the canvas. Takes 2 s at most and never fails."""
        if self._job is not None and not self._forgets:
            _within(LET_GO_S, self._job.forget)

    def _cancel_job(self) -> None:
        # Without a job here, the thread that makes it sees afterwards that it was given up.
        job = self._job
        if job is not None:
            _within(LET_GO_S, job.cancel)
        self._send("failed", cancelled(), last=True)

    def _send(self, kind: str, data: Any, *, last: bool = False) -> bool:
        """Send a message; return False when the last one was sent before."""
        with self._sending:
            if self._ended:
                return False
            self._ended = last
            self.messages.put(Message(kind, data))
            return True

    def _dream(self) -> None:
        if self._given_up.is_set():
            raise cancelled()
        found = connect(self._facts, stop=self._given_up, starting=lambda: self._send("starting", {}))
        pixels, self._pixels = self._pixels, None
        assert pixels is not None
        job = self._job = found.submit(pixels, dtype=self._dtype, shape=self._shape, **self._options)
        del pixels
        if self._given_up.is_set():
            _within(LET_GO_S, job.cancel)
            raise cancelled()
        self._follow(job)

    def _follow(self, job: client.HelperJob) -> None:
        for event in job.events(SILENT_S):
            self._hear(event, job)
        self._fetch(job)

    def _fetch(self, job: client.HelperJob) -> None:
        sent = self._send("done", job.result(), last=True)
        if self._forgets or not sent:
            _within(LET_GO_S, job.forget)

    def _hear(self, event: client.Event, job: client.HelperJob) -> None:
        data = event.data
        if event.name == "queued":
            self._send("queued", data)
        elif event.name == "note":
            self._send("note", {"text": translated(data["text"])})
        elif event.name == "running":
            self._pace.resume()
            self._looked_at = time.monotonic()
            self._send("running", data)
        elif event.name == "paused":
            self._pace.pause()
            self._send(
                "note", {"text": _("the helper is doing something more urgent first; this dream continues by itself")}
            )
        elif event.name == "progress":
            self._send("progress", {**data, "left_s": self._pace.left_s(data["fraction"])})
            if self._options["previews"] and time.monotonic() - self._looked_at > LOOK_S:
                self._look(job)
        elif event.name == "octave" and data["octave"] < data["octaves"]:
            self._look(job)
        elif event.name == "done":
            self.settings = data["settings"]

    def _look(self, job: client.HelperJob) -> None:
        samples = bytearray(npy.ArrayHeader(self._dtype, self._shape).nbytes)
        with contextlib.suppress(client.LinkError):  # the events report a lasting failure
            if job.so_far_into(samples) and samples != self._looked_like:
                self._looked_like = samples
                self._send("picture", bytes(samples))
        self._looked_at = time.monotonic()


class _Pace:
    """Estimates the time left from the work since the first step, which includes what happens only once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, float] | None = None
        self._paused_at: float | None = None
        self._paused_s = 0.0

    def pause(self) -> None:
        """Stop the clock: the job waits."""
        if self._paused_at is None:
            self._paused_at = self._clock()

    def resume(self) -> None:
        """Continue the clock."""
        if self._paused_at is not None:
            self._paused_s += self._clock() - self._paused_at
            self._paused_at = None

    def left_s(self, fraction: float) -> float | None:
        """Return the seconds left when this fraction, 0…1, is done, or None while that is unknown."""
        self.resume()
        now = self._clock() - self._paused_s
        if self._began is None:
            self._began = now, fraction
        began, done = self._began
        return (now - began) * (1 - fraction) / (fraction - done) if fraction > done else None


def last_result(facts: Facts) -> tuple[str, tuple[int, int, int], bytearray, Callable[[], None]] | None:
    """Return label, shape and samples of the latest picture that GIMP did not acknowledge, or None.

    The function lets the helper forget it: it takes 2 s at most and never fails. Raises `PluginError`, also when a helper
    runs and does not answer.
    """
    try:
        found = connect(facts, start=False)
    except PluginError as error:
        if error.code == "no_helper" and not facts.endpoint.exists():
            return None
        raise
    mine = [
        job
        for job in call(found.status)["jobs"]
        if job["state"] == "done" and job["priority"] == "interactive" and job["client"].startswith("gimp-")
    ]
    if not mine:
        return None
    last = mine[-1]  # jobs are listed in the order in which they came
    height, width, channels = last["shape"]
    job = client.HelperJob(found, last["id"], last["dtype"], (height, width, channels))
    return last["label"], job.shape, call(job.result), partial(_within, LET_GO_S, job.forget)


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Make a call in a thread and wait at most `seconds` for it; errors no longer matter."""

    def quietly() -> None:
        with contextlib.suppress(Exception):
            call()

    thread = threading.Thread(target=quietly, name="deepdream's goodbye", daemon=True)
    thread.start()
    thread.join(seconds)
