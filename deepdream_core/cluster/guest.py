"""A Dask worker as a guest on its machine: it rests when the owner says so, and reports what it does.

This is also the module for `dask worker --preload deepdream_core.cluster.guest`.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from distributed.core import Status
from tornado.ioloop import PeriodicCallback

import deepdream_core.cluster.dask_settings  # noqa: F401 - for `dask worker --preload`
from deepdream_core import __version__
from deepdream_core.cluster.order import RESOURCE, resource_of
from deepdream_core.config import load_config
from deepdream_core.errors import DeepDreamError
from deepdream_core.hotfolder.quiet_hours import quiet, quiet_until
from deepdream_core.hotfolder.rest import Backoff
from deepdream_core.hotfolder.shared_state import is_paused
from deepdream_core.hotfolder.spare_memory import SpareMemory
from deepdream_core.printable import printable
from deepdream_core.work import remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Worker

    from deepdream_core.settings import Config

LOOK_EVERY_S, READ_EVERY_S = 1.0, 10.0
_MINUTES = 10
"""How many minutes of finished pictures are counted for the pictures per minute."""


class Guest:
    """What this machine's owner lets a worker do, and what it does. `rests` is why the worker takes no picture, or "".

    `quiet_hours`: the worker's own, besides those of the drop folders.

    A worker that rests offers no devices: it finishes its picture, and gives back what waits for it.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._devices: list[dict[str, Any]] = []
        self._spare = SpareMemory()
        self._config: Config | None = None
        self._read_at = -math.inf
        self._doing: dict[str, dict[str, Any]] = {}
        self._done: deque[float] = deque(maxlen=10_000)
        self._began = time.monotonic()
        self._count = 0
        self._backoff = Backoff()
        self.rests = "starting"
        self.quiet_hours: str | None = None
        self._offered: list[dict[str, Any]] = []
        self._offers = False
        worker.metrics["deepdream"] = self._report  # what heartbeats carry to the scheduler
        self._timer = PeriodicCallback(self.look, LOOK_EVERY_S * 1000)
        self._timer.start()

    async def look(self) -> None:
        """Look whether to rest, and offer the scheduler this machine's devices."""
        self.rests = await asyncio.to_thread(self._why_rest)
        if self._worker.status != Status.running:
            return
        if self.rests:
            if self._offers:
                self._offers = False
                # The scheduler alone: what already waits here begins when a device is free, and then goes to another.
                await self._worker.scheduler.set_resources(
                    resources=self._resources(0), worker=self._worker.contact_address
                )
        elif not self._offers or self._devices is not self._offered:
            if self._devices is not self._offered:
                await self._worker.set_resources(**self._resources(0))
                self._offered = self._devices
            await self._worker.set_resources(**self._resources(len(self._offered)))
            self._offers = True
            # This lets the scheduler look again at pictures for which there was no machine; resources alone do not.
            self._worker.status = Status.paused
            self._worker.status = Status.running

    def _resources(self, count: int) -> dict[str, float]:
        weights = (resource_of(__version__, one["weights"]["sha256"]) for one in self._offered)
        return dict.fromkeys((RESOURCE, *weights), count)

    def has_weights(self, sha256: str) -> bool:
        """Return whether the devices have been offered with these weights; if not, look at them again before the next."""
        if any(one["weights"]["sha256"] == sha256 for one in self._offered):
            return True
        self._devices, self.rests = [], "its helper has other weights now"
        return False

    def rest_after(self, why: str) -> None:
        """Rest after an error that may be this machine's own, longer each time in a row, and then ask for its devices."""
        self._backoff.begin(why)
        self._devices, self.rests = [], self._backoff.problem()

    def end(self) -> None:
        """Look no longer."""
        self._timer.stop()

    @contextlib.contextmanager
    def dreaming(self, key: str, label: str) -> Iterator[None]:
        """Return the context in which a picture is dreamed."""
        self._doing[key] = {"label": label, "fraction": 0.0, "since": time.time()}
        try:
            yield
            self._done.append(time.monotonic())
            self._count += 1
            self._backoff.end()
        finally:
            self._doing.pop(key, None)

    def progress(self, key: str, fraction: float) -> None:
        """Note how much of a picture is dreamed, 0…1."""
        if key in self._doing:
            self._doing[key]["fraction"] = round(fraction, 4)

    def _why_rest(self) -> str:
        """Return why to take no picture; reads files and asks the helper, so it runs in a thread."""
        try:
            if self._config is None or time.monotonic() > self._read_at + READ_EVERY_S:
                self._config, self._read_at = load_config(None), time.monotonic()
            if is_paused():
                return "paused"
            now = datetime.datetime.now()
            for hours in (self.quiet_hours, *(folder.quiet_hours for folder in self._config.folders)):
                if quiet(hours, now):
                    return f"quiet hours until {quiet_until(hours, now):%H:%M}"
            if why := self._backoff.problem():
                return why
            self._devices = self._devices or devices()
            return self._spare.shortage(self._config.engine)
        except (DeepDreamError, OSError) as error:
            return str(error)

    def _report(self, _worker: Worker) -> dict[str, Any]:
        now = time.monotonic()
        minutes = min(_MINUTES, max(1.0, (now - self._began) / 60))
        recent = sum(at > now - 60 * minutes for at in self._done)
        report: dict[str, Any] = _printable({
            "version": __version__, "devices": self._devices, "rests": self.rests, "doing": list(self._doing.values()),
            "done": self._count, "per_minute": round(recent / minutes, 2),
        })  # fmt: skip
        return report


def _printable(data: Any) -> Any:
    """Return data with all its texts printable: a heartbeat that holds a file's undecodable name ends the worker."""
    if isinstance(data, dict):
        return {key: _printable(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_printable(value) for value in data]
    return printable(data) if isinstance(data, str) else data


def devices() -> list[dict[str, Any]]:
    """Return the devices of this machine's helper, which is started if none runs; raises `DeepDreamError`."""
    with remote.translated():
        workers = remote.connect(start=True).warm()["workers"]
    return [{key: worker[key] for key in ("device", "name", "precision", "threads", "weights")} for worker in workers]


def dask_setup(worker: Worker) -> None:
    """Prepare a Dask worker; Dask calls this."""
    worker.deepdream = Guest(worker)  # type: ignore[attr-defined]


def dask_teardown(worker: Worker) -> None:
    """End what `dask_setup` began; Dask calls this."""
    worker.deepdream.end()  # type: ignore[attr-defined]
