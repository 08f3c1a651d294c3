"""The directories of TIFF files and EXIF blocks: reading them in place, and writing new ones.

Follows TIFF 6.0 (Adobe, 1992), section 2; BigTIFF (Aware Systems, 2004); EXIF 2.32 (CIPA DC-008-2019), whose blocks are
small TIFF files; EXIF 3.0 for the kind UTF-8.

Nothing here trusts a number of the file: a value outside the buffer is left out, or is a `ValueError`.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from deepdream_core.photo.formats import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

Buffer: TypeAlias = bytes | bytearray | memoryview | mmap.mmap
"""A complete file or an EXIF block."""

Order: TypeAlias = Literal["<", ">"]
"""Byte order, as `struct` writes it: `<` is TIFF's II, `>` its MM."""

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, FLOAT, IFD = 1, 2, 3, 4, 5, 7, 11, 13
LONG8, SLONG8, IFD8 = 16, 17, 18

_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
"""Bytes that swap together when the byte order changes, by kind; a rational is two of them."""

_SIZES = {kind: unit * (2 if kind in (5, 10) else 1) for kind, unit in _UNITS.items()}
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_NARROW = {LONG8: LONG, SLONG8: 9, IFD8: IFD}

_MOST_ENTRIES = 65_535  # tags have 16 bits, so a BigTIFF that claims more is broken


@dataclass(frozen=True, slots=True)
class Layout:
    """How a TIFF file or EXIF block is written. `first`: offset of its first directory."""

    order: Order
    big: bool
    first: int

    @property
    def offset_format(self) -> str:
        """How `struct` reads an offset, or an entry's count."""
        return self.order + ("Q" if self.big else "I")

    @property
    def offset_size(self) -> int:
        """Bytes of an offset; a value of at most this size is inside its entry."""
        return 8 if self.big else 4

    @property
    def first_at(self) -> int:
        """Where the header holds the offset of the first directory."""
        return 8 if self.big else 4

    @property
    def count_format(self) -> str:
        """How `struct` reads the number of entries a directory begins with."""
        return self.order + ("Q" if self.big else "H")

    @property
    def alignment(self) -> int:
        """What offsets of directories and values are multiples of."""
        return 8 if self.big else 2

    @property
    def entry_size(self) -> int:
        """Bytes of one entry: tag, kind, count, and the value or its offset."""
        return 20 if self.big else 12


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a directory, whose value is completely in the buffer.

    `kind`: TIFF's type. `count`: number of elements. `at`: offset of the entry itself. `where`: offset of its value, in the
    entry or elsewhere. Only `read` copies the value, because some are hundreds of megabytes.
    """

    tag: int
    kind: int
    count: int
    at: int
    where: int

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return self.count * _SIZES[self.kind]

    def read(self, buffer: Buffer) -> bytes:
        """Return the value in the buffer's own byte order."""
        return bytes(buffer[self.where : self.where + self.size])

    def integers(self, buffer: Buffer, order: Order) -> tuple[int, ...]:
        """Return the value as integers; empty for a kind of another type."""
        letter = _INTEGERS.get(self.kind)
        return struct.unpack(f"{order}{self.count}{letter}", self.read(buffer)) if letter else ()

    def integer(self, buffer: Buffer, order: Order) -> int | None:
        """Return the value's first element if it is an integer, else None."""
        if self.kind not in _INTEGERS or not self.count:
            return None
        number: int = struct.unpack_from(order + _INTEGERS[self.kind], buffer, self.where)[0]
        return number


@dataclass(frozen=True, slots=True)
class Directory:
    """The readable entries of one directory, in the file's order.

    `next_at`: where the offset of the next directory is written. `next_offset`: that offset, 0 after the last one.
    """

    offset: int
    entries: tuple[Entry, ...]
    next_at: int
    next_offset: int

    def get(self, tag: int) -> Entry | None:
        """Return the first entry of a tag, or None; most readers ignore further ones."""
        return next((entry for entry in self.entries if entry.tag == tag), None)


