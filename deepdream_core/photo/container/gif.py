"""The metadata extensions of a GIF file, still or animated.

Follows the GIF89a specification, part 3 of the XMP specification, and ICC's "Embedding in GIF".
"""

from __future__ import annotations

from typing import NamedTuple

from deepdream_core.photo.container.blocks import CREDENTIALS, MOST_BLOCKS, Blocks, Gathered, edited, rest_in_words
from deepdream_core.photo.formats import FormatError

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_TEXT, _COMMENT, _APPLICATION = 0x01, 0xFE, 0xFF
_XMP_ID, _ICC_ID, _CREDENTIALS_ID = b"XMP DataXMP", b"ICCRGBG1012", b"C2PA_GIF"
_LOOPS = frozenset({b"NETSCAPE2.0", b"ANIMEXTS1.0"})
# A reader that parses the packet as sub-blocks lands somewhere in these, which lead it to the two zeros at the end.
_MAGIC_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"


class _Block(NamedTuple):
    """An extension or image: `kind` is "coding", "loop", "XMP", "ICC", "COM" or "APP"; sub-blocks begin at `body`."""

    kind: str
    start: int
    body: int
    end: int


def blocks_of(view: memoryview) -> Blocks:
    """Return the metadata of a GIF file; see `container.blocks_of`."""
    blocks, end = sections(view)
    found = Gathered()
    for block in blocks:
        if block.kind == "XMP":
            found.take_xmp(_packet(view, block))
        elif block.kind == "ICC":
            found.take_icc(_joined(view, block))
        elif block.kind == "COM":
            found.others.append(("COM", _joined(view, block)))
        elif block.kind == "APP":
            identifier = bytes(view[block.body - 11 : block.body])
            if identifier.startswith(_CREDENTIALS_ID):
                found.dropped.append(CREDENTIALS)
            else:
                found.others.append(("APP", identifier + _joined(view, block)))
        elif view[block.start] == _EXTENSION and view[block.start + 1] == _TEXT:
            found.dropped.append("text drawn over the picture")
    found.dropped += rest_in_words(view[end:])
    return found.blocks()


def with_blocks(view: memoryview, blocks: Blocks) -> bytes:
    """Return the GIF with other metadata; see `container.with_blocks`."""
    if blocks.exif is not None:
        raise FormatError("a GIF has no place for EXIF")
    own, end = sections(view)
    written = []
    if blocks.icc is not None:
        written.append(_application(_ICC_ID, blocks.icc))
    for name, payload in blocks.others:
        if name == "COM":
            written.append(bytes([_EXTENSION, _COMMENT]) + _parts(payload))
        elif name == "APP" and len(payload) >= 11:
            written.append(_application(payload[:11], payload[11:]))
        else:
            raise FormatError(f"a GIF has no place for the block {name}")
    if blocks.xmp is not None:
        written.append(_xmp_extension(blocks.xmp))
    cuts = [(block.start, block.end, b"") for block in own if block.kind not in ("coding", "loop")]
    place = _place(own)
    return _written(view, [(place, place, b"".join(written)), *cuts, (end, len(view), b"")])


def with_xmp(view: memoryview, xmp: bytes | None) -> bytes:
    """Return the GIF with another XMP packet; see `container.with_xmp`."""
    own, _ = sections(view)
    edits = [(block.start, block.end, b"") for block in own if block.kind == "XMP"]
    if xmp is not None:
        place = edits.pop(0)[:2] if edits else (_place(own), _place(own))
        edits.append((*place, _xmp_extension(xmp)))
    return _written(view, edits)


def sections(view: memoryview) -> tuple[list[_Block], int]:
    """Return all extensions and images, and the end of the picture; raises `ValueError` if they are not a GIF.

    Decoders accept a file without the end mark, but it may lack frames.
    """
    if len(view) < 13 or bytes(view[:6]) not in (b"GIF87a", b"GIF89a"):
        raise FormatError("not a GIF file")
    at = 13 + palette_length(view[10])
    blocks: list[_Block] = []
    pictured = False
    while at < len(view) and view[at] != _TRAILER:
        introducer = view[at]
        if introducer == _IMAGE and at + 10 < len(view):
            body = at + 11 + palette_length(view[at + 9])
            kind, pictured = "coding", True
        elif introducer == _EXTENSION and at + 2 < len(view):
            kind, body = _extension(view, at)
        else:  # skips padding and stray bytes, as decoders do
            at += 1
            continue
        end = _end_of_parts(view, body)
        blocks.append(_Block(kind, at, body, end))
        if len(blocks) > MOST_BLOCKS:
            raise FormatError("the GIF consists of too many blocks")
        at = end
    if at >= len(view):
        raise FormatError("the GIF is truncated")
    if not pictured:
        raise FormatError("the GIF holds no picture")
    return blocks, at + 1


def palette_length(flags: int) -> int:
    """Return the bytes of the palette that a header or an image descriptor announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _extension(view: memoryview, at: int) -> tuple[str, int]:
    """Return the kind of an extension and where its sub-blocks begin."""
    label = view[at + 1]
    if label == _COMMENT:
        return "COM", at + 2
    identifier = bytes(view[at + 3 : at + 14])
    if label != _APPLICATION or view[at + 2] != 11 or len(identifier) < 11:
        return "coding", at + 2
    if identifier in _LOOPS:
        return "loop", at + 14
    return {_XMP_ID: "XMP", _ICC_ID: "ICC"}.get(identifier, "APP"), at + 14


def _end_of_parts(view: memoryview, at: int) -> int:
    while at < len(view):
        length = view[at]
        at += 1 + length
        if not length:
            return at
    raise FormatError("the GIF is truncated")


def _joined(view: memoryview, block: _Block) -> bytes:
    pieces = []
    at = block.body
    while length := view[at]:
        pieces.append(view[at + 1 : at + 1 + length])
        at += 1 + length
    return b"".join(pieces)


def _packet(view: memoryview, block: _Block) -> bytes:
    """Return the packet, which precedes the magic trailer as it is; some writers split it into sub-blocks instead."""
    raw = bytes(view[block.body : block.end])
    return raw.removesuffix(_MAGIC_TRAILER) if raw.endswith(_MAGIC_TRAILER) else _joined(view, block)


def _parts(payload: bytes) -> bytes:
    parts = [payload[at : at + 255] for at in range(0, len(payload), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _application(identifier: bytes, payload: bytes) -> bytes:
    return bytes([_EXTENSION, _APPLICATION, 11]) + identifier + _parts(payload)


def _xmp_extension(xmp: bytes) -> bytes:
    if b"\0" in xmp:
        raise FormatError("a GIF has no place for an XMP packet that is not in UTF-8")
    return bytes([_EXTENSION, _APPLICATION, 11]) + _XMP_ID + xmp + _MAGIC_TRAILER


def _place(own: list[_Block]) -> int:
    """Return where metadata go: after the loop count, which some players expect first, and before the first frame."""
    return next((block.start for block in own if block.kind != "loop"), own[0].start)


def _written(view: memoryview, edits: list[tuple[int, int, bytes]]) -> bytes:
    pieces = edited(view, edits)
    if any(replacement for _, _, replacement in edits):  # GIF87a has no extensions
        pieces = [b"GIF89a", pieces[0][6:], *pieces[1:]]
    return b"".join(pieces)
