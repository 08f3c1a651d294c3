"""The environment in which the helper is started: its systemd service's, or that of a program that needs it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from deepdream_core.link.helper_start import scrubbed
from deepdream_core.machine.systemd import HELPER_UNIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepdream_core.machine.command import Answer

_ANSI_C = re.compile(r"([^=]+)=\$'(.*)'", re.DOTALL)


def service_environment(
    environ: Mapping[str, str], has_unit: bool, run: Callable[..., Answer]
) -> tuple[dict[str, str], bool]:
    """Return the environment in which the helper is started, and whether it is that of its systemd service.

    `has_unit` says whether there is such a service, `run` asks a program. Without one it is a client that starts the
    helper, with its own environment less what belongs to a host (`helper_start.scrubbed`).
    """
    if has_unit:
        shown = run("systemctl", "--user", "show-environment")
        if shown.code == 0:
            own = run("systemctl", "--user", "show", "--property=Environment", "--value", HELPER_UNIT)
            words = shlex.split(own.out) if own.code == 0 else []
            return {**_shown(shown.out), **dict(word.split("=", 1) for word in words if "=" in word)}, True
    return scrubbed(environ), False


def _shown(text: str) -> dict[str, str]:
    """Return what `systemctl show-environment` prints, in the form in which a shell would read it."""
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
    r"""Return the text between $' and ' for a shell: UTF-8, bytes of it perhaps as \NNN."""
    return text.encode().decode("unicode_escape").encode("latin-1", "replace").decode("utf-8", "replace")
