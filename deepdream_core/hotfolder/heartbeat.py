"""What the hot folder's daemon tells a service manager: that it watches, how things stand, and that it is well."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from deepdream_core.machine.notify import notify, watchdog_s
from deepdream_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

BEATS = 3
"""Signs of life in the time after which the manager takes the daemon for dead."""


class Pulse:
    """Sends `READY=1`, `STATUS=…`, `WATCHDOG=1` and the like where a manager listens; elsewhere all of it does nothing.

    `say` gets a line when the daemon is not well any more, and so will be ended and started again.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._period_s = watchdog_s()
        self._next = float("-inf")
        self._ready, self._status = False, ""
        self._told = "", False

    def beat(self, problem: Callable[[], str]) -> None:
        """Give a sign of life as far as it is time for one, but not while `problem` says what is broken."""
        now = self._clock()
        if self._period_s is None or now < self._next:
            return
        self._next = now + self._period_s / BEATS
        why = problem()
        if not why:
            notify("WATCHDOG=1")
        elif why == self._told[0] and not self._told[1]:  # what mends itself is not worth a word
            self._told = why, True
            self._say(f"{why}: no sign of life is given any more, so that the service is started again")
            notify(f"STATUS={printable(why)}")
        if why != self._told[0]:
            self._told = why, False

    def show(self, state: dict[str, Any]) -> None:
        """Say how things stand; with the first time, and the first after `reloading`, that it watches."""
        status = told(state)
        if not self._ready:
            notify(f"READY=1\nSTATUS={status}")
        elif status != self._status:
            notify(f"STATUS={status}")
        self._ready, self._status = True, status

    def reloading(self) -> None:
        """Say that the configuration is being read again."""
        if self._ready:
            self._ready = False
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that it ends."""
        notify("STOPPING=1")


def told(state: dict[str, Any]) -> str:
    """Return one line about everything that is watched: `watching 2 folders: 1 being dreamed, 3 wait`."""
    folders = state["folders"]
    running = sum(len(one["running"]) for one in folders)
    waiting = sum(one["waiting"] for one in folders)
    failed = sum(one["failed"] for one in folders)
    alone = sum(one.get("left_alone_count", 0) for one in folders)
    resting = [printable(f"{one['folder']}: {one['resting']}") for one in folders if one["resting"]]
    parts = [f"{running} being dreamed"] if running else []
    parts += [f"{waiting} wait"] if waiting else []
    parts += [f"{failed} in failed/"] if failed else []
    parts += [f"{alone} left alone"] if alone else []
    line = f"watching {len(folders)} folder{'' if len(folders) == 1 else 's'}: {', '.join(parts) or 'nothing to do'}"
    why = "paused" if state["paused"] else printable(str(state["busy"])) or "; ".join(resting)
    return (f"{line} ({why})" if why else line)[:400]