@dataclass(frozen=True, slots=True)
class Value:
    """A value to write. `data`: its elements in the byte order of the new file."""

    kind: int
    data: bytes

    @property
    def count(self) -> int:
        """Number of elements; raises `ValueError` where the kind is unknown or the last element is incomplete."""
        size = _SIZES.get(self.kind)
        if not size or len(self.data) % size:
            raise FormatError(f"{len(self.data)} bytes are not a value of kind {self.kind}")
        return len(self.data) // size


Fields: TypeAlias = "Mapping[int, Value | Entry | Fields]"
"""A directory to write, by tag: new values, values that stay in place in the file, and directories below it."""


def layout_of(buffer: Buffer) -> Layout:
    """Return how a TIFF file or EXIF block is written; raises `ValueError` if it is neither."""
    orders: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
    order = orders.get(bytes(buffer[:2]))
    if order is None:
        raise FormatError("neither II nor MM, so not a TIFF")
    (magic,) = unpack(buffer, order + "H", 2)
    if magic == 42:
        return Layout(order, False, unpack(buffer, order + "I", 4)[0])
    if magic == 43 and unpack(buffer, order + "HH", 4) == (8, 0):
        return Layout(order, True, unpack(buffer, order + "Q", 8)[0])
    raise FormatError(f"neither TIFF nor BigTIFF: its number is {magic}")


def first_directory(buffer: Buffer) -> tuple[Layout, Directory]:
    """Return the layout and the first directory of a TIFF file or EXIF block; raises `ValueError` if it has none."""
    layout = layout_of(buffer)
    return layout, directory_at(buffer, layout.first, layout)


def unpack(buffer: Buffer, form: str, at: int) -> tuple[int, ...]:
    """Return `struct`'s integers at an offset; raises `ValueError` if the buffer ends before."""
    if at + struct.calcsize(form) > len(buffer):
        raise FormatError(f"offset {at} is beyond the end")
    return struct.unpack_from(form, buffer, at)


def directory_at(buffer: Buffer, offset: int, layout: Layout) -> Directory:
    """Return the directory at an offset, without entries of unknown kind or with values outside the buffer.

    A missing next offset counts as 0: some cameras leave it out at the block's end. Raises `ValueError` if the directory
    itself does not fit.
    """
    start, next_at = _extent(buffer, offset, layout)
    form = struct.Struct(f"{layout.order}HH{'Q' if layout.big else 'I'}")
    entries = []
    for at in range(start, next_at, layout.entry_size):
        tag, kind, count = form.unpack_from(buffer, at)
        value_at = at + form.size
        size = count * _SIZES.get(kind, 0)
        where = value_at if size <= layout.offset_size else unpack(buffer, layout.offset_format, value_at)[0]
        if kind in _SIZES and where + size <= len(buffer):
            entries.append(Entry(tag, kind, count, at, where))
    return Directory(offset, tuple(entries), next_at, _next_offset(buffer, next_at, layout))


def _extent(buffer: Buffer, offset: int, layout: Layout) -> tuple[int, int]:
    """Return where a directory's entries begin and end; raises `ValueError` if they do not fit."""
    if offset < layout.first_at + layout.offset_size:
        raise FormatError(f"a directory at {offset} would be in the header")
    (number,) = unpack(buffer, layout.count_format, offset)
    start = offset + struct.calcsize(layout.count_format)
    if number > _MOST_ENTRIES or start + number * layout.entry_size > len(buffer):
        raise FormatError(f"the directory at {offset} claims {number} entries, more than it has")
    return start, start + number * layout.entry_size


def _next_offset(buffer: Buffer, next_at: int, layout: Layout) -> int:
    if next_at + layout.offset_size > len(buffer):
        return 0
    return unpack(buffer, layout.offset_format, next_at)[0]


def directory_offsets(buffer: Buffer, layout: Layout) -> Iterator[int]:
    """Yield the offsets of the chain of directories, a file's pages, up to the first repetition.

    Raises `ValueError` at a directory that does not fit into the buffer.
    """
    seen: set[int] = set()
    offset = layout.first
    while offset and offset not in seen:
        seen.add(offset)
        _, next_at = _extent(buffer, offset, layout)
        yield offset
        offset = _next_offset(buffer, next_at, layout)


