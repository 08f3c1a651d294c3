"""A cluster that helps a hot folder: it is reached, and counted, by a thread, so that the folder never waits for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from deepdream_core.cluster.backend import ClusterEngine
from deepdream_core.cluster.connection import LOOK_EVERY_S, Cluster
from deepdream_core.errors import DeepDreamError

if TYPE_CHECKING:
    from collections.abc import Callable

AGAIN_S = 10.0
"""Seconds between two tries to reach a cluster."""


class Helping:
    """The cluster at an address, which takes `each` pictures at once for each of its devices; `say` as in `Cluster`."""

    def __init__(self, address: str, say: Callable[[str], None], each: int) -> None:
        self._address, self._say, self._each = address, say, each
        self._cluster: Cluster | None = None
        self._count = 0
        threading.Thread(target=self._look, name="cluster", daemon=True).start()

    def open(self) -> ClusterEngine:
        """Return a backend for a thread."""
        assert self._cluster is not None, "at_once has said that there is one"
        return ClusterEngine(self._cluster, self._say)

    def at_once(self) -> int:
        """Return how many pictures it takes at once, 0 while it is away."""
        return self._count

    def _look(self) -> None:
        said = ""
        while True:
            try:
                self._cluster = self._cluster or Cluster(self._address, self._say, faithful=False)
                self._count = self._each * len(self._cluster.devices()) if self._cluster.is_there else 0
            except DeepDreamError as error:
                if str(error) != said:
                    said = str(error)
                    self._say(f"{error}; trying again every {AGAIN_S:.0f} s")
            time.sleep(LOOK_EVERY_S if self._cluster else AGAIN_S)
