"""The hidden folder in out/ in which a result is written; from there its complete files get their names."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from deepdream_core.hotfolder import moves
from deepdream_core.hotfolder.disk_errors import translated
from deepdream_core.hotfolder.journal import Staged

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Entry
    from deepdream_core.hotfolder.layout import Layout

_PREFIX = ".deepdream-"


def hidden_folder(layout: Layout, entry: Entry) -> Path:
    """Return the hidden folder of a picture's result."""
    return layout.out / f"{_PREFIX}{entry.id}"


def prepare(layout: Layout, entry: Entry) -> Path:
    """Create the hidden folder, empty, and return it; raises `OutputError`."""
    folder = hidden_folder(layout, entry)
    with translated(folder):
        moves.make_folder(layout.out, layout.out)
        remove(folder)
        folder.mkdir(mode=0o700)
    return folder


def staged_files(folder: Path, permissions: int) -> tuple[Staged, ...]:
    """Return the files in a hidden folder, the picture last, and give them the original's permissions, never more."""
    files: list[Staged] = []
    with translated(folder):
        for path in sorted(folder.iterdir(), key=lambda path: path.suffix != ".yaml"):
            path.chmod(permissions & 0o666)
            files.append(Staged(path.name, path.stat().st_size, moves.sha256_of(path)))
    return tuple(files)


def sources_and_targets(layout: Layout, entry: Entry) -> list[tuple[Staged, Path, Path]]:
    """Return each staged file, where it is, and its final name; a sidecar's name follows its picture's."""
    assert entry.result is not None
    folder, picture = hidden_folder(layout, entry), entry.staged[-1].name
    return [
        (file, folder / file.name, entry.result.with_name(entry.result.name + file.name[len(picture) :]))
        for file in entry.staged
    ]


def is_complete(layout: Layout, entry: Entry, *, named: bool = False) -> bool:
    """Return whether every file of a written result is complete, in its hidden folder (unless `named`) or by its name."""
    if not entry.staged or entry.result is None:
        return False
    return all(
        is_whole(file, source if source.exists() and not named else target)
        for file, source, target in sources_and_targets(layout, entry)
    )


def is_whole(file: Staged, path: Path) -> bool:
    """Return whether `path` is that file of a result, with all its content."""
    try:
        return path.stat().st_size == file.size and moves.sha256_of(path) == file.sha256
    except OSError:
        return False


def clear(layout: Layout, entry: Entry) -> None:
    """Remove an incomplete result."""
    with contextlib.suppress(OSError):
        remove(hidden_folder(layout, entry))


def remove(folder: Path) -> None:
    """Remove a hidden folder; `shutil.rmtree` cannot if inodes change at every look."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
        return
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()


def sweep(layout: Layout, unfinished: Collection[Entry]) -> None:
    """Remove the hidden folders of all pictures but the unfinished ones."""
    known = {hidden_folder(layout, entry) for entry in unfinished}
    with contextlib.suppress(OSError):
        for left in layout.out.glob(f"{_PREFIX}*"):
            if left not in known and left.is_dir() and not left.is_symlink():
                with contextlib.suppress(OSError):
                    remove(left)
