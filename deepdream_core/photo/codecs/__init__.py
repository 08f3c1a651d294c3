"""One module for each format: it decodes a file, encodes frames, and reads back what an encoded file holds.

`pillow` and `moving` hold what several of them share. A row of `formats.FORMATS` names its module, which is imported when a
file needs it, so that the libraries of other formats do not slow the start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from deepdream_core.photo.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_core.photo.container import Blocks
    from deepdream_core.photo.decoded import Coding, Decoded
    from deepdream_core.photo.facts import Facts
    from deepdream_core.photo.frame import Frame


class Codec(Protocol):
    """What the module of a format offers."""

    def decode(self, data: bytes, max_megapixels: float, white: float | None, /) -> Decoded:
        """Decode all pictures of a file. `white` is white in floating-point pictures, None for what the file says.

        Raises `PictureError` for an unsupported picture; a broken file raises nearly anything.
        """

    def encode(
        self, frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None, /
    ) -> bytes | bytearray:
        """Encode frames, with `blocks` if the format has no module in `container`; a TIFF's pages have blocks of their own.

        `quality` is 1…100 for lossy formats, None for as good as the source.
        """

    def facts_of(self, data: bytes | bytearray, /) -> Facts:
        """Read the headers of a file, not its samples; raises nearly anything for a broken one."""


def codec_of(format: str) -> Codec:
    """Return the module of a format, given its name."""
    return cast("Codec", import_module(f"{__name__}.{FORMATS[format].codec}"))
