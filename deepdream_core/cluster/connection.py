"""This program's connection to a cluster, which many threads share: it outlives the scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from distributed import Client
from distributed.config import get_loop_factory
from tornado.platform.asyncio import AsyncIOLoop

from deepdream_core import __version__
from deepdream_core.cluster.address import checked, security
from deepdream_core.cluster.dask_settings import reason_of, silence
from deepdream_core.cluster.order import PROGRESS, resource_of
from deepdream_core.errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from tornado.ioloop import IOLoop

REACH_WITHIN_S = 10.0
LOOK_EVERY_S = 2.0
"""Seconds between two looks at the machines of the cluster."""
AGAIN_S = 2.0
"""Seconds between two tries to reach a scheduler that is gone."""


class Cluster:
    """The cluster at an address. `note` reports what a person should know: that the scheduler is gone, or back.

    All pictures get the same weights. With `patience_s`, whatever waits for the scheduler or for a machine raises
    `HelperError` with the code `no_cluster` after so many seconds, and other weights replace those that no machine has any
    more; without it, it waits for ever.
    Raises `SettingsError` for a wrong address or a missing certificate, and `HelperError` when nobody answers there.
    """

    def __init__(
        self, address: str, note: Callable[[str], None] = lambda _text: None, *, patience_s: float = math.inf
    ) -> None:
        self.address = checked(address)
        self._security = security(self.address)
        self._note, self._patience_s = note, patience_s
        self._lock, self._choosing = threading.Lock(), threading.Lock()
        self._followers: dict[str, queue.SimpleQueue[tuple[str, Any]]] = {}
        self._machines: list[dict[str, Any]] = []
        self._weights: dict[str, Any] | None = None
        self._own_sha256: str | None = None
        self._looked_at = 0.0
        self._gone_since: float | None = None
        self._again_at = 0.0
        self._stopped = False
        self._loop: IOLoop | None = None
        self._subscribed: object = None
        self._client: Client | None = None
        try:
            self._client = self._opened()
        except HelperError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._close_client()
        if self._loop is not None:
            self._loop.add_callback(self._loop.stop)

    def _close_client(self) -> None:
        if self._client is not None:
            with contextlib.suppress(OSError, TimeoutError, RuntimeError):
                self._client.close(timeout=2)

    def stop(self) -> None:
        """Let every thread that waits for the scheduler or for a machine end by an error."""
        self._stopped = True

    def check_wanted(self, waiting_since: float = math.inf) -> None:
        """Raise `HelperError` after `stop`, or when a wait that began then has become too long."""
        if self._stopped:
            raise HelperError("stopped while waiting for the cluster", "run the same command again", "cancelled")
        if time.monotonic() - waiting_since > self._patience_s:
            raise HelperError(
                f"no machine of {self.address} takes pictures now", "check the cluster's machines", "no_cluster"
            )

    def client(self) -> Client:
        """Return a connection that works; wait for the scheduler as long as it is gone, and note that once."""
        with self._lock:
            while self._client is None or self._client.status != "running":
                now = time.monotonic()
                if self._gone_since is None:
                    self._gone_since = now
                    self._note(f"the cluster at {self.address} does not answer; going on when it is back")
                self.check_wanted()
                dask_tries = self._client is not None and self._client.status == "connecting"
                if now >= self._again_at and not (dask_tries and now < self._gone_since + 2 * REACH_WITHIN_S):
                    self._close_client()
                    with contextlib.suppress(HelperError):
                        self._client = self._opened()
                    self._again_at = time.monotonic() + AGAIN_S
                else:
                    self.check_wanted(self._gone_since)
                    time.sleep(0.2)
            if self._gone_since is not None:
                self._gone_since = None
                self._note(f"the cluster at {self.address} is back")
            if self._client.scheduler_comm is not self._subscribed:  # Dask's client has connected, perhaps again
                self._client.subscribe_topic(PROGRESS, self._on_event)
                self._subscribed = self._client.scheduler_comm
            return self._client

    @property
    def is_there(self) -> bool:
        """Whether the scheduler answers."""
        return self._client is not None and self._client.status == "running"

    def machines(self) -> list[dict[str, Any]]:
        """Return what each worker reported last, as `guest.Guest` does, with `address`, `host` and `name`."""
        if time.monotonic() > self._looked_at + LOOK_EVERY_S and self.is_there and self._client is not None:
            self._looked_at = time.monotonic()
            with contextlib.suppress(OSError, TimeoutError, KeyError):  # it has gone meanwhile
                workers = self._client.scheduler_info(n_workers=-1)["workers"]
                self._machines = [
                    {"address": address, "host": worker["host"], "name": str(worker["name"]), **about}
                    for address, worker in workers.items()
                    if (about := worker["metrics"].get("deepdream"))
                ]
        return self._machines

    def restrict(self, weights_sha256: str) -> None:
        """Let only machines with these weights take pictures from now on."""
        with self._choosing:
            self._own_sha256 = weights_sha256

    def chosen(self) -> dict[str, Any] | None:
        """Return the weights for all pictures: at first those of most devices of this version, None while there are none.

        Raises `HelperError` if there are only workers of other versions when the first picture comes.
        """
        ready = [machine for machine in self.machines() if machine["devices"]]
        own = [machine for machine in ready if machine["version"] == __version__]
        with self._choosing:
            if ready and not own and self._weights is None:
                theirs = ready[0]
                raise HelperError(
                    f"{theirs['host']} has version {theirs['version']} of DeepDream, "
                    f"this program has version {__version__}",
                    "install the same version on all machines", "version",
                )  # fmt: skip
            found = {device["weights"]["sha256"]: device["weights"] for machine in own for device in machine["devices"]}
            count = Counter(device["weights"]["sha256"] for machine in own for device in machine["devices"])
            if self._own_sha256 is not None:
                self._weights = found.get(self._own_sha256)
            elif found and (
                self._weights is None or (self._patience_s < math.inf and self._weights["sha256"] not in found)
            ):
                self._weights = found[max(count, key=count.__getitem__)]
            return self._weights

    def ready(self, not_on: Collection[str] = ()) -> list[dict[str, Any]]:
        """Return the machines that take this program's pictures, without those of some names."""
        with contextlib.suppress(HelperError):
            if weights := self.chosen():
                return [
                    machine for machine in self.machines()
                    if machine["version"] == __version__ and not machine["rests"] and machine["name"] not in not_on
                    and any(device["weights"]["sha256"] == weights["sha256"] for device in machine["devices"])
                ]  # fmt: skip
        return []

    def devices(self) -> list[dict[str, Any]]:
        """Return the devices that take this program's pictures."""
        return [device for machine in self.ready() for device in machine["devices"]]

    @contextlib.contextmanager
    def following(self, key: str) -> Iterator[queue.SimpleQueue[tuple[str, Any]]]:
        """Return a queue that gets ("begun", None) and ("progress", data) from the task with this key."""
        events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._followers[key] = events
        try:
            yield events
        finally:
            self._followers.pop(key, None)

    def _opened(self) -> Client:
        silence()  # `note` reports what a person should know
        try:
            # A loop of its own: Dask leaves the loop of a client behind that cannot connect.
            self._loop = self._loop or _running_loop()
            return Client(
                self.address, security=self._security, timeout=REACH_WITHIN_S, set_as_default=False, name="deepdream",
                loop=self._loop,
            )  # fmt: skip
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            raise HelperError(
                f"the cluster at {self.address} does not answer: {reason_of(error)}",
                "check that `deepdream cluster start` runs there and that this machine was invited", "no_cluster",
            ) from None  # fmt: skip

    def _on_event(self, event: tuple[float, Any]) -> None:
        key, data = event[1]
        if follower := self._followers.get(key):
            follower.put(("begun", None) if data is None else ("progress", data))


def _running_loop() -> IOLoop:
    """Return an event loop that runs in a thread of its own until it is stopped; raises `OSError` or `RuntimeError`."""
    own = (get_loop_factory() or asyncio.new_event_loop)()

    def run() -> None:
        try:
            own.run_forever()
        finally:
            own.close()

    runs = threading.Event()
    own.call_soon(runs.set)
    try:
        threading.Thread(target=run, name="cluster's event loop", daemon=True).start()
    except RuntimeError:
        own.close()
        raise
    runs.wait()
    loop: IOLoop = AsyncIOLoop(asyncio_loop=own, make_current=False)
    return loop


def resources_of(weights_sha256: str) -> dict[str, float]:
    """Return the resources that a task for these weights needs."""
    return {resource_of(__version__, weights_sha256): 1}
