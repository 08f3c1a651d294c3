"""The frames of a GIF, even of a still one, because its picture may be smaller than its canvas; follows GIF89a."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deepdream_core.photo.container.gif import palette_length, sections
from deepdream_core.photo.container.moving import Disposal, Moving, Stored

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONTROL, _IMAGE, _TEXT, _TRAILER = b"\x21\xf9", 0x2C, b"\x21\x01", b"\x3b"
_LOCAL, _INTERLACED = 0x80, 0x40
_DISPOSALS: dict[int, Disposal] = {2: "clear", 3: "restore", 4: "restore"}
"""Some encoders write 4 for 3, and browsers read it so."""

_CODES: dict[Disposal, int] = {"keep": 1, "clear": 2, "restore": 3}
_LOOPS = b"\x21\xff\x0bNETSCAPE2.0\x03\x01"
_MOST = 65_535


def moving_of(view: memoryview) -> Moving:
    """Return the pictures of a GIF; the first may enlarge the canvas, later ones are cut off at its edges, as in browsers.

    Raises `FormatError` if the blocks are not a GIF.
    """
    width, height = struct.unpack_from("<HH", view, 6)
    shared = bytes(view[13 : 13 + palette_length(view[10])])
    frames: list[Stored] = []
    control: bytes | None = None
    plays = 1
    for section in sections(view)[0]:
        start, head = section.start, bytes(view[section.start : section.start + 2])
        if section.kind == "loop" and view[section.body] >= 3 and view[section.body + 1] & 7 == 1:
            again = int.from_bytes(view[section.body + 2 : section.body + 4], "little")
            plays = again and again + 1
        elif head == _CONTROL and view[start + 2] >= 4:
            control = bytes(view[start + 3 : start + 7])
        elif head == _TEXT:  # no program of today shows it, and its control block is not the next picture's
            control = None
        elif view[start] == _IMAGE:
            left, top, across, down = struct.unpack_from("<HHHH", view, start + 1)
            flags, time = (control[0], int.from_bytes(control[1:3], "little")) if control else (0, 0)
            flagged = view[start + 9]
            local = bytes(view[start + 10 : start + 10 + palette_length(flagged)])
            file = _file((across, down), flagged, local or shared, control, bytes(view[section.body - 1 : section.end]))
            dispose = _DISPOSALS.get(flags >> 2 & 7, "keep")
            frames.append(Stored(left, top, across, down, 10.0 * time, dispose, True, file))
            control = None
    first = frames[0]
    return Moving(max(width, first.left + first.width), max(height, first.top + first.height), plays, tuple(frames))


def _file(size: Sequence[int], flags: int, palette: bytes, control: bytes | None, data: bytes) -> bytes:
    """Return a still GIF of a frame's data, which begin with the code size."""
    depth = _LOCAL | (len(palette) // 3).bit_length() - 2 if palette else 0
    pieces = [b"GIF89a", struct.pack("<HHBBB", *size, depth, 0, 0), palette]
    if control:
        pieces += [_CONTROL, b"\4", bytes([control[0] & 1, 0, 0, control[3]]), b"\0"]
    return b"".join([*pieces, struct.pack("<BHHHHB", _IMAGE, 0, 0, *size, flags & _INTERLACED), data, _TRAILER])


def file_of(moving: Moving) -> bytes:
    """Return the GIF, in which each frame has its own palette."""
    pieces = [b"GIF89a", struct.pack("<HHBBB", moving.width, moving.height, 0, 0, 0)]
    if moving.plays != 1:
        pieces += [_LOOPS, min(max(moving.plays - 1, 0), _MOST).to_bytes(2, "little"), b"\0"]
    for frame in moving.frames:
        view = memoryview(frame.file)
        palette = bytes(view[13 : 13 + palette_length(view[10])])
        own = sections(view)[0]
        image = next(section for section in own if view[section.start] == _IMAGE)
        starts = [section.start for section in own if bytes(view[section.start :][:2]) == _CONTROL]
        transparent, index = (view[starts[0] + 3] & 1, view[starts[0] + 6]) if starts else (0, 0)
        time = min(round(frame.duration_ms / 10), _MOST)
        pieces += [_CONTROL, struct.pack("<BBHBB", 4, _CODES[frame.dispose] << 2 | transparent, time, index, 0)]
        flags = _LOCAL | view[10] & 7 | view[image.start + 9] & _INTERLACED
        pieces.append(struct.pack("<BHHHHB", _IMAGE, frame.left, frame.top, frame.width, frame.height, flags))
        pieces += [palette, bytes(view[image.body - 1 : image.end])]
    return b"".join([*pieces, _TRAILER])
