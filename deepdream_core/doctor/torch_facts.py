"""A program that prints torch, its device and the weights, as the helper sees them, as one JSON object.

`deepdream doctor` runs this file in its own process, with the service's Python and environment: it sees what the service
will see, and the doctor need not load torch. Its argument is the `engine` settings `device`, `precision` and `weights` as
JSON.
"""

from __future__ import annotations

import json
import platform
import sys
from typing import Any


def probe(device: str, precision: str, weights: str) -> dict[str, Any]:
    """Return the facts; a part that fails is [what happened, what to do next] under `..._trouble`."""
    from deepdream_core.config import user_config_path
    from deepdream_core.link import user_folders

    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "folders": {"config.yaml": str(user_config_path()), "state": str(user_folders.state_folder())},
    }
    try:
        facts["torch"] = _torch(device, precision)
    except Exception as error:  # a broken torch raises nearly anything
        facts["torch_trouble"] = _trouble(error)
        if isinstance(error, (ImportError, OSError)):  # a missing library: nothing else will work
            return facts
    try:
        facts["weights"] = _weights(weights)
    except Exception as error:
        facts["weights_trouble"] = _trouble(error)
    return facts


def _torch(name: str, precision: str) -> dict[str, Any]:
    import psutil
    import torch

    from deepdream_core.engine import device as devices

    device = devices.choose_device(name)
    dtype = devices.choose_precision(precision, device)  # type: ignore[arg-type]
    ones = torch.ones(64, 64, device=device, dtype=dtype)
    if float((ones @ ones).float().sum()) != 64.0**3:
        raise ArithmeticError(f"{device} computes wrong results")
    memory = psutil.virtual_memory()
    total = int(torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else int(memory.total)
    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "device": str(device),
        "name": devices.device_name(device),
        "precision": devices.precision_name(dtype),
        "free": devices.free_bytes(device),
        "total": total,
        "host_free": devices.free_bytes(torch.device("cpu")),
    }


def _weights(name: str) -> dict[str, str]:
    from deepdream_core.engine.fetch import fetched_path
    from deepdream_core.engine.weights import load_weights

    found = load_weights(name, fetched=fetched_path())
    return {"name": found.name, "sha256": found.sha256}


def _trouble(error: Exception) -> list[str]:
    message = " ".join(str(error).split())
    what = getattr(error, "what", "") or f"{type(error).__name__}{': ' if message else ''}{message:.300}"
    return [what, getattr(error, "next_step", "")]


if __name__ == "__main__":
    print(json.dumps(probe(**json.loads(sys.argv[1]))))
