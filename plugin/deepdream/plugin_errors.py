"""Errors that the plug-in shows to people.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

from words import _

REINSTALL = _("run `python3 install gimp` in DeepDream's folder, then restart GIMP")


class PluginError(Exception):
    """`what` happened, the `next_step` for the user, and a `code` for programs."""

    def __init__(self, what: str, next_step: str = "", code: str = "internal") -> None:
        super().__init__(what, next_step, code)
        self.what = what
        self.next_step = next_step
        self.code = code

    def __str__(self) -> str:
        """Return both as sentences on one line, with control characters escaped."""
        text = " ".join(_sentence(part) for part in (self.what, self.next_step) if part.strip())
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def _sentence(text: str) -> str:
    text = text.strip()
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")
