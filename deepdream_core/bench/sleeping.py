"""Workers of a cluster whose device is a stand-in that sleeps; all else on the way of a picture is the real thing.

`python -m deepdream_core.bench.sleeping ADDRESS COUNT SECONDS NAME` runs so many of them in one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from deepdream_core.cluster import guest, task, worker
from deepdream_core.cluster.address import security
from deepdream_core.cluster.dask_settings import silence
from deepdream_core.engine.progress import Progress
from deepdream_core.errors import HelperError
from deepdream_core.settings import DreamSettings
from deepdream_core.work.remote import RemoteWeights

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = {"name": "stand-in", "sha256": "0" * 64}
DEVICE: dict[str, Any] = {
    "device": "cpu", "name": "a stand-in that sleeps", "precision": "fp32", "threads": 1, "weights": WEIGHTS,
}  # fmt: skip


class SleepingEngine:
    """An engine that sleeps and returns the negative of a picture."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.label, self.dreamed_with = "", DreamSettings()
        self.device, self.device_name, self.precision, self.threads = "cpu", DEVICE["name"], "fp32", 1
        self.weights = RemoteWeights(**WEIGHTS)

    def dream(
        self, planes: NDArray[np.float32], settings: DreamSettings, *_more: object
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Sleep, and return the negative."""
        self.dreamed_with = settings
        yield Progress(1, 1, (planes.shape[1], planes.shape[2]), 0, 1, 0.0, 0.0, None, (), _nothing)
        time.sleep(self._seconds)
        negative: NDArray[np.float32] = 1 - planes
        return negative


def _nothing() -> NDArray[np.float32]:
    raise HelperError("a stand-in shows nothing", "")


def _say(text: str) -> None:
    print(text, flush=True)


async def _work(address: str, count: int, seconds: float, name: str) -> None:
    guest.devices = lambda: [DEVICE]
    task._engine = lambda: SleepingEngine(seconds)  # type: ignore[assignment,return-value]
    silence()
    secured = security(address)
    await asyncio.gather(
        *(worker.keep_working(address, secured, f"{name}-{number}", 1, _say) for number in range(count))
    )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
