"""Print what machine this is, as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform

import psutil
import torch

NAMES = ("torch", "torchvision", "numpy", "pillow", "deepdream")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu() -> dict[str, object]:
    if not torch.cuda.is_available():
        return {}
    properties = torch.cuda.get_device_properties(0)
    return {
        "gpu": properties.name,
        "gpu_memory_gb": round(properties.total_memory / 1e9, 1),
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


about = {
    "python": platform.python_version(),
    "system": platform.platform(terse=True),
    "processors": os.cpu_count(),
    "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
    "versions": {name: version for name in NAMES if (version := _version(name))},
    **_gpu(),
}
print(json.dumps(about, indent=1))
