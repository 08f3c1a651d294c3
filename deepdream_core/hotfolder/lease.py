"""Which daemon works in a drop folder, where several could: two machines with one share, two users, two state folders.

Daemons with one state folder shut each other out by a lock. Others cannot see that lock, and one held open on a share would
keep the disk from being unmounted. So whoever works in a folder leaves a hidden file there and renews it; one that finds
another's waits until that has not changed for a while, by its own clock: those of two machines need not agree.
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
"""Another's lease that has not changed for so long is taken over."""
_LONGEST = 512


class Lease:
    """The lease of one folder for the daemon whose state folder is called `identity`; times are monotonic seconds."""

    def __init__(self, root: Path, identity: str) -> None:
        self._path = root / LEASE
        self._identity = identity
        self._renewals = 0
        self._next = float("-inf")
        self._other = ""
        self._other_since = 0.0

    def refused(self, now: float) -> str:
        """Return who else works in the folder, "" when it is ours; renews the lease as far as it is time for that."""
        if now < self._next:
            return ""
        held = self._read()
        if held and held.split()[0] != self._identity:
            if held != self._other:
                self._other, self._other_since = held, now
            if now - self._other_since < SILENT_S:
                host = printable(held.split(maxsplit=2)[-1])
                return f"another DeepDream works in this folder, on {host}: end one of them"
        self._other = ""
        self._next = now + RENEWED_EVERY_S
        self._renewals += 1
        with contextlib.suppress(OSError):  # a disk may be full, and that has its own words
            self._path.write_text(f"{self._identity} {self._renewals} {platform.node()}\n", "utf-8")
            share(self._path, self._path.parent)  # who must not work here has to be able to read it
        return ""

    def release(self) -> None:
        """Let others have the folder."""
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
