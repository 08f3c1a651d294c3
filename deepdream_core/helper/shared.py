"""Pixels in memory that the helper and a worker both see, so that no picture is pickled or sent through a pipe.

The helper makes every array and is the only one that removes it; should it be killed, Python's resource tracker does.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepdream_core.wire import ArrayHeader

_PREFIX = "dd_"


class SharedArray:
    """An array in shared memory, made by the helper. Raises `MemoryError` when the system has no room for it.

    `close` removes it, at once or when the last `hold` on it ends.
    """

    def __init__(self, header: ArrayHeader) -> None:
        self.header = header
        try:
            self._memory = SharedMemory(_new_name(), create=True, size=header.nbytes)
        except OSError as error:
            raise MemoryError(error.strerror) from None
        try:
            self._reserve()
        except OSError as error:
            self._remove()
            raise MemoryError(error.strerror) from None
        self._holds = 0
        self._closing = False

    def _reserve(self) -> None:
        """Have the pages given now: a full /dev/shm is an error here, and would kill the process at the first write."""
        file = getattr(self._memory, "_fd", -1)
        if file >= 0 and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, self.header.nbytes)

    @property
    def name(self) -> str:
        """What a worker finds it by."""
        return self._memory.name

    def view(self) -> memoryview:
        """Return its bytes, writable, without the padding that a page may have; release it before `close`."""
        assert self._memory.buf is not None
        return self._memory.buf[: self.header.nbytes]

    def __enter__(self) -> memoryview:
        """Hold it and return its bytes."""
        self._holds += 1
        return self.view()

    def __exit__(self, *exc: object) -> None:
        self._holds -= 1
        if self._closing and self._holds == 0:
            self._remove()

    def close(self) -> None:
        """Remove it; those who hold it now keep it until they are done."""
        if not self._closing:
            self._closing = True
            if self._holds == 0:
                self._remove()

    def _remove(self) -> None:
        self._memory.unlink()
        with contextlib.suppress(BufferError):  # a view not yet released: the memory goes with it
            self._memory.close()


def _new_name() -> str:
    """Return a name that tells whose it is; macOS allows 30 characters."""
    return f"{_PREFIX}{os.getpid()}_{secrets.token_hex(6)}"


def remove_left_behind() -> None:
    """Remove what helpers left that were killed together with Python's resource tracker; where that can be seen: Linux."""
    folder = Path("/dev/shm")
    for path in folder.glob(f"{_PREFIX}*") if folder.is_dir() else ():
        pid = path.name.removeprefix(_PREFIX).partition("_")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and path.stat().st_uid == os.getuid() and not Path("/proc", pid).exists():
                path.unlink()


def attach(name: str) -> SharedMemory:
    """Open in a worker what the helper made; raises `FileNotFoundError` when it is gone.

    The resource tracker must not hear of it: it would count the array twice and complain of one never removed.
    """
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    register = resource_tracker.register
    resource_tracker.register = lambda *_: None
    try:
        return SharedMemory(name)
    finally:
        resource_tracker.register = register
