"""systemd's user manager: our units, how to reach it, and the user's name and lingering."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_UNIT, HELPER_UNIT, WATCH_UNIT = "deepdream-helper.socket", "deepdream-helper.service", "deepdream-watch.service"
UNITS = (SOCKET_UNIT, HELPER_UNIT, WATCH_UNIT)
WANTED = {SOCKET_UNIT: "sockets.target.wants", WATCH_UNIT: "default.target.wants"}
"""The folder in which `systemctl enable` creates the link to a unit."""
LINGER = Path("/var/lib/systemd/linger")


def environments(environ: Mapping[str, str]) -> list[dict[str, str]]:
    """Return environments to try to reach the manager: with the given and the usual XDG_RUNTIME_DIR, if that is ours.

    A session of `su` has none or another user's, whose manager would do for root what we want for ourselves.
    """
    if not sys.platform.startswith("linux"):
        return [dict(environ)]
    found = []
    for folder in dict.fromkeys((environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.geteuid()}")):
        with contextlib.suppress(OSError, ValueError):
            if os.path.isabs(folder) and Path(folder).stat().st_uid == os.geteuid():  # noqa: PTH117
                found.append({**environ, "XDG_RUNTIME_DIR": folder})
    return found or [{**environ, "XDG_RUNTIME_DIR": ""}]


def user_name() -> str:
    """Return the system's name for this user, or the user id if there is none; LOGNAME may be another user's."""
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def lingers(user: str) -> bool:
    """Return whether a user's services run without a session."""
    with contextlib.suppress(OSError):
        return (LINGER / user).exists()
    return False


def manager_runs() -> bool:
    """Return whether systemd's user manager runs for this user, even if it does not answer."""
    if sys.platform == "win32":
        return False
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if comm.read_text("utf-8", "replace") == "systemd\n" and comm.parent.stat().st_uid == os.getuid():
                return os.getuid() != 0 or b"--user" in (comm.parent / "cmdline").read_bytes()
    return False
