"""Which installer to name to the user: the installed program's own, which needs no clone, or a clone's."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def own_installer() -> Path | None:
    """Return the installer in this program's own environment, None if the program runs from a clone."""
    path = Path(sys.prefix, "source", "install")
    return path if (path / "__main__.py").exists() else None


def install_step(part: str, in_clone: str) -> str:
    """Return the advice to reinstall a part, "" for all; `in_clone` if only a clone has an installer."""
    own = own_installer()
    if own is None:
        return in_clone
    return f"run `{shlex.join(filter(None, ['python3', str(own), part]))}`"
