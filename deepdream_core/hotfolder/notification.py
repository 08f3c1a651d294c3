"""A desktop notification when a drop folder has done all that was dropped, where the platform has one."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys


def command(title: str, text: str) -> list[str] | None:
    """Return the command that shows a notification, None where there is none: notify-send on Linux, osascript on macOS."""
    if sys.platform == "darwin":
        return ["osascript", "-e", f"display notification {json.dumps(text)} with title {json.dumps(title)}"]
    if shutil.which("notify-send"):
        return ["notify-send", "--app-name=DeepDream", "--icon=image-x-generic", "--", title, text]
    return None


def announce(title: str, text: str) -> None:
    """Show it; that nobody sees it is no fault."""
    words = command(title, text)
    if words is not None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)


def summary(done: int, failed: int) -> str:
    """Return what is said of a batch: `3 pictures dreamed, 1 failed`."""
    parts = []
    if done:
        parts.append(f"{done} picture{'s' if done > 1 else ''} dreamed")
    if failed:
        parts.append(f"{failed} failed")
    return ", ".join(parts)
