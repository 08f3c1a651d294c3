"""Which daemon works in a drop folder if several could: two machines with one share, two users, two state folders.

Daemons with the same state folder exclude each other by a lock. Others cannot see that lock, and a lock held open on a
share would keep the disk from being unmounted. So the daemon that works in a folder writes a hidden file there and renews
it. A daemon that finds another's file waits until it has not changed for a while, by its own clock, as clocks may differ.
"""

from __future__ import annotations

import contextlib
import platform
from typing import TYPE_CHECKING

from deepdream_core.hotfolder.access import share
from deepdream_core.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

LEASE = ".deepdream-folder-watched"
RENEWED_EVERY_S = 300.0
SILENT_S = 3 * RENEWED_EVERY_S
"""Seconds without a change after which a daemon takes over another's lease."""
_LONGEST = 512


class Lease:
    """The lease of one folder for the daemon whose journal has this `identity`; times are monotonic seconds."""

    def __init__(self, root: Path, identity: str) -> None:
        self._path = root / LEASE
        self._identity = identity
        self._renewals = 0
        self._next = float("-inf")
        self._other = ""
        self._other_since = 0.0

    def refused(self, now: float) -> str:
        """Return which other daemon works in the folder, "" if the lease is ours, which is renewed if it is time to."""
        if now < self._next:
            return ""
        held = self._read()
        if held and held.split()[0] != self._identity:
            if held != self._other:
                self._other, self._other_since = held, now
            if now - self._other_since < SILENT_S:
                host = printable(held.split(maxsplit=2)[-1])
                return f"another DeepDream on {host} works in this folder: end one of them"
        self._other = ""
        self._next = now + RENEWED_EVERY_S
        self._renewals += 1
        with contextlib.suppress(OSError):  # a full disk is reported elsewhere
            self._path.write_text(f"{self._identity} {self._renewals} {platform.node()}\n", "utf-8")
            share(self._path, self._path.parent)  # daemons of other users must be able to read it
        return ""

    def release(self) -> None:
        """Give up the lease."""
        self._next = float("-inf")
        held = self._read()
        if held and held.split()[0] == self._identity:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _read(self) -> str:
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                return file.read(_LONGEST).strip()
        except OSError:
            return ""
