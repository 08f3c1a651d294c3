"""The segments that a JPEG file consists of; follows ITU-T T.81, annex B."""

from __future__ import annotations

import re
from typing import NamedTuple

from deepdream_core.photo.container.blocks import MOST_BLOCKS
from deepdream_core.photo.formats import FormatError

SOS = 0xDA
"""The marker of a scan."""

FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers that begin a frame, by kind of coding."""

_SOI, _EOI = 0xD8, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_AFTER_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")  # in a scan, FF 00 is data and FF D0…D7 a restart


class Segment(NamedTuple):
    """A marker and its data: `start` is before fill bytes, `body` is after the length, `end` is after a scan's data."""

    marker: int
    start: int
    body: int
    end: int


def segments_of(view: memoryview) -> tuple[list[Segment], int]:
    """Return the segments of the first picture, without gaps, and the position of its end.

    Decoders accept a file without the end marker, as some cameras wrote it, but it may lack half of its picture.
    """
    if bytes(view[:2]) != b"\xff\xd8":
        raise FormatError("not a JPEG file")
    segments: list[Segment] = []
    at, scanned = 2, False
    while True:
        found = _MARKER.search(view, at)
        marker = view[found.end() - 1] if found else _SOI
        if marker == _SOI:  # a second picture, or nothing, before the end of this one
            raise FormatError("the JPEG ends before its picture does" if not scanned else "the JPEG is truncated")
        body = end = found.end() if found else at
        if marker not in (_EOI, *_WITHOUT_LENGTH):
            length = int.from_bytes(view[body : body + 2], "big")
            if length < 2 or body + length > len(view):
                raise FormatError("the JPEG is truncated or damaged in a segment")
            body, end = body + 2, body + length
        if marker == SOS:
            scanned = True
            after = _MARKER_AFTER_SCAN.search(view, end)
            end = after.start() if after else len(view)
        segments.append(Segment(marker, at, body, end))
        if marker == _EOI:
            if not scanned:
                raise FormatError("the JPEG holds no picture")
            return segments, end
        if len(segments) > MOST_BLOCKS:
            raise FormatError("the JPEG consists of too many segments")
        at = end
