"""The metadata of a TIFF's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_core.photo import ifd, tiff_edit
from deepdream_core.photo.container.blocks import Blocks
from deepdream_core.photo.tags import ICC, IPTC, PHOTOSHOP, XMP

if TYPE_CHECKING:
    from deepdream_core.photo.ifd import Buffer, Directory, Layout

CARRIED = (IPTC, PHOTOSHOP)
"""Tags that only a TIFF holds, and that are copied from one into another."""


def blocks_of(view: memoryview) -> Blocks:
    """Return the metadata of the first page; see `container.blocks_of`."""
    layout, page = ifd.first_directory(view)
    return blocks_of_page(view, page, layout)


def blocks_of_page(buffer: Buffer, page: Directory, layout: Layout) -> Blocks:
    """Return the metadata of a page."""
    found = {entry.tag: entry.read(buffer) for tag in (ICC, XMP, *CARRIED) if (entry := page.get(tag))}
    others = tuple((str(tag), found[tag]) for tag in CARRIED if tag in found)
    return Blocks(found.get(ICC), tiff_edit.exif_of_tiff(buffer, page.offset, layout), found.get(XMP), others)


def with_xmp(view: memoryview, xmp: bytes | None) -> bytes:
    """Return the TIFF with another XMP packet in its first page; see `container.with_xmp`."""
    change = None if xmp is None else ifd.Value(ifd.BYTE, xmp)
    return bytes(tiff_edit.with_tags(bytearray(view), [{XMP: change}]))
