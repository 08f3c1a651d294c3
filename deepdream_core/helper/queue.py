"""Which job is next: data and rules, without threads, sockets or a clock of its own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from deepdream_core.helper.job import Priority, State

if TYPE_CHECKING:
    from deepdream_core.helper.job import Job


class Queue:
    """All jobs the helper knows, waiting, begun and ended, by id.

    Interactive jobs come before previews and previews before batch jobs. Among equals, one that was begun goes on first;
    then clients take turns, and each client's own jobs keep their order.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._arrivals = 0
        self._turns = 0
        self._last_turn: dict[str, int] = {}

    def add(self, job: Job) -> None:
        """Take in a new job."""
        self.jobs[job.id] = job

    def remove(self, job: Job) -> None:
        """Forget a job; and its client with its last one."""
        self.jobs.pop(job.id, None)
        if not any(other.client == job.client for other in self.jobs.values()):
            self._last_turn.pop(job.client, None)

    def enqueue(self, job: Job) -> None:
        """Let a job wait for its turn; one that comes back from a lost worker keeps its place."""
        job.state, job.device = State.QUEUED, None
        if not job.arrival:
            self._arrivals += 1
            job.arrival = self._arrivals

    def begin(self, job: Job, device: str) -> None:
        """Note that a device takes the job on, or goes on with it."""
        job.state, job.device = State.RUNNING, device
        self._turns += 1
        self._last_turn[job.client] = self._turns

    def waiting(self) -> list[Job]:
        """Return the jobs that no device has begun."""
        return [job for job in self.jobs.values() if job.state is State.QUEUED]

    def unfinished(self) -> list[Job]:
        """Return the jobs that have not ended."""
        return [job for job in self.jobs.values() if not job.state.ended]

    def best_for(self, device: str) -> Job | None:
        """Return the job that the device should take next, of those that wait and those that it has paused."""
        candidates = (
            job
            for job in self.jobs.values()
            if job.state is State.QUEUED or (job.state is State.PAUSED and job.device == device)
        )
        return min(candidates, key=self._order, default=None)

    def _order(self, job: Job) -> tuple[int, bool, int, int]:
        return job.priority, job.state is State.QUEUED, self._last_turn.get(job.client, 0), job.arrival

    def position(self, job: Job) -> int:
        """Return which place a waiting job has in the order in which jobs will be begun; 1 is next."""
        waiting = self.waiting()
        before = sum(other.priority < job.priority for other in waiting)
        equals = [other for other in waiting if other.priority == job.priority]
        own = sum(other.client == job.client and other.arrival < job.arrival for other in equals)
        turn = self._last_turn.get(job.client, 0)
        first = {other.client: min(other.arrival, job.arrival) for other in equals}
        counts = Counter(other.client for other in equals if other.client != job.client)
        for client, count in counts.items():
            theirs = self._last_turn.get(client, 0)
            earlier = theirs < turn or (theirs == turn and first[client] < job.arrival)
            before += min(count, own + earlier)
        return before + own + 1

    def replaced_by(self, job: Job) -> list[Job]:
        """Return the same client's older previews, when `job` is a preview: nobody looks at them any more."""
        if job.priority is not Priority.PREVIEW:
            return []
        return [
            other
            for other in self.unfinished()
            if other is not job and other.client == job.client and other.priority is Priority.PREVIEW
        ]
