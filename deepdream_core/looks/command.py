"""The command line that dreams a photograph as one of its tiles shows."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def command(photo: Path, options: Iterable[str]) -> str:
    """Return `deepdream dream PHOTO OPTIONS` for this system's shell, with the path as given."""
    path = str(photo)
    words = ["deepdream", "dream", f".{os.sep}{path}" if path.startswith("-") else path, *options]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """Return a word quoted for a POSIX shell; unprintable bytes as bash, zsh and ksh write them."""
    if word.isprintable():
        return shlex.quote(word)
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._/-=+,"
    return "$'" + "".join(chr(byte) if byte in safe else f"\\x{byte:02x}" for byte in os.fsencode(word)) + "'"
