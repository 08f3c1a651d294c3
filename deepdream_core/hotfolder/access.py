"""Who may use what this program makes in a drop folder: the group that may use what it belongs to, whatever the umask."""

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
    """Give the group of `like` the access to `path` that it has to `like`, and no other group more than everybody has.

    A file is not made executable. What an access list rules is left to that, and a file system without permissions to
    itself; raises nothing.
    """
    if sys.platform == "win32" or _has_acl(like):
        return
    with contextlib.suppress(OSError):
        wanted, made = like.stat(), path.stat()
        same = wanted.st_gid == made.st_gid
        if not same and not made.st_mode & stat.S_ISGID:  # that bit says that the folder's group is meant
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
    """Say whether an access list rules; the mode's bits for the group are its mask then."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return bool(os.getxattr(path, _ACL))
    return False
