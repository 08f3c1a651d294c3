"""Scanning a folder: every regular file below it, one at a time, without following links."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT: a link to a folder, on Windows
_BY_DESCRIPTOR = os.scandir in os.supports_fd and os.stat in os.supports_dir_fd


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file at the time of a look: size in bytes, time of the last change in ns, number of links.

    File systems have times and inodes of any size; here they are 64 bits with a sign, as a database stores them. They are
    only compared with each other.
    """

    path: Path
    size: int
    mtime_ns: int
    inode: int
    device: int
    uid: int
    links: int

    @property
    def version(self) -> tuple[int, int]:
        """Size and time. The inode is less reliable: some network file systems show another one at every look."""
        return self.size, self.mtime_ns


def scan(
    root: Path, passed_over: Callable[[Path, bool], bool], unreadable: Callable[[Path, Exception], object] | None = None
) -> Iterator[Found]:
    """Yield the regular files below `root`, in no particular order, as they are found.

    `passed_over(path, is_folder)` leaves out a file, or a folder with all that is in it. Links, sockets, pipes and devices
    are left out; other file systems mounted below `root` are scanned, too; `root` itself may be a link. Names are as the
    system has them, with surrogates for bytes that are not UTF-8. A file that vanishes during the scan is left out.
    `unreadable` gets a folder that vanishes, cannot be read, or is deeper than a path can be long, and a file that cannot
    be accessed because of the file system or a bug in this program; the scan continues.

    Raises OSError, at the first step or a later one, if `root` itself cannot be listed.
    """
    report = unreadable or (lambda _path, _error: None)
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            yield from _files(folder, passed_over, folders, report, follow=folder is root)
        except OSError as error:
            if folder is root:
                raise
            report(folder, error)


def look(path: Path, root: Path) -> Found | None:
    """Return the regular file that `path`, below `root`, is at the moment; None if it is not one.

    None also for a link, for a path behind one, and if the file system gives no answer: a later scan will find the file.
    Raises nothing.
    """
    try:
        for folder in path.relative_to(root).parents[:-1]:
            if not stat.S_ISDIR((root / folder).lstat().st_mode):
                return None
        return _found(path, path.lstat())
    except (OSError, ValueError):
        return None


def _files(
    folder: Path,
    passed_over: Callable[[Path, bool], bool],
    folders: list[Path],
    report: Callable[[Path, Exception], object],
    *,
    follow: bool,
) -> Iterator[Found]:
    """Yield one folder's files and add its folders to `folders`."""
    with (
        _opened(folder, follow=follow) as descriptor,
        os.scandir(folder if descriptor is None else descriptor) as entries,
    ):
        for entry in entries:
            path = folder / entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not passed_over(path, True) and not _is_junction(entry):
                        folders.append(path)
                    continue
                if not entry.is_file(follow_symlinks=False) or passed_over(path, False):
                    continue
                name = entry.path if descriptor is None else entry.name
                found = _found(path, os.stat(name, dir_fd=descriptor, follow_symlinks=False))
            except Exception as error:  # whatever the problem is, the other files are scanned
                if not isinstance(error, OSError) or error.errno not in _GONE:
                    report(path, error)
                continue
            if found is not None:
                yield found


@contextlib.contextmanager
def _opened(folder: Path, *, follow: bool) -> Iterator[int | None]:
    """Open the folder itself, even if a link replaces it at this moment; None if the system cannot list a descriptor."""
    if sys.platform == "win32" or not _BY_DESCRIPTOR:
        yield None
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    return sys.platform == "win32" and entry.stat(follow_symlinks=False).st_reparse_tag == _JUNCTION


def _found(path: Path, status: os.stat_result) -> Found | None:
    if not stat.S_ISREG(status.st_mode):
        return None
    mtime_ns, inode = _signed(status.st_mtime_ns), _signed(status.st_ino)
    return Found(path, status.st_size, mtime_ns, inode, status.st_dev, status.st_uid, status.st_nlink)


def _signed(number: int) -> int:
    """Return the lowest 64 bits of a number, with a sign."""
    return (number + 2**63) % 2**64 - 2**63
