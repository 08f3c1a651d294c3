"""What a finished file holds according to its headers: pictures, times, depth, transparency, metadata, resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepdream_core.photo.container import Blocks


@dataclass(frozen=True)
class Facts:
    """What a file's headers say; None for what they do not say.

    `sizes`: (width, height) of each picture in pixels. `blocks`: the metadata of each page of a TIFF, of the file in other
    formats. `durations`: how long an animation's frames are shown in ms, empty for other files. `depth` is as in `Frame`,
    `plays` as in `Coding`. `dpi`: the resolution outside of EXIF. `extra`: the number of samples besides colours for each
    page of a TIFF.
    """

    sizes: tuple[tuple[int, int], ...]
    blocks: tuple[Blocks, ...]
    depth: str | None = "8"
    alpha: bool | None = None
    durations: tuple[float, ...] = ()
    plays: int | None = None
    dpi: tuple[float, float] | None = None
    extra: tuple[int, ...] = ()
