"""A cluster that helps a hot folder: it is reached, and counted, by a thread, so that the folder never waits for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from deepdream_core.cluster.backend import ClusterEngine
from deepdream_core.cluster.connection import LOOK_EVERY_S, Cluster
from deepdream_core.errors import DeepDreamError

if TYPE_CHECKING:
    from collections.abc import Callable

AGAIN_S = 10.0
"""Seconds between two tries to reach a cluster."""
PATIENCE_S = 30.0
"""Seconds that a picture waits for the scheduler or for a machine; then this machine may dream it."""


class Helping:
    """The cluster at an address, which takes `each` pictures at once for each of its devices; `say` as in `Cluster`."""

    def __init__(self, address: str, say: Callable[[str], None], each: int) -> None:
        self._address, self._say, self._each = address, say, each
        self._cluster: Cluster | None = None
        self._sha256: str | None = None
        self._count = 0
        self._closed = threading.Event()
        threading.Thread(target=self._look, name="cluster", daemon=True).start()

    def open(self) -> ClusterEngine:
        """Return a backend for a thread."""
        assert self._cluster is not None, "it has taken pictures, so it was reached"
        return ClusterEngine(self._cluster, self._say)

    def at_once(self) -> int:
        """Return how many pictures it takes at once, 0 while it is away."""
        return self._count

    def restrict(self, weights_sha256: str) -> None:
        """Let only machines with these weights help."""
        self._sha256 = weights_sha256
        if self._cluster is not None:
            self._cluster.restrict(weights_sha256)

    def close(self) -> None:
        """Let every picture that it has end by an error, and take none any more."""
        self._closed.set()
        if self._cluster is not None:
            self._cluster.stop()

    def _look(self) -> None:
        before = ""
        while not self._closed.wait(LOOK_EVERY_S if self._cluster else AGAIN_S if before else 0):
            try:
                if self._cluster is None:
                    self._cluster = Cluster(self._address, self._say, patience_s=PATIENCE_S)
                    if self._sha256 is not None:
                        self.restrict(self._sha256)
                if not self._cluster.is_there:
                    self._count = 0
                self._cluster.client()
                self._count = self._each * len(self._cluster.devices())
            except DeepDreamError as error:
                if self._cluster is None and str(error) != before:
                    self._say(f"{error}; trying again every {AGAIN_S:.0f} s")
                before = str(error)
        self._count = 0
        if self._cluster is not None:
            self._cluster.close()
