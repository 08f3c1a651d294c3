"""Running other programs: their answer, within a time limit, in an environment that does not affect their Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_FOUND, TIMED_OUT = 127, 124
"""Exit codes as in env(1) and timeout(1): the program cannot run, or did not end in time."""
ASK_WITHIN_S = 30.0

# They change what Python loads or does (__PYVENV_LAUNCHER__ on macOS); the text encoding may stay.
_MISLEADING = re.compile(r"PYTHON(?!IOENCODING$|UTF8$).*|__PYVENV_LAUNCHER__|VIRTUAL_ENV")


@dataclass(frozen=True)
class Answer:
    """A program's output, and its exit `code`, negative for a signal."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines of its standard output."""
        return self.out.splitlines()

    @property
    def last(self) -> str:
        """The last line of its standard error, else of its output, else its exit code in words."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


def clean_environment(**extra: str) -> dict[str, str]:
    """Return this process's environment without variables that affect another Python, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not _MISLEADING.fullmatch(name)}
    return kept | extra


def ask(
    *command: str | os.PathLike[str],
    within_s: float = ASK_WITHIN_S,
    environ: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Answer:
    """Run a program, found on the PATH of `environ`, to its end and return its answer.

    `environ` defaults to `clean_environment()`, `cwd` to this Python's own folder, which outlives others. A program that
    cannot run or takes too long returns the exit code `NOT_FOUND` or `TIMED_OUT`, and a sentence in `err`.
    """
    words = [os.fspath(word) for word in command]
    try:
        done = subprocess.run(
            words, capture_output=True, stdin=subprocess.DEVNULL, timeout=within_s, check=False, cwd=cwd or sys.prefix,
            env=clean_environment() if environ is None else dict(environ),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer(TIMED_OUT, err=f"{words[0]} did not answer within {within_s:g} s")
    except FileNotFoundError:
        return Answer(NOT_FOUND, err=f"{words[0]} does not exist")
    except OSError as error:
        return Answer(NOT_FOUND, err=f"cannot run {words[0]}: {error.strerror or error}")
    return Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
