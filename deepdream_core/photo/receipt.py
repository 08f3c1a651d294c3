"""What became of a photograph's parts from file to file: kept, converted or dropped, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["kept", "converted", "dropped"]


@dataclass(frozen=True)
class Entry:
    """One part of a photograph and what became of it. `lost`: something is gone that a person may miss."""

    part: str
    state: State
    detail: str = ""
    lost: bool = False

    def __str__(self) -> str:
        """Return the entry in one line: `depth converted: 16 to 8 bits, JPEG holds 8`."""
        return f"{self.part} {self.state}" + (f": {self.detail}" if self.detail else "")


Receipt = tuple[Entry, ...]


def kept(part: str, detail: str = "") -> Entry:
    """Return an entry for an unchanged part."""
    return Entry(part, "kept", detail)


def converted(part: str, detail: str, *, lost: bool = False) -> Entry:
    """Return an entry for a part in another form."""
    return Entry(part, "converted", detail, lost)


def dropped(part: str, detail: str, *, lost: bool = True) -> Entry:
    """Return an entry for a part that is not in the output."""
    return Entry(part, "dropped", detail, lost)
