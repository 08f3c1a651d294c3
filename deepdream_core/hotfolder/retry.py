"""`deepdream retry`: how a file that failed, or waits, gets another chance."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING

from deepdream_core.errors import SettingsError
from deepdream_core.hotfolder import shared_state
from deepdream_core.hotfolder.explain import place_of
from deepdream_core.hotfolder.layout import WHY
from deepdream_core.hotfolder.moves import make_folder, move
from deepdream_core.hotfolder.scanning import look, scan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Journal
    from deepdream_core.hotfolder.layout import Places


def retried(paths: Sequence[Path], folders: Sequence[Places], journal: Journal) -> list[tuple[Path, str]]:
    """Put originals from failed/ back where they were dropped, and have what waits tried at once; tell of each file.

    A folder stands for the pictures below it; without `paths`, it is every failed/. Raises `SettingsError`, before anything
    is done, for a path that is not there, in no drop folder, or no picture's; `OSError`.
    """
    if paths:
        wanted = [place_of(path, folders) for path in paths]
    else:
        wanted = [(places.failed, places) for places in folders if places.failed.is_dir()]
    chosen = [(one, places) for path, places in wanted for one in _pictures(path, places)]
    told = [_again(one, places, journal) for one, places in dict(chosen).items()]  # each once
    shared_state.nudge()
    return told


def _pictures(path: Path, places: Places) -> list[Path]:
    """Return the pictures that a path means: its own, the one whose reason it tells, or those below it."""
    own = path.relative_to(places.root).parts[:1]
    if own in (("out",), ("done",)):
        raise SettingsError(
            f"{path}: is done", "to dream it again with other settings, move the original back into the drop folder"
        )
    if path.is_symlink() or not os.path.lexists(path):
        what = "is a symbolic link, and those are not followed" if path.is_symlink() else "is not there"
        raise SettingsError(f"{path}: {what}", "check the name; `deepdream explain` says more")
    failed = own == ("failed",)
    if path.is_dir():
        passed_over = _is_why if failed else places.passed_over
        return sorted((one.path for one in scan(path, passed_over)), key=str)
    if failed and _is_why(path, False):
        return [_told_by(path, places)]
    if not failed and (why := places.why_passed_over(path)) is not None:
        raise SettingsError(f"{path}: {why}", "give a picture")
    return [path]


def _is_why(path: Path, is_folder: bool) -> bool:
    return not is_folder and path.name.endswith(WHY)


def _told_by(note: Path, places: Places) -> Path:
    """Return the original in failed/ whose reason a text tells."""
    for path in note.parent.iterdir():
        if not _is_why(path, False) and places.why_for(path) == note:
            return path
    raise SettingsError(f"{note}: the original beside it is gone", "remove this text")


def _again(path: Path, places: Places, journal: Journal) -> tuple[Path, str]:
    """Give a file another chance; return where it is then, and what is told of it."""
    if path.is_relative_to(places.failed):
        return _put_back(path, places), "is tried again"
    found = look(path, places.root)
    entry = journal.of_version(places.root, found) if found is not None else None
    if entry is None or not entry.stays:
        return path, "is tried at once"
    if entry.result is not None and entry.result.is_file():
        return path, f"is dreamed already: {entry.result}"
    journal.drop(entry)
    return path, "is tried again"


def _put_back(path: Path, places: Places) -> Path:
    wanted = places.root / path.relative_to(places.failed)
    wanted = make_folder(wanted.parent, places.root, places.failed) / wanted.name
    for number in itertools.count(1):
        target = places.numbered(wanted, number)
        with contextlib.suppress(FileExistsError):
            move(path, target)
            places.why_for(path).unlink(missing_ok=True)
            return target
    raise AssertionError
