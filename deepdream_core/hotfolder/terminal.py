"""How the hot folder looks in a terminal: a live table while it is watched, and what `deepdream status` prints of it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

from deepdream_core.printable import printable
from deepdream_core.work.report import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNING_SHOWN = 3


class Table:
    """A live table on stderr, with lines above it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(_no_echo_of_control())
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(escape(printable(text)), soft_wrap=True)

    def show(self, state: dict[str, Any]) -> None:
        """Show the daemon's state."""
        self._live.update(Group(*drawn(state)))

    def close(self) -> None:
        """Restore the terminal."""
        self._live.stop()
        self._quiet.close()


@contextlib.contextmanager
def _no_echo_of_control() -> Iterator[None]:
    """Return a context in which the terminal does not write `^C` into the table, which would push it down a line."""
    if sys.platform == "win32":
        yield
        return
    import termios

    try:
        before = termios.tcgetattr(sys.stdin)
    except (OSError, ValueError, AttributeError, termios.error):  # no terminal
        yield
        return
    quiet = [*before[:3], before[3] & ~termios.ECHOCTL, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def drawn(state: dict[str, Any]) -> Iterator[Grid | Text]:
    """Yield the folders and the pictures in work, for rich to print."""
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for title in ("folder", "waiting", "done", "failed", "now"):
        grid.add_column(title, justify="right" if title in ("waiting", "done", "failed") else "left", overflow="fold")
    for folder in state["folders"]:
        grid.add_row(
            Text(printable(folder["folder"])), str(folder["waiting"]), str(folder["done"]),
            Text(str(folder["failed"]), style="red" if folder["failed"] else ""), Text(_now(state, folder)),
        )  # fmt: skip
    yield grid
    for folder in state["folders"]:
        for picture in folder["running"][:RUNNING_SHOWN]:
            percent = f"{100 * picture['fraction']:3.0f} %" if picture["stage"] == "dreaming" else ""
            path = Path(picture["path"])
            above = path.parent.relative_to(folder["folder"])
            where = f" (in {printable(str(above))})" if above.parts else ""
            line = f"  {printable(path.name)}: {picture['stage']} {percent} {clock(picture['seconds'])}{where}"
            yield Text(line, overflow="ellipsis", no_wrap=True)
        if guide := folder.get("guide"):
            yield Text(
                f"  pictures wait for their guide: {printable(guide.removeprefix('the guide '))}", overflow="fold"
            )
        for why, count in folder.get("left_alone_why", {}).items():
            yield Text(f"  {count} left alone: {printable(why)}; see `deepdream explain FILE`", overflow="fold")
        if folder["known"]:
            yield Text(f"  {folder['known']} not dreamed again: already dreamed, or dreams themselves")


def _now(state: dict[str, Any], folder: dict[str, Any]) -> str:
    if state.get("hangs"):
        return "the daemon does not answer"
    if state["paused"]:
        return "paused; run `deepdream resume`"
    if state["busy"]:
        return printable(str(state["busy"]))
    if folder["resting"]:
        return printable(str(folder["resting"]))
    if folder["running"]:
        return "working"
    waits = "waits for a guide" if folder.get("guide") else "waits until files have settled"
    return waits if folder["waiting"] else "waits for pictures"
