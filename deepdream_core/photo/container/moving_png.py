"""The frames of an animated PNG; follows PNG, third edition (W3C, 2025), 11.3.6."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from deepdream_core.photo.container.blocks import MOST_BLOCKS
from deepdream_core.photo.container.moving import Disposal, Moving, Stored
from deepdream_core.photo.container.png_chunks import SIGNATURE, as_chunk, chunks_of, is_intact
from deepdream_core.photo.formats import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DISPOSALS: tuple[Disposal, ...] = ("keep", "clear", "restore")
_CONTROL = struct.Struct(">IIIIIHHBB")
_MOST = 65_535


@dataclass
class _Parts:
    """The parts of an animated PNG while its chunks are being read."""

    header: bytes = b""
    shared: list[tuple[str, bytes]] = field(default_factory=list)
    announced: int = 0
    plays: int = 0
    still: list[memoryview] = field(default_factory=list)
    still_is_first: bool = False
    controls: list[tuple[int, ...]] = field(default_factory=list)
    data: list[list[memoryview]] = field(default_factory=list)


def moving_of(view: memoryview) -> Moving | None:
    """Return the animation of a PNG file, None for a still one; raises `FormatError` for one that breaks the rules."""
    parts = _parts(view)
    if not parts.announced:
        return None
    width, height = struct.unpack_from(">II", parts.header)
    still = None if parts.still_is_first else _file(parts, (width, height), parts.still)
    if parts.still_is_first:
        parts.data[0] = parts.still
    if len(parts.controls) < parts.announced or not all(parts.data[: parts.announced]):
        raise FormatError("the animated PNG is truncated")
    frames = []
    for control, data in zip(parts.controls[: parts.announced], parts.data, strict=False):
        _, across, down, left, top, above, below, disposal, over = control
        if not (across and down and left + across <= width and top + down <= height and disposal < 3 and over < 2):
            raise FormatError("the animated PNG has a wrong frame")
        duration = float(Fraction(above * 1000, below or 100))
        place = (left, top, across, down)
        frames.append(Stored(*place, duration, _DISPOSALS[disposal], bool(over), _file(parts, (across, down), data)))
    return Moving(width, height, parts.plays, tuple(frames), still)


def _parts(view: memoryview) -> _Parts:
    parts = _Parts()
    number = 0
    for chunk in chunks_of(view):
        kind, payload = chunk.kind, chunk.payload
        if parts.announced and kind in ("IDAT", "fcTL", "fdAT") and not is_intact(view, chunk):
            raise FormatError(f"damaged {kind} chunk")
        if kind == "IHDR":
            parts.header = bytes(payload)
        elif kind in ("PLTE", "tRNS") and not parts.still:
            parts.shared.append((kind, bytes(payload)))
        elif kind == "acTL" and not parts.still and len(payload) == 8:
            parts.announced, parts.plays = struct.unpack(">II", payload)
        elif kind == "IDAT":
            parts.still_is_first = parts.still_is_first or (not parts.still and bool(parts.controls))
            parts.still.append(payload)
        elif kind in ("fcTL", "fdAT") and parts.announced:
            if int.from_bytes(payload[:4], "big") != number or (kind == "fcTL" and len(payload) != _CONTROL.size):
                raise FormatError("the animated PNG has its frames in the wrong order")
            number += 1
            if kind == "fcTL":
                parts.controls.append(_CONTROL.unpack(payload))
                parts.data.append([])
            elif parts.data:
                parts.data[-1].append(payload[4:])
    if len(parts.header) != 13 or parts.announced > MOST_BLOCKS:
        raise FormatError("the PNG's header is damaged")
    return parts


def _file(parts: _Parts, size: tuple[int, int], data: list[memoryview]) -> bytes:
    pieces = [as_chunk("IHDR", struct.pack(">II", *size) + parts.header[8:])]
    pieces += [as_chunk(kind, payload) for kind, payload in parts.shared]
    return b"".join([SIGNATURE, *pieces, as_chunk("IDAT", b"".join(data)), as_chunk("IEND", b"")])


def file_of(moving: Moving) -> bytes:
    """Return the animated PNG; its frames' files have the same colours and depth, and no palette."""
    files = [frame.file for frame in moving.frames]
    first = moving.still if moving.still is not None else files[0]
    header = next(bytes(payload) for kind, _, _, payload in chunks_of(memoryview(first)) if kind == "IHDR")
    canvas = struct.pack(">II", moving.width, moving.height) + header[8:]
    pieces = [SIGNATURE, as_chunk("IHDR", canvas), as_chunk("acTL", struct.pack(">II", len(files), moving.plays))]
    number = 0
    if moving.still is not None:
        pieces += [as_chunk("IDAT", bytes(data)) for data in _packed(moving.still)]
    for frame in moving.frames:
        above, below = _fraction(frame.duration_ms)
        place = (frame.width, frame.height, frame.left, frame.top)
        blending = (_DISPOSALS.index(frame.dispose), int(frame.over))
        pieces.append(as_chunk("fcTL", _CONTROL.pack(number, *place, above, below, *blending)))
        number += 1
        is_still_too = number == 1 and moving.still is None
        for data in _packed(frame.file):
            if is_still_too:
                pieces.append(as_chunk("IDAT", bytes(data)))
            else:
                pieces.append(as_chunk("fdAT", struct.pack(">I", number) + bytes(data)))
                number += 1
    return b"".join([*pieces, as_chunk("IEND", b"")])


def _packed(file: bytes) -> Iterator[memoryview]:
    return (payload for kind, _, _, payload in chunks_of(memoryview(file)) if kind == "IDAT")


def _fraction(duration_ms: float) -> tuple[int, int]:
    """Return a time as two numbers of 16 bits, in seconds."""
    seconds = min(duration_ms / 1000, float(_MOST))
    near = Fraction(seconds).limit_denominator(min(_MOST, int(_MOST / seconds)) if seconds > 1 else _MOST)
    return near.numerator, near.denominator
