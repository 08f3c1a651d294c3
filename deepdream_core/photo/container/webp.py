"""The metadata chunks of a WebP file, still or animated; follows RFC 9649."""

from __future__ import annotations

from typing import NamedTuple

from deepdream_core.photo.container.blocks import CREDENTIALS, MOST_BLOCKS, Blocks, Gathered, rest_in_words
from deepdream_core.photo.formats import FormatError

_PICTURE = frozenset({b"VP8 ", b"VP8L", b"ANMF"})
_CODING = _PICTURE | {b"VP8X", b"ALPH", b"ANIM"}
_NAMED = frozenset({b"ICCP", b"EXIF", b"XMP "})
_ICC_FLAG, _ALPHA_FLAG, _EXIF_FLAG, _XMP_FLAG = 0x20, 0x10, 0x08, 0x04
_LONGEST = (1 << 32) - 10


class Chunk(NamedTuple):
    """A chunk: its four-letter name and its payload."""

    name: bytes
    payload: bytes | memoryview


def blocks_of(view: memoryview) -> Blocks:
    """Return the metadata of a WebP file; see `container.blocks_of`."""
    chunks, end = chunks_of(view)
    found = Gathered()
    for name, content in chunks:
        if name in _CODING:
            continue
        payload = bytes(content)
        if name == b"ICCP":
            found.take_icc(payload)
        elif name == b"EXIF":
            found.take_exif(payload)
        elif name == b"XMP ":
            found.take_xmp(payload)
        elif name == b"C2PA":
            found.dropped.append(CREDENTIALS)
        else:
            found.others.append((name.decode("latin-1"), payload))
    found.dropped += rest_in_words(view[end:])
    return found.blocks()


def with_blocks(view: memoryview, blocks: Blocks) -> bytes:
    """Return the WebP with other metadata; see `container.with_blocks`."""
    chunks = [chunk for chunk in chunks_of(view)[0] if chunk.name in _CODING]
    if blocks.icc is not None:  # the specification requires it before the picture, the others after it
        extended = int(chunks[0].name == b"VP8X")
        chunks.insert(extended, Chunk(b"ICCP", blocks.icc))
    if blocks.exif is not None:
        chunks.append(Chunk(b"EXIF", blocks.exif))
    if blocks.xmp is not None:
        chunks.append(Chunk(b"XMP ", blocks.xmp))
    for name, payload in blocks.others:
        letters = name.encode("latin-1", "replace")
        if len(letters) != 4 or letters in _CODING | _NAMED:
            raise FormatError(f"a WebP has no place for the block {name}")
        chunks.append(Chunk(letters, payload))
    return written_file(chunks, b"")


def with_xmp(view: memoryview, xmp: bytes | None) -> bytes:
    """Return the WebP with another XMP packet; see `container.with_xmp`."""
    chunks, end = chunks_of(view)
    kept = [chunk for chunk in chunks if chunk.name != b"XMP "]
    if xmp is not None:
        names = [chunk.name for chunk in chunks]
        place = names.index(b"XMP ") if b"XMP " in names else len(kept)
        kept.insert(place, Chunk(b"XMP ", xmp))
    return written_file(kept, view[end:])


def chunks_of(view: memoryview) -> tuple[list[Chunk], int]:
    """Return all chunks and the position of their end; raises `ValueError` if they are not a WebP."""
    if len(view) < 12 or bytes(view[:4]) != b"RIFF" or bytes(view[8:12]) != b"WEBP":
        raise FormatError("not a WebP file")
    end = 8 + int.from_bytes(view[4:8], "little")
    if end > len(view):
        raise FormatError("the WebP is truncated")
    chunks: list[Chunk] = []
    at = 12
    while at + 8 <= end:
        length = int.from_bytes(view[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise FormatError("the WebP is truncated or damaged in a chunk")
        chunks.append(Chunk(bytes(view[at : at + 4]), view[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
        if len(chunks) > MOST_BLOCKS:
            raise FormatError("the WebP consists of too many chunks")
    if not any(chunk.name in _PICTURE for chunk in chunks):
        raise FormatError("the WebP holds no picture")
    if any(chunk.name == b"VP8X" for chunk in chunks[1:]):
        raise FormatError("the WebP's header is not at its beginning")
    return chunks, min(len(view), end + end % 2)


def written_file(chunks: list[Chunk], rest: bytes | memoryview) -> bytes:
    """Return the file of these chunks, with the header that metadata need and its flags for them."""
    names = {chunk.name for chunk in chunks}
    if chunks[0].name == b"VP8X":
        header = bytes(chunks.pop(0).payload)
        if len(header) < 10:
            raise FormatError("the WebP's header is damaged")
    elif names <= _PICTURE:
        header = b""
    else:
        header = extended_header(chunks)
    if header:
        flags = header[0] & ~(_ICC_FLAG | _EXIF_FLAG | _XMP_FLAG)
        flags |= _ICC_FLAG * (b"ICCP" in names) | _EXIF_FLAG * (b"EXIF" in names) | _XMP_FLAG * (b"XMP " in names)
        chunks.insert(0, Chunk(b"VP8X", bytes([flags]) + header[1:]))
    pieces: list[bytes | memoryview] = [b"RIFF", b"", b"WEBP"]
    size = 4
    for name, payload in chunks:
        pieces += [name, len(payload).to_bytes(4, "little"), payload, b"\0" * (len(payload) % 2)]
        size += 8 + len(payload) + len(payload) % 2
        if size > _LONGEST:
            raise FormatError("the metadata are too long for a WebP")
    pieces[1] = size.to_bytes(4, "little")
    return b"".join([*pieces, rest])


def extended_header(chunks: list[Chunk]) -> bytes:
    """Return the payload of a VP8X chunk for a file without one: canvas size and transparency, as the picture has them."""
    name, payload = next((chunk for chunk in chunks if chunk.name in _PICTURE), chunks[0])
    if name == b"VP8L" and len(payload) >= 5 and payload[0] == 0x2F:
        bits = int.from_bytes(payload[1:5], "little")
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    elif name == b"VP8 " and len(payload) >= 10 and payload[3:6] == b"\x9d\x01\x2a":
        width = int.from_bytes(payload[6:8], "little") & 0x3FFF
        height = int.from_bytes(payload[8:10], "little") & 0x3FFF
        alpha = any(chunk.name == b"ALPH" for chunk in chunks)
    else:
        raise FormatError("the WebP's picture is damaged")
    if not (width and height):
        raise FormatError("the WebP's picture is damaged")
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes([_ALPHA_FLAG * alpha, 0, 0, 0]) + canvas
