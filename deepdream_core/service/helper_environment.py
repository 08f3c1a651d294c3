"""Parsing the environment variables with which systemd starts a unit."""

from __future__ import annotations

import re
import shlex

_ANSI_C = re.compile(r"([^=]+)=\$'(.*)'", re.DOTALL)


def merged(shown: str, of_unit: str) -> dict[str, str]:
    """Return a unit's variables: the manager's, as `show-environment` prints them, overridden by its own `Environment`.

    Both are quoted for a shell, the unit's as words in one line.
    """
    found = {}
    for line in shown.splitlines():
        escaped = _ANSI_C.fullmatch(line)
        if escaped:
            found[escaped[1]] = _unescaped(escaped[2])
        elif "=" in line:
            name, value = line.split("=", 1)
            found[name] = value
    return found | dict(word.split("=", 1) for word in shlex.split(of_unit) if "=" in word)


def _unescaped(text: str) -> str:
    r"""Return the text between $' and ' for a shell: UTF-8, bytes of it perhaps as \NNN."""
    return text.encode().decode("unicode_escape").encode("latin-1", "replace").decode("utf-8", "replace")
