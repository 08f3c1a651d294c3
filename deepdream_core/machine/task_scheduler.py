"""The Task Scheduler's task for the hot folder on Windows: its name."""

from __future__ import annotations

TASK = "DeepDream\\watch"
