"""What decoders need of a PNG, and checks that it has all its samples; ignores what libpng and browsers ignore.

Follows the PNG specification, third edition, chapters 7, 8 and 13.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from deepdream_core.errors import PictureError
from deepdream_core.photo.container.png_chunks import SIGNATURE, as_chunk, chunks_of, is_intact
from deepdream_core.photo.formats import FormatError

_LONGEST_IDAT = 1 << 30
_INFLATED_AT_ONCE = 1 << 14
_CRITICAL = frozenset({"IHDR", "PLTE", "IDAT", "IEND"})
_ANIMATION = frozenset({"acTL", "fcTL", "fdAT"})
_PALETTE = 3
_TRANSPARENCY = {0: range(2, 3), 2: range(6, 7), _PALETTE: range(1, 257)}  # lengths of tRNS, by colour type

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples a pixel, by colour type."""

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Left, top, step across and step down of an interlaced picture's passes (PNG specification, 8.2)."""


class Bare(NamedTuple):
    """A PNG with only the chunks that say how it looks.

    `opaque`: a damaged transparency was removed. `repaired`: a chunk of samples had a wrong checksum.
    """

    file: bytes
    opaque: bool
    repaired: bool


def for_decoders(view: memoryview) -> Bare:
    """Return a PNG without the chunks that no decoder needs, and without those that libpng ignores as damaged.

    Pillow refuses a file for a text with a wrong checksum or of more than a megabyte. Samples contain their own checksum
    (`has_surplus`), so a wrong one around them is corrected. Raises `FormatError` for a damaged part of an animation,
    `PictureError` for a PNG that Xcode made.
    """
    pieces: list[bytes | memoryview] = [SIGNATURE]
    colours, most, opaque, repaired = 0, 256, False, False
    for chunk in chunks_of(view):
        if chunk.kind == "CgBI":
            raise PictureError("is a PNG that Xcode made for iPhones, which DeepDream cannot read", "export it again")
        if chunk.kind == "IHDR" and len(chunk.payload) == 13:
            colours = chunk.payload[9]
        if chunk.kind == "PLTE" and colours == _PALETTE:
            most = len(chunk.payload) // 3
        if chunk.kind == "IDAT" and not is_intact(view, chunk):
            repaired = True
            pieces.append(as_chunk("IDAT", bytes(chunk.payload)))
            continue
        if chunk.kind not in _CRITICAL:
            intact = is_intact(view, chunk)
            if chunk.kind in _ANIMATION and not intact:
                raise FormatError(f"damaged {chunk.kind} chunk")
            if chunk.kind == "tRNS" and colours in _TRANSPARENCY:
                intact &= len(chunk.payload) in _TRANSPARENCY[colours] and len(chunk.payload) <= most
                opaque |= not intact
            elif chunk.kind == "pHYs":
                intact &= len(chunk.payload) == 9
            elif chunk.kind not in _ANIMATION:
                continue
            if not intact:
                continue
        pieces.append(view[chunk.start : chunk.end])
    return Bare(b"".join(pieces), opaque, repaired)


def picture_of(view: memoryview) -> tuple[bytes, bytes, bytes]:
    """Return header, transparency (may be empty) and packed samples of a PNG; raises `FormatError` for a wrong checksum."""
    parts: dict[str, list[memoryview]] = {"IHDR": [], "tRNS": [], "IDAT": []}
    for chunk in chunks_of(view):
        if chunk.kind in parts:
            if not is_intact(view, chunk):
                raise FormatError(f"damaged {chunk.kind} chunk")
            parts[chunk.kind].append(chunk.payload)
    header, transparency, samples = (b"".join(parts[kind]) for kind in parts)
    return header, transparency, samples


def has_surplus(view: memoryview) -> bool:
    """Return whether a picture of a PNG has more samples than its size requires, which readers ignore.

    Raises `FormatError` if samples are missing or their checksum is wrong. Decoders do not check: they stop once they have
    enough to show.
    """
    size, coding = (0, 0), (0, 0, 0)
    pictures: list[tuple[int, list[memoryview]]] = []
    begun = ""  # kind of the chunks that continue the last picture
    for chunk in chunks_of(view):
        if chunk.kind == "IHDR" and len(chunk.payload) == 13:
            *sides, bits, colours, _, _, interlaced = struct.unpack(">IIBBBBB", chunk.payload)
            size, coding = (sides[0], sides[1]), (bits, colours, interlaced)
        elif chunk.kind == "fcTL" and len(chunk.payload) == 26:
            begun = ""
            size = struct.unpack_from(">II", chunk.payload, 4)
        elif chunk.kind in ("IDAT", "fdAT"):
            if chunk.kind != begun:
                begun = chunk.kind
                pictures.append((unfolded(*size, *coding), []))
            pictures[-1][1].append(chunk.payload[4:] if begun == "fdAT" else chunk.payload)
    return (
        sum(_unfolds_to_more(pieces, length) for length, pieces in pictures) > 0
    )  # a sum, so that every picture is checked


def unfolded(width: int, height: int, bits: int, colours: int, interlaced: int) -> int:
    """Return how many bytes a picture unpacks to (PNG specification, 7.2 and 8.2)."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - left) // across), -(-(height - top) // down)) for left, top, across, down in passes]
    bits *= CHANNELS.get(colours, 1)
    return sum(down * (1 + -(-across * bits // 8)) for across, down in sizes if across > 0 and down > 0)


def _unfolds_to_more(pieces: list[memoryview], length: int) -> bool:
    unpacker = zlib.decompressobj()
    most = -length - (1 << 20)  # reads a limited surplus to its end, where the checksum is
    for part in (
        piece[at : at + _INFLATED_AT_ONCE] for piece in pieces for at in range(0, len(piece), _INFLATED_AT_ONCE)
    ):
        try:
            length -= len(unpacker.decompress(part))
        except zlib.error:
            raise FormatError("the PNG's samples are damaged") from None
        if unpacker.unused_data:
            break
        if length < most:
            raise FormatError("the PNG holds far more than its size requires")
    if length > 0 or not unpacker.eof:
        raise FormatError("the PNG is truncated")
    return length < 0 or bool(unpacker.unused_data)


def plain(header: bytes, transparency: bytes, samples: bytes) -> bytes:
    """Return a PNG of these parts alone, as `picture_of` returns them."""
    pieces = [SIGNATURE, as_chunk("IHDR", header)]
    if transparency:
        pieces.append(as_chunk("tRNS", transparency))
    pieces += [as_chunk("IDAT", samples[at : at + _LONGEST_IDAT]) for at in range(0, len(samples), _LONGEST_IDAT)]
    return b"".join([*pieces, as_chunk("IEND", b"")])
