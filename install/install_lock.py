"""One install at a time per clone: a lock on a file, given up by the system itself if its holder dies."""

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
    """Lock the open file; return False if someone else holds it. Raises OSError where locks do not work."""
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
    """Give the lock up, for the children that share it as well."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_UN)


def _is_there(handle: int, path: Path) -> bool:
    """Return whether the open file is still the one of that name; Windows removes none that is open."""
    if os.name != "posix":
        return True
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


@contextlib.contextmanager
def install_lock(folder: Path, screen: Screen) -> Iterator[None]:
    """Hold the install lock of `folder`, after waiting for another install there.

    Raises OSError if it cannot write, FileNotFoundError if the folder is gone, as after waiting for an uninstall.
    """
    while True:
        with _locked(folder / NAME, screen) as handle:
            # An uninstall that was waited for has removed the file: a lock on that would keep nobody out.
            if _is_there(handle, folder / NAME):
                yield
                return


@contextlib.contextmanager
def _locked(path: Path, screen: Screen) -> Iterator[int]:
    """Open the file at `path`, made if need be, and hold a lock on it; gives the open file."""
    # For this user alone: a user who may open it could hold it for ever.
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    held = False
    try:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.fchmod(handle, 0o600)
        try:
            held = _try_lock(handle)
            if not held:
                with screen.stage("Another install is at work in this folder; waiting for it to end") as stage:
                    while not (held := _try_lock(handle)):
                        time.sleep(POLL_S)
                        stage.tick(None, "waiting")
        except OSError:
            pass  # some network drives have no locks: better an install without one than none
        if os.name == "posix":
            # Handed down to pip, so that a pip whose parent was killed still keeps the next install waiting.
            os.set_inheritable(handle, True)
        yield handle
    finally:
        if held:
            with contextlib.suppress(OSError):
                _unlock(handle)
        os.close(handle)
