"""Whether there is room for another job: a bounded number may wait, and pictures take a bounded amount of memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deepdream_core.helper.job import State
from deepdream_core.helper.refusal import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.helper.job import Job
    from deepdream_core.helper.queue import Queue
    from deepdream_core.machine_settings import HelperSettings

LONGEST_RETRY_S = 60
FETCH_WITHIN_S = 10.0
"""Seconds that a client has to fetch a result before the helper may discard it for another job."""


def make_room(
    queue: Queue, job: Job, replaced: list[Job], limits: HelperSettings, forget: Callable[[Job], None], turn_s: float
) -> None:
    """Forget the oldest results until a new job fits. Raises `RefusalError` if it cannot fit, and then forgets none.

    `replaced`: jobs that the new one replaces. `turn_s`: seconds until another job is likely to end.
    """
    now = time.monotonic()
    limit = limits.max_memory_mb * 1_000_000
    if job.nbytes > limit:
        what = f"the picture takes {job.nbytes / 1e6:.0f} MB, {limit / 1e6:.0f} are allowed"
        raise RefusalError(
            413, "too_large", what, "use a smaller picture, or raise helper.max_memory_mb in config.yaml"
        )
    after = min(LONGEST_RETRY_S, max(1, int(turn_s)))
    others = [other for other in queue.jobs.values() if other not in replaced]
    waiting = sum(other.state in (State.CREATED, State.QUEUED) for other in others)
    if waiting >= limits.max_queued:
        raise RefusalError(429, "busy", f"{waiting} jobs are already waiting", "try again later", retry_after=after)
    needed = sum(other.nbytes for other in others if not _may_go(other, now))
    if needed + job.nbytes > limit:
        what = f"pictures of {needed / 1e6:.0f} MB are already waiting"
        raise RefusalError(429, "busy", what, "try again later", retry_after=after)
    held = sum(other.nbytes for other in others)
    for ended in sorted((other for other in others if _may_go(other, now)), key=lambda other: other.ended_at or 0):
        if held + job.nbytes <= limit:
            break
        held -= ended.nbytes
        forget(ended)


def _may_go(job: Job, now: float) -> bool:
    """Return whether a job has ended and its client has had the time to fetch the result."""
    return job.ended_at is not None and job.holders == 0 and now - job.ended_at > FETCH_WITHIN_S
