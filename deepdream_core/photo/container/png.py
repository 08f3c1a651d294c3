"""The metadata chunks of a PNG file, animated ones included; behind `container`.

Chunks after the PNG specification, third edition; raw profiles as ImageMagick writes them.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from deepdream_core.photo.colour_tags import by_chunks
from deepdream_core.photo.container.blocks import (
    CREDENTIALS,
    DAMAGED_ICC,
    GAIN_MAP,
    LONGEST_INFLATED,
    MOST_BLOCKS,
    OLD_THUMBNAIL,
    Blocks,
    Gathered,
    edited,
    rest_in_words,
)
from deepdream_core.photo.container.photoshop import without_thumbnails
from deepdream_core.photo.formats import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = "XML:com.adobe.xmp"
_RAW_PROFILE = "Raw profile type "
_RAW_EXIF, _RAW_XMP, _RAW_PHOTOSHOP, _RAW_ICC = ("exif", "app1"), ("xmp", "app1"), ("8bim", "iptc"), ("icc", "icm")

_CODING = frozenset({"tRNS", "sBIT", "bKGD", "hIST", "sPLT", "acTL", "fcTL", "fdAT"})
_TEXT = frozenset({"tEXt", "zTXt", "iTXt"})
_ONCE = frozenset({"pHYs", "gAMA", "cHRM", "sRGB", "cICP", "mDCV", "cLLI", "tIME", "oFFs", "pCAL", "sCAL", "sTER"})
_DROPPED = {"caBX": CREDENTIALS, "gmAP": GAIN_MAP, "gdAT": GAIN_MAP, "dSIG": "digital signature"}
_HELD_TO_THEIR_PLACE = frozenset(
    {"iDOT"}
)  # Apple's, says where in the file the pixels' parts begin; readers do without


class Chunk(NamedTuple):
    """One chunk: its type, its extent with length and checksum, and its payload."""

    kind: str
    start: int
    end: int
    payload: memoryview


class _Inflater:
    """Unpacks compressed metadata, all of one file together within a limit."""

    def __init__(self) -> None:
        self._left = LONGEST_INFLATED

    def __call__(self, packed: bytes | memoryview) -> bytes:
        """Return the unpacked bytes; raises `ValueError` for damaged ones and past the limit."""
        unpacker = zlib.decompressobj()
        try:
            unpacked = unpacker.decompress(packed, self._left + 1)
        except zlib.error:
            raise FormatError("damaged compressed data") from None
        self._left -= min(len(unpacked), self._left)
        if not unpacker.eof:
            raise FormatError("truncated or too much compressed data")
        return unpacked


def text_chunk(keyword: str, text: str) -> tuple[str, bytes]:
    """Return a text as an entry of `Blocks.others` of a PNG.

    Raises `ValueError` when the keyword is not 1…79 printable Latin-1 characters without spaces at its ends, or the text
    holds a NUL.
    """
    fits = keyword == keyword.strip() and all(c.isprintable() and ord(c) < 256 for c in keyword)
    if not (fits and 1 <= len(keyword) <= 79):
        raise FormatError(f"not a keyword for a PNG text: {keyword!r}")
    if "\0" in text:
        raise FormatError("a PNG text cannot hold a NUL")
    return "iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()


def resolution_block(across: float, down: float) -> tuple[str, bytes]:
    """Return a resolution in pixels per inch as an entry of `Blocks.others` (11.3.4.3)."""
    return "pHYs", struct.pack(">IIB", round(across / 0.0254), round(down / 0.0254), 1)


def text_of(blocks: Blocks, keyword: str) -> str | None:
    """Return the first readable text under `keyword` among the text chunks of a PNG, or None."""
    inflate = _Inflater()
    for name, payload in blocks.others:
        if name in _TEXT and _keyword(payload) == keyword:
            try:
                return _text(name, payload, inflate).decode("utf-8" if name == "iTXt" else "latin-1")
            except ValueError:
                continue
    return None


def blocks_of(view: memoryview) -> Blocks:
    """Return the metadata of a PNG file; see `container.blocks_of`."""
    found = Gathered()
    inflate = _Inflater()
    raw: list[tuple[str, bytes]] = []
    end = len(SIGNATURE)
    seen: set[str] = set()
    for chunk in chunks_of(view):
        end = chunk.end
        if chunk.kind in _HELD_TO_THEIR_PLACE or _is_coding(chunk.kind):
            continue
        if not is_intact(view, chunk):
            found.dropped.append(f"damaged {chunk.kind} chunk")
        elif told := _DROPPED.get(chunk.kind):
            found.dropped.append(told)
        elif chunk.kind in _ONCE and chunk.kind in seen:
            if (chunk.kind, bytes(chunk.payload)) not in found.others:
                found.dropped.append(f"second {chunk.kind} chunk")
        else:
            seen.add(chunk.kind)
            _take(found, raw, chunk.kind, bytes(chunk.payload), inflate)
    for kind, profile in raw:  # the blocks proper count before their older form
        {"exif": found.take_exif, "xmp": found.take_xmp, "icc": found.take_icc}[kind](profile)
    found.dropped += rest_in_words(view[end:])
    blocks = found.blocks()
    single = {kind: payload for kind, payload in blocks.others if kind in _ONCE}
    return replace(blocks, described=by_chunks(single, bits=view[24]))


def _take(found: Gathered, raw: list[tuple[str, bytes]], kind: str, payload: bytes, inflate: _Inflater) -> None:
    if kind == "eXIf":
        found.take_exif(payload)
    elif kind == "iCCP":
        try:
            found.take_icc(inflate(payload[payload.index(b"\0") + 2 :]))
        except ValueError:
            found.dropped.append(DAMAGED_ICC)
    elif kind in _TEXT:
        _take_text(found, raw, kind, payload, inflate)
    elif (
        kind[3].isupper() and kind not in _ONCE
    ):  # the specification's own sign that a chunk is void once pixels change
        found.dropped.append(f"{kind} chunk, which depends on the pixels")
    else:
        found.others.append((kind, payload))


def _take_text(found: Gathered, raw: list[tuple[str, bytes]], kind: str, payload: bytes, inflate: _Inflater) -> None:
    """Take a text chunk: as XMP, as a raw profile with EXIF, XMP or Photoshop resources, else as what it is."""
    keyword = _keyword(payload)
    profile = keyword.removeprefix(_RAW_PROFILE).lower() if keyword.startswith(_RAW_PROFILE) else ""
    try:
        if keyword == _XMP_KEYWORD:
            found.take_xmp(_text(kind, payload, inflate))
            return
        if profile in _RAW_ICC:
            raw.append(("icc", _raw_profile(_text(kind, payload, inflate))))
            return
        if profile in _RAW_EXIF + _RAW_XMP:
            block = _raw_profile(_text(kind, payload, inflate))
            if profile in _RAW_EXIF and block.startswith((b"Exif\0\0", b"II", b"MM")):
                raw.append(("exif", block))
            elif profile in _RAW_XMP:  # with or without the identifier it has in a JPEG
                raw.append(("xmp", block[block.index(b"<") :]))
            else:
                raise FormatError("neither EXIF nor XMP")
            return
        if profile in _RAW_PHOTOSHOP:
            text = _text(kind, payload, inflate)
            resources = _raw_profile(text)
            kept = without_thumbnails(resources)
            if kept != resources:
                found.dropped.append(OLD_THUMBNAIL)
                head = f"{keyword}\0\n{profile}\n{len(kept):8d}\n".encode("latin-1")
                found.others.append(("tEXt", head + re.sub(b"(.{72})", rb"\1\n", kept.hex().encode()) + b"\n"))
                return
    except ValueError:
        found.dropped.append(f"damaged {keyword}")
        return
    found.others.append((kind, payload))


def with_blocks(view: memoryview, blocks: Blocks) -> bytes:
    """Return the PNG with other metadata; see `container.with_blocks`."""
    place, end = 0, 0
    edits = []
    for chunk in chunks_of(view):
        end = chunk.end
        if chunk.kind == "IHDR":
            place = chunk.end
        if not _is_coding(chunk.kind):
            edits.append((chunk.start, chunk.end, b""))
    written = []
    if blocks.icc is not None:
        written.append(as_chunk("iCCP", b"ICC Profile\0\0" + zlib.compress(blocks.icc)))
    if blocks.exif is not None:
        written.append(as_chunk("eXIf", blocks.exif))
    for name, payload in blocks.others:
        if not re.fullmatch(r"[a-z][A-Za-z]{3}", name) or _is_coding(name):
            raise FormatError(f"a PNG has no place for the block {name}")
        if name == "sRGB" and blocks.icc is not None:  # a PNG says one or the other
            continue
        written.append(as_chunk(name, payload))
    if blocks.xmp is not None:
        written.append(_xmp_chunk(blocks.xmp))
    # Right behind the header is before PLTE and IDAT, where all of them may stand.
    return b"".join(edited(view, [(place, place, b"".join(written)), *edits, (end, len(view), b"")]))


def with_xmp(view: memoryview, xmp: bytes | None) -> bytes:
    """Return the PNG with another XMP packet; see `container.with_xmp`."""
    place = (0, 0)
    edits: list[tuple[int, int, bytes]] = []
    held: list[Chunk] = []
    for chunk in chunks_of(view):
        if chunk.kind == "IHDR":
            place = (chunk.end, chunk.end)
        elif chunk.kind in _HELD_TO_THEIR_PLACE:
            held.append(chunk)
        elif chunk.kind in _TEXT and _is_xmp(chunk):
            edits.append((chunk.start, chunk.end, b""))
    held_void = [(chunk.start, chunk.end, b"") for chunk in held if edits and chunk.start < edits[-1][0]]
    if xmp is not None:
        if edits:
            place = edits.pop(0)[:2]
        edits.append((*place, _xmp_chunk(xmp)))
    return b"".join(edited(view, edits + held_void))


def chunks_of(view: memoryview) -> Iterator[Chunk]:
    """Yield all chunks from the first to IEND; raises `FormatError` when they do not make up a PNG."""
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
        if not met and kind not in ("IHDR", "CgBI"):  # the latter begins the PNGs inside apps for iPhones
            raise FormatError("the PNG does not begin with its header")
        count += 1
        if count > MOST_BLOCKS:
            raise FormatError("the PNG consists of too many chunks")
        met.add(kind)
        yield Chunk(kind, at, end, view[at + 8 : end - 4])
        at = end
    if not {"IHDR", "IDAT"} <= met:
        raise FormatError("the PNG holds no picture")


def _is_coding(kind: str) -> bool:
    return kind[0].isupper() or kind in _CODING


def is_intact(view: memoryview, chunk: Chunk) -> bool:
    """Return whether a chunk's checksum is right."""
    return zlib.crc32(view[chunk.start + 4 : chunk.end - 4]) == int.from_bytes(view[chunk.end - 4 : chunk.end], "big")


