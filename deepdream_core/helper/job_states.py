"""The states of a job: the table at the end says which event leads from which state to which, and what else it does.

The client causes `complete` and `cancel`, the dispatcher `start`, `paused`, `lost`, `refused` and `shutdown`. All other
events are a worker's own. The table ignores an event that it does not list for the job's state: after a cancel, a worker
still reports progress until it has dropped the job.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from deepdream_core.helper.job import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.helper.job import Job
    from deepdream_core.helper.queue import Queue

    Effect = Callable[["JobStates", Job, str, dict[str, Any]], None]

CANCEL_WITHIN_S = 10.0
"""Seconds in which a worker must drop a cancelled job before it is ended and replaced."""

log = logging.getLogger("deepdream.helper")


class JobStates:
    """Applies events to jobs. `deadlines`: when the workers of cancelled jobs must have dropped them."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._seconds: deque[float] = deque([5.0], maxlen=16)
        self.deadlines: dict[Job, float] = {}

    @property
    def mean_s(self) -> float:
        """The mean time that the last jobs took, in seconds."""
        return sum(self._seconds) / len(self._seconds)

    def apply(self, job: Job, event: str, /, **data: Any) -> bool:
        """Apply an event; return False if the table ignores it in the job's state."""
        transition = _TABLE.get((job.state, event))
        if transition is None:
            return False
        job.state, effect = transition
        effect(self, job, event, data)
        return True

    def _wait(self, job: Job, _event: str, _data: dict[str, Any]) -> None:
        job.begun = False
        self._queue.enqueue(job)
        job.publish("queued", position=self._queue.position(job))

    def _start(self, job: Job, _event: str, data: dict[str, Any]) -> None:
        self._queue.begin(job, data["device"])
        job.started_at = job.started_at or time.monotonic()

    def _resume(self, job: Job, event: str, data: dict[str, Any]) -> None:
        self._start(job, event, data)
        if job.begun:
            job.publish("running", **job.details)

    def _begin(self, job: Job, _event: str, data: dict[str, Any]) -> None:
        job.begun, job.details = True, data
        job.publish("running", **data)

    def _progress(self, job: Job, event: str, data: dict[str, Any]) -> None:
        job.progress = data
        self._forward(job, event, data)

    def _forward(self, job: Job, event: str, data: dict[str, Any]) -> None:
        job.publish(event, **data)

    def _finish(self, job: Job, _event: str, data: dict[str, Any]) -> None:
        for kind in job.arrived.keys() - {"pixels"}:
            job.arrived.pop(kind).close()
        self._end(job, "done")
        seconds = time.monotonic() - (job.started_at or job.created_at)
        self._seconds.append(seconds)
        job.publish("done", seconds=round(seconds, 4), **data)

    def _fail(self, job: Job, _event: str, data: dict[str, Any]) -> None:
        data = {"exit_code": 1, **data}
        self._end(job, f"failed ({data['code']}: {data['what']})")
        job.details |= data
        job.publish("failed", **data)
        job.drop_arrays()

    def _stop(self, job: Job, _event: str, data: dict[str, Any]) -> None:
        job.details |= data
        self.deadlines[job] = time.monotonic() + CANCEL_WITHIN_S

    def _cancel(self, job: Job, _event: str, data: dict[str, Any]) -> None:
        job.details |= data
        why = job.details["why"]
        self._end(job, f"cancelled ({why})")
        job.publish("cancelled", why=why)
        job.drop_arrays()

    def _end(self, job: Job, outcome: str) -> None:
        """Record the end and write the job's line into the log."""
        job.ended_at = time.monotonic()
        self.deadlines.pop(job, None)
        height, width, channels = job.pixels.shape
        started = job.started_at or job.ended_at
        where = f"{job.details['device']} {job.details['precision']}" if "device" in job.details else "no device"
        log.info(
            "%s %s %s %s %d×%d×%d %s on %s: waited %.2f s, ran %.2f s, %s",
            job.id[:6], job.client, job.priority.name.lower(), job.about, width, height, channels, job.pixels.dtype,
            where, started - job.created_at, job.ended_at - started, outcome,
        )  # fmt: skip


WAITING = (State.CREATED, State.QUEUED)
ON_DEVICE = (State.RUNNING, State.PAUSED)
STOPPING = (State.STOPPING,)

_TRANSITIONS: tuple[tuple[tuple[State, ...], str, State | None, Effect], ...] = (
    # in these states                  on this event  to this state     and do this; None: the state stays
    ((State.CREATED,),                 "complete",    State.QUEUED,     JobStates._wait),
    ((State.QUEUED,),                  "start",       State.RUNNING,    JobStates._start),
    ((State.PAUSED,),                  "start",       State.RUNNING,    JobStates._resume),
    ((State.RUNNING,),                 "paused",      State.PAUSED,     JobStates._forward),
    (ON_DEVICE,                        "begun",       None,             JobStates._begin),
    (ON_DEVICE,                        "progress",    None,             JobStates._progress),
    (ON_DEVICE,                        "note",        None,             JobStates._forward),
    (ON_DEVICE,                        "octave",      None,             JobStates._forward),
    (ON_DEVICE,                        "done",        State.DONE,       JobStates._finish),
    (ON_DEVICE,                        "failed",      State.FAILED,     JobStates._fail),
    (WAITING,                          "refused",     State.FAILED,     JobStates._fail),
    (ON_DEVICE,                        "lost",        State.QUEUED,     JobStates._wait),
    (STOPPING,                         "lost",        State.CANCELLED,  JobStates._cancel),
    (STOPPING,                         "dropped",     State.CANCELLED,  JobStates._cancel),
    (WAITING,                          "cancel",      State.CANCELLED,  JobStates._cancel),
    (ON_DEVICE,                        "cancel",      State.STOPPING,   JobStates._stop),
    ((*WAITING, *ON_DEVICE, *STOPPING), "shutdown",   State.CANCELLED,  JobStates._cancel),
)  # fmt: skip
_TABLE = {(state, event): (to or state, effect) for states, event, to, effect in _TRANSITIONS for state in states}
