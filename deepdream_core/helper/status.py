"""What the helper shows of itself: `GET /v1/status` and `GET /v1/jobs/{id}`."""

from __future__ import annotations

import os
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from deepdream_core.helper.job import State

if TYPE_CHECKING:
    from deepdream_core.helper.dispatcher import Dispatcher
    from deepdream_core.helper.job import Job
    from deepdream_core.helper.pool import Slot
    from deepdream_core.helper.queue import Queue


def helper_view(dispatcher: Dispatcher) -> dict[str, Any]:
    """Return what runs where."""
    now = time.monotonic()
    jobs = list(dispatcher.queue.jobs.values())
    return {
        "pid": os.getpid(),
        "uptime_s": round(now - dispatcher.started, 1),
        "on_demand": dispatcher.on_demand,
        "stopping": dispatcher.stopping,
        "memory_bytes": sum(job.nbytes for job in jobs if job.arrived),
        "workers": [_worker_view(slot, dispatcher.limits.idle_unload_s, now) for slot in dispatcher.slots],
        "jobs": [job_view(job, dispatcher.queue) for job in jobs],
    }


def _worker_view(slot: Slot, idle_unload_s: float, now: float) -> dict[str, Any]:
    idle = slot.process is not None and not slot.opened
    return {
        "device": slot.device,
        "name": slot.about.get("name"),
        "precision": slot.settings.precision,
        "weights": slot.about.get("weights") or {"name": PurePath(slot.settings.weights).name, "sha256": None},
        "threads": slot.about.get("threads"),
        "state": slot.state,
        "pid": slot.process.process.pid if slot.process else None,
        "memory_bytes": slot.memory if slot.process else 0,
        "job": slot.current.id if slot.current else None,
        "unloads_in_s": round(max(0.0, idle_unload_s - (now - slot.idle_since)), 1) if idle else None,
    }


def job_view(job: Job, queue: Queue) -> dict[str, Any]:
    """Return what a client may know of a job."""
    now = time.monotonic()
    began = job.started_at
    return {
        "id": job.id,
        "client": job.client,
        "label": job.label,
        "priority": job.priority.name.lower(),
        "about": job.about,
        "state": job.state.value,
        "shape": list(job.pixels.shape),
        "dtype": job.pixels.dtype,
        "position": queue.position(job) if job.state is State.QUEUED else None,
        "device": job.told.get("device"),
        "precision": job.told.get("precision"),
        "progress": job.progress or None,
        "waited_s": round((began or job.ended_at or now) - job.created_at, 3),
        "ran_s": None if began is None else round((job.ended_at or now) - began, 3),
    }
