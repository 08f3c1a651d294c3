"""Moving files without ever overwriting, losing or doubling one."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import itertools
import os
import shutil
import stat
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from deepdream_core.atomic import flush_folder
from deepdream_core.hotfolder.access import share
from deepdream_core.hotfolder.layout import fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
_NOT_HERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES, errno.ENOSYS)


def move(source: Path, target: Path) -> None:
    """Move a file, also to another disk; its new name is on disk afterwards.

    Raises `FileExistsError` if the name is taken, and other `OSError`s; the file is then where it was.
    """
    try:
        _renamed(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_across(source, target)
    flush_folder(target.parent)
    flush_folder(source.parent)


def _renamed(source: Path, target: Path) -> None:
    """Rename in one step if the system can, else by a second name; only the last resort checks the name first."""
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
    """Return Linux's renameat2(2) with RENAME_NOREPLACE, or None; it returns 0 or the error number."""
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


def _copy_across(source: Path, target: Path) -> None:
    """Copy a file to another disk, compare the copy, and only then remove the original."""
    before = source.stat()
    temporary = unfinished_copy(target)
    try:
        shutil.copy2(source, temporary, follow_symlinks=False)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        now = source.stat()
        same = (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)
        if not same or sha256_of(source) != sha256_of(temporary):
            raise OSError(errno.EBUSY, "changed while it was being copied", str(source))
        _renamed(temporary, target)
    finally:
        _remove_unfinished(temporary)
    try:
        source.unlink()
    except OSError:
        if os.path.lexists(source):  # keep only one of the two
            with contextlib.suppress(OSError):
                target.unlink()
        raise


def _remove_unfinished(temporary: Path) -> None:
    temporary.unlink(missing_ok=True)


def unfinished_copy(target: Path) -> Path:
    """Return the name of a copy to another disk until it is complete: the same after a kill, so that it can be removed."""
    return target.with_name(f".deepdream-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}.tmp")


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content, in hexadecimal; raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path, own: Path, counterpart: Path | None = None) -> Path:
    """Create a folder below `own` (out/, done/ or failed/) and its missing parents, on disk; return it.

    Each folder gets the permissions of its counterpart, whatever the umask; the counterpart of `own` is the drop folder, or
    `counterpart`. If a file has a folder's name, the folder is called `name (2)`. Raises `OSError`, also if the drop folder
    itself does not exist.
    """
    if not own.is_dir() and not _made(own, own.parent):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(own))
    made, like = own, counterpart or own.parent
    for part in folder.relative_to(own).parts:
        like /= part
        made = next(path for path in _names(made / part) if path.is_dir() or _made(path, like))
    return made


def _names(wanted: Path) -> Iterator[Path]:
    yield wanted
    yield from (wanted.with_name(fitted(wanted.name, f" ({number})")) for number in itertools.count(2))


def _made(folder: Path, like: Path) -> bool:
    """Create one folder; return False if a file has its name."""
    try:
        mode = like.stat().st_mode | stat.S_IRWXU
    except OSError:
        mode = 0o700
    try:
        folder.mkdir(mode & 0o777)
    except FileExistsError:
        return folder.is_dir()
    share(folder, like)
    flush_folder(folder.parent)
    return True
