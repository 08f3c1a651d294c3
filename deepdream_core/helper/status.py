"""The answers to `GET /v1/status` and `GET /v1/jobs/{id}`."""

from __future__ import annotations

import os
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from deepdream_core.helper.job import State

if TYPE_CHECKING:
    from deepdream_core.helper.devices import Device
    from deepdream_core.helper.dispatcher import Dispatcher
    from deepdream_core.helper.job import Job
    from deepdream_core.helper.queue import Queue


def helper_view(dispatcher: Dispatcher) -> dict[str, Any]:
    """Return the helper's state with all workers and jobs."""
    now = time.monotonic()
    jobs = list(dispatcher.queue.jobs.values())
    return {
        "pid": os.getpid(),
        "uptime_s": round(now - dispatcher.started, 1),
        "on_demand": dispatcher.on_demand,
        "stopping": dispatcher.stopping,
        "memory_bytes": sum(job.nbytes for job in jobs if job.arrived),
        "workers": [_worker_view(device, dispatcher.limits.idle_unload_s, now) for device in dispatcher.devices.all],
        "jobs": [job_view(job, dispatcher.queue) for job in jobs],
    }


def _worker_view(device: Device, idle_unload_s: float, now: float) -> dict[str, Any]:
    idle = device.process is not None and not device.opened
    return {
        "device": device.name,
        "name": device.about.get("name"),
        "precision": device.settings.precision,
        "weights": device.about.get("weights") or {"name": PurePath(device.settings.weights).name, "sha256": None},
        "threads": device.about.get("threads"),
        "state": device.state,
        "pid": device.process.pid if device.process else None,
        "memory_bytes": device.memory if device.process else 0,
        "job": device.current.id if device.current else None,
        "unloads_in_s": round(max(0.0, idle_unload_s - (now - device.idle_since)), 1) if idle else None,
    }


def job_view(job: Job, queue: Queue) -> dict[str, Any]:
    """Return what clients may know of a job."""
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
        "device": job.details.get("device"),
        "precision": job.details.get("precision"),
        "progress": job.progress or None,
        "waited_s": round((began or job.ended_at or now) - job.created_at, 3),
        "ran_s": None if began is None else round((job.ended_at or now) - began, 3),
    }
