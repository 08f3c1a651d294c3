"""`deepdream explain`: why a file in a drop folder is not done, or what it has become."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.hotfolder import fault, left_alone, shared_state
from deepdream_core.hotfolder.journal import UNFINISHED
from deepdream_core.hotfolder.layout import WHY, Places, root_of
from deepdream_core.hotfolder.scanning import look
from deepdream_core.hotfolder.writers import has_writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.settings import Config


_OWN = {
    "out": "is where results go",
    "done": "is where originals go whose results are written",
    "failed": "is where originals go that cannot be dreamed",
}


def watched(config: Config, more: Sequence[Path] = ()) -> list[Places]:
    """Return the drop folders of the configuration, and those that daemons watch besides."""
    from deepdream_core.settings import FolderSettings

    folders = {root_of(one): one for one in config.folders}
    for state in shared_state.states():
        for folder in state["folders"]:
            path = Path(folder["folder"])
            folders.setdefault(path, FolderSettings(path=str(path)))
    for path in more:
        folders.setdefault(path, FolderSettings(path=str(path)))
    return [Places.of(one, tuple(config.presets), config.ignore) for one in folders.values()]


def place_of(path: Path, folders: Sequence[Places]) -> tuple[Path, Places]:
    """Return the path as the daemon writes it, and the drop folder in which it lies, or which it is.

    `path` may be relative and lead over links to the drop folder. Raises `SettingsError` when it lies in none.
    """
    plain = Path(os.path.abspath(path))  # noqa: PTH100 - a link stays one
    real = Path(os.path.realpath(plain.parent)) / plain.name
    for places in folders:
        if plain.is_relative_to(places.root):
            return plain, places
        for one in (real, plain):
            if one.is_relative_to(os.path.realpath(places.root)):
                return places.root / one.relative_to(os.path.realpath(places.root)), places
    known = ", ".join(str(places.root) for places in folders) or "none"
    raise SettingsError(f"{path}: lies in no drop folder", f"drop folders: {known}")


def explained(path: Path, folders: Sequence[Places], journal: Journal) -> str:
    """Return in a sentence why this file is not done, or what it has become; raises `SettingsError`, `OutputError`."""
    path, places = place_of(path, folders)
    try:
        return _explained(path, places, journal)
    except DeepDreamError:
        raise
    except Exception as error:  # the daemon may have met with the same, and says more
        return _of_daemon(path, places) or fault.unseen(error)


def _explained(path: Path, places: Places, journal: Journal) -> str:  # noqa: PLR0911 - one for each reason
    below = path.relative_to(places.root)
    if not below.parts:
        return "is the drop folder itself"
    if below.parts[0] in _OWN:
        return _of_own(path, places, journal)
    found = look(path, places.root)
    if found is None:
        return _of_no_file(path, places, journal)
    for part in [path, *path.parents][: len(below.parts)]:
        if why := places.why_passed_over(part, part != path):
            return why if part == path else f"{part.name} {why}"
    entry = journal.of_version(places.root, found, any_inode=True)
    if entry is not None and entry.stays:
        return _of_entry(entry)
    if why := left_alone.why(found, places.settings, left_alone.own_uid()):
        return f"{why}, and is left alone; {left_alone.ALLOW}"
    if (told := _of_daemon(path, places)) is not None:
        return told
    if entry is not None and entry.original is None:
        return _of_entry(entry)
    if has_writer(path):
        return "is still being written by a program"
    if not any(str(places.root) == one["folder"] for state in shared_state.states() for one in state["folders"]):
        return "waits, but no daemon watches this folder: run `deepdream watch`"
    return "is waiting for its turn"


def _of_no_file(path: Path, places: Places, journal: Journal) -> str:
    """Say what it is that has this name, or what became of the file that had it."""
    for part in list(path.parents)[: len(path.relative_to(places.root).parts) - 1]:
        if part.is_symlink():
            return f"lies behind the symbolic link {part}, and those are not followed"
    if path.is_symlink():
        return "is a symbolic link, and those are not followed"
    if path.is_dir():
        why = places.why_passed_over(path, True)
        return f"is a folder; it {why}" if why else "is a folder; the pictures in it are dreamed one by one"
    if os.path.lexists(path):
        return "is no file but a pipe, socket or device, and is left alone"
    entry = journal.of_name(places.root, path)
    note = places.why_for(path)
    if (entry is None or entry.state in UNFINISHED) and note.is_file():  # the journal may not have coped with it
        return note.read_text("utf-8", "replace").strip()
    return "is not there, and nothing is known of it" if entry is None else _of_entry(entry)


def _of_daemon(path: Path, places: Places) -> str | None:
    """Return what a daemon that runs says of a file that is there."""
    for state in shared_state.states():
        for folder in state["folders"]:
            if folder["folder"] == str(places.root):
                return (not state["hangs"] and _of_file(path, folder)) or _of_folder(state, folder)
    return None


def _of_file(path: Path, folder: dict[str, Any]) -> str:
    """Return what is known of this file alone, "" if nothing keeps it but its folder."""
    for one in folder["running"]:
        if one["path"] == str(path):
            return f"is worked on: {one['stage']}, {100 * one['fraction']:.0f} %"
    for one in folder["left_alone"]:
        if one["path"] == str(path):
            return f"{one['why']}, and is left alone"
    for one in folder["put_off"]:
        if one["path"] == str(path) and (one["in_s"] > 0 or not folder["resting"]):
            return f"{one['why']}; tried again {_in_words(one['in_s'])}"
    return ""


def _of_folder(state: dict[str, Any], folder: dict[str, Any]) -> str | None:
    if state["hangs"]:
        return f"waits, but the daemon does not answer: end process {state['pid']}, and run `deepdream watch` again"
    if state["paused"]:
        return "waits, because the hot folders are paused: `deepdream resume` goes on"
    if state["busy"]:
        return f"waits, because {state['busy']}"
    return f"waits, because the folder rests: {folder['resting']}" if folder["resting"] else None


def _of_own(path: Path, places: Places, journal: Journal) -> str:  # noqa: PLR0911 - one for each kind of file
    """Say what a file in out/, done/ or failed/ is."""
    parts = path.relative_to(places.root).parts
    if len(parts) == 1:
        return _OWN[parts[0]]
    if not os.path.lexists(path):
        return "is not there"
    if path.is_dir():
        return f"is a folder in {parts[0]}, which {_OWN[parts[0]]}"
    entry = journal.of_place(places.root, path)
    if parts[0] == "failed":
        if path.name.endswith(WHY):
            return "says why the original beside it could not be dreamed"
        note = places.why_for(path)
        return note.read_text("utf-8", "replace").strip() if note.is_file() else "could not be dreamed"
    if entry is None:
        return "was not put here by the hot folder, or its journal has been lost"
    return f"is the dream of {entry.path}" if entry.result == path else _of_entry(entry)


def _of_entry(entry: Entry) -> str:
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.changed))
    if entry.state == "done" and entry.result is not None:
        where = f"; the original is {entry.original}" if entry.original else f"; {entry.why}" if entry.why else ""
        return f"was dreamed at {at}: {entry.result}{where}"
    if entry.state == "waiting":
        return f"waits to be tried again: {entry.why}" if entry.why else "waits to be tried again"
    if entry.state == "failed":
        return f"could not be dreamed ({at}): {entry.why}" + (f"\nIt is now {entry.original}" if entry.original else "")
    if entry.state == "known":
        return entry.why
    return "is worked on, or was interrupted; it goes on when the daemon runs"


def _in_words(seconds: float) -> str:
    if seconds < 1:
        return "at once"
    return f"in {seconds:.0f} s, at {time.strftime('%H:%M:%S', time.localtime(time.time() + seconds))}"
