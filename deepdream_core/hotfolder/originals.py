"""Where an original goes once its picture is settled: to done/, to failed/ with its reason, to the trash, or nowhere."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from typing import TYPE_CHECKING, Literal

from deepdream_core.errors import OutputError
from deepdream_core.hotfolder import disk_errors, moves
from deepdream_core.hotfolder.access import share
from deepdream_core.hotfolder.scanning import look

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.hotfolder.layout import Layout

    Settled = Literal["done", "known", "failed"]


def put_away(journal: Journal, layout: Layout, entry: Entry, state: Settled, why: str = "") -> Entry:
    """Put the original where it belongs in that `state`; raises `OutputError`.

    An original stays where it is if it has changed or gone since, if no name for it is allowed in the folder, or if it
    may not be moved.
    """
    kept = layout.settings.originals == "keep" and state != "failed"
    moved: Path | None = None
    with disk_errors.translated(entry.path):
        if entry.original is not None:
            moves.unfinished_copy(entry.original).unlink(missing_ok=True)
        if not kept and _is_unchanged(entry):
            if entry.original is not None and _is_copy(entry, entry.original):
                entry.path.unlink()  # killed after the copy to another disk, or between the file's two names
                moved = entry.original
            elif state != "failed" and layout.settings.originals == "trash":
                _trash(entry.path)
            else:
                moved, stays = _move(
                    layout, entry.path, state, lambda target: journal.note(entry, entry.state, original=target)
                )
                why = f"{why} {stays}".strip()
        elif not kept and entry.original is not None and entry.original.exists():
            moved = entry.original  # killed after the move, before the journal recorded it
        if state == "failed" and moved is not None:
            _write_why(layout, moved, why)
    return journal.note(entry, state, original=moved, why=why)


def set_aside(layout: Layout, path: Path, why: str) -> Path | None:
    """Put a file into failed/ with its reason, without the journal, which may have caused the fault.

    Return where the file is, None if it has to stay. Raises `OSError`.
    """
    moved, _ = _move(layout, path, "failed", lambda _target: None)
    if moved is not None:
        _write_why(layout, moved, why)
    return moved


def _is_unchanged(entry: Entry) -> bool:
    """Return whether the original is unchanged: by size and time, and by its content if the inode differs."""
    found = look(entry.path, entry.folder)
    if found is None or found.version != (entry.size, entry.mtime_ns):
        return False
    return found.inode == entry.inode or entry.sha256 in ("", moves.sha256_of(entry.path))


def _is_copy(entry: Entry, path: Path) -> bool:
    """Return whether `path` is a complete copy of the original."""
    if not path.is_file() or path.is_symlink():
        return False
    return moves.sha256_of(path) == (entry.sha256 or moves.sha256_of(entry.path))


def _move(layout: Layout, path: Path, state: Settled, record: Callable[[Path], object]) -> tuple[Path | None, str]:
    """Move an original to done/ or failed/; return where it is, or None and why it stays.

    `record` gets the target before the move. The original stays if the system allows no such name there, or if it refuses
    this file though it takes others.
    """
    own, wanted = (
        (layout.failed, layout.failed_for(path)) if state == "failed" else (layout.done, layout.done_for(path))
    )
    try:
        folder = moves.make_folder(wanted.parent, own)
        for number in itertools.count(1):
            target = layout.numbered(folder / wanted.name, number)
            if os.path.lexists(target):
                continue
            record(target)
            with contextlib.suppress(FileExistsError):
                moves.move(path, target)
                return target, ""
    except OSError as error:
        if error.errno in disk_errors.NAME:
            return None, "The original stays where it is because no name for it is allowed there."
        if error.errno not in disk_errors.FORBIDDEN or not disk_errors.is_writable(own):
            raise
        return None, f"The original stays where it is because it cannot be moved: {error.strerror}."
    raise AssertionError


def _write_why(layout: Layout, moved: Path, why: str) -> None:
    text = layout.why_for(moved)
    text.write_text(f"{why}\n", "utf-8", "backslashreplace")
    share(text, moved.parent)


def _trash(path: Path) -> None:
    import send2trash

    try:
        send2trash.send2trash(path)
    except Exception as error:  # OSError, and its own for disks without a trash
        reason = getattr(error, "strerror", None) or error
        step = "set `originals` to move or keep, or make the trash writable"
        raise OutputError(f"{path}: cannot be put into the trash: {reason}", step, errno.EACCES) from None
