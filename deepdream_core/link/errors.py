"""What can go wrong between a program and the helper: the errors that `client` raises, and no others.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy. All are told like all errors here, as
`what happened — what to do next`::

    LinkError
    ├── NoHelper             none runs, or what listens does not know the token: .hung_pid
    │   └── HelperNotStarted it ended while starting, or did not answer in time: .log_path, .log_lines
    ├── HelperVersion        another version runs, or one that speaks another protocol
    ├── HelperBusy           its queue is full: .retry_after_s
    ├── HelperRefused        it said no: .code, .status, .exit_code
    ├── HelperLost           it had answered once; then the connection broke, it fell silent or talked nonsense
    ├── JobFailed            .code, .exit_code
    └── JobCancelled         .why
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class LinkError(Exception):
    """Something between this program and the helper, told in one line: `what` happened and what to do `next_step`."""

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(f"{what} — {next_step}" if next_step else what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        """Return the one line, with control characters escaped."""
        text = super().__str__()
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


class NoHelper(LinkError):  # noqa: N818
    """No helper runs, or what listens in its place does not know the token.

    `hung_pid` is the process that may be a helper which is there and does not answer, None when nothing speaks for one.
    """

    def __init__(self, what: str, next_step: str = "", hung_pid: int | None = None) -> None:
        super().__init__(what, next_step)
        self.hung_pid = hung_pid


class HelperNotStarted(NoHelper):
    """The helper ended while starting, or did not answer in time.

    `log_lines` are the last, at most 5, that `log_path` holds behind its first `log_from` bytes: what was there before the
    start (`launch.Started.log_from`) is not this helper's.
    """

    def __init__(
        self, what: str, log_path: Path | None, log_from: int = 0, next_step: str = "", hung_pid: int | None = None
    ) -> None:
        self.log_path = log_path
        self.log_lines = _last_lines(log_path, log_from) if log_path else []
        said = f", and said: {' / '.join(self.log_lines)}" if self.log_lines else ""
        steps = "; ".join(filter(None, (next_step, f"see {log_path}" if log_path else "")))
        super().__init__(what + said, steps or "try `deepdream helper` in a terminal", hung_pid)


class HelperVersion(LinkError):  # noqa: N818
    """Another version than the one wanted runs, or one that speaks another protocol."""


class HelperBusy(LinkError):  # noqa: N818
    """The helper's queue is full; `retry_after_s` is when it asks to be tried again, in seconds."""

    def __init__(self, what: str, next_step: str, retry_after_s: float) -> None:
        super().__init__(what, next_step)
        self.retry_after_s = retry_after_s


class HelperRefused(LinkError):  # noqa: N818
    """The helper said no: `code` as in the protocol, HTTP `status`, and `exit_code` where a command line would end so."""

    def __init__(self, what: str, next_step: str, code: str, status: int, exit_code: int | None = None) -> None:
        super().__init__(what, next_step)
        self.code = code
        self.status = status
        self.exit_code = exit_code


class HelperLost(LinkError):  # noqa: N818
    """The helper had answered once; then the connection broke, a time limit passed or its answer made no sense."""


class JobFailed(LinkError):  # noqa: N818
    """The job could not be done; `code` as in the protocol, `exit_code` as of the command line."""

    def __init__(self, what: str, next_step: str, code: str, exit_code: int) -> None:
        super().__init__(what, next_step)
        self.code = code
        self.exit_code = exit_code


class JobCancelled(LinkError):  # noqa: N818
    """The job was cancelled; `why` is asked, lease, replaced or stopping."""

    def __init__(self, why: str) -> None:
        what = {
            "asked": "the job was cancelled",
            "lease": "the helper cancelled the job because nobody followed it any more",
            "replaced": "the job made place for a newer one",
            "stopping": "the helper is stopping and cancelled the job",
        }
        super().__init__(what.get(why, "the helper cancelled the job"))
        self.why = why


def refusal(status: int, expected: int, answer: Mapping[str, Any], retry_after: str) -> HelperBusy | HelperRefused:
    """Return what an answer with another `status` than the `expected` one stands for, as far as it says so."""
    told = answer.get("error")
    told = told if isinstance(told, dict) else {}
    what = _text(told, "what", f"the helper answered with status {status} instead of {expected} and did not say why")
    next_step = _text(told, "next_step", "")
    if status == 429:
        return HelperBusy(what, next_step, float(retry_after if re.fullmatch(r"[0-9]{1,6}", retry_after) else 1))
    return HelperRefused(what, next_step, _text(told, "code", "unknown"), status, _exit_code(told))


def failure(told: Mapping[str, Any]) -> JobFailed:
    """Return what the data of a `failed` event stands for."""
    exit_code = _exit_code(told)
    what, next_step = _text(told, "what", "the job failed"), _text(told, "next_step", "")
    return JobFailed(what, next_step, _text(told, "code", "internal"), 1 if exit_code is None else exit_code)


def cancellation(told: Mapping[str, Any]) -> JobCancelled:
    """Return what the data of a `cancelled` event stands for."""
    return JobCancelled(_text(told, "why", "stopping"))


def _text(told: Mapping[str, Any], key: str, default: str) -> str:
    value = told.get(key)
    return value[:2000] if isinstance(value, str) and value else default


def _exit_code(told: Mapping[str, Any]) -> int | None:
    value = told.get("exit_code")
    return value if type(value) is int else None


def _last_lines(log: Path, begin: int) -> list[str]:
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(begin if begin <= size else 0, size - 16384))  # shorter: somebody has emptied it since
            text = file.read(16384).decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip()[:300] for line in text.splitlines() if line.strip()][-5:]
