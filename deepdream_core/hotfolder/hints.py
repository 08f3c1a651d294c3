"""Hints where a drop folder may have changed, collected for the thread that checks them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST_PATHS = 10_000
"""If more paths than this wait, the complete folder is scanned instead."""


@dataclass(frozen=True)
class Hint:
    """Something may have changed at `path`, a file or a folder below `root`; None means anywhere below `root`."""

    root: Path
    path: Path | None
    why: str


class Hints:
    """The hints that wait, each path once; for any thread."""

    def __init__(self, root: Path, wake: Callable[[], object]) -> None:
        self._root = root
        self._wake = wake
        self._lock = threading.Lock()
        self._paths: dict[Path, str] = {}
        self._everything = ""

    def add(self, path: Path, why: str) -> None:
        """Add a hint about one path."""
        with self._lock:
            is_first = not self._paths and not self._everything
            if not self._everything:
                self._paths[path] = why
            if len(self._paths) > MOST_PATHS:
                self._paths, self._everything = {}, f"more than {MOST_PATHS} files have changed"
        if is_first:
            self._wake()

    def everything(self, why: str) -> None:
        """Replace all hints by one to scan everything."""
        with self._lock:
            is_first = not self._paths and not self._everything
            self._paths, self._everything = {}, self._everything or why
        if is_first:
            self._wake()

    def drain(self) -> list[Hint]:
        """Return all hints and remove them."""
        with self._lock:
            paths, everything = self._paths, self._everything
            self._paths, self._everything = {}, ""
        if everything:
            return [Hint(self._root, None, everything)]
        return [Hint(self._root, path, why) for path, why in paths.items()]
