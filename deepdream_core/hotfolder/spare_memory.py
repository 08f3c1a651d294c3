"""Whether the device has memory to spare; other programs come first."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import psutil

from deepdream_core.link import client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepdream_core.machine_settings import EngineSettings

LOOK_EVERY_S = 10.0
_QUERY = ("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")


class SpareMemory:
    """Decides whether `engine.keep_free_mb` makes batch work rest; measures at most every 10 s.

    Memory of this user's own helper counts as free, since the helper gives way by itself.
    """

    def __init__(
        self,
        free_mb: Callable[[EngineSettings], float | None] | None = None,
        held_mb: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free_mb, self._held_mb, self._clock = free_mb or free_memory_mb, held_mb or held_memory_mb, clock
        self._asked_at = float("-inf")
        self._why = ""

    def shortage(self, settings: EngineSettings) -> str:
        """Return why batch work should rest, "" if it need not."""
        if not settings.keep_free_mb:
            return ""
        if self._clock() - self._asked_at >= LOOK_EVERY_S:
            self._asked_at = self._clock()
            self._why = self._measure(settings)
        return self._why

    def _measure(self, settings: EngineSettings) -> str:
        free_mb = self._free_mb(settings)
        if free_mb is None or free_mb >= settings.keep_free_mb:
            return ""
        spare_mb = free_mb + self._held_mb()
        if spare_mb >= settings.keep_free_mb:
            return ""
        return f"other programs need the device: {spare_mb:.0f} MB are free, keep_free_mb is {settings.keep_free_mb}"


def free_memory_mb(settings: EngineSettings) -> float | None:
    """Return the free memory in MB of the emptiest device in use, or None if it is unknown.

    nvidia-smi knows it for CUDA devices, else the system: a CPU and Apple's GPU use its memory.
    """
    names = [settings.device] if settings.devices == "auto" else list(settings.devices)
    cuda = [name for name in names if name.startswith(("cuda", "auto"))]
    if cuda and (free := _of_nvidia()):
        numbers = [int(name.partition(":")[2]) for name in cuda if ":" in name]
        chosen: Sequence[float] = [free[number] for number in numbers if number < len(free)] or free
        return max(chosen)
    return psutil.virtual_memory().available / 1e6


def _of_nvidia() -> list[float]:
    if shutil.which(_QUERY[0]) is None:
        return []
    try:
        answer = subprocess.run(_QUERY, capture_output=True, text=True, timeout=5, check=True)
        return [float(line) * 1.048576 for line in answer.stdout.split()]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def held_memory_mb() -> float:
    """Return the memory in MB that the helper's workers hold, 0 without a helper."""
    try:
        return sum(float(worker["memory_bytes"]) for worker in client.connect().status()["workers"]) / 1e6
    except (client.LinkError, KeyError):
        return 0.0
