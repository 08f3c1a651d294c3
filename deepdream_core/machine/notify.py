"""Messages to systemd from a `Type=notify` service: sd_notify(3) in a few lines."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def notify(text: str) -> None:
    """Send a message such as `READY=1` if NOTIFY_SOCKET is set."""
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


class Watchdog:
    """When `WATCHDOG=1` is due: three times in the period after which systemd considers this process dead."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        period, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
        waits = period.isdigit() and pid in ("", str(os.getpid()))
        self._pause_s = int(period) / 3e6 if waits else 0.0
        self._clock, self._next = clock, float("-inf")

    def is_due(self) -> bool:
        """Return whether to send it now; never if systemd does not expect it."""
        now = self._clock()
        if not self._pause_s or now < self._next:
            return False
        self._next = now + self._pause_s
        return True
