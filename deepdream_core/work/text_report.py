"""What people see while pictures are dreamed: a line for each stage, and live bars on a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn

from deepdream_core.work.report import ErrorReporter, clock, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deepdream_core.engine.progress import Progress as Step
    from deepdream_core.errors import DeepDreamError
    from deepdream_core.work.backend import Backend
    from deepdream_core.work.reporter import Done


class RemainingTime:
    """Estimates the time left for one picture from the share of the work done.

    The first step does not count where that is possible: it includes warming up.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def after(self, fraction: float) -> float | None:
        """Return the seconds left when `fraction` of the work is done, or None while that is unknown."""
        now = time.monotonic()
        if self._first is None or fraction < self._first[1]:
            self._first = (now, fraction)
            return None
        started, already = self._first
        return (now - started) / (fraction - already) * (1 - fraction) if fraction > already else None


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
        """Print what was lost, the result's path, the time, the device and the precision."""
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
        """Remove the bars; sum up several pictures."""
        self._stop()
        if done + failed > 1:
            self.errors.print(f"{done} dreamed, {failed} failed")

    def interrupted(self) -> None:
        """Remove the bars and print that the user stopped the program."""
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
