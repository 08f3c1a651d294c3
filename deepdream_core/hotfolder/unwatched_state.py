"""The status of drop folders that no daemon watches: from the journal, and from the files in them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from deepdream_core.config import load_config
from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.hotfolder import left_alone, shared_state
from deepdream_core.hotfolder.layout import Layout, root_of
from deepdream_core.hotfolder.scanning import scan
from deepdream_core.machine_settings import FolderSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Journal


def unwatched(states: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one state with the folders that were watched once and are in none of these states, or no state."""
    if not (shared_state.state_folder() / shared_state.JOURNAL).exists():
        return []
    watched = {folder["folder"] for state in states for folder in state["folders"]}
    journal = shared_state.open_journal()
    try:
        folders = [_status(root, journal) for root in journal.folders() if str(root) not in watched and root.is_dir()]
    finally:
        journal.close()
    return [{"pid": None, "paused": False, "busy": "", "hangs": False, "folders": folders}] if folders else []


def _layout(root: Path) -> Layout:
    settings, ignore = FolderSettings(path=str(root)), tuple[str, ...]()
    with contextlib.suppress(SettingsError):  # `deepdream dream` reports it
        config = load_config()
        ignore = config.ignore
        settings = next((it for it in config.folders if root_of(it) == root), settings)
    return Layout.of(settings, (), ignore)


def _status(root: Path, journal: Journal) -> dict[str, Any]:
    layout = _layout(root)
    counts = journal.counts(root)
    waiting, left, resting = 0, left_alone.LeftAlone(), "no daemon watches it; run `deepdream watch`"
    try:
        for found in scan(root, layout.passed_over, left.unreadable):
            try:
                entry = journal.of_version(root, found, any_inode=True)
            except DeepDreamError:
                raise
            except Exception as error:
                left.unreadable(found.path, error)
                continue
            if why := left_alone.why(found, layout.settings, left_alone.own_uid()):
                left.add(found.path, why)
            elif entry is None or not entry.stays:
                waiting += 1
    except OSError as error:
        resting = f"cannot be scanned: {error.strerror or error}"
    return {
        "folder": str(root), "watched": "", "resting": resting, "waiting": waiting, "put_off": [], "running": [],
        **left.status(),
        **{state: counts.get(state, 0) for state in ("done", "known", "failed")},
    }  # fmt: skip
