"""Where the helper, its clients and the service keep their files: the run-time folder and the state folder of a user.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from pathlib import Path

from .wire import WireError


def runtime_folder() -> Path:
    """Return the folder for the endpoint file, which may not exist yet: private to this user on this machine.

    Several machines may share a home folder, hence the host's name if the system has no run-time folder. Raises `WireError`
    if DEEPDREAM_RUNTIME_DIR is not absolute or there is no home folder.
    """
    chosen = _from_environment("DEEPDREAM_RUNTIME_DIR")
    if chosen:
        return chosen
    session = session_folder()
    if session is not None:
        return session / "deepdream"
    host = socket.gethostname().split(".")[0]  # without the domain, which changes with the network
    return state_folder() / f"run-{re.sub(r'[^A-Za-z0-9_-]', '-', host)[:64]}"


def session_folder() -> Path | None:
    """Return the system's run-time folder of this user, None if there is none; only Linux has them.

    XDG_RUNTIME_DIR counts if that folder belongs to this user, as its specification demands: after `su` and `sudo` it is
    another user's. A plug-in or cron job may lack it.
    """
    if sys.platform.startswith("linux"):
        for name in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.geteuid()}"):
            with contextlib.suppress(OSError, ValueError):
                if os.path.isabs(name) and Path(name).stat().st_uid == os.geteuid():  # noqa: PTH117
                    return Path(name)
    return None


def state_folder() -> Path:
    """Return the folder for logs, which may not exist yet; raises `WireError` like `runtime_folder`."""
    chosen = _from_environment("DEEPDREAM_STATE_DIR")
    if chosen:
        return chosen
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local", "deepdream", "state")
        if sys.platform == "darwin":
            # The program is beside it: to most disks DeepDream and deepdream are the same name.
            return Path.home() / "Library" / "Application Support" / "deepdream" / "state"
        state = os.environ.get("XDG_STATE_HOME", "")
        return Path(state if os.path.isabs(state) else Path.home() / ".local" / "state", "deepdream")  # noqa: PTH117
    except RuntimeError:
        raise WireError("this user has no home folder — set HOME to one") from None


def endpoint_path() -> Path:
    """Return the path of the endpoint file."""
    return runtime_folder() / "endpoint.json"


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    if value and not os.path.isabs(value):  # noqa: PTH117
        raise WireError(f"{name} is {value!r}, which is not an absolute path — give it one, or unset it")
    return Path(value) if value else None
