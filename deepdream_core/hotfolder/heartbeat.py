"""What the hot folder's daemon reports to a service manager: that it watches, its status, and signs of life."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from deepdream_core.machine.notify import Watchdog, notify
from deepdream_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable


class Pulse:
    """Sends `READY=1`, `STATUS=…`, `WATCHDOG=1` and the like if a manager listens; otherwise does nothing.

    `say` gets a line when the daemon has a problem for which the manager will restart it.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._watchdog = Watchdog(clock)
        self._ready, self._status = False, ""
        self._problem = "", False

    def beat(self, problem: Callable[[], str]) -> None:
        """Give a sign of life if it is time for one, but not while `problem` returns what is broken."""
        if not self._watchdog.is_due():
            return
        why = problem()
        if not why:
            notify("WATCHDOG=1")
        elif why == self._problem[0] and not self._problem[1]:  # a problem that passes by itself is not worth a line
            self._problem = why, True
            self._say(f"{why}: DeepDream stops reporting to the service manager, which then restarts it")
            notify(f"STATUS={printable(why)}")
        if why != self._problem[0]:
            self._problem = why, False

    def show(self, state: dict[str, Any]) -> None:
        """Report the status; the first time, and the first time after `reloading`, also that the daemon is ready."""
        status = status_line(state)
        if not self._ready:
            notify(f"READY=1\nSTATUS={status}")
        elif status != self._status:
            notify(f"STATUS={status}")
        self._ready, self._status = True, status

    def reloading(self) -> None:
        """Report that the configuration is being read again."""
        if self._ready:
            self._ready = False
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Report that the daemon is ending."""
        notify("STOPPING=1")


def status_line(state: dict[str, Any]) -> str:
    """Return one line about all folders: `watching 2 folders: 1 being dreamed, 3 wait`."""
    folders = state["folders"]
    running = sum(len(folder["running"]) for folder in folders)
    waiting = sum(folder["waiting"] for folder in folders)
    failed = sum(folder["failed"] for folder in folders)
    alone = sum(folder.get("left_alone_count", 0) for folder in folders)
    resting = [printable(f"{folder['folder']}: {folder['resting']}") for folder in folders if folder["resting"]]
    parts = [f"{running} being dreamed"] if running else []
    parts += [f"{waiting} wait"] if waiting else []
    parts += [f"{failed} in failed/"] if failed else []
    parts += [f"{alone} left alone"] if alone else []
    line = f"watching {len(folders)} folder{'' if len(folders) == 1 else 's'}: {', '.join(parts) or 'nothing to do'}"
    why = "paused" if state["paused"] else printable(str(state["busy"])) or "; ".join(resting)
    return (f"{line} ({why})" if why else line)[:400]
