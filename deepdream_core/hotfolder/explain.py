"""`deepdream explain`: why a file in a drop folder is not dreamed yet, or what happened to it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.hotfolder import fault, left_alone, shared_state
from deepdream_core.hotfolder.journal import UNFINISHED
from deepdream_core.hotfolder.layout import WHY, Layout, root_of
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


def watched(config: Config, more: Sequence[Path] = ()) -> list[Layout]:
    """Return the drop folders of the configuration, those that daemons watch, and `more`."""
    from deepdream_core.machine_settings import FolderSettings

    folders = {root_of(settings): settings for settings in config.folders}
    for state in shared_state.states():
        for folder in state["folders"]:
            path = Path(folder["folder"])
            folders.setdefault(path, FolderSettings(path=str(path)))
    for path in more:
        folders.setdefault(path, FolderSettings(path=str(path)))
    return [Layout.of(settings, tuple(config.presets), config.ignore) for settings in folders.values()]


def place_of(path: Path, folders: Sequence[Layout]) -> tuple[Path, Layout]:
    """Return the path as the daemon writes it, and the drop folder that it is or is in.

    `path` may be relative, and links may lead to the drop folder. Raises `SettingsError` if it is in no drop folder.
    """
    plain = Path(os.path.abspath(path))  # noqa: PTH100 - a link stays one
    real = Path(os.path.realpath(plain.parent)) / plain.name
    for layout in folders:
        if plain.is_relative_to(layout.root):
            return plain, layout
        for place in (real, plain):
            if place.is_relative_to(os.path.realpath(layout.root)):
                return layout.root / place.relative_to(os.path.realpath(layout.root)), layout
    known = ", ".join(str(layout.root) for layout in folders) or "none"
    raise SettingsError(f"{path}: is not in a drop folder", f"drop folders: {known}")


def explained(path: Path, folders: Sequence[Layout], journal: Journal) -> str:
    """Return in a sentence why a file is not dreamed yet, or what happened to it; raises `SettingsError`, `OutputError`."""
    path, layout = place_of(path, folders)
    try:
        return _explained(path, layout, journal)
    except DeepDreamError:
        raise
    except Exception as error:  # the daemon may have met the same error, and knows more
        return _of_daemon(path, layout) or fault.why_unreadable(error)


def _explained(path: Path, layout: Layout, journal: Journal) -> str:  # noqa: PLR0911 - one for each reason
    below = path.relative_to(layout.root)
    if not below.parts:
        return "is the drop folder itself"
    if below.parts[0] in _OWN:
        return _of_own(path, layout, journal)
    found = look(path, layout.root)
    if found is None:
        return _of_no_file(path, layout, journal)
    for part in [path, *path.parents][: len(below.parts)]:
        if why := layout.why_passed_over(part, part != path):
            return why if part == path else f"{part.name} {why}"
    entry = journal.of_version(layout.root, found, any_inode=True)
    if entry is not None and entry.stays:
        return _of_entry(entry)
    if why := left_alone.why(found, layout.settings, left_alone.own_uid()):
        return f"{why}, and is left alone; {left_alone.ALLOW}"
    if (reason := _of_daemon(path, layout)) is not None:
        return reason
    if entry is not None and entry.original is None:
        return _of_entry(entry)
    if has_writer(path):
        return "a program is still writing it"
    if not any(str(layout.root) == it["folder"] for state in shared_state.states() for it in state["folders"]):
        return "waits because no daemon watches this folder: run `deepdream watch`"
    return "is waiting for its turn"


def _of_no_file(path: Path, layout: Layout, journal: Journal) -> str:
    """Describe a path that is not a regular file, or say what happened to the file that had this name."""
    for part in list(path.parents)[: len(path.relative_to(layout.root).parts) - 1]:
        if part.is_symlink():
            return f"is behind the symbolic link {part}; DeepDream does not follow links"
    if path.is_symlink():
        return "is a symbolic link; DeepDream does not follow links"
    if path.is_dir():
        why = layout.why_passed_over(path, True)
        return f"is a folder; it {why}" if why else "is a folder; DeepDream dreams the pictures in it one by one"
    if os.path.lexists(path):
        return "is a pipe, socket or device, and is left alone"
    entry = journal.of_name(layout.root, path)
    note = layout.why_for(path)
    if (entry is None or entry.state in UNFINISHED) and note.is_file():  # the journal may have caused the failure
        return note.read_text("utf-8", "replace").strip()
    return "does not exist, and DeepDream has no record of it" if entry is None else _of_entry(entry)


def _of_daemon(path: Path, layout: Layout) -> str | None:
    """Return what a running daemon reports of an existing file."""
    for state in shared_state.states():
        for folder in state["folders"]:
            if folder["folder"] == str(layout.root):
                return (not state["hangs"] and _of_file(path, folder)) or _of_folder(state, folder)
    return None


def _of_file(path: Path, folder: dict[str, Any]) -> str:
    """Return what keeps this file waiting, "" if only its folder does."""
    for file in folder["running"]:
        if file["path"] == str(path):
            return f"is being processed: {file['stage']}, {100 * file['fraction']:.0f} %"
    for file in folder["left_alone"]:
        if file["path"] == str(path):
            return f"{file['why']}, and is left alone"
    for file in folder["put_off"]:
        if file["path"] == str(path) and (file["in_s"] > 0 or not folder["resting"]):
            return f"{file['why']}; tried again {_in_words(file['in_s'])}"
    return ""


def _of_folder(state: dict[str, Any], folder: dict[str, Any]) -> str | None:
    if state["hangs"]:
        return f"waits because the daemon does not answer: end process {state['pid']}, then run `deepdream watch` again"
    if state["paused"]:
        return "waits because the hot folders are paused: run `deepdream resume`"
    if state["busy"]:
        return f"waits because {state['busy']}"
    return f"waits because the folder rests: {folder['resting']}" if folder["resting"] else None


def _of_own(path: Path, layout: Layout, journal: Journal) -> str:  # noqa: PLR0911 - one for each kind of file
    """Return what a file in out/, done/ or failed/ is."""
    parts = path.relative_to(layout.root).parts
    if len(parts) == 1:
        return _OWN[parts[0]]
    if not os.path.lexists(path):
        return "does not exist"
    if path.is_dir():
        return f"is a folder in {parts[0]}, which {_OWN[parts[0]]}"
    entry = journal.of_place(layout.root, path)
    if parts[0] == "failed":
        if path.name.endswith(WHY):
            return "says why the original beside it could not be dreamed"
        note = layout.why_for(path)
        return note.read_text("utf-8", "replace").strip() if note.is_file() else "could not be dreamed"
    if entry is None:
        return "has no entry in the journal: the hot folder did not put it here, or the journal was lost"
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
    return "is being processed, or was interrupted; DeepDream continues when the daemon runs"


def _in_words(seconds: float) -> str:
    if seconds < 1:
        return "at once"
    return f"in {seconds:.0f} s, at {time.strftime('%H:%M:%S', time.localtime(time.time() + seconds))}"
