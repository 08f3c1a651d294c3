"""The fastest of some runs, and seconds in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def fastest(calls: Sequence[Callable[[], object]], repeats: int, device: torch.device) -> list[float]:
    """Return each call's fastest time in seconds, the calls taking turns so that a noisy moment hits all of them."""
    best = [float("inf")] * len(calls)
    for number in range(repeats + 1):
        for i, call in enumerate(calls):
            started = time.perf_counter()
            call()
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            if number > 0:  # the first round warms up
                best[i] = min(best[i], time.perf_counter() - started)
    return best


def in_words(value: float) -> str:
    """Return seconds as `0.123 s` or `12.34 ms`."""
    return f"{value:.3f} s" if value >= 0.1 else f"{1000 * value:.2f} ms"
