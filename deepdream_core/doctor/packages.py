"""A check of the packages that the program needs: whether its Python can load each of them.

The installer runs `python -m deepdream_core.doctor.packages [MORE ...]`, which names a package that fails and exits with 1.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING

from deepdream_core.doctor.check import INSTALL_AGAIN, Finding, failing, passed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deepdream_core.machine.command import Answer

NAMES = (
    "PIL", "tifffile", "imagecodecs", "pillow_heif", "pillow_jxl", "numpy", "yaml", "pydantic", "typer", "rich",
    "platformdirs", "safetensors", "psutil", "fastapi", "uvicorn", "httptools", "h11", "filelock", "watchdog", "send2trash",
)  # fmt: skip
"""All packages in `pyproject.toml`, except torch and torchvision, which have their own check, and the weights."""

_PROBE = """
import importlib, json, sys
problems = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        problems.append([name, " ".join(f"{type(error).__name__}: {error}".split())])
print(json.dumps(problems))
"""


def check_packages(python: Path, run: Callable[..., Answer]) -> Finding:
    """Check that the given Python can load every package; `run` runs a program."""
    answer = run(str(python), "-I", "-c", _PROBE, *NAMES)
    try:
        problems = json.loads(answer.out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return failing(f"{python} does not run: {answer.last:.200}", INSTALL_AGAIN)
    if not problems:
        return passed(f"all {len(NAMES)} load")
    name, why = problems[0]
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return failing(f"cannot load {name}: {why:.200}{more}", INSTALL_AGAIN)


def main(names: Sequence[str]) -> int:
    """Load every package and `names`; return 0, or 1 after naming on stderr the first that fails."""
    for name in [*names, *NAMES]:
        try:
            importlib.import_module(name)
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            sys.stderr.write(f"cannot load {name}: {why:.200}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
