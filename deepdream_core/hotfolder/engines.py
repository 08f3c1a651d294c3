"""Where the hot folder's pictures are dreamed: in this machine's helper, and on a cluster what that cannot dream soon."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.hotfolder.rest import Backoff
from deepdream_core.work.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from deepdream_core.work.backend import Backend

LOCAL = 3
"""Pictures at once on this machine: one is decoded while another is dreamed and a third is encoded."""


class Elsewhere(Protocol):
    """A cluster."""

    def open(self) -> Backend:
        """Return a backend for a thread, with `refresh` as `RemoteEngine` has it."""

    def at_once(self) -> int:
        """Return how many pictures it takes at once, 0 while it is away."""

    def restrict(self, weights_sha256: str) -> None:
        """Let only machines with these weights help."""

    def close(self) -> None:
        """Let every picture that it has end by an error, and take none any more."""


def no_cluster(address: str, _say: object = None) -> Elsewhere:
    """Raise `SettingsError`: this program was started without clusters."""
    raise SettingsError(f"{address}: this program knows no clusters", "leave `cluster` out")


class Engines:
    """Gives each picture its backend.

    `local` opens the helper; it gets what it returned to the same thread before, or None. `elsewhere` opens the cluster
    at an address; `say` gets its errors, once each. `busy` is why this machine begins no pictures now, "" if it does, and
    `backoff` the pauses after its own problems, in which a folder's cluster goes on. A cluster dreams with the weights of
    this machine alone, once these are known.
    """

    def __init__(
        self,
        local: Callable[[Backend | None], Backend],
        elsewhere: Callable[[str], Elsewhere],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._local, self._open, self._say = local, elsewhere, say
        self._clusters: dict[str, Elsewhere] = {}
        self._errors: dict[str, str] = {}
        self._own = threading.local()
        self._lock = threading.Lock()
        self._memory = Room()
        self._taken: Counter[Elsewhere | None] = Counter()
        self._sha256: str | None = None
        self.busy = ""
        self.backoff = Backoff(clock)

    def free(self, address: str | None, *, here_first: bool = False) -> bool:
        """Return whether a picture of a folder with this cluster, or with none, can begin.

        `here_first`: the cluster could not dream it, so it waits for this machine as long as that takes pictures.
        """
        if here_first and not self._rests_here:
            return self._is_free_here(address)
        return self._is_free_here(address) or self._is_free_there(address)

    @property
    def _rests_here(self) -> bool:
        return bool(self.busy or self.backoff.problem())

    def _is_free_here(self, address: str | None) -> bool:
        return not self.busy and self._taken[None] < LOCAL and (address is None or not self.backoff.problem())

    def _is_free_there(self, address: str | None) -> bool:
        cluster = self._cluster(address)
        # This machine's first picture shows which weights all get.
        weights_known = self._sha256 is not None or self._rests_here
        return cluster is not None and weights_known and self._taken[cluster] < cluster.at_once()

    def _cluster(self, address: str | None) -> Elsewhere | None:
        if address is None:
            return None
        if address not in self._clusters:
            try:
                self._clusters[address] = self._open(address)
            except DeepDreamError as error:
                if self._errors.get(address) != str(error):
                    self._errors[address] = str(error)
                    self._say(str(error))
                return None
            if self._sha256 is not None:
                self._clusters[address].restrict(self._sha256)
        return self._clusters[address]

    def place(self, address: str | None) -> Elsewhere | None:
        """Take a place for a picture where `free` has found one: None on this machine, or the cluster."""
        with self._lock:
            place = None if self._is_free_here(address) else self._cluster(address)
            self._taken[place] += 1
            return place

    def room(self, place: Elsewhere | None) -> AbstractContextManager[None]:
        """Return the context in which a picture is worked on: those for clusters are many, and wait for room in memory."""
        return contextlib.nullcontext() if place is None else self._memory.picture()

    def leave(self, place: Elsewhere | None) -> None:
        """Give a place back."""
        with self._lock:
            self._taken[place] -= 1

    def keep(self, addresses: Collection[str | None]) -> None:
        """Close the clusters at other addresses: no folder has them any more."""
        for address in self._clusters.keys() - set(addresses):
            self._clusters.pop(address).close()

    def engine(self, place: Elsewhere | None) -> Backend:
        """Return the calling thread's backend for a place, with the weights that it has now."""
        known: dict[Elsewhere | None, Any] = self._own.__dict__.setdefault("backends", {})
        if place is None:
            known[None] = self._local(known.get(None))
            if known[None].weights.sha256 != self._sha256:
                self._sha256 = known[None].weights.sha256
                for cluster in list(self._clusters.values()):
                    cluster.restrict(self._sha256)
        elif place in known:
            known[place].refresh()
        else:
            known[place] = place.open()
        backend: Backend = known[place]
        return backend
