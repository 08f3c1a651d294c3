"""What systemd wants to hear of a `Type=notify` service: sd_notify(3) in a few lines."""

from __future__ import annotations

import os
import socket
import sys


def notify(text: str) -> None:
    """Send `READY=1` and the like where NOTIFY_SOCKET is set; nothing elsewhere."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address or sys.platform == "win32":
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # a name in the abstract namespace
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        try:
            out.connect(address)
            out.sendall(text.encode())
        except OSError:  # the manager no longer listens
            pass


def watchdog_s() -> float | None:
    """Return how often `WATCHDOG=1` is expected, in seconds, or None when nobody waits for it."""
    period, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not period.isdigit() or int(period) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(period) / 1e6
