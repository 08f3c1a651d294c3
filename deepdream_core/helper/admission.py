"""Whether there is room for another job: a bounded number may wait, and pictures take a bounded amount of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_core.helper.job import State
from deepdream_core.helper.refusal import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.helper.job import Job
    from deepdream_core.helper.queue import Queue
    from deepdream_core.settings import HelperSettings

LONGEST_RETRY_S = 60


def make_room(queue: Queue, job: Job, limits: HelperSettings, forget: Callable[[Job], None], turn_s: float) -> None:
    """Have the oldest results forgotten until a new job fits. Raises `RefusalError` when it cannot.

    `turn_s`: seconds until a place is likely to become free.
    """
    waiting = sum(other.state in (State.CREATED, State.QUEUED) for other in queue.jobs.values())
    if waiting >= limits.max_queued:
        after = min(LONGEST_RETRY_S, max(1, int(turn_s)))
        raise RefusalError(429, "busy", f"{waiting} jobs wait already", "try again later", retry_after=after)
    limit = limits.max_memory_mb * 1_000_000
    ended = sorted((other for other in queue.jobs.values() if other.state.ended), key=lambda other: other.ended_at or 0)
    while (held := sum(other.nbytes for other in queue.jobs.values())) + job.nbytes > limit:
        if ended:
            forget(ended.pop(0))
        elif held:
            what = f"pictures of {held / 1e6:.0f} MB wait already"
            raise RefusalError(
                429, "busy", what, "try again later", retry_after=min(LONGEST_RETRY_S, max(1, int(turn_s)))
            )
        else:
            what = f"the picture takes {job.nbytes / 1e6:.0f} MB, {limit / 1e6:.0f} are allowed"
            step = "use a smaller picture, or raise helper.max_memory_mb in config.yaml"
            raise RefusalError(413, "too_large", what, step)
