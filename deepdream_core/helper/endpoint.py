"""One helper per user: the lock, the sockets, and the endpoint file."""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from deepdream_core import __version__
from deepdream_core.errors import HelperError
from deepdream_core.link import private_files, user_folders, wire
from deepdream_core.link.endpoint import Endpoint, new_token, read_endpoint, write_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


LOCK = "helper.lock"


@dataclass(frozen=True)
class Lock:
    """The lock that makes a process this user's helper: the endpoint file that belongs to it, and the locked file."""

    endpoint: Path
    held: FileLock
    inode: int

    def lost(self, endpoint: Endpoint) -> bool:
        """Return whether clients no longer find this helper; write a missing endpoint file again.

        Somebody may have emptied or removed the folder; another helper could then start beside this one. A file that
        cannot be read or written at the moment, for lack of open files or disk space, does not mean that.
        """
        try:
            if self.endpoint.with_name(LOCK).stat().st_ino != self.inode:
                return True
            found = read_endpoint(self.endpoint)
            if found is None:
                write_endpoint(self.endpoint, endpoint)
        except FileNotFoundError:
            return True
        except (OSError, wire.WireError):
            return False
        return found is not None and found.token != endpoint.token


def place() -> Path:
    """Return the path of the endpoint file; raises `HelperError` if there is no folder for it."""
    try:
        return user_folders.endpoint_path()
    except wire.WireError as error:
        raise HelperError(str(error)) from None


def lock_endpoint(path: Path) -> Lock | None:
    """Take the lock that belongs to an endpoint file, or return None if another helper has it.

    The system releases it when the process ends, however it ends. Raises `HelperError` if the folder cannot be used.
    """
    try:
        private_files.make_private_folder(path.parent)
        lock = FileLock(path.with_name(LOCK), mode=0o600)
        lock.acquire(blocking=False)
        return Lock(path, lock, path.with_name(LOCK).stat().st_ino)
    except Timeout:
        return None
    except wire.WireError as error:
        raise HelperError(str(error)) from None
    except OSError as error:
        raise HelperError(f"{path.parent}: {error.strerror}", "fix that, or set DEEPDREAM_RUNTIME_DIR") from None


def is_locked(path: Path) -> bool:
    """Return whether a helper has the lock that belongs to an endpoint file; raises like `lock_endpoint`."""
    if not path.with_name(LOCK).exists():
        return False
    lock = lock_endpoint(path)
    if lock is None:
        return True
    lock.held.release()
    return False


def check_silent(path: Path) -> None:
    """Raise `HelperError` if a helper has the lock, though no helper answers."""
    if is_locked(path):
        raise silent(path)


def silent(path: Path) -> HelperError:
    """Return the error about a helper that has the lock and does not answer."""
    try:
        found = read_endpoint(path)
    except wire.WireError:
        found = None
    if found is None:
        return HelperError("a helper is starting or ending, and does not answer", "try again in a minute")
    return HelperError(f"the helper, process {found.pid}, does not answer", f"end it: kill -9 {found.pid}")


def bind(port: int) -> list[socket.socket]:
    """Return sockets bound to 127.0.0.1 and, if there is IPv6, to ::1 at the same port; 0 means a free port.

    Raises `HelperError` if the port is taken.
    """
    first = _bound(socket.AF_INET, "127.0.0.1", port)
    try:
        return [first, _bound(socket.AF_INET6, "::1", first.getsockname()[1])]
    except HelperError:
        return [first]


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    try:
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise HelperError(f"the system gives no socket: {error.strerror}", "check the network") from None
    try:
        if sys.platform == "win32":  # else another user's program may share the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise HelperError(
            f"port {port} on {host}: {error.strerror}", "set another helper.port in config.yaml, or 0 for any"
        ) from None
    return bound


def describe(port: int, log: Path) -> Endpoint:
    """Return a new endpoint of this process, with a new token."""
    return Endpoint(
        host="127.0.0.1", port=port, token=new_token(), pid=os.getpid(), version=__version__,
        protocol=wire.PROTOCOL, log=str(log),
    )  # fmt: skip


def polls(seconds: float) -> Iterator[None]:
    """Yield every 50 ms until the time is over."""
    until = time.monotonic() + seconds
    yield
    while time.monotonic() < until:
        time.sleep(0.05)
        yield
