"""A cluster as a backend: the same pictures as this machine's engine with the same device, computed on other machines."""

from __future__ import annotations

import contextlib
import queue
import time
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distributed.scheduler import KilledWorker

from deepdream_core import errors
from deepdream_core.cluster import task
from deepdream_core.cluster.connection import resources_of
from deepdream_core.cluster.dask_settings import reason_of
from deepdream_core.cluster.order import Dream, order_of
from deepdream_core.engine.progress import Progress
from deepdream_core.errors import DeepDreamError, HelperError
from deepdream_core.settings import DreamSettings
from deepdream_core.work.remote import RemoteDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    import numpy as np
    from distributed import Future
    from numpy.typing import NDArray

    from deepdream_core.cluster.connection import Cluster
    from deepdream_core.cluster.order import Order

POLL_S = 1.0
DEATHS = 3
"""How often a picture is sent again that was only near when workers died."""
NOTED_AFTER_S = 10.0
"""Seconds after which a note says that no machine has taken the picture."""
_DIED = ("worker_died", "poisonous")


class ClusterEngine(RemoteDevice):
    """Dreams pictures on a cluster, one at a time; each thread has its own, all share a `Cluster`.

    A picture whose machine, scheduler or network is lost is sent again. One that has killed the helper's process on two
    machines, or four workers, is refused: `HelperError` with the code `poisonous`. Raises else what `Engine.dream` does.
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
            self._cluster.check_wanted()
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
        weights = self._cluster.chosen()
        if weights and not any(device["weights"] == weights for machine in machines for device in machine["devices"]):
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
        attempt = deaths = 0
        while True:
            attempt += 1
            try:
                dream = yield from self._attempt(order, f"deepdream-{key}-{attempt}", size, died_on)
            except task.Refused as refused:
                if refused.code == "cancelled":
                    continue
                if refused.code not in _DIED:
                    raise _error(refused) from None
                died_on.append(refused.machine)
                if len(died_on) > 1:
                    raise _poisonous(f"this picture ended the helper's process on {' and on '.join(died_on)}") from None
                self._note(f"{self.label}: {refused.machine}: {refused.what}; trying another machine")
            except KilledWorker as killed:
                deaths += 1
                if self._begun > 1 or deaths > DEATHS:
                    count = killed.allowed_failures + 1
                    raise _poisonous(f"{count} workers ended with this picture, one after the other") from None
            except (CancelledError, OSError, TimeoutError):  # the scheduler is gone, or a machine while it sent
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

    def _attempt(
        self, order: Order, key: str, size: tuple[int, int], not_on: Sequence[str]
    ) -> Generator[Progress, None, Dream]:
        client = self._cluster.client()
        weights = self._first()["weights"]
        self._begun = 0
        hosts = [machine["address"] for machine in self._cluster.machines() if machine["name"] not in not_on]
        with self._cluster.following(key) as told:
            future: Future[Dream] = client.submit(
                task.dream, order, key, key=key, pure=False, resources=resources_of(weights),
                workers=hosts if not_on else None, allow_other_workers=bool(not_on),
            )  # fmt: skip
            future.add_done_callback(lambda _future: told.put(("ended", None)))
            shown = Progress(1, 1, size, 0, 1, 0.0, 0.0, None, (), _nothing)
            try:
                while True:
                    with contextlib.suppress(queue.Empty):
                        name, data = told.get(timeout=POLL_S)
                        if name == "ended":
                            found: Dream = future.result(timeout=None)
                            return found
                        if name == "begun":
                            self._begun += 1
                            continue
                        shown = replace(shown, **{**data, "size": tuple(data["size"]), "notes": tuple(data["notes"])})
                    if client.status == "closed" or self._cluster.chosen() != weights:
                        raise CancelledError
                    yield shown
                    shown = replace(shown, notes=())
            finally:
                if client.status == "running" and not future.done():  # a finished one goes with its last reference
                    loop = client.loop
                    assert loop is not None
                    # Without waiting: at the program's end nobody would answer.
                    loop.add_callback(client._cancel, [future], reason="given up", msg=None)


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
