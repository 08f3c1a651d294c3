"""launchd's agent for the hot folder on macOS: its label, and its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "deepdream.watch"


def agent_file(home: Path) -> Path:
    """Return the file of the agent of the user with this home folder."""
    return home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
