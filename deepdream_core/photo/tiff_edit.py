"""A TIFF page's EXIF as a separate block, and a block's EXIF in a finished TIFF file.

TIFF writers store pixels but hardly any nested directories. So this module appends a new directory to a finished file and
links it into the chain of pages. Pixels do not move. Follows TIFF 6.0 (Adobe, 1992), section 2, and BigTIFF.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.ifd import (
    BYTE,
    RATIONAL,
    SHORT,
    Entry,
    Layout,
    Value,
    below,
    directory_at,
    directory_offsets,
    encoded,
    layout_of,
    values_of,
)
from deepdream_core.photo.tags import (
    EXIF,
    GPS,
    INTEROPERABILITY,
    ORIENTATION,
    RESOLUTION_UNIT,
    RESOLUTIONS,
    SUB_IFDS,
    XMP,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepdream_core.photo.ifd import Buffer, Directory, Fields

_POINTERS = (SUB_IFDS, EXIF, GPS, INTEROPERABILITY)  # their offsets are those of another file

DESCRIPTIVE = frozenset({
    269, 270, 271, 272, ORIENTATION,           # DocumentName, ImageDescription, Make, Model
    *RESOLUTIONS, 285, RESOLUTION_UNIT,       # PageName, and its size on paper
    305, 306, 315, 316,                         # Software, DateTime, Artist, HostComputer
    18246, 18249, 33432,                        # Rating, RatingPercent, Copyright
    33434, 33437, 34850, 34855, 36867,          # TIFF/EP's exposure, F number, program, speed and time, which are in
    *range(37377, 37387), 37399,                # the page's own directory, as do its light, lens and sensor
    297, 318, 319,                              # PageNumber, WhitePoint, PrimaryChromaticities
    33550, 33922, 34264, *range(34735, 34738),  # GeoTIFF
    *range(40091, 40096), 50341,                # what Windows Explorer writes (XPTitle to XPSubject), PrintImageMatching
})  # fmt: skip
"""Tags of a page's own directory that travel with its EXIF.

The list is explicit because any other tag may say how pixels are stored: a stray BitsPerSample or SubIFDs misleads readers
of the result, a lost private tag does not. It leaves out what has its own place in each format (ICC, XMP, IPTC).
"""


OF_STORAGE = frozenset({
    *range(254, 260), *range(262, 267), 273, *range(277, 282), 284, *range(288, 294), 301, 317, *range(320, 326), 330,
    332, *range(338, 348), *range(512, 522), *range(529, 533), 34665, 34853, 40965, 34675, 700, 33723, 34377, 37724, 59932,
})  # fmt: skip
"""Tags that say how pixels are stored, or have their own place in `Blocks`."""


def exif_of_tiff(buffer: Buffer, directory_offset: int, layout: Layout) -> bytes | None:
    """Return the EXIF of a TIFF page as a bare block in the file's byte order; None if the page has none.

    It holds the page's `DESCRIPTIVE` tags and its Exif, GPS and Interoperability directories. A MakerNote keeps its bytes
    but not its position, so offsets from the file's beginning break in it, as they do in any program that converts a TIFF.
    Raises `ValueError` if there is no directory, or if values must overlap.
    """
    block = Layout(layout.order, big=False, first=8)
    fields = _exif_fields(buffer, directory_at(buffer, directory_offset, layout), layout, block)
    if not fields:
        return None
    head = (b"II*\0" if layout.order == "<" else b"MM\0*") + struct.pack(layout.order + "I", block.first)
    return head + encoded(fields, block.first, block)[0]


def _exif_fields(buffer: Buffer, page: Directory, layout: Layout, target: Layout) -> dict[int, Value | Fields]:
    """Return the descriptive values of a page and the directories below it, for another file."""
    described = replace(page, entries=tuple(entry for entry in page.entries if entry.tag in DESCRIPTIVE))
    fields: dict[int, Value | Fields] = {**values_of(buffer, described, layout, target)}
    for tag in (EXIF, GPS):
        if folder := _folder(buffer, page, tag, layout, target):
            fields[tag] = folder
    return fields


def _folder(
    buffer: Buffer, parent: Directory, tag: int, layout: Layout, target: Layout
) -> dict[int, Value | Fields] | None:
    """Return the values of a directory below another one, with its Interoperability directory; None if it is empty."""
    directory = below(buffer, parent, tag, layout)
    if not directory:
        return None
    fields: dict[int, Value | Fields] = {**values_of(buffer, directory, layout, target)}
    for pointer in _POINTERS:
        fields.pop(pointer, None)
    if tag == EXIF and (folder := _folder(buffer, directory, INTEROPERABILITY, layout, target)):
        fields[INTEROPERABILITY] = folder
    return fields or None


def with_tags(tiff: bytes | bytearray, changes: Sequence[Mapping[int, Value | Fields | None]]) -> bytearray:
    """Return a TIFF or BigTIFF file whose pages have other tags: `changes[k]` are page k's, None removes a tag.

    A changed page gets a new directory at the file's end; what the old one points to stays in place. A bytearray is changed
    itself and returned, so that a large file is not copied. Raises `ValueError`, before anything has changed, if the file
    has fewer pages or a broken chain of them, or if a classic TIFF would grow beyond 4 GiB.
    """
    layout = layout_of(tiff)
    offsets = list(itertools.islice(directory_offsets(tiff, layout), len(changes)))
    if len(offsets) < len(changes):
        raise FormatError(f"the file has {len(offsets)} pages, not {len(changes)}")
    end = len(tiff)
    added = bytearray(-end % layout.alignment)
    links: dict[int, int] = {}
    link = layout.first_at
    for offset, change in zip(offsets, changes, strict=True):
        directory = directory_at(tiff, offset, layout)
        link_after = directory.next_at
        if change:
            at = end + len(added)
            new, next_at = encoded(_changed(tiff, directory, layout, change), at, layout, directory.next_offset)
            added += new + bytes(-len(new) % layout.alignment)
            links[link] = at
            link_after = at + next_at
        link = link_after
    grown = tiff if isinstance(tiff, bytearray) else bytearray(tiff)
    grown += added
    for place, at in links.items():
        struct.pack_into(layout.offset_format, grown, place, at)
    return grown


def _changed(
    tiff: bytes | bytearray, directory: Directory, layout: Layout, change: Mapping[int, Value | Fields | None]
) -> dict[int, Value | Entry | Fields]:
    """Return a directory's fields with a change applied; long values stay in place."""
    fields: dict[int, Value | Entry | Fields] = {}
    for entry in reversed(directory.entries):  # so that the first entry of a tag stays
        long = entry.size > layout.offset_size
        fields[entry.tag] = entry if long else Value(entry.kind, entry.read(tiff))
    for tag, field in change.items():
        if field is None:
            fields.pop(tag, None)
        else:
            fields[tag] = field
    return fields


