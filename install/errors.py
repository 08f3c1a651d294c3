"""What can go wrong during an install: one line for the user, one exit code for a calling script.

Every failure that a user can meet is an `InstallError`, printed as `install: what happened — what to do next`. pip's text
passes through `without_addresses` first: index addresses may contain passwords and internal host names.
"""

import errno
import re
import shutil
from enum import IntEnum
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

GB = 1_000_000_000


class Exit(IntEnum):
    """Exit codes of the installer itself; all others come from the program it hands over to."""

    ONE_WRONG = 1  # the doctor's exit code for one failed check
    USAGE = 2
    OLD_PYTHON = 10  # given by __main__.py, which old Pythons must be able to read
    NO_VENV = 11
    NOT_WRITABLE = 12
    DISK_FULL = 13
    INDEX_UNREACHABLE = 14
    NO_MATCHING_VERSION = 15
    PIP_FAILED = 16
    ENVIRONMENT = 17
    SERVICE = 18
    INTERRUPTED = 130


class InstallError(Exception):
    """An error for the user: `what` happened, what `todo` next, and the exit `code`."""

    def __init__(self, what: str, todo: str, code: Exit) -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo
        self.code = code

    def __str__(self) -> str:
        return f"install: {self.what} — {self.todo}"


def in_gb(size: float) -> str:
    """Return a size in bytes as words: `0.3 GB`, `9 GB`, `12 GB`."""
    gigabytes = size / GB
    return f"{gigabytes:.1f}".removesuffix(".0") + " GB" if gigabytes < 10 else f"{gigabytes:.0f} GB"


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that holds `folder`, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def disk_full(folder: Path, needed: int) -> InstallError:
    """Return the error for a disk that lacks `needed` bytes at `folder`."""
    return InstallError(
        f"the disk is too full: {in_gb(free_bytes(folder))} free at {folder}, about {in_gb(needed)} needed",
        "free some space or move this folder to a larger disk, then run the same command again",
        Exit.DISK_FULL,
    )


def from_os_error(error: OSError, folder: Path, needed: int) -> InstallError:
    """Return the InstallError for an error of the operating system in `folder`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or getattr(error, "winerror", None) == 112:
        return disk_full(folder, needed)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return not_writable(Path(error.filename) if isinstance(error.filename, str) else folder)
    place = f" ({error.filename})" if error.filename else ""
    return InstallError(
        f"{error.strerror or error}{place}",
        f"check the folder {folder}, then run the same command again",
        Exit.ENVIRONMENT,
    )


def not_writable(path: Path) -> InstallError:
    """Return the error for a file or folder that this user cannot write."""
    return InstallError(
        f"no permission to write {path}",
        "clone the project into a folder of your own, or change this folder's owner, then run the command again",
        Exit.NOT_WRITABLE,
    )


def without_credentials(url: str) -> str:
    """Return `url` without its user name and password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


# The user name and password of any URL in a text. Greedy, as a password may contain an @; a / or a space ends it.
_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#]*@")
_ADDRESSES = (
    (re.compile(r"\(?\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE), "(address)"),
    (re.compile(r"host=['\"][^'\"]*['\"], port=\w+"), "host"),
    (re.compile(r"((?:resolve|host|hostname) )['\"][^'\"]*['\"]", re.IGNORECASE), r"\1(name)"),
)


def scrubbed(text: str) -> str:
    """Return `text` without the user names and passwords in its URLs, for the log file."""
    return _CREDENTIALS.sub("", text)


def without_addresses(text: str) -> str:
    """Return `text` without URLs and host names, for an error message."""
    for pattern, word in _ADDRESSES:
        text = pattern.sub(word, text)
    return text
