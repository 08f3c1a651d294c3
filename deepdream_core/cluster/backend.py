"""A cluster as a backend: the same pictures as this machine's engine with the same device, computed on other machines."""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import time
from concurrent.futures import CancelledError, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from deepdream_core import __version__, errors
from deepdream_core.cluster import task
from deepdream_core.cluster.connection import resources_of
from deepdream_core.cluster.dask_settings import reason_of
from deepdream_core.cluster.order import Dream, order_of
from deepdream_core.engine.progress import Progress
from deepdream_core.errors import DeepDreamError, HelperError, NumericError, SettingsError
from deepdream_core.settings import DreamSettings
from deepdream_core.work.remote import RemoteDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    import numpy as np
    from distributed import Client, Future
    from numpy.typing import NDArray

    from deepdream_core.cluster.connection import Cluster
    from deepdream_core.cluster.order import Order

POLL_S = 1.0
DEATHS = 3
"""How often a picture is sent again that was only near when workers died."""
NOTED_AFTER_S = 10.0
"""Seconds after which a note says that no machine has taken the picture."""
_DIED = ("worker_died", "poisonous")
_PICTURES_FAULT = (SettingsError, NumericError)
"""Errors that are the same on every machine."""


class ClusterEngine(RemoteDevice):
    """Dreams pictures on a cluster, one at a time; each thread has its own, all share a `Cluster`.

    A picture whose machine, scheduler or network is lost is sent again. After an error that may be a machine's own, such as
    a full disk or too little memory, each other machine gets the picture, and the last one's error is raised. A picture
    that has killed the helper's process on two machines, or four workers, is refused: `HelperError` with the code
    `poisonous`.
    When the cluster gets other weights than at the last `refresh`, raises `HelperError` with the code `cancelled`. Raises
    else what `Engine.dream` does.
    """

    def __init__(self, cluster: Cluster, note: Callable[[str], None]) -> None:
        self._cluster, self._note = cluster, note
        self.label = ""
        self.dreamed_with = DreamSettings()
        self._begun = 0
        self._update(self._first())

    def refresh(self) -> None:
        """Wait until the cluster can take a picture, and take its device and weights."""
        self._update(self._first())

    def _first(self) -> dict[str, Any]:
        """Return the first device that can take a picture; wait for one, and note that once."""
        began, noted = time.monotonic(), False
        while True:
            self._cluster.check_wanted(began)
            self._cluster.client()
            weights = self._cluster.chosen()
            devices = self._cluster.devices()
            if weights and devices:
                return devices[0]
            if not noted and time.monotonic() > began + NOTED_AFTER_S:
                noted = True
                self._note(f"no machine of {self._cluster.address} takes pictures now{self._why()}; waiting for one")
            time.sleep(0.2)

    def _why(self) -> str:
        machines = self._cluster.machines()
        rests = [f"{machine['name']}: {machine['rests']}" for machine in machines if machine["rests"]]
        rests += [
            f"{machine['name']} has version {machine['version']} of DeepDream, this program has version {__version__}"
            for machine in machines if machine["version"] != __version__
        ]  # fmt: skip
        weights = self._cluster.chosen()
        known = {device["weights"]["sha256"] for machine in machines for device in machine["devices"]}
        if weights and known and weights["sha256"] not in known:
            rests.append(f"none has the weights {weights['name']} of the pictures before")
        return f" ({', '.join(rests)})" if rests else ""

    def dream(
        self,
        planes: NDArray[np.float32],
        settings: DreamSettings,
        mask: NDArray[np.float32] | None = None,
        start: NDArray[np.float32] | None = None,
        guides: Sequence[NDArray[np.float32]] = (),
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Dream a picture, float32 [3, H, W] in 0…1, and return one like it: see `Engine.dream`, which gives the same.

        Yields at least once a second, also while the picture waits. Closing the generator cancels the picture.
        """
        order = order_of(self.label, planes, settings, mask, start, guides)
        size = (planes.shape[1], planes.shape[2])
        key = order.key()
        died_on: list[str] = []
        failed_on: list[str] = []
        attempt = deaths = 0
        while True:
            attempt += 1
            try:
                dream = yield from self._attempt(order, f"deepdream-{key}-{attempt}", size, died_on + failed_on)
            except task.Refused as refused:
                if refused.code == "cancelled":
                    continue
                if refused.code in _DIED:
                    died_on.append(refused.machine)
                    if len(died_on) > 1:
                        where = " and on ".join(died_on)
                        raise _poisonous(f"this picture ended the helper's process on {where}") from None
                else:
                    failed_on.append(refused.machine)
                    self._check_elsewhere(_error(refused), failed_on)
                self._note(f"{self.label}: {refused.machine}: {refused.what}; trying again, elsewhere if possible")
            except KilledWorker as killed:
                deaths += 1
                if self._begun > 1 or deaths > DEATHS:
                    count = killed.allowed_failures + 1
                    raise _poisonous(f"{count} workers ended with this picture, one after the other") from None
            except (CancelledError, ClosedClientError, OSError, TimeoutError):
                # The scheduler is gone, or a machine while it sent.
                self._note(f"{self.label}: the cluster lost this picture; sending it again")
                time.sleep(min(attempt, 10) * 0.2)
            except DeepDreamError:
                raise
            except Exception as error:  # Dask's own, as of a task that cannot be sent
                raise HelperError(
                    f"the cluster cannot dream this picture: {reason_of(error)}", "run `deepdream doctor`", "fault"
                ) from None
            else:
                self._update(dream.about)
                self.dreamed_with = settings.model_copy(update=dream.picked)
                return dream.planes

    def _check_elsewhere(self, error: DeepDreamError, failed_on: Sequence[str]) -> None:
        """Raise a machine's error if no other machine may do better; a helper that was lost gets a second try."""
        lost = isinstance(error, HelperError) and len(failed_on) == 1
        if isinstance(error, _PICTURES_FAULT) or not (lost or self._cluster.ready(failed_on)):
            raise error from None

    def _attempt(
        self, order: Order, key: str, size: tuple[int, int], not_on: Sequence[str]
    ) -> Generator[Progress, None, Dream]:
        sha256 = self.weights.sha256
        if self._first()["weights"]["sha256"] != sha256:
            raise HelperError(f"{self._cluster.address} has other weights now", "try again", "cancelled")
        client = self._cluster.client()
        self._begun = 0
        others = self._addresses(not_on) if not_on else set()
        with self._cluster.following(key) as events:
            future: Future[Dream] = client.submit(
                task.dream, order, key, key=key, pure=False, resources=resources_of(sha256),
                workers=sorted(others) or None,
            )  # fmt: skip
            future.add_done_callback(lambda _future: events.put(("ended", None)))
            shown = Progress(1, 1, size, 0, 1, 0.0, 0.0, None, (), _nothing)
            seen_at = time.monotonic()
            try:
                while True:
                    with contextlib.suppress(queue.Empty):
                        name, data = events.get(timeout=POLL_S)
                        seen_at = time.monotonic()
                        if name == "ended":
                            found = yield from self._fetched(client, future, shown)
                            yield replace(shown, tile_px=found.tile_px, notes=found.notes)
                            return found
                        if name == "begun":
                            self._begun += 1
                            continue
                        shown = replace(shown, **{**data, "size": tuple(data["size"]), "notes": tuple(data["notes"])})
                    weights = self._cluster.chosen()
                    if client.status == "closed" or weights is None or weights["sha256"] != sha256:
                        raise CancelledError
                    if others and not self._begun and others.isdisjoint(self._addresses(not_on)):
                        raise CancelledError
                    self._cluster.check_wanted(math.inf if self._cluster.ready() else seen_at)
                    yield shown
                    shown = replace(shown, notes=())
            finally:
                if client.status == "running" and not future.done():  # a finished one goes with its last reference
                    loop = client.loop
                    assert loop is not None
                    # Without waiting: at the program's end nobody would answer.
                    loop.add_callback(client._cancel, [future], reason="given up", msg=None)

    def _addresses(self, not_on: Sequence[str]) -> set[str]:
        return {machine["address"] for machine in self._cluster.ready(not_on)}

    def _fetched(self, client: Client, future: Future[Dream], shown: Progress) -> Generator[Progress, None, Dream]:
        """Return the dream, which the scheduler fetches from its machine; raise what the task raised.

        Raises `Refused` naming the machine that the scheduler cannot reach, `CancelledError` when the dream is lost.
        """
        if future.status == "error":
            future.result()
        if future.status != "finished":
            raise CancelledError
        assert client.loop is not None
        fetching = asyncio.run_coroutine_threadsafe(
            _fetch(client, future.key), client.loop.asyncio_loop  # type: ignore[attr-defined]
        )  # fmt: skip
        try:
            while not wait([fetching], POLL_S).done:
                self._cluster.check_wanted()
                if client.status == "closed":
                    raise CancelledError
                yield replace(shown, notes=())
            dream, holder = fetching.result()
        finally:
            fetching.cancel()
        if dream is None and holder:
            names = {machine["address"]: machine["name"] for machine in self._cluster.machines()}
            raise task.Refused(
                "HelperError", f"the desk cannot reach it at {holder}", "let its firewall pass the desk's connections",
                "unreachable", names.get(holder, holder),
            )  # fmt: skip
        if dream is None:
            raise CancelledError
        return dream


async def _fetch(client: Client, key: Any) -> tuple[Dream | None, str]:
    """Return a dream, or None with the address of the machine that has it but cannot be reached, or with ""."""
    scheduler: Any = client.scheduler
    answer = await scheduler.gather(keys=[key])
    if answer["status"] == "OK":
        return answer["data"][key], ""
    holders = (await scheduler.who_has(keys=[key])).get(key)
    return None, next(iter(holders or ()), "")


def _nothing() -> NDArray[np.float32]:
    raise HelperError("a cluster shows a picture when it is finished", "wait for it")


def _error(refused: task.Refused) -> DeepDreamError:
    """Return the error that a machine's helper raised, with the machine's name where it is the machine's fault."""
    kind = getattr(errors, refused.kind, HelperError)
    what = refused.what if issubclass(kind, errors.PictureError | errors.SettingsError) else (
        f"{refused.machine}: {refused.what}"
    )  # fmt: skip
    if issubclass(kind, HelperError):
        return HelperError(what, refused.next_step, refused.code)
    error: DeepDreamError = kind(what, refused.next_step)
    return error


def _poisonous(what: str) -> HelperError:
    return HelperError(what, "change the settings, or leave the picture out", "poisonous")
