"""What the system's error numbers mean: whether a name, a file or the disk is the problem, and what to do then."""

from __future__ import annotations

import contextlib
import errno
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP})
"""The system does not allow this name, which concerns one picture and not the folder."""

FORBIDDEN = frozenset({errno.EPERM, errno.EROFS} | (set() if sys.platform == "win32" else {errno.EACCES}))
"""A file may not be moved, or a folder may not be written to.

Windows answers EACCES for a file that a program has open at the moment, which passes.
"""

DISK = frozenset(
    getattr(errno, name, None)  # Windows knows fewer
    for name in (
        "ENOSPC", "EDQUOT", "EROFS", "EIO", "EACCES", "EPERM", "ENOENT", "ENOTDIR", "ENODEV", "ENXIO", "ESTALE", "ENOTCONN",
        "ETIMEDOUT", "EHOSTDOWN", "EBUSY", "EMFILE", "ENFILE", "ENOMEM",
    )
) - {None}  # fmt: skip
"""The disk, the share or the machine has a problem, not the picture."""


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Return a context in which an `OSError` becomes an `OutputError`, about `path` if it names no file itself."""
    try:
        yield
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else ""
        what = f"{named if Path(named).is_absolute() else path}: {error.strerror or error}"
        raise OutputError(what, advice(error.errno), error.errno or errno.EIO) from None


def advice(number: int | None) -> str:
    """Return what to do about an error number of the disk."""
    room = number in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
    return f"{'free some space' if room else 'make the folder writable'}; DeepDream then continues by itself"


def is_writable(folder: Path) -> bool:
    """Return whether a file can be put into the folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
