"""launchd's agent for the hot folder on macOS: its label, its file and its domain."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "deepdream.watch"


def agent_file(home: Path) -> Path:
    """Return the file of the agent of the user with this home folder."""
    return home / "Library" / "LaunchAgents" / f"{LABEL}.plist"


def domain() -> str:
    """Return the domain of this user's desktop session, as launchctl(1) names it."""
    if sys.platform == "win32":
        return "gui/0"
    return f"gui/{os.getuid()}"
