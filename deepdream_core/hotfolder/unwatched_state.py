"""How drop folders stand that no daemon watches just now: from the journal, and from what lies in them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from deepdream_core.config import load_config
from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.hotfolder import left_alone, shared_state
from deepdream_core.hotfolder.layout import Places, root_of
from deepdream_core.hotfolder.scanning import scan
from deepdream_core.settings import FolderSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Journal


def unwatched(states: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those folders that were watched once and are in none of these states, in one state of its own or none."""
    if not (shared_state.state_folder() / shared_state.JOURNAL).exists():
        return []
    watched = {folder["folder"] for state in states for folder in state["folders"]}
    journal = shared_state.open_journal()
    try:
        folders = [_told(root, journal) for root in journal.folders() if str(root) not in watched and root.is_dir()]
    finally:
        journal.close()
    return [{"pid": None, "paused": False, "busy": "", "hangs": False, "folders": folders}] if folders else []


def _places(root: Path) -> Places:
    settings, ignore = FolderSettings(path=str(root)), tuple[str, ...]()
    with contextlib.suppress(SettingsError):  # whoever dreams is told of it
        config = load_config()
        ignore = config.ignore
        settings = next((one for one in config.folders if root_of(one) == root), settings)
    return Places.of(settings, (), ignore)


def _told(root: Path, journal: Journal) -> dict[str, Any]:
    places = _places(root)
    counts = journal.counts(root)
    waiting, left, resting = 0, left_alone.LeftAlone(), "nobody watches it; `deepdream watch` does"
    try:
        for found in scan(root, places.passed_over, left.unseen):
            try:
                entry = journal.of_version(root, found, any_inode=True)
            except DeepDreamError:
                raise
            except Exception as error:
                left.unseen(found.path, error)
                continue
            if why := left_alone.why(found, places.settings, left_alone.own_uid()):
                left.add(found.path, why)
            elif entry is None or not entry.stays:
                waiting += 1
    except OSError as error:
        resting = f"cannot be looked through: {error.strerror or error}"
    return {
        "folder": str(root), "watched": "", "resting": resting, "waiting": waiting, "put_off": [], "running": [],
        **left.told(),
        **{state: counts.get(state, 0) for state in ("done", "known", "failed")},
    }  # fmt: skip
