"""Pixels in memory that the helper and a worker both see, so that no picture is pickled or sent through a pipe.

The helper makes every array and is the only one that removes it; should it be killed, Python's resource tracker does. Where
shared memory is short, as the 64 MB of a container are, a file among the temporary ones takes its place.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import secrets
import sys
import tempfile
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from deepdream_core.link.npy import ArrayHeader

_PREFIX = "dd_"

log = logging.getLogger("deepdream.helper")


class MappedFile:
    """A file that two processes map, with what `SharedMemory` has of it. Raises `OSError`.

    It is made if `size` is given, in bytes, and has all its room on the disk then.
    """

    def __init__(self, path: str, size: int = 0) -> None:
        self.name = path
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | (os.O_CREAT | os.O_EXCL if size else 0)
        file = os.open(path, flags, 0o600)
        try:
            if size:
                _reserve(file, size)
            self._map = mmap.mmap(file, 0)
        except BaseException:
            if size:
                self.unlink()
            raise
        finally:
            os.close(file)
        self.buf = memoryview(self._map)

    def close(self) -> None:
        """Let go of it; raises `BufferError` while something looks at it."""
        self.buf.release()
        self._map.close()

    def unlink(self) -> None:
        """Remove the file; who has it mapped keeps it."""
        Path(self.name).unlink()


Memory = SharedMemory | MappedFile


class SharedArray:
    """An array in shared memory, made by the helper. Raises `MemoryError` when the system has no room for it.

    `close` removes it, at once or when the last `hold` on it ends.
    """

    def __init__(self, header: ArrayHeader) -> None:
        self.header = header
        try:
            self._memory = _made(header.nbytes)
        except OSError as error:
            raise MemoryError(error.strerror) from None
        self._holds = 0
        self._closing = False

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


def _made(size: int) -> Memory:
    """Return new memory of so many bytes, a file where there is no room for more in shared memory. Raises `OSError`."""
    name = _new_name()
    try:
        memory = SharedMemory(name, create=True, size=size)
        try:
            _reserve(getattr(memory, "_fd", -1), size)
        except OSError:
            memory.unlink()
            memory.close()
            raise
        return memory
    except OSError as error:
        if sys.platform != "linux":
            raise
        folder = tempfile.gettempdir()
        file = MappedFile(str(Path(folder, name)), size)
        log.info("shared memory: %s; %.0f MB are in a file in %s instead", error.strerror, size / 1e6, folder)
        return file


def _reserve(file: int, size: int) -> None:
    """Have the room given now: a full /dev/shm is an error here, and would kill the process at the first write."""
    if sys.platform == "linux" and file >= 0:
        os.posix_fallocate(file, 0, size)


def _new_name() -> str:
    """Return a name that tells whose it is; macOS allows 30 characters."""
    return f"{_PREFIX}{os.getpid()}_{secrets.token_hex(6)}"


def remove_left_behind() -> None:
    """Remove what helpers left that were killed together with Python's resource tracker; on Windows nothing stays."""
    if sys.platform == "win32":
        return
    folders = [Path("/dev/shm")]
    with contextlib.suppress(OSError):  # a system without a place for temporary files
        folders.append(Path(tempfile.gettempdir()))
    for path in (path for folder in folders if folder.is_dir() for path in folder.glob(f"{_PREFIX}*")):
        pid = path.name.removeprefix(_PREFIX).partition("_")[0]
        with contextlib.suppress(OSError, ValueError, OverflowError):
            if pid.isdigit() and path.stat().st_uid == os.getuid() and not psutil.pid_exists(int(pid)):
                path.unlink()


def attach(name: str) -> Memory:
    """Open in a worker what the helper made; raises `FileNotFoundError` when it is gone.

    The resource tracker must not hear of it: it would count the array twice and complain of one never removed.
    """
    if os.path.isabs(name):  # noqa: PTH117
        return MappedFile(name)
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    register = resource_tracker.register
    resource_tracker.register = lambda *_: None
    try:
        return SharedMemory(name)
    finally:
        resource_tracker.register = register
