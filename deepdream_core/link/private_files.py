"""Files and folders that only this user may read.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import time
from typing import TYPE_CHECKING

from .user_folders import state_folder
from .wire import WireError

if TYPE_CHECKING:
    from pathlib import Path

FILE_LIMIT = 64 * 1024
WRITTEN = (
    r"endpoint\.json|service\.json|\.(?:endpoint|service)-[0-9a-f]+\.tmp|helper\.lock|helper\.log.*|helper-start\.log"
    r"|run-[A-Za-z0-9_-]*|hotfolder|cluster|watch\.log.*"
)
"""Names that the program writes into its state folder, which on macOS and Windows also has config.yaml and weights."""
_OURS = re.compile(WRITTEN + r"|config\.yaml|weights|\.DS_Store")


def make_private_folder(path: Path) -> None:
    """Create the folder and its parents, or check the existing one: it must be ours and closed to all others (0700).

    A folder that others can open is closed, if it contains only files of DeepDream. Raises `WireError`, path included, if
    it contains others, cannot be created, belongs to another user or is a link to or of one, or stays open.
    """
    another = f"set {_variable(path)} to a folder"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(0o700)
        if not path.is_dir():
            raise WireError(f"{path} is not a folder — move it away, or {another}")
        if sys.platform == "win32":
            return  # the access list of a user's profile closes everything below it
        if {path.lstat().st_uid, path.stat().st_uid} != {os.geteuid()}:
            raise WireError(f"{path} belongs to another user — {another} of your own")
        if path.stat().st_mode & 0o077:
            other = next((file.name for file in path.iterdir() if not _OURS.fullmatch(file.name)), None)
            if other is not None:
                contains = f"{path} is open to other users and contains other files than DeepDream's: {other!r}"
                raise WireError(f"{contains} — {another} for DeepDream alone, or close it yourself with chmod 700")
            path.chmod(0o700)
        if path.stat().st_mode & 0o077:
            raise WireError(f"{path} is open to other users — {another} that can be closed")
    except OSError as error:
        reason = error.strerror or error
        raise WireError(f"{path} cannot be made private: {reason} — fix that, or {another} of your own") from None


def _variable(folder: Path) -> str:
    """Return the environment variable that chooses another folder instead of this one."""
    with contextlib.suppress(WireError):
        if folder == state_folder():
            return "DEEPDREAM_STATE_DIR"
    return "DEEPDREAM_RUNTIME_DIR"


def read_private(path: Path) -> bytes | None:
    """Return the content of a file that only this user can read, or None if there is no file.

    Raises `WireError` if it is not ours alone (POSIX: another owner, readable by others, a link), or too long.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise WireError(f"{path} is a link — remove it") from None
        raise WireError(f"{path} cannot be read: {error.strerror or error} — fix that, or remove it") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise WireError(f"{path} is not a file — remove it")
        if sys.platform != "win32" and (status.st_uid != os.geteuid() or status.st_mode & 0o077):
            raise WireError(f"{path} belongs to another user, or others can read it — remove it")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise WireError(f"{path} cannot be read: {error.strerror or error} — fix that, or remove it") from None
    finally:
        os.close(descriptor)
    if len(data) > FILE_LIMIT:
        raise WireError(f"{path} is too long for an endpoint file — remove it")
    return data


def write_private(path: Path, data: bytes, variable: str) -> None:
    """Write the file completely or not at all, readable by this user alone; its folder must exist.

    Raises `WireError` if the folder or the disk refuses, naming the `variable` that chooses the folder; it then leaves
    nothing behind.
    """
    temporary = path.with_name(f".endpoint-{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except OSError as error:
        next_step = f"fix that, or set {variable} to another folder"
        raise WireError(f"{path} cannot be written: {error.strerror or error} — {next_step}") from None


def _replace(temporary: Path, path: Path) -> None:
    """Rename the file; Windows refuses that while a client reads the old one."""
    for _ in range(50 if sys.platform == "win32" else 0):
        with contextlib.suppress(PermissionError):
            temporary.replace(path)
            return
        time.sleep(0.02)
    temporary.replace(path)
