"""The metadata of a TIFF's pages; behind `container`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_core.photo import ifd, tiff_edit
from deepdream_core.photo.container.blocks import Blocks

if TYPE_CHECKING:
    from deepdream_core.photo.ifd import Buffer, Directory, Layout

ICC, XMP, IPTC, PHOTOSHOP = 34675, 700, 33723, 34377
"""Tags of metadata with a place of their own."""

CARRIED = (IPTC, PHOTOSHOP)
"""Tags that only a TIFF holds, and that are copied from one into another."""


def blocks_of(view: memoryview) -> Blocks:
    """Return the metadata of the first page; see `container.blocks_of`."""
    layout = ifd.layout_of(view)
    return blocks_of_page(view, ifd.directory_at(view, layout.first, layout), layout)


def blocks_of_page(buffer: Buffer, page: Directory, layout: Layout) -> Blocks:
    """Return the metadata of a page."""
    found = {entry.tag: entry.read(buffer) for tag in (ICC, XMP, *CARRIED) if (entry := page.get(tag))}
    others = tuple((str(tag), found[tag]) for tag in CARRIED if tag in found)
    return Blocks(found.get(ICC), tiff_edit.exif_of_tiff(buffer, page.offset, layout), found.get(XMP), others)


def with_xmp(view: memoryview, xmp: bytes | None) -> bytes:
    """Return the TIFF with another XMP packet in its first page; see `container.with_xmp`."""
    change = None if xmp is None else ifd.Value(ifd.BYTE, xmp)
    return bytes(tiff_edit.with_tags(bytearray(view), [{XMP: change}]))
