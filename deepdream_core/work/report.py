"""What the command line shows while it dreams: errors alone, JSON for programs, and how paths and times are written."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from deepdream_core.printable import printable
from deepdream_core.work.reporter import Reporter

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.engine.progress import Progress
    from deepdream_core.errors import DeepDreamError
    from deepdream_core.work.backend import Backend
    from deepdream_core.work.reporter import Done


def shown(path: Path) -> str:
    """Return a path as text that a terminal can show: control characters and undecodable bytes escaped."""
    return printable(str(path))


def clock(seconds: float) -> str:
    """Return a duration as people write it: `4.2 s`, `1:05 min`, `2:03:04 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"


class ErrorReporter(Reporter):
    """Prints only errors, on stderr: `--quiet`."""

    stopped = "stopped: no half-written file was left behind"

    def __init__(self) -> None:
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def failed(self, source: Path, error: DeepDreamError) -> None:
        """Print the error's one line."""
        self.errors.print(f"[bold red]error:[/] {escape(str(error))}")

    def interrupted(self) -> None:
        """Print that the user stopped the program."""
        self.errors.print(self.stopped)


class JsonReporter(ErrorReporter):
    """One JSON object per event and line, on stdout: `--json`."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def _emit(self, event: str, **values: Any) -> None:
        with self._lock:  # pictures on a cluster report from several threads
            print(json.dumps({"event": event, **values}, ensure_ascii=True), flush=True)

    def reading(self, source: Path, number: int, count: int) -> None:
        """Emit `reading`."""
        self._emit("reading", input=str(source), number=number, count=count)

    def loaded(self, engine: Backend) -> None:
        """Emit `engine`."""
        weights = {"name": engine.weights.name, "sha256": engine.weights.sha256}
        self._emit(
            "engine", device=str(engine.device), name=engine.device_name, precision=engine.precision, weights=weights
        )

    def skipped(self, source: Path, why: str) -> None:
        """Emit `skipped`."""
        self._emit("skipped", input=str(source), why=why)

    def note(self, text: str) -> None:
        """Emit `note`."""
        self._emit("note", text=text)

    def frame(self, number: int, count: int) -> None:
        """Emit `frame`."""
        self._emit("frame", number=number, count=count)

    def progress(self, progress: Progress) -> None:
        """Emit `progress` for every step, and `note` for everything a user should know."""
        for note in progress.notes:
            self.note(note)
        self._emit(
            "progress", octave=progress.octave, octaves=progress.octaves, width=progress.size[1], height=progress.size[0],
            iteration=progress.iteration, iterations=progress.iterations, objective=progress.objective,
            fraction=round(progress.fraction, 6), tile_px=progress.tile_px,
        )  # fmt: skip

    def writing(self, target: Path) -> None:
        """Emit `writing`."""
        self._emit("writing", output=str(target))

    def done(self, done: Done) -> None:
        """Emit `done`."""
        self._emit(
            "done", input=str(done.source), output=str(done.target), seconds=round(done.seconds, 3),
            width=done.size[0], height=done.size[1], device=done.device, precision=done.precision,
            receipt=[asdict(entry) for entry in done.receipt],
        )  # fmt: skip

    def failed(self, source: Path, error: DeepDreamError) -> None:
        """Emit `error`."""
        self._emit("error", input=str(source), what=error.what, next_step=error.next_step, exit_code=error.exit_code)

    def finished(self, done: int, failed: int) -> None:
        """Emit `end`."""
        self._emit("end", done=done, failed=failed)

    def interrupted(self) -> None:
        """Emit `stopped`."""
        self._emit("stopped")
