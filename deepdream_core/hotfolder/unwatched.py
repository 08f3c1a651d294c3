"""How drop folders stand that no daemon watches just now: from the journal, and from what lies in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepdream_core.config import load_config
from deepdream_core.errors import SettingsError
from deepdream_core.hotfolder import shared_state
from deepdream_core.hotfolder.places import Places
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


def _told(root: Path, journal: Journal) -> dict[str, Any]:
    places = Places.of(FolderSettings(path=str(root)), (), _ignored())
    counts = journal.counts(root)
    waiting = 0
    for found in scan(root, places.passed_over):
        entry = journal.of_version(root, found)
        waiting += entry is None or not entry.stays
    return {
        "folder": str(root), "watched": "", "resting": "nobody watches it; `deepdream watch` does", "waiting": waiting,
        "put_off": [], "left_alone": [], "running": [],
        **{state: counts.get(state, 0) for state in ("done", "known", "failed")},
    }  # fmt: skip


def _ignored() -> Sequence[str]:
    try:
        return load_config().ignore
    except SettingsError:  # whoever dreams is told of it
        return ()
