"""Waiting for systemd's units to start, with progress for the user."""

import io
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import processes
from errors import Exit, InstallError
from screen import Screen, Stage

from deepdream_core.machine.command import NOT_FOUND, Answer, ask

QUIET_S = 5.0
"""Nothing is printed before that, as most starts take less."""
ASK_EVERY_S = 2.0
ASK_WITHIN_S = 20.0


class EnoughError(Exception):
    """The time limit has passed while the units were still starting."""


class Waiting:
    """Polls a `unit` that is starting, and reports; `clock` returns seconds and is a parameter for tests."""

    def __init__(
        self,
        unit: str,
        env: Mapping[str, str],
        output: Screen,
        within_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unit = unit
        self.env = env
        self.output = output
        self.within_s = within_s
        self.clock = clock
        self.began = clock()
        self.asked = self.began
        self.stage: Stage | None = None
        self.says = ""

    def tick(self) -> None:
        """Poll if it is time; raises InstallError if systemd does not answer, EnoughError after `within_s`."""
        now = self.clock()
        if self.within_s is not None and now - self.began > self.within_s:
            raise EnoughError
        if now - self.began < QUIET_S:
            return
        if self.stage is None:
            self.output.line(
                f"{self.unit} is starting: it first scans all its folders, which takes minutes for large ones"
            )
            self.stage = Stage(self.output)
        if self.stage.due() and now - self.asked >= ASK_EVERY_S:
            self.asked = now
            self.says = self._state()
        self.stage.tick(None, self.says)

    def _state(self) -> str:
        """Return the unit's own status text, else its state."""
        done = ask(
            "systemctl", "--user", "show", "--property=ActiveState,SubState,StatusText", self.unit,
            within_s=ASK_WITHIN_S, environ=self.env,
        )  # fmt: skip
        if done.code:
            raise InstallError(
                "systemd stopped answering while the service was starting",
                "see `systemctl --user status`, then run the same command again",
                Exit.SERVICE,
            )
        found = dict(line.partition("=")[::2] for line in done.lines)
        return found.get("StatusText") or f"{found.get('ActiveState', '')} ({found.get('SubState', '')})"


def start(command: tuple[str, ...], waiting: Waiting) -> Answer:
    """Run `systemctl start …`, which ends when the units are up or have failed; return its answer."""
    try:
        done = processes.run(command, log=io.StringIO(), cwd=Path(sys.prefix), env=waiting.env, on_tick=waiting.tick)
        return Answer(done.code, "\n".join(done.lines))
    except EnoughError:
        return Answer(0)
    except OSError as error:
        return Answer(NOT_FOUND, err=str(error))
    finally:
        waiting.output.wipe()
