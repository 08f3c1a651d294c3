"""EXIF blocks changed in place, so that nothing in them moves.

A camera's MakerNote holds offsets from the block's beginning, in a form that only its maker knows. Rewriting the block
would break them. So this module only replaces bytes, zeroes them, or cuts them off at the end. Follows EXIF 2.32 (CIPA
DC-008-2019).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deepdream_core.photo.ifd import below, directory_at, directory_offsets, first_directory
from deepdream_core.photo.tags import (
    EXIF,
    GPS,
    INTEROPERABILITY,
    LENGTH,
    ORIENTATION,
    PIXEL_DIMENSIONS,
    RESOLUTIONS,
    WIDTH,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deepdream_core.photo.ifd import Directory, Layout

_PREFIX = b"Exif\0\0"
_TURNED = ((WIDTH, LENGTH), RESOLUTIONS)
_PLACES = ((513, 514), (273, 279), (324, 325))  # start and length of a thumbnail's bytes: JPEG, strips, tiles
_LONGEST_CHAIN = 16
_LONGEST_PADDING = 3

_Span = tuple[int, int]


def bare(exif: bytes) -> bytes:
    r"""Return an EXIF block without the `Exif\0\0` that JPEG and others put before it."""
    return exif.removeprefix(_PREFIX)


def orientation_of(exif: bytes) -> int | None:
    """Return a bare block's orientation, 1…8 as EXIF numbers them; None if it has none or cannot be read."""
    try:
        layout, first = first_directory(exif)
    except ValueError:
        return None
    entry = first.get(ORIENTATION)
    orientation = entry.integer(exif, layout.order) if entry else None
    return orientation if orientation in range(1, 9) else None


def upright(exif: bytes, *, swapped: bool) -> bytes:
    """Return a bare block for the picture turned upright: its orientation is 1, nothing else has changed or moved.

    `swapped`: the picture was turned by a quarter, so width and height change places: pixels in the first and in the Exif
    directory, and resolution. A block that cannot be read comes back as it is: no decoder can have read an orientation
    from it.
    """
    try:
        layout, first = first_directory(exif)
    except ValueError:
        return exif
    patched = bytearray(exif)
    for entry in first.entries:  # every one, because readers disagree about which of two counts
        if entry.tag == ORIENTATION and entry.integer(exif, layout.order) is not None:
            size = entry.size // entry.count
            patched[entry.where : entry.where + size] = (1).to_bytes(size, "little" if layout.order == "<" else "big")
    if swapped:
        for pair in _TURNED:
            _exchange(patched, first, pair, layout)
        if nested := below(exif, first, EXIF, layout):
            _exchange(patched, nested, PIXEL_DIMENSIONS, layout)
    return bytes(patched)


def without(exif: bytes, tag: int) -> bytes:
    """Return a bare block without a tag in its first directory; only the entries after it have moved."""
    try:
        layout, first = first_directory(exif)
    except ValueError:
        return exif
    start = first.offset + struct.calcsize(layout.count_format)
    table = [exif[at : at + layout.entry_size] for at in range(start, first.next_at, layout.entry_size)]
    kept = [entry for entry in table if struct.unpack_from(layout.order + "H", entry)[0] != tag]
    end = min(first.next_at + layout.offset_size, len(exif))
    shorter = struct.pack(layout.count_format, len(kept)) + b"".join(kept) + exif[first.next_at : end]
    return exif[: first.offset] + shorter.ljust(end - first.offset, b"\0") + exif[end:]


def _exchange(patched: bytearray, directory: Directory, pair: tuple[int, int], layout: Layout) -> None:
    """Exchange the contents of two entries, but not their tags; one may be SHORT and the other LONG."""
    width, height = directory.get(pair[0]), directory.get(pair[1])
    if width and height:
        length = layout.entry_size - 2
        first, second = width.at + 2, height.at + 2
        contents = patched[first : first + length]
        patched[first : first + length] = patched[second : second + length]
        patched[second : second + length] = contents


def without_thumbnail(exif: bytes) -> tuple[bytes, bool]:
    """Return a bare block without its thumbnail, which shows the old picture, and whether it had one.

    Unlinks the directories after the first one. Cuts them and their pictures off if they end the block, otherwise fills
    them with zeros. Everything else stays in place. Previews inside a MakerNote stay. A block that cannot be read comes
    back as it is.
    """
    try:
        layout, first = first_directory(exif)
    except ValueError:
        return exif, False
    later = list(_directories_after(exif, first, layout))
    if not any(directory.get(begin) for directory in later for begin, _ in _PLACES):
        return exif, False
    kept = _merged(_spans_of_first(exif, first, layout))
    dropped = _merged(
        span for directory in later for span in (*_spans(directory, layout), *_pictures(exif, directory, layout))
    )
    patched = bytearray(exif)
    end = _cut(exif, kept, dropped)
    for start, stop in dropped:
        patched[start:stop] = bytes(min(stop, len(exif)) - start)
    for start, stop in kept:  # a broken thumbnail may overlap them
        patched[start:stop] = exif[start:stop]
    struct.pack_into(layout.offset_format, patched, first.next_at, 0)
    return bytes(patched[:end]), True


def _directories_after(exif: bytes, first: Directory, layout: Layout) -> Iterator[Directory]:
    """Yield the readable directories after the first one, but not more than a camera writes."""
    try:
        for number, offset in enumerate(directory_offsets(exif, layout)):
            if number > _LONGEST_CHAIN:
                return
            if offset != first.offset:
                yield directory_at(exif, offset, layout)
    except ValueError:
        return


def _spans(directory: Directory, layout: Layout) -> Iterator[_Span]:
    """Yield the spans of bytes, start and end, of a directory and of its values."""
    yield directory.offset, directory.next_at + layout.offset_size
    for entry in directory.entries:
        if entry.size > layout.offset_size:
            yield entry.where, entry.where + entry.size


def _spans_of_first(exif: bytes, first: Directory, layout: Layout) -> Iterator[_Span]:
    """Yield the spans of everything that the first directory leads to, and of the block's header."""
    yield 0, layout.first_at + layout.offset_size
    nested = below(exif, first, EXIF, layout)
    parents = [(first, GPS), (first, INTEROPERABILITY)] + ([(nested, INTEROPERABILITY)] if nested else [])
    for directory in (first, nested, *(below(exif, parent, tag, layout) for parent, tag in parents)):
        if directory:
            yield from _spans(directory, layout)


def _pictures(exif: bytes, directory: Directory, layout: Layout) -> Iterator[_Span]:
    for begin, length in _PLACES:
        starts, lengths = (  # every one, so that none stays
            [number for entry in directory.entries if entry.tag == tag for number in entry.integers(exif, layout.order)]
            for tag in (begin, length)
        )
        pairs = zip(starts, lengths, strict=False)
        yield from ((start, min(start + size, len(exif))) for start, size in pairs if start > 0 and size > 0)


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    """Return spans in order, merging those that touch or overlap, so that each byte is looked at once."""
    merged: list[_Span] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        elif start < stop:
            merged.append((start, stop))
    return merged


def _cut(exif: bytes, kept: list[_Span], dropped: list[_Span]) -> int:
    """Return where the block may end: before the dropped spans at its end and padding; a MakerNote may use other gaps."""
    end = len(exif)
    for start, stop in reversed(dropped):
        gap = exif[stop:end]
        if len(gap) > _LONGEST_PADDING or any(gap):
            break
        end = start
    return max(end, *(stop for _, stop in kept))
