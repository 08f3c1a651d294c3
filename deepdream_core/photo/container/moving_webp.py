"""The frames of an animated WebP; follows RFC 9649, 2.7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_core.photo.container.moving import Disposal, Moving, Stored
from deepdream_core.photo.container.webp import Chunk, chunks_of, extended_header, written_file
from deepdream_core.photo.formats import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALPHA, _ANIMATED = 0x10, 0x02
_CLEAR, _REPLACE = 1, 2
_CODED = frozenset({b"VP8 ", b"VP8L", b"ALPH"})
_HEAD = 16
_LONGEST_MS = (1 << 24) - 1


def moving_of(view: memoryview) -> Moving | None:
    """Return the animation of a WebP file, None for a still one; raises `FormatError` for a damaged one."""
    own = chunks_of(view)[0]
    stored = tuple(_stored(memoryview(chunk.payload)) for chunk in own if chunk.name == b"ANMF")
    if not stored:
        return None
    header, control = (
        next((bytes(chunk.payload) for chunk in own if chunk.name == name), b"") for name in (b"VP8X", b"ANIM")
    )
    if len(header) < 10:
        raise FormatError("the WebP's header is damaged")
    width, height = _number(header[4:7]) + 1, _number(header[7:10]) + 1
    if any(frame.left + frame.width > width or frame.top + frame.height > height for frame in stored):
        raise FormatError("the WebP has a wrong frame")
    return Moving(width, height, _number(control[4:6]), stored)


def _stored(payload: memoryview) -> Stored:
    if len(payload) < _HEAD:
        raise FormatError("the WebP has a damaged frame")
    left, top, across, down, duration = (_number(payload[at : at + 3]) for at in range(0, 15, 3))
    flags = payload[15]
    coded = [chunk for chunk in _within(payload[_HEAD:]) if chunk.name in _CODED]
    file = written_file(coded, b"")
    dispose: Disposal = "clear" if flags & _CLEAR else "keep"
    return Stored(2 * left, 2 * top, across + 1, down + 1, duration, dispose, not flags & _REPLACE, file)


def _within(payload: memoryview) -> list[Chunk]:
    size = (len(payload) + 4).to_bytes(4, "little")
    return chunks_of(memoryview(b"".join([b"RIFF", size, b"WEBP", payload])))[0]


def file_of(moving: Moving) -> bytes:
    """Return the animated WebP, whose frames must have even positions."""
    parts: list[Chunk] = []
    alpha = 0
    for frame in moving.frames:
        coded = [chunk for chunk in chunks_of(memoryview(frame.file))[0] if chunk.name in _CODED]
        alpha |= extended_header(coded)[0] & _ALPHA
        place = (frame.left // 2, frame.top // 2, frame.width - 1, frame.height - 1)
        numbers = (*place, min(round(frame.duration_ms), _LONGEST_MS))
        head = b"".join(number.to_bytes(3, "little") for number in numbers)
        flags = (_CLEAR if frame.dispose == "clear" else 0) | (0 if frame.over else _REPLACE)
        parts.append(Chunk(b"ANMF", b"".join([head, bytes([flags]), *_as_stored(coded)])))
    header = bytes([_ANIMATED | alpha, 0, 0, 0])
    header += (moving.width - 1).to_bytes(3, "little") + (moving.height - 1).to_bytes(3, "little")
    control = bytes(4) + min(moving.plays, 65_535).to_bytes(2, "little")
    return written_file([Chunk(b"VP8X", header), Chunk(b"ANIM", control), *parts], b"")


def _as_stored(coded: list[Chunk]) -> Iterator[bytes | memoryview]:
    for name, payload in coded:
        yield from (name, len(payload).to_bytes(4, "little"), payload, bytes(len(payload) % 2))


def _number(data: bytes | memoryview) -> int:
    return int.from_bytes(data, "little")
