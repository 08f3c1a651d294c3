"""What can go wrong between a program and the helper: the errors that `client` raises, and no others.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy. Their text is, as everywhere,
`what happened — what to do next`::

    LinkError
    ├── NoHelper             none runs, or the listener does not know the token: .hung_pid
    │   └── HelperNotStarted it ended while starting, or did not answer in time: .log_path, .log_lines
    ├── HelperVersion        another version runs, or one that speaks another protocol
    ├── HelperBusy           its queue is full: .retry_after_s
    ├── HelperRefused        it refused a call: .code, .status, .exit_code
    ├── HelperLost           it had answered before; then the connection broke, it fell silent or sent nonsense
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
    """An error between this program and the helper: `what` happened, and what to do next."""

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(f"{what} — {next_step}" if next_step else what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        """Return the one line, with control characters escaped."""
        text = super().__str__()
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


class NoHelper(LinkError):  # noqa: N818
    """No helper runs, or the listener in its place does not know the token.

    `hung_pid` is a process that may be a helper that does not answer, None if there is no sign of one.
    """

    def __init__(self, what: str, next_step: str = "", hung_pid: int | None = None) -> None:
        super().__init__(what, next_step)
        self.hung_pid = hung_pid


class HelperNotStarted(NoHelper):
    """The helper ended while starting, or did not answer in time.

    `log_lines` are the last lines, at most 5, of `log_path` after its first `log_from` bytes: earlier lines are from other
    starts.
    """

    def __init__(
        self, what: str, log_path: Path | None, log_from: int = 0, next_step: str = "", hung_pid: int | None = None
    ) -> None:
        self.log_path = log_path
        self.log_lines = _last_lines(log_path, log_from) if log_path else []
        output = f", with the output: {' / '.join(self.log_lines)}" if self.log_lines else ""
        steps = "; ".join(filter(None, (next_step, f"see {log_path}" if log_path else "")))
        super().__init__(what + output, steps or "try `deepdream helper` in a terminal", hung_pid)


class HelperVersion(LinkError):  # noqa: N818
    """The running helper has another version than wanted, or another protocol."""


class HelperBusy(LinkError):  # noqa: N818
    """The helper's queue is full; it asks to be tried again after `retry_after_s` seconds."""

    def __init__(self, what: str, next_step: str, retry_after_s: float) -> None:
        super().__init__(what, next_step)
        self.retry_after_s = retry_after_s


class HelperRefused(LinkError):  # noqa: N818
    """The helper refused a call: `code` as in the protocol, HTTP `status`, and perhaps the command line's `exit_code`."""

    def __init__(self, what: str, next_step: str, code: str, status: int, exit_code: int | None = None) -> None:
        super().__init__(what, next_step)
        self.code = code
        self.status = status
        self.exit_code = exit_code


class HelperLost(LinkError):  # noqa: N818
    """The helper had answered before; then the connection broke, a time limit passed or an answer made no sense."""


class JobFailed(LinkError):  # noqa: N818
    """The job could not be done; `code` as in the protocol, `exit_code` as of the command line."""

    def __init__(self, what: str, next_step: str, code: str, exit_code: int) -> None:
        super().__init__(what, next_step)
        self.code = code
        self.exit_code = exit_code


CANCELLED_WHY = {
    "asked": "the job was cancelled",
    "lease": "the helper cancelled the job because no program followed it any more",
    "replaced": "a newer job replaced this one",
    "stopping": "the helper is stopping and cancelled the job",
}


class JobCancelled(LinkError):  # noqa: N818
    """The job was cancelled; `why` is one of `CANCELLED_WHY`."""

    def __init__(self, why: str) -> None:
        super().__init__(CANCELLED_WHY.get(why, "the helper cancelled the job"))
        self.why = why


def refusal(status: int, expected: int, answer: Mapping[str, Any], retry_after: str) -> HelperBusy | HelperRefused:
    """Return the error in an answer with another `status` than the `expected` one."""
    error = answer.get("error")
    error = error if isinstance(error, dict) else {}
    what = _text(error, "what", f"the helper answered with status {status} instead of {expected} and did not say why")
    next_step = _text(error, "next_step", "")
    if status == 429:
        return HelperBusy(what, next_step, float(retry_after if re.fullmatch(r"[0-9]{1,6}", retry_after) else 1))
    return HelperRefused(what, next_step, _text(error, "code", "unknown"), status, _exit_code(error))


def failure(data: Mapping[str, Any]) -> JobFailed:
    """Return the error in the data of a `failed` event."""
    exit_code = _exit_code(data)
    what, next_step = _text(data, "what", "the job failed"), _text(data, "next_step", "")
    return JobFailed(what, next_step, _text(data, "code", "internal"), 1 if exit_code is None else exit_code)


def cancellation(data: Mapping[str, Any]) -> JobCancelled:
    """Return the error in the data of a `cancelled` event."""
    return JobCancelled(_text(data, "why", "stopping"))


def _text(data: Mapping[str, Any], key: str, default: str) -> str:
    value = data.get(key)
    return value[:2000] if isinstance(value, str) and value else default


def _exit_code(data: Mapping[str, Any]) -> int | None:
    value = data.get("exit_code")
    return value if type(value) is int else None


def _last_lines(log: Path, begin: int) -> list[str]:
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(begin if begin <= size else 0, size - 16384))  # if it is shorter now, it was emptied since
            text = file.read(16384).decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip()[:300] for line in text.splitlines() if line.strip()][-5:]
