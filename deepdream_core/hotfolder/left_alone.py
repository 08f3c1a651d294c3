"""The files in a drop folder that are left alone although they could be pictures, and why."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

from deepdream_core.hotfolder import fault

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.hotfolder.scanning import Found
    from deepdream_core.machine_settings import FolderSettings

OTHERS = "belongs to another user"
ALLOW = "`other_owners: true` under its folder in config.yaml takes such files too"


def own_uid() -> int | None:
    """Return the user that this program runs as, None where files have no owners."""
    if sys.platform == "win32":
        return None
    return os.getuid()


def why(found: Found, settings: FolderSettings, uid: int | None) -> str:
    """Return why a daemon of the user `uid` leaves a file alone, "" if it does not."""
    return OTHERS if uid is not None and found.uid != uid and not settings.other_owners else ""


class LeftAlone:
    """The files that are left alone, each with its reason; `news` reports each of them once."""

    def __init__(self) -> None:
        self._why: dict[Path, str] = {}
        self._seen: set[Path] = set()
        self._new: dict[Path, str] = {}

    def add(self, path: Path, why: str) -> bool:
        """Add a file that is left alone; return whether that is new."""
        why = why.partition("\n")[0].rstrip(".")
        self._seen.add(path)
        if self._why.get(path) == why:
            return False
        self._why[path] = self._new[path] = why
        return True

    def unreadable(self, path: Path, error: Exception) -> bool:
        """Add a file or folder that cannot be looked at, unless it is gone; return whether that is new."""
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return False
        return self.add(path, fault.why_unreadable(error))

    def keep(self, path: Path) -> None:
        """Keep a file that still exists, if it is left alone."""
        if path in self._why:
            self._seen.add(path)

    def remove(self, path: Path) -> None:
        """Remove a file that is taken, or gone."""
        self._why.pop(path, None)
        self._new.pop(path, None)

    def begin_scan(self) -> None:
        """Begin a scan, which adds or keeps all files that still exist."""
        self._seen.clear()

    def end_scan(self) -> None:
        """Remove the files that were neither added nor kept since `begin_scan`."""
        for path in [path for path in self._why if path not in self._seen]:
            self.remove(path)

    def news(self, root: Path) -> list[str]:
        """Return one line for each reason that is new since the last call, however many files have it."""
        new, self._new = self._new, {}
        lines = []
        for why, count in Counter(new.values()).items():
            path = next(path for path in new if new[path] == why)
            what = f"{path}: {why}" if count == 1 else f"{root}: {count} files, such as {path.name}: {why}"
            lines.append(f"{what}; left alone" + (f", {ALLOW}" if why == OTHERS else ""))
        return lines

    def status(self) -> dict[str, object]:
        """Return the number of files, the number for each reason, and the first hundred files, for `deepdream status`."""
        return {
            "left_alone_count": len(self._why),
            "left_alone_why": dict(Counter(self._why.values()).most_common(10)),
            "left_alone": [{"path": str(path), "why": why} for path, why in list(self._why.items())[:100]],
        }
