"""The folder `guide` in a drop folder or in a preset's folder: its pictures are the guides of what is dropped there."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepdream_core.errors import PictureError
from deepdream_core.hotfolder import left_alone
from deepdream_core.hotfolder.scanning import look
from deepdream_core.hotfolder.writers import has_writer
from deepdream_core.objective_values import MOST_GUIDES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepdream_core.hotfolder.layout import Layout

LOOK_AGAIN_S = 5.0
"""Seconds until a guide that could not be used is read again, unless files in its folder change before."""


def guides_of(layout: Layout, path: Path, uid: int | None) -> list[dict[str, Any]]:
    """Return the guides of a picture as a setting: those of its preset's folder, or else of the drop folder.

    Raises `PictureError` for a guide that cannot be used now: a program still writes it, it is another user's than `uid`,
    or there are too many.
    """
    for folder in layout.guide_folders(path):
        if pictures := _pictures(layout, folder):
            if len(pictures) > MOST_GUIDES:
                raise PictureError(f"{folder}: {len(pictures)} guides, {MOST_GUIDES} are allowed", "remove some")
            for picture in pictures:
                found = look(picture, layout.root)
                if found is not None and (why := left_alone.why(found, layout.settings, uid)):
                    raise PictureError(f"{picture}: {why}", left_alone.ALLOW)
                if has_writer(picture):
                    raise PictureError(f"{picture}: a program is still writing it", "wait, or close that program")
            return [{"file": str(picture)} for picture in pictures]
    return []


@dataclass(slots=True)
class _Problem:
    """Why pictures wait, until when in monotonic seconds, and their guides' versions: at its begin, and last seen."""

    why: str
    until: float
    at_begin: object
    seen: object


class Held:
    """Which pictures wait for a guide that cannot be used, by the places of their guides; each problem is said once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._problems: dict[tuple[Path, ...], _Problem] = {}

    def begin(self, places: tuple[Path, ...], why: str, now: float) -> str:
        """Let pictures with guides in these places wait; return why they waited before, "" if they did not.

        `now` in monotonic seconds.
        """
        before = self.end(places)
        if before != why:
            self._say(f"pictures wait for their guide: {why.removeprefix('the guide ')}")
        versions = _versions(places)
        self._problems[places] = _Problem(why, now + LOOK_AGAIN_S, versions, versions)
        return before

    def why(self, places: tuple[Path, ...], now: float) -> str:
        """Return why pictures with guides in these places wait, "" once it is time to look at the guides again."""
        problem = self._problems.get(places)
        return problem.why if problem is not None and now < problem.until else ""

    def problems(self) -> set[str]:
        """Return why pictures wait for their guides."""
        return {problem.why for problem in self._problems.values()}

    def end(self, places: tuple[Path, ...]) -> str:
        """Record that the guides in these places can be used; return why pictures waited for them, "" if none did."""
        problem = self._problems.pop(places, None)
        return problem.why if problem is not None else ""

    def changed(self, now: float) -> set[str]:
        """Return the problems whose guides have changed since, and are not changing now: they can be looked at again."""
        found = set[str]()
        for places, problem in self._problems.items():
            before, problem.seen = problem.seen, _versions(places)
            if now < problem.until and before == problem.seen != problem.at_begin:
                problem.until = now
                found.add(problem.why)
        return found


def _versions(places: tuple[Path, ...]) -> object:
    """Return names, sizes and times of the files in folders of guides."""
    found = set()
    for folder in places:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    found.add((entry.path, status.st_size, status.st_mtime_ns, status.st_ino))
    return found


def _pictures(layout: Layout, folder: Path) -> list[Path]:
    """Return the pictures in a folder, sorted; none if there is no such folder, or it is a link."""
    if folder.is_symlink():
        return []
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise PictureError(f"{folder}: cannot be read: {error.strerror}", "make it readable") from None
    return [folder / name for name in sorted(names) if layout.why_no_guide(name) is None]
