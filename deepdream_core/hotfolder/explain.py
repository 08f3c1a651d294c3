"""`deepdream explain` and `deepdream retry`: why a file is not done, and how it gets another chance."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.errors import SettingsError
from deepdream_core.hotfolder import shared_state
from deepdream_core.hotfolder.moves import make_folder, move
from deepdream_core.hotfolder.places import Places
from deepdream_core.hotfolder.scanning import look
from deepdream_core.hotfolder.writers import has_writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.settings import Config


def watched(config: Config, more: Sequence[Path] = ()) -> list[Places]:
    """Return the drop folders of the configuration, and those that daemons watch besides."""
    from deepdream_core.settings import FolderSettings

    folders = {Places.of(one, tuple(config.presets)).root: one for one in config.folders}
    for state in shared_state.states():
        for folder in state["folders"]:
            path = Path(folder["folder"])
            folders.setdefault(path, FolderSettings(path=str(path)))
    for path in more:
        folders.setdefault(path, FolderSettings(path=str(path)))
    return [Places.of(one, tuple(config.presets)) for one in folders.values()]


def place_of(path: Path, folders: Sequence[Places]) -> Places:
    """Return the drop folder in which a file lies; raises `SettingsError` when it lies in none."""
    for places in folders:
        if path.is_relative_to(places.root) and path != places.root:
            return places
    known = ", ".join(str(places.root) for places in folders) or "none"
    raise SettingsError(f"{path}: lies in no drop folder", f"drop folders: {known}")


def explained(path: Path, folders: Sequence[Places], journal: Journal) -> str:  # noqa: PLR0911 - one for each reason
    """Return in a sentence why this file is not done, or what it has become; raises `SettingsError`, `OutputError`."""
    places = place_of(path, folders)
    below = path.relative_to(places.root)
    if below.parts[0] in ("out", "done", "failed") and len(below.parts) > 1:
        return _of_own(path, places, journal)
    found = look(path)
    if found is None:
        if path.is_symlink():
            return "is a symbolic link, and those are not followed"
        if path.is_dir():
            return "is a folder; the pictures in it are dreamed one by one"
        if path.exists():
            return "is no file but a pipe, socket or device, and is left alone"
        entry = journal.of_name(places.root, path)
        return "is not there, and nothing is known of it" if entry is None else _of_entry(entry)
    for part in [path, *path.parents][: len(below.parts)]:
        if why := places.why_passed_over(part, part != path):
            return why if part == path else f"{part.name} {why}"
    if (told := _of_daemon(path, places)) is not None:
        return told
    entry = journal.of_version(places.root, found)
    if entry is not None and entry.original is None:
        return _of_entry(entry)
    if has_writer(path):
        return "is still being written by a program"
    if not any(str(places.root) == one["folder"] for state in shared_state.states() for one in state["folders"]):
        return "waits, but no daemon watches this folder: run `deepdream watch`"
    return "is waiting for its turn"


def _of_daemon(path: Path, places: Places) -> str | None:  # noqa: PLR0911 - one for each reason
    """Return what a daemon that runs says of a file that is there."""
    for state in shared_state.states():
        for folder in state["folders"]:
            if folder["folder"] != str(places.root):
                continue
            for one in folder["running"]:
                if one["path"] == str(path):
                    return f"is worked on: {one['stage']}, {100 * one['fraction']:.0f} %"
            for one in folder["left_alone"]:
                if one["path"] == str(path):
                    return f"{one['why']}, and is left alone"
            if state["paused"]:
                return "waits, because the hot folders are paused: `deepdream resume` goes on"
            if state["busy"]:
                return f"waits, because {state['busy']}"
            if folder["resting"]:
                return f"waits, because the folder rests: {folder['resting']}"
            for one in folder["put_off"]:
                if one["path"] == str(path):
                    return f"{one['why']}; tried again in {one['in_s']:.0f} s"
    return None


def _of_own(path: Path, places: Places, journal: Journal) -> str:
    """Say what a file in out/, done/ or failed/ is."""
    own = path.relative_to(places.root).parts[0]
    if own == "out":
        return "is a result"
    if own == "done":
        return "is an original whose result is in out/"
    note = places.why_for(path)
    return note.read_text("utf-8", "replace").strip() if note.is_file() else "could not be dreamed"


def _of_entry(entry: Entry) -> str:
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.changed))
    if entry.state == "done":
        where = f"; the original is {entry.original}" if entry.original else ""
        return f"was dreamed at {at}: {entry.result}{where}"
    if entry.state == "waiting":
        return f"waits to be tried again: {entry.why}" if entry.why else "waits to be tried again"
    if entry.state == "failed":
        return f"could not be dreamed ({at}): {entry.why}" + (f"\nIt is now {entry.original}" if entry.original else "")
    if entry.state == "known":
        return entry.why
    return "is worked on, or was interrupted; it goes on when the daemon runs"


def retried(paths: Sequence[Path], folders: Sequence[Places]) -> list[Path]:
    """Put originals from failed/ back where they were dropped, and have what waits tried at once; return their names.

    Without `paths`, all of failed/. Raises `SettingsError` for a path that is in no drop folder, `OSError`.
    """
    if not paths:
        paths = [
            found for places in folders if places.failed.is_dir() for found in sorted(places.failed.rglob("*"))
            if found.is_file() and not found.is_symlink() and not found.name.endswith(".why.txt")
        ]  # fmt: skip
    back: list[Path] = []
    for path in paths:
        places = place_of(path, folders)
        if path.is_relative_to(places.failed):
            wanted = places.root / path.relative_to(places.failed)
            make_folder(wanted.parent, places.root)
            number = 1
            while True:
                target = places.numbered(wanted, number)
                try:
                    move(path, target)
                    break
                except FileExistsError:
                    number += 1
            places.why_for(path).unlink(missing_ok=True)
            back.append(target)
        else:
            back.append(path)
    shared_state.nudge()
    return back
