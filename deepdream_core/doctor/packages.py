"""A check of the packages that the program stands on: can each be loaded by the Python that runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deepdream_core.doctor.check import MAKE_ANEW, Finding, well, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deepdream_core.doctor.asking import Answer

NAMES = (
    "PIL", "tifffile", "imagecodecs", "pillow_heif", "pillow_jxl", "numpy", "yaml", "pydantic", "typer", "rich",
    "platformdirs", "safetensors", "psutil", "fastapi", "uvicorn", "httptools", "h11", "filelock", "watchdog", "send2trash",
)  # fmt: skip
"""All that `pyproject.toml` asks for, but torch and torchvision, which have a check of their own, and the weights."""

_TELL = """
import importlib, json, sys
troubles = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        troubles.append([name, " ".join(f"{type(error).__name__}: {error}".split())])
print(json.dumps(troubles))
"""


def check_packages(python: Path, run: Callable[[Sequence[str]], Answer]) -> Finding:
    """Look whether that Python can load every package; `run` asks a program."""
    answer = run([str(python), "-P", "-c", _TELL, *NAMES])
    try:
        troubles = json.loads(answer.out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return wrong(f"{python} does not run: {answer.last:.200}", MAKE_ANEW)
    if not troubles:
        return well(f"all {len(NAMES)} can be loaded")
    name, said = troubles[0]
    more = f", and {len(troubles) - 1} more" if len(troubles) > 1 else ""
    return wrong(f"{name} cannot be loaded: {said:.200}{more}", MAKE_ANEW)
