"""What `deepdream looks` shows while it works, beyond what `deepdream dream` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from deepdream_core.work import reporter
from deepdream_core.work.report import ErrorReporter, JsonReporter, clock, shown
from deepdream_core.work.text_report import TextReporter

if TYPE_CHECKING:
    from pathlib import Path

_STOPPED = "stopped: finished looks stay; the same command continues"


class Reporter(reporter.Reporter):
    """Follows the making of sheets."""

    def look(self, name: str, number: int, count: int) -> None:
        """Report the next look, `number` of the `count` that are missing."""

    def begun(self, source: Path, page: Path, there: int, count: int) -> None:
        """Report the page, which holds `there` looks of an earlier run and fills from now on."""

    def delivered(self, source: Path, outputs: tuple[Path, ...], looks: int, dreamed: int, seconds: float) -> None:
        """Report that all looks of a photograph are done, and how many of them were dreamed now."""


class Quiet(ErrorReporter, Reporter):
    """Prints nothing but errors: `--quiet`."""

    stopped = _STOPPED


class Text(TextReporter, Reporter):
    """Lines and bars for people."""

    stopped = _STOPPED

    def look(self, name: str, number: int, count: int) -> None:
        """Name the look: before the bar's text, or in a line of its own where there is no terminal."""
        self._frame = f"{escape(name)} ({number}/{count}), "
        if self._bars is None:
            self._say(f"dreaming  {escape(name)} ({number}/{count})")

    def begun(self, source: Path, page: Path, there: int, count: int) -> None:
        """Print where the page is while it fills, and how many looks it holds already."""
        self._end_picture()
        if there:
            self._say(f"found     {there} of {count} looks from before")
        if there < count:
            self._say(f"filling   {escape(shown(page))}")

    def delivered(self, source: Path, outputs: tuple[Path, ...], looks: int, dreamed: int, seconds: float) -> None:
        """Print how many looks there are and how long it took; the files' paths on stdout."""
        self._end_picture()
        self._say(f"[green]done[/]      {looks} looks, {dreamed} of them dreamed now in {clock(seconds)}")
        for path in outputs:
            self._print_path(path)


class Json(JsonReporter, Reporter):
    """One JSON object per event and line: `--json`."""

    def look(self, name: str, number: int, count: int) -> None:
        """Emit `look`."""
        self._emit("look", name=name, number=number, count=count)

    def begun(self, source: Path, page: Path, there: int, count: int) -> None:
        """Emit `begun`."""
        self._emit("begun", input=str(source), page=str(page), there=there, count=count)

    def delivered(self, source: Path, outputs: tuple[Path, ...], looks: int, dreamed: int, seconds: float) -> None:
        """Emit `done`."""
        self._emit(
            "done", input=str(source), outputs=[str(path) for path in outputs], looks=looks, dreamed=dreamed,
            seconds=round(seconds, 3),
        )  # fmt: skip
