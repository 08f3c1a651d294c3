"""`deepdream bench --via-helper`: measures the time that the helper adds to the engine's own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from deepdream_core import __version__
from deepdream_core.settings import DreamSettings
from deepdream_core.work import remote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepdream_core.link.client import HelperClient

SIZE = (2828, 4243)
"""Height and width of a 12-megapixel photo; as float32 RGB 144 MB."""
_SETTINGS = DreamSettings(finest=128, octaves=1, iterations=1)


def print_overhead(repeats: int) -> None:
    """Print the seconds that a 12-megapixel job spends besides dreaming, the fastest of `repeats` runs.

    Starts a helper where none runs. Raises as `RemoteEngine` does.
    """
    helper = remote.connect(start=True)
    where = helper.warm()["workers"][0]
    pixels = np.random.default_rng(0).random((*SIZE, 3), np.float32)
    result = np.empty_like(pixels)
    best: dict[str, float] = {}
    for _ in range(repeats):
        spent = _measured(helper, pixels, result)
        if not best or spent["beyond the engine"] < best["beyond the engine"]:
            best = spent
    table = Table("12 megapixels as float32, 144 MB", "seconds")
    for name, seconds in best.items():
        table.add_row(name, f"{seconds:.3f}")
    console = Console()
    console.print(
        f"deepdream {__version__}, {where['device']} ({where['name']}), {where['precision']}, fastest of {repeats} runs"
    )
    console.print(table)


def _measured(helper: HelperClient, pixels: NDArray[np.float32], result: NDArray[np.float32]) -> dict[str, float]:
    height, width, _ = pixels.shape
    begun = time.perf_counter()
    with remote.translated():
        job = helper.submit(
            pixels.data,
            dtype="float32",
            shape=(height, width, 3),
            priority="interactive",
            settings=_SETTINGS.model_dump(),
        )
        sent = time.perf_counter()
        for event in job.events():
            done = event.data
        ended = time.perf_counter()
        job.result_into(result.data)
        fetched = time.perf_counter()
        job.forget()
    engine_s = float(done["engine_s"])
    return {
        "sending": sent - begun,
        "queue, worker's conversions, events": ended - sent - engine_s,
        "fetching": fetched - ended,
        "beyond the engine": fetched - begun - engine_s,
        "engine": engine_s,
    }
