"""One install at a time for each folder: a file lock, which the system releases if its holder dies."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from screen import Screen

NAME = "install.lock"
POLL_S = 0.2


def _try_lock(handle: int) -> bool:
    """Lock the open file; return False if another process holds it. Raises OSError where locks do not work."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(handle: int) -> None:
    """Release the lock, also for child processes that share it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_UN)


def _is_there(handle: int, path: Path) -> bool:
    """Return whether the open file still has that name; Windows cannot remove an open file."""
    if sys.platform == "win32":
        return True
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


@contextlib.contextmanager
def install_lock(folder: Path, screen: Screen) -> Iterator[None]:
    """Hold the install lock of `folder`, after waiting for another install there.

    Raises OSError if it cannot write, FileNotFoundError if the folder is gone, for example after an uninstall.
    """
    while True:
        with _locked(folder / NAME, screen) as handle:
            # An uninstall may have removed the file while this one waited: a lock on it would be useless.
            if _is_there(handle, folder / NAME):
                yield
                return


@contextlib.contextmanager
def _locked(path: Path, screen: Screen) -> Iterator[int]:
    """Open or create the file at `path` and hold a lock on it; yields the open file."""
    # For this user alone: others who can open it could hold it forever.
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    held = False
    try:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.fchmod(handle, 0o600)
        try:
            held = _try_lock(handle)
            if not held:
                with screen.stage("Another install is running in this folder; waiting for it to finish") as stage:
                    while not (held := _try_lock(handle)):
                        time.sleep(POLL_S)
                        stage.tick(None, "waiting")
        except OSError:
            pass  # some network drives have no locks: better to install without one
        if sys.platform != "win32":
            # pip inherits it: if only its parent is killed, the next install still waits for pip.
            os.set_inheritable(handle, True)
        yield handle
    finally:
        if held:
            with contextlib.suppress(OSError):
                _unlock(handle)
        os.close(handle)
