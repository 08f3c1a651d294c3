"""The manager of background services on this system."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from deepdream_core.errors import ServiceError
from deepdream_core.service.interface import run
from deepdream_core.service.launchd import Launchd
from deepdream_core.service.systemd import Systemd
from deepdream_core.service.tasks import Tasks

if TYPE_CHECKING:
    from deepdream_core.service.interface import Manager


def manager_of(platform: str = sys.platform) -> Manager:
    """Return a system's manager; raises `ServiceError` if it has none."""
    if platform == "darwin":
        return Launchd(run)
    if platform == "win32":
        return Tasks(run)
    if platform.startswith("linux"):
        return Systemd(run)
    raise ServiceError(f"there is no background service on {platform}", "run `deepdream watch` yourself")
