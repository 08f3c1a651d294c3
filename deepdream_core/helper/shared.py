"""Pixels in memory that the helper and a worker share, so that no picture is pickled or sent through a pipe.

Only the helper makes and removes arrays; if it is killed, Python's resource tracker removes them. If shared memory is full,
for example the 64 MB of a container, a temporary file takes its place.
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
    """A file that two processes map, with the interface of `SharedMemory`. Raises `OSError`.

    With a `size`, in bytes, the file is created and all its space on the disk is reserved.
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
        """Unmap the file; raises `BufferError` while a view of it is in use."""
        self.buf.release()
        self._map.close()

    def unlink(self) -> None:
        """Remove the file; processes that have mapped it keep it."""
        Path(self.name).unlink()


Memory = SharedMemory | MappedFile


class SharedArray:
    """An array in shared memory, made by the helper. Raises `MemoryError` if the system has no room for it.

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
        """The name by which a worker opens it."""
        return self._memory.name

    def view(self) -> memoryview:
        """Return its bytes, writable, without the padding of the last page; release the view before `close`."""
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
        """Remove the array, if it is held after the last hold ends."""
        if not self._closing:
            self._closing = True
            if self._holds == 0:
                self._remove()

    def _remove(self) -> None:
        self._memory.unlink()
        with contextlib.suppress(BufferError):  # a view is not yet released: the memory is freed with it
            self._memory.close()


def _made(size: int) -> Memory:
    """Return new memory of so many bytes, a file if shared memory is full. Raises `OSError`."""
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
    """Reserve the space now: a full /dev/shm is an error here, but would kill the process at the first write."""
    if sys.platform == "linux" and file >= 0:
        os.posix_fallocate(file, 0, size)


def _new_name() -> str:
    """Return a name that contains the process's number; macOS allows 30 characters."""
    return f"{_PREFIX}{os.getpid()}_{secrets.token_hex(6)}"


def remove_left_behind() -> None:
    """Remove the arrays of helpers that were killed together with Python's resource tracker; Windows leaves none."""
    if sys.platform == "win32":
        return
    folders = [Path("/dev/shm")]
    with contextlib.suppress(OSError):  # a system without a folder for temporary files
        folders.append(Path(tempfile.gettempdir()))
    for path in (path for folder in folders if folder.is_dir() for path in folder.glob(f"{_PREFIX}*")):
        pid = path.name.removeprefix(_PREFIX).partition("_")[0]
        with contextlib.suppress(OSError, ValueError, OverflowError):
            if pid.isdigit() and path.stat().st_uid == os.getuid() and not psutil.pid_exists(int(pid)):
                path.unlink()


def attach(name: str) -> Memory:
    """Open in a worker an array that the helper made; raises `FileNotFoundError` if it is gone.

    The resource tracker must not notice: it would count the array twice and complain of one that was never removed.
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
