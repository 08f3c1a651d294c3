"""The content of one photograph's page and sheet, and its progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from deepdream_core.looks.choice import Choice


@dataclass(frozen=True)
class Tile:
    """A finished look: its unique key, and its picture as JPEG."""

    key: str
    jpeg: bytes


@dataclass
class Board:
    """One photograph in all looks of a choice; `tiles`, `failed` and `commands` go by a look's place in `choice.looks`.

    `photo`: the file's name, printable. `original`: the photograph as a tile, JPEG; `size`: its (width, height) in pixels,
    `full_size` the file's own. `spare`: tiles of an earlier run by key, kept until this one is done. `state`: the run is
    working, was stopped before the end, or is done.
    """

    photo: str
    sha256: str
    original: bytes
    size: tuple[int, int]
    full_size: tuple[int, int]
    choice: Choice
    commands: tuple[str, ...]
    tiles: dict[int, Tile] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    spare: dict[str, bytes] = field(default_factory=dict)
    state: Literal["working", "stopped", "done"] = "working"

    @property
    def status(self) -> str:
        """The progress in words."""
        count = len(self.choice.looks)
        if self.state == "working":
            return f"{len(self.tiles)} of {count} looks are done"
        if len(self.tiles) == count:
            return f"{count} looks"
        return f"{len(self.tiles)} of {count} looks; the same command dreams the rest"
