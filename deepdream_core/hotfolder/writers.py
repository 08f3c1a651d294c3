"""Whether a program is still writing to a file, as far as the system knows."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def has_writer(path: Path) -> bool | None:
    """Return whether any process has the file open for writing; None if that is unknown.

    Raises nothing: the answer is None for a file that is gone, is not regular (links are not followed) or cannot be read.

    Linux: the kernel refuses a read lease (fcntl(2), F_SETLEASE) while the file is open for writing in any way. A writable
    mapping counts as long as it lasts, even if its descriptor was closed long ago. The lease is released at once; a program
    that opens the file for writing in the microseconds between waits for that, or gets EWOULDBLOCK with O_NONBLOCK. Only
    the file's owner (or root) gets leases; many network and FUSE file systems give none, and writers on other machines
    are unknown.

    Windows: opening the file without sharing it for writing fails while a program has it open for writing, or has it open
    without sharing it for reading. macOS and other systems have no such call: None.
    """
    if sys.platform == "linux":
        return _lease_refused(path)
    if sys.platform == "win32":
        return _sharing_refused(path)
    return None


if sys.platform == "linux":
    import fcntl
    import signal

    def _lease_refused(path: Path) -> bool | None:
        try:
            # Opening a pipe or a device has side effects, so check first, and check again what was opened.
            if not stat.S_ISREG(path.lstat().st_mode):
                return None
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
        except BlockingIOError:  # a program holds a write lease, so it has the file open for writing
            return True
        except (OSError, ValueError):
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            # A writer that comes while we hold the lease makes the kernel send SIGIO, which ends a process without a
            # handler for it. SIGURG is ignored by default, and unlike a real-time signal is never replaced by SIGIO.
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            with contextlib.suppress(OSError):  # closing releases it in any case
                fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return True if error.errno == errno.EAGAIN else None
        else:
            return False
        finally:
            os.close(descriptor)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _GENERIC_READ, _OPEN_EXISTING, _OPEN_REPARSE_POINT = 0x80000000, 3, 0x00200000
    _SHARE_READ, _SHARE_DELETE = 1, 4
    _SHARING_VIOLATION = 32

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.CreateFileW.restype = wintypes.HANDLE
    _kernel.CreateFileW.argtypes = [
        wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID,
        wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE,
    ]  # fmt: skip
    _kernel.CloseHandle.argtypes = [wintypes.HANDLE]

    def _sharing_refused(path: Path) -> bool | None:
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return None
        except (OSError, ValueError):
            return None
        handle = _kernel.CreateFileW(
            str(path), _GENERIC_READ, _SHARE_READ | _SHARE_DELETE, None, _OPEN_EXISTING, _OPEN_REPARSE_POINT, None
        )
        if handle == wintypes.HANDLE(-1).value:
            return True if ctypes.get_last_error() == _SHARING_VIOLATION else None
        _kernel.CloseHandle(handle)
        return False
