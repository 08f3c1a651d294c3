"""Permissions of files and folders in a drop folder: the drop folder's group may use them, whatever the umask."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ACL = "system.posix_acl_access"


def share(path: Path, like: Path) -> None:
    """Give the group of `like` the same access to `path`, and other groups at most everybody's access.

    Files do not become executable. If an access list decides, or the file system has no permissions, nothing changes;
    raises nothing.
    """
    if sys.platform == "win32" or _has_acl(like):
        return
    with contextlib.suppress(OSError):
        wanted, made = like.stat(), path.stat()
        same = wanted.st_gid == made.st_gid
        if not same and not made.st_mode & stat.S_ISGID:  # with that bit the folder decides the group
            with contextlib.suppress(OSError):
                os.chown(path, -1, wanted.st_gid)
                same = True
        bits = wanted.st_mode & 0o070 if same else (wanted.st_mode & 0o007) << 3
        if not stat.S_ISDIR(made.st_mode):
            bits &= 0o060
        mode = stat.S_IMODE(made.st_mode)
        if mode & 0o070 != bits:
            path.chmod(mode & ~0o070 | bits)


def _has_acl(path: Path) -> bool:
    """Return whether an access list decides; the mode's group bits are then its mask."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return bool(os.getxattr(path, _ACL))
    return False
