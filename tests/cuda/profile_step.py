"""Print what one step of `classic` spends its time on, kernel by kernel. Arguments: device, side in px, file for JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from deepdream_core.engine.dream import dream
from deepdream_core.engine.engine import Engine
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.settings import DreamSettings

STEPS = 5


def main(device: str, side: int, path: Path) -> None:
    """Profile `STEPS` steps after as many to warm up."""
    engine = Engine(EngineSettings(device=device))
    settings = DreamSettings(finest="full", octaves=1, iterations=100)
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(engine.device)
    steps = dream(picture, settings, engine.gradient_of(settings))
    on_gpu = engine.device.type == "cuda"

    def some() -> float:
        started = time.perf_counter()
        for _ in range(STEPS):
            next(steps)
        if on_gpu:
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / STEPS * 1000

    some()
    wall_ms = some()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        some()
    rows = [
        {
            "name": event.key[:90],
            "calls": round(event.count / STEPS, 1),
            "ms": round((event.self_device_time_total if on_gpu else event.self_cpu_time_total) / STEPS / 1000, 4),
        }
        for event in profiler.key_averages()
        if not on_gpu or str(event.device_type).endswith("CUDA")
    ]
    rows.sort(key=lambda row: -float(str(row["ms"])))
    told = {
        "device": engine.device_name, "precision": engine.precision, "side_px": side,
        "wall_ms": round(wall_ms, 3), "kernels_ms": round(sum(float(str(row["ms"])) for row in rows), 3), "rows": rows[:40],
    }  # fmt: skip
    path.write_text(json.dumps(told, indent=1))
    print(f"one step at {side}×{side}, {engine.precision}: {wall_ms:.2f} ms; in kernels {told['kernels_ms']} ms")
    for row in rows[:25]:
        print(f"{row['ms']:>9} ms {row['calls']:>6} × {row['name']}")


main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
