"""The helper's mind: takes jobs in, gives them to workers, notices who vanished, and forgets what has had its time.

Everything here runs in the event loop's thread. Rules of order are the queue's; processes are the pool's.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from deepdream_core.helper.admission import make_room
from deepdream_core.helper.job import Job, Priority, State
from deepdream_core.helper.poison import DEATHS, Poison
from deepdream_core.helper.pool import BROKEN_S, Slot
from deepdream_core.helper.queue import Queue
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.helper.shared import SharedArray
from deepdream_core.helper.worker_messages import Advance, Drop, Load, Open, Shared, Snapshot

if TYPE_CHECKING:
    from deepdream_core.helper.pool import Process
    from deepdream_core.helper.schemas import JobRequest
    from deepdream_core.helper.worker_messages import Told
    from deepdream_core.settings import Config

CANCEL_WITHIN_S = 10.0
"""A worker that has not dropped a job by then is ended and replaced."""
SNAPSHOT_WITHIN_S = 20.0
TICK_S = 0.25
KEEP_PREVIEWS_S = 30.0
KEEP_ENDED_S = 60.0

log = logging.getLogger("deepdream.helper")


class Dispatcher:
    """All jobs and all workers of one helper. `on_demand`: a client started it, and it ends itself when idle."""

    def __init__(self, config: Config, *, on_demand: bool) -> None:
        self.config = config
        self.limits = config.helper
        self.on_demand = on_demand
        self.queue = Queue()
        self.slots = [Slot(settings) for settings in _devices(config)]
        self.started = time.monotonic()
        self.stopping = False
        self._busy_until = self.started
        self._seconds: deque[float] = deque([5.0], maxlen=16)
        self._deadlines: dict[Job, float] = {}
        self._snapshots: dict[str, asyncio.Future[bool]] = {}
        self._poison = Poison()
        self._leaving: list[Process] = []

    # Jobs come in

    def create(self, request: JobRequest) -> Job:
        """Take a job in; raises `RefusalError` when it is not valid, too large, or there is no room."""
        if self.stopping:
            raise RefusalError(503, "stopping", "the helper is stopping", "start it again")
        settings, about = request.dream(self.config)
        announced = request.announced(self.config.engine.max_megapixels)
        job = Job(
            secrets.token_urlsafe(16), request.client, request.label, Priority[request.priority.upper()], settings, about,
            announced, request.previews, time.monotonic(),
        )  # fmt: skip
        replaced = self.queue.replaced_by(job)
        turn_s = sum(self._seconds) / len(self._seconds) / len(self.slots)
        make_room(self.queue, job, replaced, self.limits, self.forget, turn_s)
        for older in replaced:
            self.cancel(older, "replaced")
        job.free_since = job.created_at
        self.queue.add(job)
        return job

    def find(self, job_id: str) -> Job:
        """Return a job; raises `RefusalError` for an unknown id."""
        job = self.queue.jobs.get(job_id)
        if job is None:
            raise RefusalError(404, "not_found", "there is no such job", "send it again")
        return job

    async def arrived(self, job: Job, kind: str, array: SharedArray) -> None:
        """Take a part of a job in; with the last one it is queued."""
        if job.state is not State.CREATED:
            array.close()
            raise RefusalError(409, "conflict", f"the job is {job.state} already", "send a new one")
        job.arrived[kind] = array
        if not job.complete:
            return
        if await self._poison.is_in(job):
            if job.state is State.CREATED:
                self._end_failed(
                    job, "poisonous", f"{DEATHS} workers died of this very picture and settings",
                    "change the settings, use a smaller picture, or look into the helper's log",
                )  # fmt: skip
            return
        if job.state is State.CREATED:
            self.queue.enqueue(job)
            self._tell_queued(job)
            self.assign()

    def _tell_queued(self, job: Job) -> None:
        job.tell("queued", position=self.queue.position(job))

    # Jobs are given to workers

    def assign(self) -> None:
        """Give every device the most important job there is for it; idle devices choose first."""
        if self.stopping:
            return
        now = time.monotonic()
        healthy = [slot for slot in self.slots if now >= slot.broken_until] or self.slots
        for slot in sorted(healthy, key=lambda slot: (slot.current is not None, -_importance(slot))):
            best = self.queue.best_for(slot.device)
            if best is None:
                continue
            if slot.current is not None:
                if slot.current.state is State.STOPPING or best.priority >= slot.current.priority:
                    continue
                slot.current.state = State.PAUSED
                slot.current.tell("paused")
            self._put_on(slot, best)

    def _put_on(self, slot: Slot, job: Job) -> None:
        try:
            process = slot.running(self, asyncio.get_running_loop())
        except OSError as error:
            self._end_failed(job, "internal", f"no process for {slot.device}: {error.strerror}", "close other programs")
            asyncio.get_running_loop().call_soon(self.assign)
            return
        begun = job.state is State.PAUSED
        self.queue.begin(job, slot.device)
        slot.current = job
        if job.id not in slot.opened:
            arrays = {kind: Shared(array.name, array.header) for kind, array in job.arrived.items()}
            process.say(Open(job.id, job.settings, arrays, job.previews))
            slot.opened[job.id] = job
        process.say(Advance(job.id))
        if job.started_at is None:
            job.started_at = time.monotonic()
        if begun and job.told:
            job.tell("running", **job.told)

    # Workers are heard

    def on_told(self, slot: Slot, told: Told) -> None:
        """Hear a worker."""
        slot.memory = told.memory or slot.memory
        if told.job is None:
            self._hear_about_itself(slot, told)
            return
        if told.name == "snapshot":
            self._answer_snapshot(told.job, bool(told.data["written"]))
            return
        job = slot.opened.get(told.job)
        if job is None:
            return
        if job.state is State.STOPPING:
            if told.name == "dropped":
                self._leave(slot, job)
                self._end_cancelled(job)
                self.assign()
            return
        match told.name:
            case "begun":
                self._learn(slot, told.data)
                job.begun = True
                job.told = dict(slot.about)
                job.tell("running", **job.told)
            case "progress":
                job.progress = told.data
                job.tell("progress", **told.data)
            case "note" | "octave":
                job.tell(told.name, **told.data)
            case "done":
                self._leave(slot, job)
                self._end_done(job, told.data)
                self.assign()
            case "failed":
                self._leave(slot, job)
                if told.data["code"] == "device" and not job.begun and self._others_than(slot):
                    log.warning("%s cannot be used: %s", slot.device, told.data["what"])
                    self._leave_alone(slot, job)
                else:
                    self._end_failed(job, **told.data)
                self.assign()

    def _leave_alone(self, slot: Slot, job: Job) -> None:
        """Give a device that cannot be opened no jobs for a while; this one and those it had go to the others."""
        slot.broken_until = time.monotonic() + BROKEN_S
        self._send_away(slot)
        for other in [job, *self._emptied(slot)]:
            if other.state is State.STOPPING:
                self._end_cancelled(other)
            else:
                self._wait_again(other)

    def _others_than(self, slot: Slot) -> list[Slot]:
        """Return the other devices that are not known to be broken."""
        now = time.monotonic()
        return [other for other in self.slots if other is not slot and now >= other.broken_until]

    def _hear_about_itself(self, slot: Slot, told: Told) -> None:
        if told.name == "loaded":
            self._learn(slot, told.data)
            self._answer_warming(slot, slot.about)
        else:
            self._answer_warming(slot, RefusalError(503, **told.data))
        if told.name == "failed" and not slot.opened and slot.process is not None:
            self._send_away(slot)

    def _answer_warming(self, slot: Slot, answer: dict[str, Any] | RefusalError) -> None:
        """Wake those who wait for the slot's model."""
        for future in slot.warming:
            if future.done():
                continue
            if isinstance(answer, RefusalError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        slot.warming.clear()

    def _learn(self, slot: Slot, about: dict[str, Any]) -> None:
        """Keep what a worker found; where all devices were meant, the others get workers too."""
        everything = slot.device == "auto" and self.config.engine.devices == "auto"
        others = about.pop("cuda", [])
        slot.learn(about)
        if everything and slot.device.startswith("cuda"):
            mine = slot.device if ":" in slot.device else f"{slot.device}:0"
            self.slots += [
                Slot(self.config.engine.model_copy(update={"device": name})) for name in others if name != mine
            ]
            self.assign()

    def on_death(self, slot: Slot, reason: str) -> None:
        """Hear that a worker died: its running job fails, what it had paused starts again, and others go on."""
        log.warning("worker on %s died: %s", slot.device, reason)
        current = slot.current
        for job in self._emptied(slot):
            if job.state is State.STOPPING:
                self._end_cancelled(job)
            elif job is current and (job.begun or job.lost_workers + 1 >= DEATHS):
                self._poison.remember(job)
                self._end_failed(job, "worker_died", f"the worker on {slot.device} died: {reason}", "try again")
            elif not job.state.ended:
                job.lost_workers += job is current
                self._wait_again(job)
        died = RefusalError(503, "worker_died", f"the worker died: {reason}", "try again", exit_code=1)
        self._answer_warming(slot, died)
        self.assign()

    def _emptied(self, slot: Slot) -> list[Job]:
        """Take its jobs from a slot whose worker is gone, and return them."""
        jobs = list(slot.opened.values())
        slot.opened.clear()
        slot.current, slot.memory, slot.idle_since = None, 0, time.monotonic()
        for job in jobs:
            self._answer_snapshot(job.id, False)
        return jobs

    def _wait_again(self, job: Job) -> None:
        """Let a job start again on whichever device is free next."""
        job.begun = False
        self.queue.enqueue(job)
        self._tell_queued(job)

    def _leave(self, slot: Slot, job: Job) -> None:
        slot.opened.pop(job.id, None)
        if slot.current is job:
            slot.current = None
        slot.idle_since = time.monotonic()

    # Jobs end

    def cancel(self, job: Job, why: str) -> None:
        """Stop a job: at once when it waits, within one iteration when a device works on it; an ended one is left."""
        if job.state in (State.CREATED, State.QUEUED):
            job.told["why"] = why
            self._end_cancelled(job)
        elif job.state in (State.RUNNING, State.PAUSED):
            job.told["why"] = why
            job.state = State.STOPPING
            self._deadlines[job] = time.monotonic() + CANCEL_WITHIN_S
            slot = self._slot_of(job)
            if slot is not None and slot.process is not None:
                slot.process.say(Drop(job.id))

    def forget(self, job: Job) -> None:
        """Give an ended job's memory back and know it no more."""
        job.drop_arrays()
        self.queue.remove(job)

    def _slot_of(self, job: Job) -> Slot | None:
        return next((slot for slot in self.slots if job.id in slot.opened), None)

    def _end_done(self, job: Job, data: dict[str, Any]) -> None:
        for kind in ("mask", "start"):
            array = job.arrived.pop(kind, None)
            if array is not None:
                array.close()
        seconds = time.monotonic() - (job.started_at or job.created_at)
        self._seconds.append(seconds)
        self._ended(job, State.DONE, "done")
        job.tell("done", seconds=round(seconds, 4), **data)

    def _end_failed(self, job: Job, code: str, what: str, next_step: str, exit_code: int = 1) -> None:
        self._ended(job, State.FAILED, f"failed ({code}: {what})")
        job.told |= {"code": code, "what": what, "next_step": next_step, "exit_code": exit_code}
        job.tell("failed", code=code, what=what, next_step=next_step, exit_code=exit_code)
        job.drop_arrays()

    def _end_cancelled(self, job: Job) -> None:
        why = job.told.get("why", "asked")
        self._ended(job, State.CANCELLED, f"cancelled ({why})")
        job.tell("cancelled", why=why)
        job.drop_arrays()

    def _ended(self, job: Job, state: State, outcome: str) -> None:
        """Note the end and write the job's one line into the log."""
        job.state, job.ended_at = state, time.monotonic()
        self._deadlines.pop(job, None)
        self._busy_until = job.ended_at
        height, width, channels = job.pixels.shape
        began = job.started_at or job.ended_at
        where = f"{job.told['device']} {job.told['precision']}" if "device" in job.told else "no device"
        log.info(
            "%s %s %s %s %d×%d×%d %s on %s: waited %.2f s, ran %.2f s, %s",
            job.id[:6], job.client, job.priority.name.lower(), job.about, width, height, channels, job.pixels.dtype,
            where, began - job.created_at, job.ended_at - began, outcome,
        )  # fmt: skip

    # What clients may look at

    async def so_far(self, job: Job) -> SharedArray | None:
        """Return the picture so far in an array that the caller closes, or None when there is none yet.

        A worker looks up only between two steps; None also when that takes too long. Raises `MemoryError`.
        """
        slot = self._slot_of(job)
        if slot is None or slot.process is None or job.state not in (State.RUNNING, State.PAUSED):
            return None
        try:
            async with asyncio.timeout(SNAPSHOT_WITHIN_S), job.looking:
                return await self._snapshot(slot.process, job)
        except TimeoutError:
            return None

    async def _snapshot(self, process: Process, job: Job) -> SharedArray | None:
        array = await asyncio.to_thread(SharedArray, job.pixels)
        future = self._snapshots[job.id] = asyncio.get_running_loop().create_future()
        process.say(Snapshot(job.id, Shared(array.name, array.header)))
        written = False
        try:
            written = await future
        finally:
            if self._snapshots.get(job.id) is future:
                del self._snapshots[job.id]
            if not written:
                array.close()
        return array if written else None

    def _answer_snapshot(self, job_id: str, written: bool) -> None:
        """Wake who waits for the job's picture so far."""
        future = self._snapshots.get(job_id)
        if future is not None and not future.done():
            future.set_result(written)

    def warm(self) -> list[asyncio.Future[dict[str, Any]]]:
        """Have every worker load its model; return what each will say of itself, or `RefusalError`."""
        if self.stopping:
            raise RefusalError(503, "stopping", "the helper is stopping", "start it again")
        loop = asyncio.get_running_loop()
        futures = []
        for slot in self.slots:
            future: asyncio.Future[dict[str, Any]] = loop.create_future()
            futures.append(future)
            slot.idle_since = time.monotonic()
            if slot.process is not None and slot.memory and slot.about:
                future.set_result(slot.about)
                continue
            try:
                slot.running(self, loop).say(Load())
                slot.warming.append(future)
            except OSError as error:
                what = f"no process for {slot.device}: {error.strerror}"
                future.set_exception(RefusalError(503, "internal", what, "close other programs", exit_code=1))
        self._busy_until = time.monotonic()
        return futures

    # Time passes

    def tick(self) -> None:
        """Do what is due: abandoned jobs, workers that do not answer, idle ones, results nobody fetched."""
        now = time.monotonic()
        for job in list(self.queue.jobs.values()):
            if job.abandoned(now) and job.state is not State.STOPPING:
                self.cancel(job, "lease")
            elif job.state.ended and job.holders == 0 and now - (job.ended_at or now) > self._kept_s(job):
                self.forget(job)
        for job, deadline in list(self._deadlines.items()):
            slot = self._slot_of(job)
            if now > deadline and slot is not None and slot.process is not None:
                log.warning("worker on %s does not answer a cancel: it is replaced", slot.device)
                slot.process.kill("it did not answer a cancel")
                self._deadlines[job] = now + CANCEL_WITHIN_S
        for slot in self.slots:
            if slot.opened or slot.warming:
                slot.idle_since = now
            elif slot.process is not None and now - slot.idle_since > self.limits.idle_unload_s:
                log.info("worker on %s ends: idle for %.0f s", slot.device, now - slot.idle_since)
                self._send_away(slot)
        self._leaving = [process for process in self._leaving if process.process.is_alive()]
        if self.queue.jobs or any(slot.warming for slot in self.slots):
            self._busy_until = now

    def _kept_s(self, job: Job) -> float:
        if job.state is not State.DONE:
            return KEEP_ENDED_S
        return KEEP_PREVIEWS_S if job.priority is Priority.PREVIEW else self.limits.keep_results_s

    def _send_away(self, slot: Slot) -> None:
        assert slot.process is not None
        slot.process.end()
        self._leaving.append(slot.process)
        slot.process, slot.memory = None, 0

    @property
    def idle_s(self) -> float:
        """Seconds since there was anything to do or to keep for somebody."""
        return 0.0 if self.queue.jobs else time.monotonic() - self._busy_until

    async def stop(self) -> None:
        """Take nothing new, tell everybody, end the workers; within two seconds."""
        self.stopping = True
        for job in self.queue.unfinished():
            job.told["why"] = "stopping"
            self._end_cancelled(job)
            self._answer_snapshot(job.id, False)
        for slot in self.slots:
            if slot.process is not None:
                self._send_away(slot)
            self._answer_warming(slot, RefusalError(503, "stopping", "the helper is stopping", "start it again"))
        leaving, self._leaving = self._leaving, []
        await asyncio.gather(*(asyncio.to_thread(process.finish, 1.0) for process in leaving))

    def close(self) -> None:
        """End what still runs and give all shared memory back."""
        for slot in self.slots:
            if slot.process is not None:
                slot.process.kill()
        for job in list(self.queue.jobs.values()):
            self.forget(job)


def _devices(config: Config) -> list[Any]:
    """Return the engine settings of each device's worker."""
    if config.engine.devices == "auto":
        return [config.engine]
    return [config.engine.model_copy(update={"device": name}) for name in config.engine.devices]


def _importance(slot: Slot) -> int:
    return slot.current.priority if slot.current is not None else 0
