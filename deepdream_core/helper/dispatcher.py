"""The dispatcher takes jobs in, gives them to devices, passes on what workers report, and forgets old jobs.

Everything here runs in the event loop's thread. `queue` decides which job is next, `job_states` what an event does to a
job, and `devices` starts and ends the workers.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from deepdream_core.helper.admission import make_room
from deepdream_core.helper.devices import UNUSABLE_S, Device, Devices
from deepdream_core.helper.job import LARGEST_GUIDE, REPLACED, Job, Priority, State, guide_kinds
from deepdream_core.helper.job_states import CANCEL_WITHIN_S, ON_DEVICE, JobStates
from deepdream_core.helper.poison import DEATHS, PoisonousJobs
from deepdream_core.helper.queue import Queue
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.helper.worker_messages import Advance, Drop, Open, Shared

if TYPE_CHECKING:
    from deepdream_core.helper.schemas import JobRequest
    from deepdream_core.helper.shared import SharedArray
    from deepdream_core.helper.worker_messages import WorkerEvent
    from deepdream_core.link.view import View
    from deepdream_core.settings import Config

TICK_S = 0.25
KEEP_PREVIEWS_S = 30.0
KEEP_ENDED_S = 60.0

log = logging.getLogger("deepdream.helper")


class Dispatcher:
    """All jobs and all devices of one helper. `on_demand`: a client started it, and it ends itself when idle."""

    def __init__(self, config: Config, *, on_demand: bool) -> None:
        self.config = config
        self.limits = config.helper
        self.on_demand = on_demand
        self.queue = Queue()
        self.devices = Devices(config.engine, self)
        self.started = time.monotonic()
        self.stopping = False
        self._states = JobStates(self.queue)
        self._poisonous = PoisonousJobs()
        self._busy_until = self.started

    # Jobs come in

    def create(self, request: JobRequest) -> Job:
        """Take a job in; raises `RefusalError` if it is not valid or too large, or there is no room."""
        self._check_not_stopping()
        settings, about = request.dream(self.config)
        announced = request.announced(self.config.engine.max_megapixels)
        announced |= dict.fromkeys(guide_kinds(len(settings.guides)), LARGEST_GUIDE)
        job = Job(
            secrets.token_urlsafe(16), request.client, request.label, Priority[request.priority.upper()], settings, about,
            announced, request.previews, time.monotonic(),
        )  # fmt: skip
        replaced = self.queue.replaced_by(job)
        make_room(self.queue, job, replaced, self.limits, self.forget, self._states.mean_s / len(self.devices.all))
        for older in replaced:
            self.cancel(older, "replaced")
        job.free_since = job.created_at
        self.queue.add(job)
        return job

    def _check_not_stopping(self) -> None:
        if self.stopping:
            raise RefusalError(503, "stopping", "the helper is stopping", "start it again")

    def find(self, job_id: str) -> Job:
        """Return a job; raises `RefusalError` for an unknown id."""
        job = self.queue.jobs.get(job_id)
        if job is None:
            raise RefusalError(404, "not_found", "there is no such job", "send it again")
        return job

    async def add_array(self, job: Job, kind: str, array: SharedArray) -> None:
        """Add an uploaded array to its job, which is queued when it is complete."""
        if job.state is not State.CREATED:
            array.close()
            raise RefusalError(409, "conflict", f"the job is already {job.state}", "send a new one")
        job.arrived[kind], job.announced[kind] = array, array.header
        if not job.complete:
            return
        if await self._poisonous.includes(job):
            self._states.apply(
                job, "refused", code="poisonous",
                what=f"{DEATHS} workers crashed on this picture with these settings",
                next_step="change the settings, use a smaller picture, or see the helper's log",
            )  # fmt: skip
        elif self._states.apply(job, "complete"):
            self.assign()

    # Devices get jobs

    def assign(self) -> None:
        """Give every device the most important job that it can take; idle devices choose first."""
        if self.stopping:
            return
        devices = self.devices.usable() or self.devices.all
        for device in sorted(devices, key=lambda device: (device.current is not None, -_importance(device))):
            best = self.queue.best_for(device.name)
            current = device.current
            if best is None or (current is not None and best.priority >= current.priority):
                continue
            if current is None or self._states.apply(current, "paused"):
                self._start(device, best)

    def _start(self, device: Device, job: Job) -> None:
        try:
            process = device.worker()
        except OSError as error:
            what = f"no process for {device.name}: {error.strerror}"
            self._states.apply(job, "refused", code="internal", what=what, next_step="close other programs")
            asyncio.get_running_loop().call_soon(self.assign)
            return
        device.current = job
        if job.id not in device.opened:
            arrays = {kind: Shared(array.name, array.header) for kind, array in job.arrived.items()}
            process.send(Open(job.id, job.settings, arrays, job.previews))
            device.opened[job.id] = job
        process.send(Advance(job.id))
        self._states.apply(job, "start", device=device.name)

    # Workers report

    def on_event(self, device: Device, event: WorkerEvent) -> None:
        """Take an event of a device's worker."""
        if event.job is None:
            self._on_loaded(device, event)
        elif event.name == "snapshot":
            self.devices.answer_snapshot(event.job, written=bool(event.data["written"]))
        elif (job := device.opened.get(event.job)) is not None:
            self._on_job_event(device, job, event)

    def _on_loaded(self, device: Device, event: WorkerEvent) -> None:
        if event.name == "loaded":
            self._learn(device, event.data)
            device.answer_warming(device.about)
            return
        device.answer_warming(RefusalError(503, **event.data))
        if not device.opened:
            self.devices.unload(device)

    def _on_job_event(self, device: Device, job: Job, event: WorkerEvent) -> None:
        data = event.data
        if event.name == "begun":
            self._learn(device, data)
            data = device.about
        if event.name == "failed" and data["code"] == "device" and self._can_go_elsewhere(job, device):
            log.warning("%s cannot be used: %s", device.name, data["what"])
            device.unusable_until = time.monotonic() + UNUSABLE_S
            self.devices.unload(device)
            for other in self.devices.take_jobs(device):
                self._states.apply(other, "lost")
        elif self._states.apply(job, event.name, **data) and job.state.ended:
            device.close(job)
        else:
            return
        self.assign()

    def _can_go_elsewhere(self, job: Job, device: Device) -> bool:
        """Return whether another device can take a job that has not begun yet."""
        return job.state in ON_DEVICE and not job.begun and any(it is not device for it in self.devices.usable())

    def _learn(self, device: Device, about: dict[str, Any]) -> None:
        if self.devices.learn(device, about):
            self.assign()

    def on_death(self, device: Device, reason: str) -> None:
        """End the job that a dead worker worked on; its other jobs wait for a device again."""
        log.warning("worker on %s died: %s", device.name, reason)
        current = device.current
        for job in self.devices.take_jobs(device):
            if job is current and job.state in ON_DEVICE and (job.begun or job.lost_workers + 1 >= DEATHS):
                self._poisonous.remember(job)
                what = f"the worker on {device.name} died: {reason}"
                self._states.apply(job, "failed", code="worker_died", what=what, next_step="try again")
            else:
                job.lost_workers += job is current
                self._states.apply(job, "lost")
        died = RefusalError(503, "worker_died", f"the worker died: {reason}", "try again", exit_code=1)
        device.answer_warming(died)
        self.assign()

    # Clients ask

    async def so_far(self, job: Job, view: View | None) -> SharedArray | None:
        """Return the picture so far, or a view of it, as `Devices.snapshot` does."""
        return await self.devices.snapshot(job, view) if job.state in ON_DEVICE else None

    def change(self, job: Job, priority: Priority | None, label: str | None) -> None:
        """Change a job's priority and label; raises `RefusalError` for a job without a result."""
        if job.state is State.STOPPING or (job.state.ended and job.state is not State.DONE):
            raise RefusalError(409, "conflict", f"the job is {job.state}", "send a new one")
        job.label = job.label if label is None else label
        if priority is not None and priority is not job.priority:
            self.queue.move(job, priority)
            self.assign()

    def warm(self) -> list[asyncio.Future[dict[str, Any]]]:
        """Have every worker load its model, as `Devices.warm` does; raises `RefusalError` while the helper stops."""
        self._check_not_stopping()
        self._busy_until = time.monotonic()
        return self.devices.warm()

    def cancel(self, job: Job, why: str) -> None:
        """Cancel a job: at once if it waits, within one iteration if a device works on it."""
        applied, device = self._states.apply(job, "cancel", why=why), self.devices.device_of(job)
        if applied and device is not None and device.process is not None:
            device.process.send(Drop(job.id))

    def keeps(self, job: Job) -> bool:
        """Return whether a job is known, and will be for a while."""
        return not self.stopping and job.id in self.queue.jobs

    def forget(self, job: Job) -> None:
        """Free an ended job's memory and forget the job."""
        job.drop_arrays()
        self.queue.remove(job)

    # Time passes

    def tick(self) -> None:
        """Cancel abandoned jobs, replace workers that do not answer, end idle ones, forget old results."""
        now = time.monotonic()
        for job in list(self.queue.jobs.values()):
            if job.abandoned(now) and job.state is not State.STOPPING:
                self.cancel(job, "lease")
            elif job.ended_at is not None and job.holders == 0 and now - job.ended_at > self._kept_s(job):
                self.forget(job)
        for job, deadline in list(self._states.deadlines.items()):
            device = self.devices.device_of(job)
            if now > deadline and device is not None and device.process is not None:
                log.warning("worker on %s does not answer a cancel and is replaced", device.name)
                device.process.kill("it did not answer a cancel")
                self._states.deadlines[job] = now + CANCEL_WITHIN_S
        self.devices.unload_idle(self.limits.idle_unload_s)
        if self.queue.jobs or any(device.warming for device in self.devices.all):
            self._busy_until = now

    def _kept_s(self, job: Job) -> float:
        if job.state is not State.DONE:
            return KEEP_ENDED_S
        return KEEP_PREVIEWS_S if job.priority in REPLACED else self.limits.keep_results_s

    @property
    def idle_s(self) -> float:
        """Seconds since the helper last had a job or a result to keep."""
        return 0.0 if self.queue.jobs else time.monotonic() - self._busy_until

    async def stop(self) -> None:
        """Refuse new jobs, cancel all others and end the workers, within two seconds."""
        self.stopping = True
        for job in self.queue.unfinished():
            self._states.apply(job, "shutdown", why="stopping")
            self.devices.answer_snapshot(job.id, written=False)
        await self.devices.end_all(RefusalError(503, "stopping", "the helper is stopping", "start it again"))

    def close(self) -> None:
        """Kill the workers that are left and free all shared memory."""
        self.devices.kill_all()
        for job in list(self.queue.jobs.values()):
            self.forget(job)


def _importance(device: Device) -> int:
    return device.current.priority if device.current is not None else 0
