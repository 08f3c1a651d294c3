"""A desktop notification when a drop is done, if the platform has notifications."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys


def command(title: str, text: str) -> list[str] | None:
    """Return the command that shows a notification, None if there is none: notify-send on Linux, osascript on macOS."""
    if sys.platform == "darwin":
        return ["osascript", "-e", f"display notification {json.dumps(text)} with title {json.dumps(title)}"]
    if shutil.which("notify-send"):
        return ["notify-send", "--app-name=DeepDream", "--icon=image-x-generic", "--", title, text]
    return None


def announce(title: str, text: str) -> None:
    """Show a notification; it does not matter if that fails."""
    arguments = command(title, text)
    if arguments is not None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)


def summary(done: int, failed: int) -> str:
    """Return the text about a batch: `3 pictures dreamed, 1 failed`."""
    parts = []
    if done:
        parts.append(f"{done} picture{'s' if done > 1 else ''} dreamed")
    if failed:
        parts.append(f"{failed} failed")
    return ", ".join(parts)
