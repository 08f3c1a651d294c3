"""Names and sentences as text that a terminal, a log, XML and YAML can hold."""

from __future__ import annotations


def printable(text: str, *, lines: bool = False) -> str:
    """Return the text with control characters and undecodable bytes escaped; `lines` keeps line breaks."""
    return "".join(
        c if c.isprintable() or (lines and c == "\n") else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )
