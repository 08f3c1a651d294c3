"""What lies beside a picture until all of it has come: the download that will take its place, or a note about it.

Firefox makes an empty `photo.jpg` and fills `photo.jpg.part` or, in later versions, `photo.Ab12Cd34.jpg.part`. Others
write `Unconfirmed 123456.crdownload` (Chrome), `photo.jpg.1a2b3c4d.partial` (rclone), `.syncthing.photo.jpg.tmp`.
aria2 and lftp fill the file itself and keep a note beside it.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from deepdream_core.work.ignore import NOTES, UNFINISHED

if TYPE_CHECKING:
    from pathlib import Path

_ENDINGS = tuple(ending for endings in UNFINISHED.values() for ending in endings)
_OF_ANY = re.compile(r"unconfirmed \d+\.crdownload")
_RANDOM = r"(\.[\w-]{6,12})?"


def note_beside(path: Path) -> Path | None:
    """Return the note that says that a file is not whole yet, None where none lies beside it."""
    return next((note for end in NOTES if os.path.lexists(note := path.with_name(path.name + end))), None)


def download_beside(path: Path) -> Path | None:
    """Return the unfinished download that will take a file's place, None where none lies beside it."""
    stem, ending = re.escape(path.stem.lower()), re.escape(path.suffix.lower())
    own = re.compile(rf"(\.syncthing\.|~syncthing~)?{stem}({_RANDOM}{ending}{_RANDOM})?")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            name = entry.name.lower()
            end = next((end for end in _ENDINGS if name.endswith(end)), None)
            if end is not None and (own.fullmatch(name.removesuffix(end)) or _OF_ANY.fullmatch(name)):
                return path.with_name(entry.name)
    return None
