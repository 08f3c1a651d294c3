"""This program's connection to a cluster, which many threads share: it outlives the scheduler."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from distributed import Client

from deepdream_core import __version__
from deepdream_core.cluster.address import checked, security
from deepdream_core.cluster.dask_settings import reason_of, silence
from deepdream_core.cluster.order import PROGRESS, resource_of
from deepdream_core.errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REACH_WITHIN_S = 10.0
LOOK_EVERY_S = 2.0
"""Seconds between two looks at the machines of the cluster."""


class Cluster:
    """The cluster at an address. `note` reports what a person should know: that the scheduler is gone, or back.

    All pictures get the same weights. `faithful` waits for these for ever; otherwise others replace them once no machine
    has them any more.
    Raises `SettingsError` for a wrong address or a missing certificate, and `HelperError` when nobody answers there.
    """

    def __init__(
        self, address: str, note: Callable[[str], None] = lambda _text: None, *, faithful: bool = True
    ) -> None:
        self.address = checked(address)
        self._security = security(self.address)
        self._note = note
        self._lock, self._choosing = threading.Lock(), threading.Lock()
        self._followers: dict[str, queue.SimpleQueue[tuple[str, Any]]] = {}
        self._machines: list[dict[str, Any]] = []
        self._weights: dict[str, Any] | None = None
        self._faithful = faithful
        self._looked_at = 0.0
        self._stopped = False
        self._client: Client | None = self._opened()

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close(timeout=2)

    def stop(self) -> None:
        """Let every thread that waits for the scheduler or for a machine end by an error."""
        self._stopped = True

    def check_wanted(self) -> None:
        """Raise `HelperError` after `stop`."""
        if self._stopped:
            raise HelperError("stopped while waiting for the cluster", "run the same command again", "cancelled")

    def client(self) -> Client:
        """Return a connection that works; wait for the scheduler as long as it is gone, and note that once."""
        with self._lock:
            noted = False
            while self._client is None or self._client.status != "running":
                self.check_wanted()
                if not noted:
                    self._note(f"the cluster at {self.address} does not answer; going on when it is back")
                    noted = True
                if self._client is not None and self._client.status == "connecting":
                    time.sleep(0.2)  # Dask's client tries by itself
                    continue
                with contextlib.suppress(HelperError):
                    self._client = self._opened()
            if noted:
                self._note(f"the cluster at {self.address} is back")
            return self._client

    @property
    def is_there(self) -> bool:
        """Whether the scheduler answers."""
        return self._client is not None and self._client.status == "running"

    def machines(self) -> list[dict[str, Any]]:
        """Return what each worker reported last, as `guest.Guest` does, with `address`, `host` and `name`."""
        if time.monotonic() > self._looked_at + LOOK_EVERY_S and self.is_there and self._client is not None:
            self._looked_at = time.monotonic()
            with contextlib.suppress(OSError, TimeoutError):
                workers = self._client.scheduler_info(n_workers=-1)["workers"]
                self._machines = [
                    {"address": address, "host": worker["host"], "name": str(worker["name"]), **about}
                    for address, worker in workers.items()
                    if (about := worker["metrics"].get("deepdream"))
                ]
        return self._machines

    def chosen(self) -> dict[str, Any] | None:
        """Return the weights for all pictures: at first those of most devices of this version, None while there are none.

        Raises `HelperError` if there are only workers of other versions.
        """
        ready = [machine for machine in self.machines() if machine["devices"]]
        own = [machine for machine in ready if machine["version"] == __version__]
        if ready and not own:
            theirs = ready[0]
            raise HelperError(
                f"{theirs['host']} has version {theirs['version']} of DeepDream, this program has version {__version__}",
                "install the same version on all machines", "version",
            )  # fmt: skip
        found = [device["weights"] for machine in own for device in machine["devices"]]
        most = Counter(weights["sha256"] for weights in found).most_common(1)
        with self._choosing:
            if most and (self._weights is None or not (self._faithful or self._weights in found)):
                self._weights = next(weights for weights in found if weights["sha256"] == most[0][0])
            return self._weights

    def devices(self) -> list[dict[str, Any]]:
        """Return the devices that take this program's pictures."""
        with contextlib.suppress(HelperError):
            if weights := self.chosen():
                return [
                    device for machine in self.machines() if machine["version"] == __version__ and not machine["rests"]
                    for device in machine["devices"] if device["weights"]["sha256"] == weights["sha256"]
                ]  # fmt: skip
        return []

    @contextlib.contextmanager
    def following(self, key: str) -> Iterator[queue.SimpleQueue[tuple[str, Any]]]:
        """Return a queue that gets ("begun", None) and ("progress", data) from the task with this key."""
        told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._followers[key] = told
        try:
            yield told
        finally:
            self._followers.pop(key, None)

    def _opened(self) -> Client:
        silence()  # what a person should know, `note` says
        try:
            client = Client(
                self.address, security=self._security, timeout=REACH_WITHIN_S, set_as_default=False, name="deepdream"
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise HelperError(
                f"the cluster at {self.address} does not answer: {reason_of(error)}",
                "check that `deepdream cluster start` runs there and that this machine was invited", "no_cluster",
            ) from None  # fmt: skip
        client.subscribe_topic(PROGRESS, self._told)
        return client

    def _told(self, event: tuple[float, Any]) -> None:
        key, data = event[1]
        if follower := self._followers.get(key):
            follower.put(("begun", None) if data is None else ("progress", data))


def resources_of(weights: dict[str, Any]) -> dict[str, float]:
    """Return the resources that a task for these weights needs."""
    return {resource_of(__version__, weights["sha256"]): 1}
