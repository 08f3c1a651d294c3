"""The parts of the background service, and the interface of its manager."""

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
"""`waits`: starts when a program needs it; `missing`: is not installed."""

START_WITHIN_S = 120.0
"""A start ends when the daemon watches, and before that it scans its folders, perhaps large ones on a slow disk."""

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
        """Return whether it needs no attention."""
        return self.state not in ("failed", "missing")


class Run(Protocol):
    """Runs a command, as `run` does."""

    def __call__(self, *command: str, within_s: float = ASK_WITHIN_S) -> Answer:
        """Run it, and return its answer."""
        ...


class Manager(Protocol):
    """The service's manager: systemd, launchd or Windows' Task Scheduler. All methods raise `ServiceError`."""

    def parts(self) -> list[Part]:
        """Return the state of all parts."""
        ...

    def start(self) -> None:
        """Start all parts, also after they failed too often; `parts` then shows what failed."""
        ...

    def stop(self) -> None:
        """Stop all parts until the next login or start."""
        ...

    def logs(self, lines: int, *, follow: bool) -> None:
        """Print the last lines of the log; with `follow` also new ones, until Ctrl-C."""
        ...


def environment() -> dict[str, str]:
    """Return an environment in which commands answer in English and reach this user's own manager."""
    plain = {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return {**systemd.environments(os.environ)[0], **plain}


def run(*command: str, within_s: float = ASK_WITHIN_S) -> Answer:
    """Run a command and return its answer; raises `ServiceError` when it does not end."""
    answer = ask(*command, within_s=within_s, environ=environment())
    if answer.code == TIMED_OUT and answer.err:
        raise ServiceError(answer.err, "try again")
    return answer


def not_installed() -> ServiceError:
    """Return the error for a service that is not installed."""
    return ServiceError("the background service is not installed", INSTALL)


def checked(answer: Answer, doing: str, next_step: Callable[[], str] | str = "try again") -> Answer:
    """Return an answer, or raise `ServiceError` with the first line of its error."""
    if answer.code:
        why = (answer.err.strip() or answer.out.strip() or f"exit code {answer.code}").splitlines()[0]
        raise ServiceError(f"{doing}: {why}", next_step if isinstance(next_step, str) else next_step())
    return answer
