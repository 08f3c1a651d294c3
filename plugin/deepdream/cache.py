"""Files that can be made again, in this user's cache folder.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path


def folder() -> Path:
    """Return the folder, which may not exist yet."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local", "deepdream", "cache")
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "deepdream"
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return Path(chosen if Path(chosen).is_absolute() else home / ".cache", "deepdream")


def keep(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all; a full disk or a missing permission is no error here."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(prefix=".", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(new).replace(path)
        except OSError:
            Path(new).unlink()
            raise
