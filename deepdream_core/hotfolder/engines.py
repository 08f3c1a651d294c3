"""Where the hot folder's pictures are dreamed: in this machine's helper, and on a cluster what that cannot dream soon."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Protocol

from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.work.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from deepdream_core.work.backend import Backend

LOCAL = 3
"""Pictures at once on this machine: one is decoded while another is dreamed and a third is encoded."""


class Elsewhere(Protocol):
    """A cluster."""

    def open(self) -> Backend:
        """Return a backend for a thread."""

    def at_once(self) -> int:
        """Return how many pictures it takes at once, 0 while it is away."""


def no_cluster(address: str, _say: object = None) -> Elsewhere:
    """Raise `SettingsError`: this program was started without clusters."""
    raise SettingsError(f"{address}: this program knows no clusters", "leave `cluster` out")


class Engines:
    """Gives each picture its backend.

    `local` opens the helper; it gets what it returned to the same thread before, or None. `elsewhere` opens the cluster
    at an address; `say` gets its errors, once each.
    """

    def __init__(
        self,
        local: Callable[[Backend | None], Backend],
        elsewhere: Callable[[str], Elsewhere],
        say: Callable[[str], None],
    ) -> None:
        self._local, self._open, self._say = local, elsewhere, say
        self._clusters: dict[str, Elsewhere] = {}
        self._said: dict[str, str] = {}
        self._own = threading.local()
        self._lock = threading.Lock()
        self._here = 0
        self._memory = Room()
        self._there: dict[str, int] = {}

    def free(self, address: str | None) -> bool:
        """Return whether a picture of a folder with this cluster, or with none, can begin."""
        return self._here < LOCAL or self._room(address)

    def _room(self, address: str | None) -> bool:
        cluster = self._cluster(address)
        return cluster is not None and address is not None and self._there.get(address, 0) < cluster.at_once()

    def _cluster(self, address: str | None) -> Elsewhere | None:
        if address is None:
            return None
        if address not in self._clusters:
            try:
                self._clusters[address] = self._open(address)
            except DeepDreamError as error:
                if self._said.get(address) != str(error):
                    self._said[address] = str(error)
                    self._say(str(error))
                return None
        return self._clusters[address]

    def place(self, address: str | None) -> str | None:
        """Take a place for a picture: None on this machine, or the cluster's address."""
        with self._lock:
            if self._here >= LOCAL and address is not None:
                self._there[address] = self._there.get(address, 0) + 1
                return address
            self._here += 1
            return None

    def room(self, place: str | None) -> AbstractContextManager[None]:
        """Return the context in which a picture is worked on: those for clusters are many, and wait for room in memory."""
        return contextlib.nullcontext() if place is None else self._memory.picture()

    def leave(self, place: str | None) -> None:
        """Give a place back."""
        with self._lock:
            if place is None:
                self._here -= 1
            else:
                self._there[place] -= 1

    def engine(self, place: str | None) -> Backend:
        """Return the calling thread's backend for a place."""
        known: dict[str | None, Backend] = self._own.__dict__.setdefault("backends", {})
        if place is None:
            known[None] = self._local(known.get(None))
        elif place not in known:
            known[place] = self._clusters[place].open()
        return known[place]
