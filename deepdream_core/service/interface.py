"""What the background service consists of, and what its manager on this system can be asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from deepdream_core.errors import ServiceError
from deepdream_core.machine import systemd
from deepdream_core.machine.command import ASK_WITHIN_S, TIMED_OUT, Answer, ask
from deepdream_core.machine.reinstall import install_step

if TYPE_CHECKING:
    from collections.abc import Callable

State = Literal["runs", "waits", "starts", "stopped", "failed", "missing"]
"""`waits`: is started as soon as somebody needs it; `missing`: is not installed."""

START_WITHIN_S = 120.0
"""A start is over when the daemon watches, and a large folder on a slow disk is looked through before that."""

INSTALL = install_step("service", "run `python3 install service` in DeepDream's folder")
HOT_FOLDER, HELPER = "hot folder", "helper"


@dataclass(frozen=True)
class Part:
    """The state of one part: for how many seconds, as which process, why, and what to do next."""

    name: str
    state: State
    about: str = ""
    since_s: float | None = None
    pid: int | None = None
    next_step: str = ""

    @property
    def healthy(self) -> bool:
        """Say whether nobody need do anything about it."""
        return self.state not in ("failed", "missing")


class Run(Protocol):
    """Runs a command, as `run` does."""

    def __call__(self, *command: str, within_s: float = ASK_WITHIN_S) -> Answer:
        """Run it, and return its answer."""
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


def environment() -> dict[str, str]:
    """Return the environment of the commands here: they answer in plain English, and reach this user's own manager."""
    plain = {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return {**systemd.environments(os.environ)[0], **plain}


def run(*command: str, within_s: float = ASK_WITHIN_S) -> Answer:
    """Run a command and return its answer; raises `ServiceError` when it does not end."""
    answer = ask(*command, within_s=within_s, environ=environment())
    if answer.code == TIMED_OUT and answer.err:
        raise ServiceError(answer.err, "try again")
    return answer


def not_installed() -> ServiceError:
    """Return the error of a service that is not there."""
    return ServiceError("the background service is not installed", INSTALL)


def checked(answer: Answer, doing: str, next_step: Callable[[], str] | str = "try again") -> Answer:
    """Return an answer, or raise `ServiceError` with the first line of what went wrong."""
    if answer.code:
        why = (answer.err.strip() or answer.out.strip() or f"exit code {answer.code}").splitlines()[0]
        raise ServiceError(f"{doing}: {why}", next_step if isinstance(next_step, str) else next_step())
    return answer
