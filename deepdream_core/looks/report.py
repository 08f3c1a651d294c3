"""What `deepdream looks` tells while it works, over what `deepdream dream` tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rich.markup import escape

from deepdream_core.work import batch
from deepdream_core.work.report import ErrorReporter, JsonReporter, TextReporter, clock, shown

if TYPE_CHECKING:
    from pathlib import Path

_STOPPED = "stopped: what is done stays; the same command goes on"


class Reporter(batch.Reporter, Protocol):
    """What dreaming a sheet tells."""

    def look(self, name: str, number: int, count: int) -> None:
        """Tell that a look, `number` of the `count` that are missing, is about to be dreamed."""

    def begun(self, source: Path, page: Path, there: int, count: int) -> None:
        """Tell that the page is there, with so many looks of an earlier run, and fills from now on."""

    def delivered(self, source: Path, outputs: tuple[Path, ...], looks: int, dreamed: int, seconds: float) -> None:
        """Tell that all looks of a photograph are done, and how many of them were dreamed now."""


class Quiet(ErrorReporter):
    """Tells nothing but errors: `--quiet`."""

    stopped = _STOPPED

    def look(self, name: str, number: int, count: int) -> None:
        """Say nothing."""

    def begun(self, source: Path, page: Path, there: int, count: int) -> None:
        """Say nothing."""

    def delivered(self, source: Path, outputs: tuple[Path, ...], looks: int, dreamed: int, seconds: float) -> None:
        """Say nothing."""


class Text(TextReporter):
    """Lines and bars for people."""

    stopped = _STOPPED

    def look(self, name: str, number: int, count: int) -> None:
        """Name the look: before the bar's text, or in a line of its own where there is no terminal."""
        self._frame = f"{escape(name)} ({number}/{count}), "
        if self._bars is None:
            self._say(f"dreaming  {escape(name)} ({number}/{count})")

    def begun(self, source: Path, page: Path, there: int, count: int) -> None:
        """Print where the page is while it fills, and what is there already."""
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


class Json(JsonReporter):
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
