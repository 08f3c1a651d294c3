"""Writing a file completely or not at all: a temporary file in the same folder, flushed to disk, then given its name.

On Linux the temporary file has no name before that, so that a process killed while writing leaves nothing behind.
A file that replaces another takes over its permissions; a link is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from deepdream_core.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_PREFIX, _ENDING = ".deepdream-", ".tmp"
_OPEN_FILES = "/proc/self/fd"


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` if `path` exists and may not be overwritten, or its folder cannot be made or written to."""
    if os.path.lexists(path) and not overwrite:
        raise _exists(path)
    try:
        _check_name(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _not_writable(path, error) from None


def write_whole(path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool) -> None:
    """Let `write` fill a temporary file and give it the name `path` when it is safely on disk.

    Raises `OutputError` when the file exists and may not be overwritten, or when the folder or the disk refuses; nothing
    is left behind then.
    """
    try:
        if os.path.lexists(path) and not overwrite:
            raise FileExistsError(path)
        if path.is_symlink():
            path = path.resolve()
        if not _written_nameless(path, write, overwrite=overwrite):
            _written_named(path, write, overwrite=overwrite)
        flush_folder(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise _not_writable(path, error) from None


def _written_nameless(path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool) -> bool:
    """Write to a file that has no name until it is whole; say no where the system cannot (open(2), O_TMPFILE)."""
    if not hasattr(os, "O_TMPFILE") or not os.path.exists(_OPEN_FILES):
        return False
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return False
        raise
    with os.fdopen(descriptor, "wb") as file:
        _fill(file, write)
        source = f"{_OPEN_FILES}/{descriptor}"
        if not overwrite:
            _link(source, descriptor, path)
            return True
        temporary = path.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_ENDING}")
        _link(source, descriptor, temporary)
    with _removed_on_failure(temporary):
        _replace(temporary, path)
    return True


def _link(source: str, descriptor: int, path: Path) -> None:
    """Give an open file a name; only with a `src_dir_fd` does Python let the system follow the link in /proc."""
    os.link(source, path, src_dir_fd=descriptor, follow_symlinks=True)


def _written_named(path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool) -> None:
    """Write to a file with a name of its own, renamed when it is whole."""
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_ENDING, dir=path.parent)
    temporary = Path(name)
    with _removed_on_failure(temporary):
        with os.fdopen(descriptor, "wb") as file:
            _fill(file, write)
        temporary.chmod(_new_file_mode())
        if overwrite:
            _replace(temporary, path)
        else:
            _rename_without_overwriting(temporary, path)


def _replace(temporary: Path, path: Path) -> None:
    """Put a file into the place of another, with its permissions and, where that is allowed, its owner."""
    with contextlib.suppress(OSError):
        old = path.stat()
        with contextlib.suppress(OSError):
            if sys.platform != "win32":
                os.chown(temporary, old.st_uid, old.st_gid)
        temporary.chmod(stat.S_IMODE(old.st_mode))
    temporary.replace(path)


def _fill(file: BinaryIO, write: Callable[[BinaryIO], object]) -> None:
    write(file)
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _removed_on_failure(temporary: Path) -> Iterator[None]:
    try:
        yield
    finally:
        temporary.unlink(missing_ok=True)


def _check_name(path: Path) -> None:
    """Raise the `OSError` that a name too long for the file system will cause."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()


def _exists(path: Path) -> OutputError:
    return OutputError(f"{path}: exists already", "give --overwrite, or another place with -o")


def _not_writable(path: Path, error: OSError) -> OutputError:
    next_step = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some space",
        errno.ENAMETOOLONG: "choose a shorter name",
    }.get(error.errno or 0, "choose another place with -o")
    return OutputError(f"{path}: cannot be written: {error.strerror or error}", next_step, error.errno)


def _rename_without_overwriting(temporary: Path, path: Path) -> None:
    """Give the file its name unless another program has taken it meanwhile; a hard link does that in one step."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        temporary.rename(path)


def _new_file_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def flush_folder(folder: Path) -> None:
    """Have the names in a folder written to disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