def _keyword(payload: bytes | memoryview) -> str:
    head, separator, _ = bytes(payload[:80]).partition(b"\0")
    return head.decode("latin-1") if separator else ""


def _text(kind: str, payload: bytes, inflate: _Inflater) -> bytes:
    """Return the text of a text chunk, unpacked but not decoded; raises `ValueError` for a malformed one."""
    start = payload.index(b"\0") + 1
    if kind == "tEXt":
        return payload[start:]
    if kind == "zTXt":
        return inflate(payload[start + 1 :])
    compressed = payload[start : start + 1] == b"\x01"
    language_end = payload.index(b"\0", start + 2)
    start = payload.index(b"\0", language_end + 1) + 1
    return inflate(payload[start:]) if compressed else payload[start:]


def _raw_profile(text: bytes) -> bytes:
    """Return what ImageMagick wrote as name, length and hexadecimal digits."""
    _, length, digits = text.strip().split(maxsplit=2)
    block = bytes.fromhex(digits.decode("ascii"))
    if len(block) != int(length):
        raise FormatError("a raw profile of the wrong length")
    return block


def _is_xmp(chunk: Chunk) -> bool:
    """Return whether a text chunk holds XMP in the form of today or in ImageMagick's older one."""
    return _keyword(chunk.payload) in (_XMP_KEYWORD, _RAW_PROFILE + "xmp")


def as_chunk(kind: str, payload: bytes) -> bytes:
    """Return a chunk with its length and checksum; raises `FormatError` where it would be too long."""
    if len(payload) >= 1 << 31:
        raise FormatError(f"the {kind} chunk is too long for a PNG: {len(payload):,} bytes")
    named = kind.encode("ascii") + payload
    return struct.pack(">I", len(payload)) + named + struct.pack(">I", zlib.crc32(named))


def _xmp_chunk(xmp: bytes) -> bytes:
    return as_chunk("iTXt", _XMP_KEYWORD.encode("ascii") + b"\0\0\0\0\0" + xmp)
