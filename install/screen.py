"""What a person sees while an install runs: one line per stage, and a bar that shows it is alive.

All of it goes to stderr: stdout belongs to the program that runs afterwards. On a terminal the bar is redrawn in place
and wiped when the stage ends; elsewhere (a log, CI) a line every 20 seconds says what is going on.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

BAR_AFTER_S = 1.0
REDRAW_S = 0.1
HEARTBEAT_S = 20.0
BAR_CELLS = 24


def clock_text(seconds: float) -> str:
    """Return a span of time as minutes and seconds: `1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Screen:
    """Lines and bars on one stream; `clock` returns seconds and is a parameter for tests."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.clock = clock
        self.live = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = 0
        try:
            "━─…—".encode(self.stream.encoding or "ascii")
            self._full, self._empty = "━", "─"
        except (UnicodeEncodeError, LookupError):
            self._full, self._empty = "#", "-"

    def line(self, text: str) -> None:
        """Write one line, above the bar if there is one."""
        self.wipe()
        self._write(text + "\n")

    @contextmanager
    def stage(self, title: str) -> "Iterator[Stage]":
        """Announce a stage, and wipe its bar when it ends, well or not."""
        self.line(title)
        try:
            yield Stage(self)
        finally:
            self.wipe()

    def draw(self, fraction: float | None, text: str) -> None:
        """Draw the bar in place: `fraction` 0 to 1, or None for a bar that only shows life."""
        if fraction is None:
            at = int(self.clock() * 8) % BAR_CELLS
            cells = [self._full if (cell - at) % BAR_CELLS < 4 else self._empty for cell in range(BAR_CELLS)]
        else:
            full = int(min(max(fraction, 0.0), 1.0) * BAR_CELLS)
            cells = [self._full] * full + [self._empty] * (BAR_CELLS - full)
        # One column is left free: a full last column would wrap, and the bar would climb down the screen.
        row = f"  {''.join(cells)} {text}"[: self._columns() - 1]
        self._write("\r" + row.ljust(self._drawn))
        self._drawn = len(row)

    def _columns(self) -> int:
        """Return the width of the terminal, 80 if it is unknown."""
        with contextlib.suppress(OSError, ValueError):
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        return 80

    def wipe(self) -> None:
        """Take the bar off the screen. Blanks and not an escape code: old Windows consoles print those."""
        if self._drawn:
            self._write("\r" + " " * self._drawn + "\r")
            self._drawn = 0

    def _write(self, text: str) -> None:
        """Write what the stream's encoding has, `?` for the rest; that nobody reads it stops no install."""
        encoding = self.stream.encoding or "ascii"
        with contextlib.suppress(OSError):
            self.stream.write(text.encode(encoding, "replace").decode(encoding))
            self.stream.flush()


class Stage:
    """One running stage: call `tick` often, it decides when something is worth drawing."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.started = screen.clock()
        self._shown = self.started

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage began."""
        return self.screen.clock() - self.started

    def due(self) -> bool:
        """Return whether `tick` would show something now, for callers whose figures cost time to gather."""
        now = self.screen.clock()
        if self.screen.live:
            return now - self.started >= BAR_AFTER_S and now - self._shown >= REDRAW_S
        return now - self._shown >= HEARTBEAT_S

    def tick(self, fraction: float | None = None, text: str = "") -> None:
        """Show how far it is, if it is time for that: `fraction` 0 to 1 or None, `text` what is being done."""
        if not self.due():
            return
        self._shown = self.screen.clock()
        words = f"{clock_text(self.elapsed_s)}  {text}".rstrip()
        if self.screen.live:
            self.screen.draw(fraction, words)
        else:
            percent = "" if fraction is None else f"{int(fraction * 100)} %  "
            self.screen.line(f"  still going: {percent}{words}")
