"""Files beside a picture that is not complete: the download that will replace it, or a note about the download.

Firefox makes an empty `photo.jpg` and fills `photo.jpg.part` or, in later versions, `photo.Ab12Cd34.jpg.part`. Others
write `Unconfirmed 123456.crdownload` (Chrome), `photo.jpg.1a2b3c4d.partial` (rclone), `.syncthing.photo.jpg.tmp`.
aria2 and lftp write into the file itself and keep a note beside it.
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
    """Return the note beside a file which says that it is not complete, None if there is none."""
    return next((note for end in NOTES if os.path.lexists(note := path.with_name(path.name + end))), None)


def download_beside(path: Path) -> Path | None:
    """Return the unfinished download beside a file that will replace it, None if there is none."""
    stem, ending = re.escape(path.stem.lower()), re.escape(path.suffix.lower())
    own = re.compile(rf"(\.syncthing\.|~syncthing~)?{stem}({_RANDOM}{ending}{_RANDOM})?")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            name = entry.name.lower()
            end = next((end for end in _ENDINGS if name.endswith(end)), None)
            if end is not None and (own.fullmatch(name.removesuffix(end)) or _OF_ANY.fullmatch(name)):
                return path.with_name(entry.name)
    return None
