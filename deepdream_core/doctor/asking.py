"""Asking other programs, with a limit of time, and the environment that the service gives to the helper."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from deepdream_core.link.helper_start import scrubbed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HELPER_UNIT = "deepdream-helper.service"
_ANSI_C = re.compile(r"([^=]+)=\$'(.*)'", re.DOTALL)


class Answer(NamedTuple):
    """What a program said and its exit code; 127 stands for a program that is not there."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of what it complained of, or of what it said."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


NOT_THERE = 127


def ask(command: Sequence[str], environ: Mapping[str, str], within_s: float = 8.0) -> Answer:
    """Return a program's answer, looked for on the PATH of `environ`; raises `TimeoutError` when it takes longer."""
    try:
        done = subprocess.run(
            list(command), capture_output=True, stdin=subprocess.DEVNULL, timeout=within_s, check=False, env=dict(environ)
        )  # fmt: skip
    except FileNotFoundError:
        return Answer(NOT_THERE, "", f"{command[0]} is not there")
    except OSError as error:
        return Answer(NOT_THERE, "", f"{command[0]} cannot be run: {error.strerror or error}")
    except subprocess.TimeoutExpired:
        raise TimeoutError(None, f"{command[0]} did not answer within {within_s:g} s") from None
    return Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def service_environment(
    environ: Mapping[str, str], has_unit: bool, run: Callable[[Sequence[str]], Answer]
) -> tuple[dict[str, str], bool]:
    """Return the environment in which the helper is started, and whether it is that of its systemd service.

    `has_unit` says whether there is such a service, `run` asks a program. Without one it is a client that starts the
    helper, with its own environment less what belongs to a host (`launch.scrubbed`).
    """
    if has_unit:
        shown = run(["systemctl", "--user", "show-environment"])
        if shown.code == 0:
            own = run(["systemctl", "--user", "show", "--property=Environment", "--value", HELPER_UNIT])
            words = shlex.split(own.out) if own.code == 0 else []
            return {**_shown(shown.out), **dict(word.split("=", 1) for word in words if "=" in word)}, True
    return scrubbed(environ), False


def _shown(text: str) -> dict[str, str]:
    """Return what `systemctl show-environment` tells, in the form in which a shell would read it."""
    found = {}
    for line in text.splitlines():
        escaped = _ANSI_C.fullmatch(line)
        if escaped:
            found[escaped[1]] = _unescaped(escaped[2])
        elif "=" in line:
            name, value = line.split("=", 1)
            found[name] = value
    return found


def _unescaped(text: str) -> str:
    r"""Return what stands between $' and ' for a shell: UTF-8, bytes of it perhaps as \NNN."""
    return text.encode().decode("unicode_escape").encode("latin-1", "replace").decode("utf-8", "replace")
