"""The metadata boxes of a JPEG XL file.

Follows ISO/IEC 18181-2. The colour profile is part of the codestream, not of the boxes. A file that was packed from a JPEG
keeps the data to rebuild it. If EXIF or XMP change, the rebuilt JPEG changes too.
"""

from __future__ import annotations

from typing import NamedTuple

from deepdream_core.photo.container.blocks import (
    GAIN_MAP,
    LONGEST_INFLATED,
    MOST_BLOCKS,
    Blocks,
    Gathered,
    credentials_in_words,
    edited,
)
from deepdream_core.photo.container.boxes import box_at
from deepdream_core.photo.formats import FormatError

_NAKED = b"\xff\x0a"
_SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
_FILE_TYPE = b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
_CODESTREAM = frozenset({b"jxlc", b"jxlp"})
_CODING = _CODESTREAM | {b"JXL ", b"ftyp", b"jxll", b"jxli", b"jbrd"}
_NO_ROOM = frozenset({b"Exif", b"xml ", b"jumb", b"jhgm"}) | _CODING
_COST_OF_A_BOX = 1 << 16  # counts as unpacked data, which limits the number of small boxes


class _Box(NamedTuple):
    """A box: its four-letter name, or that of its content if `compressed`, and its extent."""

    name: bytes
    compressed: bool
    start: int
    body: int
    end: int


class _Unpacker:
    """Returns the content of boxes, with a limit on what one file unpacks to."""

    def __init__(self) -> None:
        self._left = LONGEST_INFLATED

    def __call__(self, view: memoryview, box: _Box) -> bytes:
        """Return a box's content, unpacked if this module knows its name.

        Raises `ValueError` for damaged data, past the limit, and if the decoder is not installed.
        """
        content = bytes(view[box.body : box.end])
        if not (box.compressed and box.name in _NO_ROOM):
            return content
        if not self._left:
            raise FormatError("too long")
        room, self._left = self._left, max(0, self._left - _COST_OF_A_BOX)
        try:
            from imagecodecs import brotli_decode

            content = bytes(brotli_decode(content[4:], out=room))
        except ImportError:
            raise FormatError("imagecodecs is not installed") from None
        except Exception:  # the exception's class only exists if the decoder does
            raise FormatError("damaged or too long") from None
        self._left = max(0, self._left - len(content))
        return content


def blocks_of(view: memoryview) -> Blocks:
    """Return the metadata of a JPEG XL file; see `container.blocks_of`."""
    found = Gathered()
    unpack = _Unpacker()
    for box in _boxes(view):
        if box.name in _CODING:
            continue
        try:
            content = unpack(view, box)
        except FormatError as error:
            found.dropped.append(f"compressed {box.name.decode('latin-1').strip()} box ({error})")
            continue
        if box.name == b"Exif":
            start = 4 + int.from_bytes(content[:4], "big")
            found.take_exif(content[start:] or content)  # some encoders omit where the block begins
        elif box.name == b"xml " and _is_xmp(content):
            found.take_xmp(content)
        elif box.name == b"jumb":
            found.dropped.append(credentials_in_words(content))
        elif box.name == b"jhgm":
            found.dropped.append(GAIN_MAP)
        else:
            name = b"brob" if box.compressed and box.name not in _NO_ROOM else box.name
            found.others.append((name.decode("latin-1"), content))
    return found.blocks()


def with_blocks(view: memoryview, blocks: Blocks) -> bytes:
    """Return the JPEG XL with other metadata; see `container.with_blocks`."""
    written = []
    if blocks.exif is not None:
        written.append(_box(b"Exif", bytes(4) + blocks.exif))
    if blocks.xmp is not None:
        written.append(_box(b"xml ", blocks.xmp))
    for name, payload in blocks.others:
        letters = name.encode("latin-1", "replace")
        if len(letters) != 4 or letters in _NO_ROOM - {b"xml "}:
            raise FormatError(f"a JPEG XL has no place for the block {name}")
        written.append(_box(letters, payload))
    if view[:2] == _NAKED:
        return _wrapped(view, written)
    boxes = _boxes(view)
    cuts = [(box.start, box.end, b"") for box in boxes if box.name not in _CODING]
    return b"".join(edited(view, [(_place(boxes), _place(boxes), b"".join(written)), *cuts]))


def with_xmp(view: memoryview, xmp: bytes | None) -> bytes:
    """Return the JPEG XL with another XMP packet; see `container.with_xmp`."""
    written = [] if xmp is None else [_box(b"xml ", xmp)]
    if view[:2] == _NAKED:
        return _wrapped(view, written)
    boxes = _boxes(view)
    place = _place(boxes)
    unpack = _Unpacker()
    edits = [(box.start, box.end, b"") for box in boxes if box.name == b"xml " and _holds_xmp(unpack, view, box)]
    if xmp is not None:
        start, end, _ = edits.pop(0) if edits else (place, place, b"")
        edits.append((start, end, written[0]))
    return b"".join(edited(view, edits))


def _wrapped(view: memoryview, written: list[bytes]) -> bytes:
    if not written:
        return bytes(view)
    header = (len(view) + 8).to_bytes(4, "big") + b"jxlc"
    if len(view) + 8 >= 1 << 32:
        header = b"\0\0\0\x01jxlc" + (len(view) + 16).to_bytes(8, "big")
    return b"".join([_SIGNATURE, _FILE_TYPE, *written, header, view])


def _boxes(view: memoryview) -> list[_Box]:
    """Return all boxes, none for a bare codestream; raises `ValueError` if they are not a JPEG XL."""
    if view[:2] == _NAKED:
        return []
    if view[:12] != _SIGNATURE:
        raise FormatError("not a JPEG XL file")
    boxes: list[_Box] = []
    at = 0
    while at < len(view):
        name, body, end = box_at(view, at)
        compressed = name == b"brob"
        if end > len(view) or body + 4 * compressed > end:
            raise FormatError("the JPEG XL is truncated or damaged")
        if compressed:
            name = bytes(view[body : body + 4])
            if name in _CODING:
                raise FormatError("the JPEG XL is damaged")
        boxes.append(_Box(name, compressed, at, body, end))
        if len(boxes) > MOST_BLOCKS:
            raise FormatError("the JPEG XL consists of too many boxes")
        at = end
    if not any(box.name in _CODESTREAM for box in boxes):
        raise FormatError("the JPEG XL holds no picture")
    return boxes


def _place(boxes: list[_Box]) -> int:
    """Return where metadata go: before the picture, after what must come first."""
    return next(box.start for box in boxes if box.name in _CODESTREAM | {b"jbrd", b"jxli"})


def _is_xmp(xml: bytes) -> bool:
    """Return whether an `xml ` box holds XMP and not other XML; XMP is RDF with or without `x:xmpmeta`."""
    return b"adobe:ns:meta/" in xml or b"1999/02/22-rdf-syntax-ns#" in xml


def _holds_xmp(unpack: _Unpacker, view: memoryview, box: _Box) -> bool:
    try:
        return _is_xmp(unpack(view, box))
    except ValueError:  # unknown, but probably XMP, and two packets would contradict each other
        return True


def _box(name: bytes, payload: bytes) -> bytes:
    if len(payload) + 8 >= 1 << 32:
        raise FormatError(f"a block of {len(payload):,} bytes is too long for a JPEG XL")
    return (len(payload) + 8).to_bytes(4, "big") + name + payload
