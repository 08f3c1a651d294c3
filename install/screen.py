"""What the user sees while an install runs: one line for each stage, and a progress bar.

All of it goes to stderr: stdout belongs to the program that runs afterwards. On a terminal the bar is redrawn in place
and erased when the stage ends; elsewhere (a log, CI) a line every 20 seconds reports progress.
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
    """Return a duration as minutes and seconds: `1:05`."""
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
        """Print a stage's title, and erase its bar when it ends."""
        self.line(title)
        try:
            yield Stage(self)
        finally:
            self.wipe()

    def draw(self, fraction: float | None, text: str) -> None:
        """Draw the bar in place: `fraction` 0 to 1, or None for a bar that only shows activity."""
        if fraction is None:
            at = int(self.clock() * 8) % BAR_CELLS
            cells = [self._full if (cell - at) % BAR_CELLS < 4 else self._empty for cell in range(BAR_CELLS)]
        else:
            full = int(min(max(fraction, 0.0), 1.0) * BAR_CELLS)
            cells = [self._full] * full + [self._empty] * (BAR_CELLS - full)
        # One column stays free: a full last column would wrap to the next line.
        row = f"  {''.join(cells)} {text}"[: self._columns() - 1]
        self._write("\r" + row.ljust(self._drawn))
        self._drawn = len(row)

    def _columns(self) -> int:
        """Return the width of the terminal, 80 if it is unknown."""
        with contextlib.suppress(OSError, ValueError):
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        return 80

    def wipe(self) -> None:
        """Erase the bar, with spaces: old Windows consoles print escape codes."""
        if self._drawn:
            self._write("\r" + " " * self._drawn + "\r")
            self._drawn = 0

    def _write(self, text: str) -> None:
        """Write text, `?` for what the stream cannot encode; a closed stream does not stop an install."""
        encoding = self.stream.encoding or "ascii"
        with contextlib.suppress(OSError):
            self.stream.write(text.encode(encoding, "replace").decode(encoding))
            self.stream.flush()


class Stage:
    """A running stage: call `tick` often; it decides when to draw."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.started = screen.clock()
        self._shown = self.started

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage began."""
        return self.screen.clock() - self.started

    def due(self) -> bool:
        """Return whether `tick` would draw now, for callers whose figures take time to gather."""
        now = self.screen.clock()
        if self.screen.live:
            return now - self.started >= BAR_AFTER_S and now - self._shown >= REDRAW_S
        return now - self._shown >= HEARTBEAT_S

    def tick(self, fraction: float | None = None, text: str = "") -> None:
        """Show progress if it is time: `fraction` 0 to 1 or None, `text` names the current step."""
        if not self.due():
            return
        self._shown = self.screen.clock()
        words = f"{clock_text(self.elapsed_s)}  {text}".rstrip()
        if self.screen.live:
            self.screen.draw(fraction, words)
        else:
            percent = "" if fraction is None else f"{int(fraction * 100)} %  "
            self.screen.line(f"  still running: {percent}{words}")