def below(buffer: Buffer, directory: Directory, tag: int, layout: Layout) -> Directory | None:
    """Return the directory that an entry points to, or None if there is no such entry or directory."""
    entry = directory.get(tag)
    offset = entry.integer(buffer, layout.order) if entry else None
    try:
        return directory_at(buffer, offset, layout) if offset and offset > 0 else None
    except ValueError:
        return None


def value_of(buffer: Buffer, entry: Entry, layout: Layout, target: Layout) -> Value | None:
    """Return an entry's value for another file: in its byte order, and without 8-byte integers for a classic TIFF.

    None if an 8-byte integer is too large for that. Bytes, ASCII and UNDEFINED stay as they are. A few UNDEFINED ones hold
    numbers (CFAPattern) or UTF-16 (UserComment), but their byte order is unknown.
    """
    kind, data = entry.kind, entry.read(buffer)
    if kind in _NARROW and not target.big:
        try:
            numbers = entry.integers(buffer, layout.order)
            data = struct.pack(f"{target.order}{entry.count}{_INTEGERS[_NARROW[kind]]}", *numbers)
        except struct.error:
            return None
        return Value(_NARROW[kind], data)
    return Value(kind, data if layout.order == target.order else _byteswapped(data, _UNITS[kind]))


def _byteswapped(data: bytes, unit: int) -> bytes:
    swapped = bytearray(len(data))
    for place in range(unit):
        swapped[place::unit] = data[unit - 1 - place :: unit]
    return bytes(swapped)


def values_of(buffer: Buffer, directory: Directory, layout: Layout, target: Layout) -> dict[int, Value]:
    """Return the values of a directory for another file, the first of each tag, without offsets of directories.

    Raises `ValueError` if together they are longer than the buffer, so that they must overlap.
    """
    first = {entry.tag: entry for entry in reversed(directory.entries) if entry.kind not in (IFD, IFD8)}
    if sum(entry.size for entry in first.values()) > len(buffer):
        raise FormatError("the values of a directory overlap")
    found = {tag: value_of(buffer, entry, layout, target) for tag, entry in first.items()}
    return {tag: value for tag, value in found.items() if value is not None}


def encoded(fields: Fields, at: int, layout: Layout, next_offset: int = 0) -> tuple[bytes, int]:
    """Return the bytes of a directory for offset `at`, and the position of its next offset in them.

    Its values and the directories below follow it. Raises `ValueError` if it does not fit into a classic file's 4 GiB, if a
    `Value` is incomplete, or if an `Entry` is so short that its value is inside the entry.
    """
    form, size = layout.offset_format, layout.offset_size
    table = bytearray()
    next_at = struct.calcsize(layout.count_format) + len(fields) * layout.entry_size
    tail_at = at + next_at + size
    tail = bytearray(-tail_at % layout.alignment)
    try:
        for tag, field in sorted(fields.items()):
            place = tail_at + len(tail)
            if isinstance(field, Mapping):
                kind, count, data = LONG8 if layout.big else LONG, 1, struct.pack(form, place)
                tail += encoded(field, place, layout)[0]
            elif isinstance(field, Entry):
                if field.size <= size:
                    raise FormatError(f"the value of tag {tag} has no place outside its entry")
                kind, count, data = field.kind, field.count, struct.pack(form, field.where)
            else:
                kind, count, data = field.kind, field.count, field.data
                if len(data) > size:
                    tail += data
                    data = struct.pack(form, place)
            tail += bytes(-(tail_at + len(tail)) % layout.alignment)
            table += struct.pack(layout.order + "HH", tag, kind) + struct.pack(form, count) + data.ljust(size, b"\0")
        head = struct.pack(layout.count_format, len(fields))
        return head + table + struct.pack(form, next_offset) + tail, next_at
    except struct.error:
        raise FormatError("a classic TIFF ends at 4 GiB and 65535 entries") from None
