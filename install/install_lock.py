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


@contextlib.contextmanager
def install_lock(folder: Path, screen: Screen) -> Iterator[None]:
    """Hold the install lock of `folder`, after waiting for another install there; raises OSError if it cannot write."""
    handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    held = False
    try:
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
        yield
    finally:
        if held:
            with contextlib.suppress(OSError):
                _unlock(handle)
        os.close(handle)
