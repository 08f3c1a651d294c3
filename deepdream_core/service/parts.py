"""What the background service consists of, and what one can ask of whoever looks after it on this system."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from deepdream_core.errors import ServiceError
from deepdream_core.machine.installer import install_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

State = Literal["runs", "waits", "starts", "stopped", "failed", "missing"]
"""`waits`: is started as soon as somebody needs it; `missing`: is not installed."""

ASK_WITHIN_S = 30.0
START_WITHIN_S = 120.0
"""A start is over when the daemon watches, and a large folder on a slow disk is looked through before that."""

INSTALL = install_step("service", "run `python3 install service` in DeepDream's folder")
HOT_FOLDER, HELPER = "hot folder", "helper"


@dataclass(frozen=True)
class Part:
    """One part and how it stands: since how many seconds, as which process, why, and what to do next."""

    name: str
    state: State
    about: str = ""
    since_s: float | None = None
    pid: int | None = None
    next_step: str = ""

    @property
    def well(self) -> bool:
        """Say whether nobody need do anything about it."""
        return self.state not in ("failed", "missing")


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


class Run(Protocol):
    """Runs a command; raises `FileNotFoundError` where there is none of that name."""

    def __call__(self, command: Sequence[str], within_s: float = ASK_WITHIN_S) -> Answer:
        """Run it, and return what it said."""
        ...


class Manager(Protocol):
    """Whoever looks after the service: systemd, launchd, Windows' Task Scheduler. All raise `ServiceError`."""

    def parts(self) -> list[Part]:
        """Return how all stand."""
        ...

    def start(self) -> None:
        """Start all, also after it was given up for failing too often; what failed then is among `parts`."""
        ...

    def stop(self) -> None:
        """Stop all, until the next login or start."""
        ...

    def logs(self, lines: int, *, follow: bool) -> None:
        """Print the last lines of the log, and with `follow` those that come, until Ctrl-C."""
        ...


def run(command: Sequence[str], within_s: float = ASK_WITHIN_S) -> Answer:
    """Run a command in plain English; raises `ServiceError` when it does not end, `FileNotFoundError` as `Run`."""
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=within_s,
            env=environ, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ServiceError(f"`{' '.join(command)}` did not end within {within_s:g} s", "try again") from None
    except PermissionError as error:
        raise ServiceError(f"{command[0]}: {error.strerror}", "ask who looks after this machine") from None
    return Answer(done.returncode, done.stdout, done.stderr)


def not_installed() -> ServiceError:
    """Return the error of a service that is not there."""
    return ServiceError("the background service is not installed", INSTALL)


def checked(answer: Answer, doing: str, next_step: Callable[[], str] | str = "try again") -> Answer:
    """Return an answer, or raise `ServiceError` with the first line of what went wrong."""
    if answer.code:
        said = (answer.err.strip() or answer.out.strip() or f"exit code {answer.code}").splitlines()[0]
        raise ServiceError(f"{doing}: {said}", next_step if isinstance(next_step, str) else next_step())
    return answer
