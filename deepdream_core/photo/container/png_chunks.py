"""The chunks that a PNG file consists of; follows the PNG specification, third edition, chapter 5."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from deepdream_core.photo.container.blocks import MOST_BLOCKS
from deepdream_core.photo.formats import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Chunk(NamedTuple):
    """A chunk: its type, its extent with length and checksum, and its payload."""

    kind: str
    start: int
    end: int
    payload: memoryview


def chunks_of(view: memoryview) -> Iterator[Chunk]:
    """Yield all chunks from the first to IEND; raises `FormatError` if they are not a PNG."""
    if view[:8] != SIGNATURE:
        raise FormatError("not a PNG file")
    at, count = 8, 0
    met: set[str] = set()
    while "IEND" not in met:
        if at + 12 > len(view):
            raise FormatError("the PNG is truncated")
        length, name = struct.unpack_from(">I4s", view, at)
        end = at + 12 + length
        if end > len(view):
            raise FormatError("the PNG is truncated")
        if not name.isalpha():
            raise FormatError("the PNG is damaged")
        kind = name.decode("ascii")
        if not met and kind not in ("IHDR", "CgBI"):  # PNGs in iPhone apps begin with CgBI
            raise FormatError("the PNG does not begin with its header")
        count += 1
        if count > MOST_BLOCKS:
            raise FormatError("the PNG consists of too many chunks")
        met.add(kind)
        yield Chunk(kind, at, end, view[at + 8 : end - 4])
        at = end
    if not {"IHDR", "IDAT"} <= met:
        raise FormatError("the PNG holds no picture")


def is_intact(view: memoryview, chunk: Chunk) -> bool:
    """Return whether a chunk's checksum is right."""
    return zlib.crc32(view[chunk.start + 4 : chunk.end - 4]) == int.from_bytes(view[chunk.end - 4 : chunk.end], "big")


def as_chunk(kind: str, payload: bytes) -> bytes:
    """Return a chunk with its length and checksum; raises `FormatError` if it is too long."""
    if len(payload) >= 1 << 31:
        raise FormatError(f"the {kind} chunk is too long for a PNG: {len(payload):,} bytes")
    named = kind.encode("ascii") + payload
    return struct.pack(">I", len(payload)) + named + struct.pack(">I", zlib.crc32(named))
