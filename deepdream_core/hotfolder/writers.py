"""Whether a program still writes to a file, as far as the system tells."""

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
    """Say whether any process has the file open for writing; None where that cannot be known.

    Raises nothing: a file that is gone, not a regular one (a link counts as itself) or may not be read gives None.

    Linux: the kernel refuses a read lease (fcntl(2), F_SETLEASE) while the file is open for writing, by whichever way.
    A writable mapping counts as long as it lasts, also when its descriptor was closed long ago. The lease is given back
    at once; whoever opens the file for writing in the microseconds between waits for that, or gets EWOULDBLOCK with
    O_NONBLOCK. Only the file's owner (or root) is given leases; many network and FUSE file systems give none, and a
    writer on another machine is not known here.

    Windows: opening the file without letting others write fails while somebody may; so it does when somebody has it open
    and lets nobody read. macOS and others have no such question: None.
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
            # Opening a pipe or a device has effects of its own, so ask before; and again, of what was opened.
            if not stat.S_ISREG(path.lstat().st_mode):
                return None
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
        except BlockingIOError:  # somebody holds a write lease: only one that has it open for writing can
            return True
        except (OSError, ValueError):
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            # A writer that comes while we hold the lease makes the kernel send SIGIO, which ends a process that has no
            # handler for it. SIGURG is ignored by default, and is never turned back into SIGIO as a real-time one can be.
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            with contextlib.suppress(OSError):  # closing gives it back in any case
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
