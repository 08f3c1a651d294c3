"""`deepdream retry`: tries files again that failed or wait."""

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
    from deepdream_core.hotfolder.layout import Layout


def retried(paths: Sequence[Path], folders: Sequence[Layout], journal: Journal) -> list[tuple[Path, str]]:
    """Put originals from failed/ back where they were dropped, and try files that wait at once; return a text for each.

    A folder means the pictures below it; without `paths`, every failed/ is meant. Raises `SettingsError`, before any
    change, for a path that does not exist, is in no drop folder, or belongs to no picture; `OSError`.
    """
    if paths:
        wanted = [place_of(path, folders) for path in paths]
    else:
        wanted = [(layout.failed, layout) for layout in folders if layout.failed.is_dir()]
    chosen = [(picture, layout) for path, layout in wanted for picture in _pictures(path, layout)]
    results = [_retry(picture, layout, journal) for picture, layout in dict(chosen).items()]  # each once
    shared_state.nudge()
    return results


def _pictures(path: Path, layout: Layout) -> list[Path]:
    """Return the pictures that a path means: itself, the picture whose reason it holds, or those below it."""
    own = path.relative_to(layout.root).parts[:1]
    if own in (("out",), ("done",)):
        raise SettingsError(
            f"{path}: is done", "to dream it again with other settings, move the original back into the drop folder"
        )
    if path.is_symlink() or not os.path.lexists(path):
        what = "is a symbolic link; DeepDream does not follow links" if path.is_symlink() else "does not exist"
        raise SettingsError(f"{path}: {what}", "check the name; for details run `deepdream explain`")
    failed = own == ("failed",)
    if path.is_dir():
        passed_over = _is_why if failed else layout.passed_over
        return sorted((found.path for found in scan(path, passed_over)), key=str)
    if failed and _is_why(path, False):
        return [_original_of(path, layout)]
    if not failed and (why := layout.why_passed_over(path)) is not None:
        raise SettingsError(f"{path}: {why}", "give a picture")
    return [path]


def _is_why(path: Path, is_folder: bool) -> bool:
    return not is_folder and path.name.endswith(WHY)


def _original_of(note: Path, layout: Layout) -> Path:
    """Return the original in failed/ whose reason a text holds."""
    for path in note.parent.iterdir():
        if not _is_why(path, False) and layout.why_for(path) == note:
            return path
    raise SettingsError(f"{note}: the original beside it is gone", "delete this text file")


def _retry(path: Path, layout: Layout, journal: Journal) -> tuple[Path, str]:
    """Let a file be tried again; return where it is then, and what happens to it."""
    if path.is_relative_to(layout.failed):
        return _put_back(path, layout), "is tried again"
    found = look(path, layout.root)
    entry = journal.of_version(layout.root, found) if found is not None else None
    if entry is None or not entry.stays:
        return path, "is tried at once"
    if entry.result is not None and entry.result.is_file():
        return path, f"has already been dreamed: {entry.result}"
    journal.drop(entry)
    return path, "is tried again"


def _put_back(path: Path, layout: Layout) -> Path:
    wanted = layout.root / path.relative_to(layout.failed)
    wanted = make_folder(wanted.parent, layout.root, layout.failed) / wanted.name
    for number in itertools.count(1):
        target = layout.numbered(wanted, number)
        with contextlib.suppress(FileExistsError):
            move(path, target)
            layout.why_for(path).unlink(missing_ok=True)
            return target
    raise AssertionError
