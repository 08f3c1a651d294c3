"""Whether a drop folder is really there: if a disk is not mounted, an empty folder is in its place."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from deepdream_core.hotfolder.access import share
from deepdream_core.machine.drop_folder import MARK

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Journal

_LONGEST = 64


def missing(journal: Journal, root: Path) -> str | None:
    """Return why the folder is offline, None if it is not.

    A new folder is created and marked; a moved or renamed one is recognised by its mark. A known folder without its mark is
    taken for an unmounted mount point if it is empty. Raises `OSError` if the folder cannot be created or read,
    `OutputError` as the journal does.
    """
    known = journal.mark(root)
    if not root.is_dir():
        if known is not None or os.path.lexists(root):
            return "is offline: the folder does not exist; mount its disk, or create it again"
        _make(root)
    mark = root / MARK
    try:
        with mark.open(encoding="ascii", errors="replace") as file:
            found = file.read(_LONGEST).strip()
    except FileNotFoundError:
        found = ""
    if found and known == found:
        return None
    if not found and known is not None and not list(root.iterdir()):
        return "is offline: it is empty, so its disk may not be mounted; if you emptied it, drop a file into it"
    if not found:
        found = secrets.token_hex(8)
        mark.write_text(found + "\n", "ascii")
        share(mark, root)
    elif known is None and (was := journal.marked(found)) is not None and not (was / MARK).exists():
        journal.moved(was, root)
    journal.set_mark(root, found)
    return None


def _make(folder: Path) -> None:
    """Create a folder and its missing parents; in a group's folder they belong to the group, whatever the umask."""
    if not folder.parent.is_dir():
        _make(folder.parent)
    folder.mkdir(exist_ok=True)
    if folder.parent.stat().st_mode & stat.S_ISGID:  # a home folder is not a group's
        share(folder, folder.parent)
