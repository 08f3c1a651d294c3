"""A cluster under many pictures: real scheduler with TLS, workers and client; only the devices are stand-ins that sleep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import pixels_of
from PIL import Image

from deepdream_core.bench.cluster import scheduler, sleeping

if TYPE_CHECKING:
    from pathlib import Path

PICTURES, WORKERS = 10_000, 20
GROWN_MB = 30
"""How much client and scheduler may grow from the thousandth picture to the last: 3 kB a picture."""


def numbered(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = np.full((24, 32, 3), 90, np.uint8)
    pixels[0, 0] = (number % 256, number // 256, 7)
    return pixels


@pytest.mark.slow("cluster")
def test_ten_thousand_pictures_leave_client_and_scheduler_as_large_as_a_thousand(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(PICTURES):
        Image.fromarray(numbered(number)).save(source / f"{number:05}.png")
    seen: list[tuple[int, dict[str, float]]] = []
    with scheduler(tmp_path / "state") as run, sleeping(run, WORKERS, 0.01):
        run.dreamed(source, lambda done, memory_mb: seen.append((done, memory_mb)))
    first = next(memory for done, memory in seen if done >= PICTURES // 10)
    last = next(memory for _, memory in reversed(seen) if "client" in memory)
    grown = {who: last[who] - first[who] for who in ("client", "scheduler")}
    assert max(grown.values()) < GROWN_MB, (grown, first)
    for number in (0, PICTURES - 1):
        np.testing.assert_array_equal(pixels_of(tmp_path / "in-out" / f"{number:05}.dream.png"), 255 - numbered(number))
