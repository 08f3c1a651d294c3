"""Jobs that kill workers: recognised by their pixels and settings, and refused the third time."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepdream_core.helper.job import Job
    from deepdream_core.helper.shared import SharedArray

DEATHS = 2
"""How many workers a job may crash before it is refused."""


class PoisonousJobs:
    """Counts the workers that each job has killed. Nothing is hashed until a worker has died."""

    def __init__(self) -> None:
        self._deaths: Counter[str] = Counter()
        self._remembering: set[asyncio.Task[None]] = set()

    def remember(self, job: Job) -> None:
        """Count a death of this job's worker; free the job's arrays once they are hashed."""
        arrays, job.arrived = job.arrived, {}

        async def hash_and_close() -> None:
            try:
                self._deaths[await asyncio.to_thread(fingerprint, job, arrays)] += 1
            finally:
                for array in arrays.values():
                    array.close()

        task = asyncio.get_running_loop().create_task(hash_and_close())
        self._remembering.add(task)
        task.add_done_callback(self._remembering.discard)

    async def includes(self, job: Job) -> bool:
        """Return whether this job has crashed `DEATHS` workers."""
        await asyncio.gather(*self._remembering)
        return bool(self._deaths) and self._deaths[await asyncio.to_thread(fingerprint, job, job.arrived)] >= DEATHS


def fingerprint(job: Job, arrays: Mapping[str, SharedArray]) -> str:
    """Return a hash of everything that determines what a worker does for a job."""
    known = hashlib.sha256(json.dumps(job.settings.model_dump(), sort_keys=True).encode())
    for kind, array in sorted(arrays.items()):
        known.update(f"{kind} {array.header.dtype} {array.header.shape}".encode())
        with array as view:
            known.update(view)
            view.release()
    return known.hexdigest()
