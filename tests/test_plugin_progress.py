"""What GIMP's progress bar says about a dream."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from plugin_folder import jobs


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str]]:
    """The progress of two dreams, in a GIMP that only keeps what its bar says."""
    texts: list[str] = []
    nothing = lambda *_given: None  # noqa: E731
    gimp = SimpleNamespace(
        progress_init=nothing, progress_pulse=nothing, progress_update=nothing, progress_set_text=texts.append
    )
    monkeypatch.setitem(sys.modules, "gi", SimpleNamespace(require_version=nothing))
    monkeypatch.setitem(sys.modules, "gi.repository", SimpleNamespace(Gimp=gimp, GLib=None))
    monkeypatch.delitem(sys.modules, "progress", raising=False)
    progress: ModuleType = importlib.import_module("progress")
    monkeypatch.delitem(sys.modules, "progress")
    return progress.Progress(2), texts


@pytest.mark.parametrize(
    ("position", "text"),
    [(1, "Preparing …"), (2, "Waiting: 1 dream ahead"), (3, "Waiting: 2 dreams ahead")],
)
def test_a_dream_waits_only_where_others_are_ahead_of_it(said: tuple[Any, list[str]], position: int, text: str) -> None:
    progress, texts = said
    progress._show(jobs.Message("queued", {"position": position}))
    assert texts == [f"Layer 1 of 2: {text}"]
