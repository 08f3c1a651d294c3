"""Giving files another name without ever overwriting one, losing one or leaving two."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from deepdream_core.atomic import flush_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
_NOT_HERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES, errno.ENOSYS)
PIECE = 1 << 20


def move(source: Path, target: Path) -> None:
    """Give a file another name, also on another disk; what it is called is on disk afterwards.

    Raises `FileExistsError` when something has that name, other `OSError`s; the file is then where it was.
    """
    try:
        _renamed(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _carried(source, target)
    flush_folder(target.parent)
    flush_folder(source.parent)


def _renamed(source: Path, target: Path) -> None:
    """Rename in one step where the system can, else by a second name; only the last resort looks first."""
    rename = _rename_noreplace()
    if rename is not None:
        number = rename(os.fsencode(source), os.fsencode(target))
        if number == 0:
            return
        if number not in _NOT_HERE:
            raise OSError(number, os.strerror(number), str(target))
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)
        return
    source.unlink()


@cache
def _rename_noreplace() -> Callable[[bytes, bytes], int] | None:
    """Return Linux's renameat2(2) with RENAME_NOREPLACE, or None; it returns 0 or the error's number."""
    if sys.platform != "linux":
        return None
    try:
        call: Any = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None

    def rename(source: bytes, target: bytes) -> int:
        if call(_AT_FDCWD, source, _AT_FDCWD, target, ctypes.c_uint(_RENAME_NOREPLACE)) == 0:
            return 0
        return ctypes.get_errno()

    return rename


def _carried(source: Path, target: Path) -> None:
    """Copy a file to another disk, read it again there, and only then remove it here."""
    before = source.stat()
    temporary = target.with_name(f".deepdream-{secrets.token_hex(8)}.tmp")
    try:
        shutil.copy2(source, temporary, follow_symlinks=False)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        now = source.stat()
        same = (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)
        if not same or sha256_of(source) != sha256_of(temporary):
            raise OSError(errno.EBUSY, "has changed while it was copied", str(source))
        _renamed(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    source.unlink()


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content, in hexadecimal; raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path, within: Path) -> None:
    """Make a folder and what is missing above it, on disk; raises `OSError`, also when `within` is not there itself."""
    missing: list[Path] = []
    while folder != within and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):
            one.mkdir()
        flush_folder(one.parent)


def same_file(one: Path, other: Path) -> bool:
    """Say whether both names are of one file."""
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except OSError:
        return False
