"""Where the installer is that a person is sent to: in the installed program, which needs no clone, or in a clone."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def own_installer() -> Path | None:
    """Return the installer that lies in this program's own environment, None where it runs from a clone."""
    path = Path(sys.prefix, "source", "install")
    return path if (path / "__main__.py").exists() else None


def install_step(part: str, in_clone: str) -> str:
    """Return the words that send a person to install a part, "" for all, again; `in_clone` where only a clone has it."""
    own = own_installer()
    if own is None:
        return in_clone
    return f"run `{shlex.join(filter(None, ['python3', str(own), part]))}`"
