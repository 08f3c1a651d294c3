"""The devices and their workers: started when there is work, asked for pictures, and ended to free memory."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

from deepdream_core.helper.refusal import RefusalError
from deepdream_core.helper.shared import SharedArray
from deepdream_core.helper.worker_messages import Load, Shared, Snapshot
from deepdream_core.helper.worker_process import WorkerProcess

if TYPE_CHECKING:
    from deepdream_core.helper.job import Job
    from deepdream_core.helper.worker_messages import WorkerEvent
    from deepdream_core.link.view import View
    from deepdream_core.machine_settings import EngineSettings

UNUSABLE_S = 60.0
"""Seconds for which a device that could not be opened gets no jobs, if there are others."""
SNAPSHOT_WITHIN_S = 20.0

log = logging.getLogger("deepdream.helper")


class Listener(Protocol):
    """Receives what workers report, in the event loop's thread."""

    def on_event(self, device: Device, event: WorkerEvent) -> None:
        """Take an event of the device's worker."""

    def on_death(self, device: Device, reason: str) -> None:
        """Handle the unexpected death of the device's worker."""


class Device:
    """A device and its worker process, if it has one.

    The first worker finds out the device's name and precision, which are kept: a worker that replaces it must not silently
    fall back to another device. `opened` are the jobs that the worker has, `current` is the one that it works on.
    """

    def __init__(self, settings: EngineSettings, listener: Listener) -> None:
        self.settings = settings
        self._listener = listener
        self.process: WorkerProcess | None = None
        self.about: dict[str, Any] = {}
        self.memory = 0
        self.current: Job | None = None
        self.opened: dict[str, Job] = {}
        self.warming: list[asyncio.Future[dict[str, Any]]] = []
        self.idle_since = 0.0
        self.unusable_until = 0.0

    @property
    def name(self) -> str:
        """The device's name, or `auto` until a worker has found out which device that is."""
        return self.settings.device

    @property
    def state(self) -> str:
        """`off`, `starting`, `ready` or `busy`."""
        if self.process is None:
            return "off"
        if not self.memory:
            return "starting"
        return "ready" if self.current is None else "busy"

    def learn(self, about: dict[str, Any]) -> None:
        """Keep what a worker found out about its device."""
        self.about = about
        found = {"device": about["device"], "precision": about["precision"]}
        self.settings = self.settings.model_copy(update=found)
        for job in self.opened.values():
            job.device = self.name

    def worker(self) -> WorkerProcess:
        """Return the worker process, started if there is none; raises `OSError`."""
        if self.process is None:
            self.memory = 0
            self.process = WorkerProcess(self.settings, self._on_event, self._on_death)
        return self.process

    def close(self, job: Job) -> None:
        """Forget a job that the worker no longer has."""
        self.opened.pop(job.id, None)
        if self.current is job:
            self.current = None
        self.idle_since = time.monotonic()

    def answer_warming(self, answer: dict[str, Any] | RefusalError) -> None:
        """Give an answer to those who wait for the model to load."""
        for future in self.warming:
            if future.done():
                continue
            if isinstance(answer, RefusalError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self.warming.clear()

    def _on_event(self, process: WorkerProcess, event: WorkerEvent) -> None:
        if process is self.process:
            self.memory = event.memory or self.memory
            self._listener.on_event(self, event)

    def _on_death(self, process: WorkerProcess, reason: str) -> None:
        if process is self.process:
            self.process = None
            self._listener.on_death(self, reason)


class Devices:
    """All devices of the helper."""

    def __init__(self, settings: EngineSettings, listener: Listener) -> None:
        self._settings, self._listener = settings, listener
        names = [settings.device] if settings.devices == "auto" else settings.devices
        self.all = [self._device(name) for name in names]
        self._snapshots: dict[str, asyncio.Future[bool]] = {}
        self._leaving: list[WorkerProcess] = []

    def _device(self, name: str) -> Device:
        return Device(self._settings.model_copy(update={"device": name}), self._listener)

    def usable(self) -> list[Device]:
        """Return the devices that may be usable."""
        now = time.monotonic()
        return [device for device in self.all if now >= device.unusable_until]

    def device_of(self, job: Job) -> Device | None:
        """Return the device whose worker has the job."""
        return next((device for device in self.all if job.id in device.opened), None)

    def learn(self, device: Device, about: dict[str, Any]) -> bool:
        """Keep what a worker found; if the settings mean all devices, add the others and return True."""
        all_are_meant = device.name == "auto" and self._settings.devices == "auto"
        others = about.pop("cuda", [])
        device.learn(about)
        if not (all_are_meant and device.name.startswith("cuda")):
            return False
        name = device.name if ":" in device.name else f"{device.name}:0"
        self.all += [self._device(other) for other in others if other != name]
        return True

    def warm(self) -> list[asyncio.Future[dict[str, Any]]]:
        """Have every worker load its model; return what each will report, or `RefusalError`."""
        return [self._warm(device) for device in self.all]

    def _warm(self, device: Device) -> asyncio.Future[dict[str, Any]]:
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        device.idle_since = time.monotonic()
        if device.process is not None and device.memory and device.about:
            future.set_result(device.about)
            return future
        try:
            device.worker().send(Load())
            device.warming.append(future)
        except OSError as error:
            what = f"no process for {device.name}: {error.strerror}"
            future.set_exception(RefusalError(503, "internal", what, "close other programs", exit_code=1))
        return future

    def unload(self, device: Device) -> None:
        """End the device's worker, if it has one, which frees all its memory."""
        if device.process is not None:
            device.process.end()
            self._leaving.append(device.process)
        device.process, device.memory = None, 0

    def unload_idle(self, after_s: float) -> None:
        """End the workers that have been idle for so long."""
        now = time.monotonic()
        for device in self.all:
            if device.opened or device.warming:
                device.idle_since = now
            elif device.process is not None and now - device.idle_since > after_s:
                log.info("worker on %s ends: idle for %.0f s", device.name, now - device.idle_since)
                self.unload(device)
        self._leaving = [process for process in self._leaving if process.is_alive]

    def take_jobs(self, device: Device) -> list[Job]:
        """Take its jobs from a device whose worker has ended, and return them."""
        jobs = list(device.opened.values())
        device.opened.clear()
        device.current, device.memory, device.idle_since = None, 0, time.monotonic()
        for job in jobs:
            self.answer_snapshot(job.id, written=False)
        return jobs

    async def snapshot(self, job: Job, view: View | None) -> SharedArray | None:
        """Return the picture so far, or a view of it, in an array that the caller closes, None if there is none in time.

        A worker reads its messages between two steps only. Raises `MemoryError`.
        """
        device = self.device_of(job)
        if device is None or device.process is None:
            return None
        try:
            async with asyncio.timeout(SNAPSHOT_WITHIN_S), job.looking:
                return await self._snapshot(device.process, job, view)
        except TimeoutError:
            return None

    async def _snapshot(self, process: WorkerProcess, job: Job, view: View | None) -> SharedArray | None:
        header = job.pixels if view is None else view.header(job.pixels.shape[2])
        array = await asyncio.to_thread(SharedArray, header)
        future = self._snapshots[job.id] = asyncio.get_running_loop().create_future()
        process.send(Snapshot(job.id, Shared(array.name, array.header), view))
        written = False
        try:
            written = await future
        finally:
            if self._snapshots.get(job.id) is future:
                del self._snapshots[job.id]
            if not written:
                array.close()
        return array if written else None

    def answer_snapshot(self, job_id: str, *, written: bool) -> None:
        """Wake the caller that waits for the job's picture so far."""
        future = self._snapshots.get(job_id)
        if future is not None and not future.done():
            future.set_result(written)

    async def end_all(self, why: RefusalError) -> None:
        """End all workers within two seconds; those who wait for a model get the reason."""
        for device in self.all:
            self.unload(device)
            device.answer_warming(why)
        leaving, self._leaving = self._leaving, []
        await asyncio.gather(*(asyncio.to_thread(process.finish, 1.0) for process in leaving))

    def kill_all(self) -> None:
        """Kill the workers that are left."""
        for device in self.all:
            if device.process is not None:
                device.process.kill()
