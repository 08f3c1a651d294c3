"""What the command line shows while it dreams: bars for people, lines where there is no terminal, JSON for machines."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn

from deepdream_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deepdream_core.engine.progress import Progress as Step
    from deepdream_core.errors import DeepDreamError
    from deepdream_core.work.backend import Backend
    from deepdream_core.work.batch import Done


def shown(path: Path) -> str:
    """Return a path as text that a terminal can show: control characters and undecodable bytes escaped."""
    return printable(str(path))


def clock(seconds: float) -> str:
    """Return a duration as people write it: `4.2 s`, `1:05 min`, `2:03:04 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"


class RemainingTime:
    """Estimates the time left of one picture from the share of the work done.

    The first step is left out where it can be: it also pays for warming up.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def after(self, fraction: float) -> float | None:
        """Return the seconds left when `fraction` of the work is done, or None while that cannot be known."""
        now = time.monotonic()
        if self._first is None or fraction < self._first[1]:
            self._first = (now, fraction)
            return None
        started, already = self._first
        return (now - started) / (fraction - already) * (1 - fraction) if fraction > already else None


class ErrorReporter:
    """Tells nothing but errors, on stderr: `--quiet`."""

    stopped = "stopped: nothing half-written was left behind"

    def __init__(self) -> None:
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def reading(self, source: Path, number: int, count: int) -> None:
        """Say nothing."""

    def loading(self) -> contextlib.AbstractContextManager[None]:
        """Return a context that says nothing."""
        return contextlib.nullcontext()

    def loaded(self, engine: Backend) -> None:
        """Say nothing."""

    def skipped(self, source: Path, why: str) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def frame(self, number: int, count: int) -> None:
        """Say nothing."""

    def progress(self, progress: Step) -> None:
        """Say nothing."""

    def writing(self, target: Path) -> None:
        """Say nothing."""

    def done(self, done: Done) -> None:
        """Say nothing."""

    def failed(self, source: Path, error: DeepDreamError) -> None:
        """Print the error's one line."""
        self.errors.print(f"[bold red]error:[/] {escape(str(error))}")

    def finished(self, done: int, failed: int) -> None:
        """Say nothing."""

    def interrupted(self) -> None:
        """Say that the user stopped the program."""
        self.errors.print(self.stopped)


class TextReporter(ErrorReporter):
    """One line per stage on stderr, with live bars on a terminal; each result's path on stdout."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.errors.is_terminal
        self._bars: Progress | None = None
        self._overall: TaskID | None = None
        self._picture: TaskID | None = None
        self._remaining = RemainingTime()
        self._octave = 0
        self._frame = ""

    def _say(self, text: str) -> None:
        (self._bars.console if self._bars else self.errors).print(text)

    def reading(self, source: Path, number: int, count: int) -> None:
        """Print the picture's name; start the bars with the first one."""
        if self._bars is None and self.live:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=16),
                TaskProgressColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self._bars = Progress(*columns, console=self.errors, transient=True)
            self._bars.start()
            if count > 1:
                self._overall = self._bars.add_task("all pictures", total=count, left="")
        if self._bars and self._overall is not None:
            self._bars.update(self._overall, completed=number - 1, description=f"picture {number} of {count}")
        self._end_picture()
        self._remaining, self._octave, self._frame = RemainingTime(), 0, ""
        self._say(f"reading   {escape(shown(source))}")
        if self._bars:
            self._picture = self._bars.add_task("reading", total=None, left="")

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Show a moving bar while the engine is loaded."""
        self._end_picture()
        task = self._bars.add_task("loading the engine", total=None, left="") if self._bars else None
        try:
            yield
        finally:
            if self._bars and task is not None:
                self._bars.remove_task(task)

    def loaded(self, engine: Backend) -> None:
        """Print the device, precision and weights."""
        self._say(
            f"engine    VGG19 {escape(engine.weights.name)} on {engine.device} ({escape(engine.device_name)}) in "
            f"{engine.precision}"
        )

    def skipped(self, source: Path, why: str) -> None:
        """Print a line."""
        self._end_picture()
        self._say(f"skipped   {escape(shown(source))} {escape(why)}")

    def note(self, text: str) -> None:
        """Print a line."""
        self._say(f"note      {escape(text)}")

    def frame(self, number: int, count: int) -> None:
        """Name the frame: before the bar's text, or in a line of its own where there is no terminal."""
        self._frame = f"frame {number}/{count}, "
        if self._bars is None:
            self._say(f"dreaming  frame {number}/{count}")

    def progress(self, progress: Step) -> None:
        """Move the picture's bar, or print a line for each octave where there is no terminal."""
        left = self._remaining.after(progress.fraction)
        for note in progress.notes:
            self.note(note)
        if self._bars is None:
            if progress.octave != self._octave and not self._frame:
                self._octave = progress.octave
                height, width = progress.size
                self._say(f"dreaming  octave {progress.octave}/{progress.octaves}, {width}×{height}")
            return
        if self._octave == 0 or self._picture is None:
            self._end_picture()
            self._picture = self._bars.add_task("", total=1.0, left="")
        self._octave = progress.octave
        text = (
            f"{self._frame}octave {progress.octave}/{progress.octaves}, "
            f"iteration {progress.iteration}/{progress.iterations}, objective {progress.objective:,.0f}"
        )
        self._bars.update(
            self._picture,
            completed=progress.fraction,
            description=text,
            left="" if left is None else f"{clock(left)} left",
        )

    def writing(self, target: Path) -> None:
        """Replace the picture's bar by a moving one."""
        self._end_picture()
        if self._bars:
            self._picture = self._bars.add_task("writing", total=None, left="")

    def done(self, done: Done) -> None:
        """Print what was lost, where the result is, how long it took, on which device and in which precision."""
        self._end_picture()
        for entry in done.receipt:
            if entry.lost or entry.state == "dropped":
                self._say(f"[yellow]receipt[/]   {escape(str(entry))}")
        width, height = done.size
        self._say(
            f"[green]done[/]      {width}×{height} in {clock(done.seconds)} on {escape(done.device)}, {done.precision}"
        )
        self._print_path(done.target)

    def _print_path(self, path: Path) -> None:
        if sys.stdout.isatty():
            self._say(escape(shown(path)))  # past the live bars, which would be drawn over it
        else:  # for scripts: the name as it is, byte for byte
            sys.stdout.buffer.write(os.fsencode(path) + b"\n")
            sys.stdout.flush()

    def failed(self, source: Path, error: DeepDreamError) -> None:
        """Print the error; the bars stay."""
        self._end_picture()
        self._say(f"[bold red]error:[/] {escape(str(error))}")

    def finished(self, done: int, failed: int) -> None:
        """Take the bars away; sum up several pictures."""
        self._stop()
        if done + failed > 1:
            self.errors.print(f"{done} dreamed, {failed} failed")

    def interrupted(self) -> None:
        """Take the bars away and say that the user stopped the program."""
        self._stop()
        super().interrupted()

    def _end_picture(self) -> None:
        if self._bars and self._picture is not None:
            self._bars.remove_task(self._picture)
            self._picture = None

    def _stop(self) -> None:
        if self._bars:
            self._bars.stop()
            self._bars = None


class JsonReporter(ErrorReporter):
    """One JSON object per event and line, on stdout: `--json`."""

    def _emit(self, event: str, **values: Any) -> None:
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

    def progress(self, progress: Step) -> None:
        """Emit `progress` for every step, and `note` for what a user should know."""
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
