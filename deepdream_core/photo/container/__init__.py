"""The metadata of picture files, read and exchanged in the container; the coded pixels are never touched.

Encoders write pixels. This package adds what else a photograph carries, in two ways: all metadata of a source go into the
newly encoded file (`blocks_of`, then `with_blocks`), or, if no pixel changes, the source's bytes stay as they are and only
the XMP packet is exchanged (`with_xmp`). A row of `formats.FORMATS` names its module here.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Protocol, cast

from deepdream_core.photo.container.blocks import Blocks
from deepdream_core.photo.formats import FORMATS, FormatError

__all__ = ["Blocks", "blocks_of", "with_blocks", "with_resolution", "with_xmp"]


class _Container(Protocol):
    """What the module of a format offers.

    TIFF's has no `with_blocks`, as its encoder writes all metadata. Only formats whose `resolution` is a block have
    `resolution_block`.
    """

    def blocks_of(self, view: memoryview, /) -> Blocks: ...

    def with_blocks(self, view: memoryview, blocks: Blocks, /) -> bytes: ...

    def with_xmp(self, view: memoryview, xmp: bytes | None, /) -> bytes: ...

    def resolution_block(self, across: float, down: float, /) -> tuple[str, bytes]: ...


def blocks_of(data: bytes | bytearray | memoryview, format: str) -> Blocks:
    """Return the metadata of the file `data`; of a TIFF, its first page's.

    A JPEG XL has no `icc` here: the profile is in its codestream. Damaged blocks are named in `dropped`. Raises
    `ValueError` for a malformed or truncated container, and for a format without a module here.
    """
    return _container(format).blocks_of(_view(data))


def with_blocks(data: bytes | bytearray | memoryview, format: str, blocks: Blocks) -> bytes:
    """Return the file `data` with `blocks` instead of all its metadata; the coded pixels stay as they are.

    What `blocks_of` would name in `dropped`, and what follows the end of the picture, is left out. For a JPEG XL,
    whose encoder writes the profile, `blocks.icc` is ignored. Raises `ValueError`, with a message for users, for a
    malformed container and for a block that the format has no room for.
    """
    return _container(format).with_blocks(_view(data), blocks)


def with_xmp(data: bytes | bytearray | memoryview, format: str, xmp: bytes | None) -> bytes:
    """Return the file `data` with `xmp` as its XMP packet, or without one; every other block stays as it is.

    Readers still find second pictures, gain maps and videos. Raises as `with_blocks` does.
    """
    return _container(format).with_xmp(_view(data), xmp)


def with_resolution(blocks: Blocks, format: str, across: float, down: float) -> Blocks:
    """Return blocks with the one that holds a resolution, in pixels per inch."""
    return replace(blocks, others=(*blocks.others, _container(format).resolution_block(across, down)))


def _container(format: str) -> _Container:
    if not FORMATS[format].container:
        known = ", ".join(row.name for row in FORMATS.values() if row.container)
        raise FormatError(f"the metadata of {format} files cannot be exchanged, only those of {known}")
    return cast("_Container", import_module(f"{__name__}.{FORMATS[format].container}"))


def _view(data: bytes | bytearray | memoryview) -> memoryview:
    return memoryview(data).cast("B")