def with_exif(tiff: bytes | bytearray, exif_per_page: Sequence[bytes | None]) -> bytearray:
    """Return a TIFF or BigTIFF file whose pages have the EXIF of bare blocks, in the file's byte order; None adds none.

    A page gets the block's `DESCRIPTIVE` tags, except the orientation, which the page has itself, and its Exif, GPS and
    Interoperability directories. The page keeps its own profile, XMP and storage tags. A bytearray is changed itself, as by
    `with_tags`. Raises `ValueError` if the file or a block cannot be read.
    """
    layout = layout_of(tiff)
    changes: list[Mapping[int, Value | Fields | None]] = []
    for exif in exif_per_page:
        change: dict[int, Value | Fields | None] = {}
        if exif is not None:
            block = layout_of(exif)
            change.update(_exif_fields(exif, directory_at(exif, block.first, block), block, layout))
            change.pop(ORIENTATION, None)
            if change.keys() & set(RESOLUTIONS):
                change.setdefault(RESOLUTION_UNIT, None)  # not the page's own unit; without a unit both are in inches
        changes.append(change)
    return with_tags(tiff, changes)


def with_resolution(exif: bytes | None, across: float, down: float) -> bytes:
    """Return a bare EXIF block with a resolution in pixels per inch, or a new block.

    Nothing in it moves. Raises `ValueError` as `with_tags` does.
    """
    block = exif or b"MM\0*" + struct.pack(">IHI", 8, 0, 0)
    order = layout_of(block).order
    sides = (Value(RATIONAL, struct.pack(order + "II", round(side * 1000), 1000)) for side in (across, down))
    unit = Value(SHORT, struct.pack(order + "H", 2))
    return bytes(with_tags(block, [{**dict(zip(RESOLUTIONS, sides, strict=True)), RESOLUTION_UNIT: unit}]))


def with_xmp(tiff: bytes | bytearray, xmp: bytes) -> bytearray:
    """Return a TIFF or BigTIFF file whose first page has an XMP packet, as by `with_tags`."""
    return with_tags(tiff, [{XMP: Value(BYTE, xmp)}])
