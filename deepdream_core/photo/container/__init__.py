"""The metadata of picture files, read and set in the container; the coded pixels are never touched.

Encoders write pixels; what else a photograph carries is put beside them here. Two uses: all metadata of a source go into
the newly encoded file (`blocks_of`, then `with_blocks`), or, where no pixel changes, the source's bytes stay as they are
and only the XMP packet is exchanged (`with_xmp`).
"""

from __future__ import annotations

from typing import Protocol

from deepdream_core.photo.container import bmp, gif, jpeg, jxl, moving_gif, moving_png, moving_webp, png, webp
from deepdream_core.photo.container.blocks import Blocks
from deepdream_core.photo.container.moving import Moving, Stored
from deepdream_core.photo.container.png import text_chunk, text_of
from deepdream_core.photo.formats import FormatError

__all__ = [
    "Blocks", "Moving", "Stored", "blocks_of", "bmp_colours", "file_of", "moving_of", "text_chunk", "text_of",
    "with_blocks", "with_xmp",
]  # fmt: skip


class _Container(Protocol):
    """What each format's module offers."""

    def blocks_of(self, view: memoryview, /) -> Blocks: ...

    def with_blocks(self, view: memoryview, blocks: Blocks, /) -> bytes: ...

    def with_xmp(self, view: memoryview, xmp: bytes | None, /) -> bytes: ...


_CONTAINERS: dict[str, _Container] = {
    "JPEG": jpeg,
    "PNG": png,
    "WEBP": webp,
    "GIF": gif,
    "JXL": jxl,
}

bmp_colours = bmp.blocks_of


def blocks_of(data: bytes | memoryview, format: str) -> Blocks:
    """Return the metadata of the file `data`, whose format is JPEG, PNG, WEBP, GIF or JXL.

    A JPEG XL has no `icc` here: the profile lies in its codestream. Raises `ValueError` for a malformed or truncated
    container; single blocks that are damaged are told in `dropped`.
    """
    return _container(format).blocks_of(_view(data))


def with_blocks(data: bytes | memoryview, format: str, blocks: Blocks) -> bytes:
    """Return the file `data` with `blocks` in the place of all its metadata, the coded pixels as they are.

    What `blocks_of` would tell as dropped, and what lies behind the end of the picture, is left out. A JPEG XL's profile
    is the encoder's business and `blocks.icc` is not looked at. Raises `ValueError`, in words for people, for a malformed
    container and for a block that the format has no room for.
    """
    return _container(format).with_blocks(_view(data), blocks)


def with_xmp(data: bytes | memoryview, format: str, xmp: bytes | None) -> bytes:
    """Return the file `data` with `xmp` in the place of its XMP packet, or without one, and every other block as it is.

    Second pictures, gain maps and videos stay where a reader finds them. Raises as `with_blocks`.
    """
    return _container(format).with_xmp(_view(data), xmp)


class _Moving(Protocol):
    """What each format's module for animations offers."""

    def moving_of(self, view: memoryview, /) -> Moving | None: ...

    def file_of(self, moving: Moving, /) -> bytes: ...


_MOVING: dict[str, _Moving] = {"PNG": moving_png, "GIF": moving_gif, "WEBP": moving_webp}


def moving_of(data: bytes | memoryview, format: str) -> Moving | None:
    """Return the stored frames of a PNG, GIF or WebP; None for a still picture, but for a GIF, and for other formats.

    Raises `ValueError` for a malformed or truncated animation.
    """
    return _MOVING[format].moving_of(_view(data)) if format in _MOVING else None


def file_of(moving: Moving, format: str) -> bytes:
    """Return the PNG, GIF or WebP of an animation, without metadata."""
    return _MOVING[format].file_of(moving)


def _container(format: str) -> _Container:
    try:
        return _CONTAINERS[format]
    except KeyError:
        raise FormatError(f"the metadata of {format} files cannot be read, only of {', '.join(_CONTAINERS)}") from None


def _view(data: bytes | memoryview) -> memoryview:
    return memoryview(data).cast("B")
