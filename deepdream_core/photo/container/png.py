"""The metadata chunks of a PNG file, still or animated.

Follows the PNG specification, third edition; raw profiles are as ImageMagick writes them.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace

from deepdream_core.photo.colour_tags import by_chunks
from deepdream_core.photo.container.blocks import (
    CREDENTIALS,
    DAMAGED_ICC,
    GAIN_MAP,
    OLD_THUMBNAIL,
    Blocks,
    Gathered,
    edited,
    rest_in_words,
)
from deepdream_core.photo.container.photoshop import without_thumbnails
from deepdream_core.photo.container.png_chunks import SIGNATURE, Chunk, as_chunk, chunks_of, is_intact
from deepdream_core.photo.container.png_text import TEXTS, Inflater, content_of, keyword_of
from deepdream_core.photo.formats import FormatError

_INCH = 0.0254  # metres
_XMP_KEYWORD = "XML:com.adobe.xmp"
_RAW_PROFILE = "Raw profile type "
_RAW_EXIF, _RAW_XMP, _RAW_PHOTOSHOP, _RAW_ICC = ("exif", "app1"), ("xmp", "app1"), ("8bim", "iptc"), ("icc", "icm")

_CODING = frozenset({"tRNS", "sBIT", "bKGD", "hIST", "sPLT", "acTL", "fcTL", "fdAT"})
_ONCE = frozenset({"pHYs", "gAMA", "cHRM", "sRGB", "cICP", "mDCV", "cLLI", "tIME", "oFFs", "pCAL", "sCAL", "sTER"})
_DROPPED = {"caBX": CREDENTIALS, "gmAP": GAIN_MAP, "gdAT": GAIN_MAP, "dSIG": "digital signature"}
_POSITIONAL = frozenset({"iDOT"})  # Apple's, holds positions of pixel data in the file; readers do not need it


def resolution_block(across: float, down: float) -> tuple[str, bytes]:
    """Return a resolution in pixels per inch as an entry of `Blocks.others` (11.3.4.3)."""
    return "pHYs", struct.pack(">IIB", round(across / _INCH), round(down / _INCH), 1)


def resolution_of(blocks: Blocks) -> tuple[float, float] | None:
    """Return the resolution in pixels per inch, None if there is none or only the shape of pixels."""
    for kind, content in blocks.others:
        if kind == "pHYs":
            across, down, unit = struct.unpack(">IIB", content)
            return (across * _INCH, down * _INCH) if unit == 1 else None
    return None


def blocks_of(view: memoryview) -> Blocks:
    """Return the metadata of a PNG file; see `container.blocks_of`."""
    found = Gathered()
    inflate = Inflater()
    raw: list[tuple[str, bytes]] = []
    end = len(SIGNATURE)
    seen: set[str] = set()
    for chunk in chunks_of(view):
        end = chunk.end
        if chunk.kind in _POSITIONAL or _is_coding(chunk.kind):
            continue
        if not is_intact(view, chunk):
            found.dropped.append(f"damaged {chunk.kind} chunk")
        elif words := _DROPPED.get(chunk.kind):
            found.dropped.append(words)
        elif chunk.kind in _ONCE and chunk.kind in seen:
            if (chunk.kind, bytes(chunk.payload)) not in found.others:
                found.dropped.append(f"second {chunk.kind} chunk")
        else:
            seen.add(chunk.kind)
            _take(found, raw, chunk.kind, bytes(chunk.payload), inflate)
    for kind, profile in raw:  # the chunks of today count before the older form
        {"exif": found.take_exif, "xmp": found.take_xmp, "icc": found.take_icc}[kind](profile)
    found.dropped += rest_in_words(view[end:])
    blocks = found.blocks()
    single = {kind: payload for kind, payload in blocks.others if kind in _ONCE}
    return replace(blocks, described=by_chunks(single, bits=view[24]))


def _take(found: Gathered, raw: list[tuple[str, bytes]], kind: str, payload: bytes, inflate: Inflater) -> None:
    if kind == "eXIf":
        found.take_exif(payload)
    elif kind == "iCCP":
        try:
            found.take_icc(inflate(payload[payload.index(b"\0") + 2 :]))
        except ValueError:
            found.dropped.append(DAMAGED_ICC)
    elif kind in TEXTS:
        _take_text(found, raw, kind, payload, inflate)
    elif kind[3].isupper() and kind not in _ONCE:  # the specification's sign that a chunk is void once pixels change
        found.dropped.append(f"{kind} chunk, which depends on the pixels")
    else:
        found.others.append((kind, payload))


def _take_text(found: Gathered, raw: list[tuple[str, bytes]], kind: str, payload: bytes, inflate: Inflater) -> None:
    """Take a text chunk: as XMP, as a raw profile with EXIF, XMP or Photoshop resources, or as text."""
    keyword = keyword_of(payload)
    profile = keyword.removeprefix(_RAW_PROFILE).lower() if keyword.startswith(_RAW_PROFILE) else ""
    try:
        if keyword == _XMP_KEYWORD:
            found.take_xmp(content_of(kind, payload, inflate))
            return
        if profile in _RAW_ICC:
            raw.append(("icc", _raw_profile(content_of(kind, payload, inflate))))
            return
        if profile in _RAW_EXIF + _RAW_XMP:
            block = _raw_profile(content_of(kind, payload, inflate))
            if profile in _RAW_EXIF and block.startswith((b"Exif\0\0", b"II", b"MM")):
                raw.append(("exif", block))
            elif profile in _RAW_XMP:  # with or without the identifier from a JPEG
                raw.append(("xmp", block[block.index(b"<") :]))
            else:
                raise FormatError("neither EXIF nor XMP")
            return
        if profile in _RAW_PHOTOSHOP:
            text = content_of(kind, payload, inflate)
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
        if name == "sRGB" and blocks.icc is not None:  # a PNG has either
            continue
        written.append(as_chunk(name, payload))
    if blocks.xmp is not None:
        written.append(_xmp_chunk(blocks.xmp))
    # Right after the header is before PLTE and IDAT, where all of them may be.
    return b"".join(edited(view, [(place, place, b"".join(written)), *edits, (end, len(view), b"")]))


def with_xmp(view: memoryview, xmp: bytes | None) -> bytes:
    """Return the PNG with another XMP packet; see `container.with_xmp`."""
    place = (0, 0)
    edits: list[tuple[int, int, bytes]] = []
    positional: list[Chunk] = []
    for chunk in chunks_of(view):
        if chunk.kind == "IHDR":
            place = (chunk.end, chunk.end)
        elif chunk.kind in _POSITIONAL:
            positional.append(chunk)
        elif chunk.kind in TEXTS and _is_xmp(chunk):
            edits.append((chunk.start, chunk.end, b""))
    void = [(chunk.start, chunk.end, b"") for chunk in positional if edits and chunk.start < edits[-1][0]]
    if xmp is not None:
        if edits:
            place = edits.pop(0)[:2]
        edits.append((*place, _xmp_chunk(xmp)))
    return b"".join(edited(view, edits + void))


def _is_coding(kind: str) -> bool:
    return kind[0].isupper() or kind in _CODING


def _raw_profile(text: bytes) -> bytes:
    """Return the block that ImageMagick wrote as name, length and hexadecimal digits."""
    _, length, digits = text.strip().split(maxsplit=2)
    block = bytes.fromhex(digits.decode("ascii"))
    if len(block) != int(length):
        raise FormatError("a raw profile with a wrong length")
    return block


def _is_xmp(chunk: Chunk) -> bool:
    """Return whether a text chunk holds XMP, in today's form or in ImageMagick's older one."""
    return keyword_of(chunk.payload) in (_XMP_KEYWORD, _RAW_PROFILE + "xmp")


def _xmp_chunk(xmp: bytes) -> bytes:
    return as_chunk("iTXt", _XMP_KEYWORD.encode("ascii") + b"\0\0\0\0\0" + xmp)
