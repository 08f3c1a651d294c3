"""Which job is next: data and rules, without threads, sockets or clocks."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from deepdream_core.helper.job import REPLACED, Priority, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepdream_core.helper.job import Job


class Queue:
    """All jobs that the helper knows, by id; `job_states` changes their states.

    Interactive jobs come before previews, previews before batch jobs, and these before background jobs. Among equals, a
    paused job comes first; then clients take turns, and each client's own jobs keep their order.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._arrivals = 0
        self._turns = 0
        self._last_turn: dict[str, int] = {}
        self._enqueued = 0
        self._places: dict[str, int] = {}
        self._places_of = (0, 0, 0)

    def add(self, job: Job) -> None:
        """Take in a new job."""
        self.jobs[job.id] = job

    def remove(self, job: Job) -> None:
        """Forget a job, and with its last job a client."""
        self.jobs.pop(job.id, None)
        if not any(other.client == job.client for other in self.jobs.values()):
            self._last_turn.pop(job.client, None)

    def enqueue(self, job: Job) -> None:
        """Let a job wait for its turn; a job that lost its worker keeps its place."""
        job.device = None
        self._enqueued += 1
        self._take_turn(job)
        if not job.arrival:
            self._arrivals += 1
            job.arrival = self._arrivals

    def _take_turn(self, job: Job) -> None:
        """Let a client without jobs join the round at its end; otherwise new clients would starve those that wait."""
        if all(other is job or other.client != job.client or other.state.ended for other in self.jobs.values()):
            self._last_turn[job.client] = self._turns

    def move(self, job: Job, priority: Priority) -> None:
        """Let a job wait, or go on, among those of another priority."""
        job.priority = priority
        self._places_of = (-1, -1, -1)

    def begin(self, job: Job, device: str) -> None:
        """Record that a device begins the job, or resumes it."""
        job.device = device
        self._turns += 1
        self._last_turn[job.client] = self._turns

    def waiting(self) -> list[Job]:
        """Return the queued jobs."""
        return [job for job in self.jobs.values() if job.state is State.QUEUED]

    def unfinished(self) -> list[Job]:
        """Return the jobs that have not ended."""
        return [job for job in self.jobs.values() if not job.state.ended]

    def best_for(self, device: str) -> Job | None:
        """Return the job that the device should take next, of the queued jobs and those that it has paused."""
        candidates = (
            job
            for job in self.jobs.values()
            if job.state is State.QUEUED or (job.state is State.PAUSED and job.device == device)
        )
        return min(candidates, key=self._order, default=None)

    def _order(self, job: Job) -> tuple[int, bool, int, int]:
        return job.priority, job.state is State.QUEUED, self._last_turn.get(job.client, 0), job.arrival

    def position(self, job: Job) -> int:
        """Return a queued job's place in the order in which jobs will begin, as far as is known; 1 is next."""
        waiting = self.waiting()
        known = (self._turns, self._enqueued, len(waiting))
        if known != self._places_of:
            self._places_of, self._places = (
                known,
                {other.id: place for place, other in enumerate(self._plan(waiting), 1)},
            )
        return self._places[job.id]

    def _plan(self, waiting: list[Job]) -> Iterator[Job]:
        """Yield queued jobs in the order in which `best_for` will return them."""
        turns, last = dict(self._last_turn), self._turns
        for priority in Priority:
            own: dict[str, deque[Job]] = {}
            for job in sorted(waiting, key=lambda job: job.arrival):
                if job.priority is priority:
                    own.setdefault(job.client, deque()).append(job)
            next_in_line = [(turns.get(client, 0), jobs[0].arrival, client) for client, jobs in own.items()]
            heapify(next_in_line)
            while next_in_line:
                _, _, client = heappop(next_in_line)
                yield own[client].popleft()
                last += 1
                turns[client] = last
                if own[client]:
                    heappush(next_in_line, (last, own[client][0].arrival, client))

    def replaced_by(self, job: Job) -> list[Job]:
        """Return the same client's older previews if `job` is a preview, so too in the background: nobody needs them."""
        if job.priority not in REPLACED:
            return []
        return [
            other
            for other in self.unfinished()
            if other is not job and other.client == job.client and other.priority is job.priority
        ]
