"""The index of a JPEG file's further pictures; follows CIPA DC-007 (multi-picture format)."""

from __future__ import annotations

import struct
from bisect import bisect_right
from itertools import accumulate

MPF_ID = b"MPF\0"


def listed_pictures(index: memoryview) -> tuple[str, int, int]:
    """Return the byte order of an MPF segment, how many pictures it lists, and the position of the list.

    A damaged index lists none, because the picture itself may be intact.
    """
    none = ("", 0, 0)
    order = {b"II": "<", b"MM": ">"}.get(bytes(index[4:6]), "")
    if not order or len(index) < 14:
        return none
    folder = 4 + int(struct.unpack_from(order + "I", index, 8)[0])
    if folder + 2 > len(index):
        return none
    (tags,) = struct.unpack_from(order + "H", index, folder)
    for at in range(folder + 2, min(folder + 2 + 12 * tags, len(index) - 11), 12):
        tag, _, size, offset = struct.unpack_from(order + "HHII", index, at)
        if tag == 0xB002 and 4 + offset + size <= len(index):
            return order, size // 16, 4 + offset
    return none


def moved_index(view: memoryview, body: int, end: int, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Return an MPF segment's payload, in `view` from `body` to `end`, for a file whose bytes move by `edits`.

    Offsets count from after the identifier. The first picture's offset is 0, and its size grows by what the edits add.
    """
    index = bytearray(view[body:end])
    order, pictures, entries = listed_pictures(memoryview(index))
    base = body + len(MPF_ID)
    ordered = sorted(edits, key=lambda edit: edit[:2])
    ends = [stop for _, stop, _ in ordered]
    shifts = list(accumulate((len(replacement) - (stop - start) for start, stop, replacement in ordered), initial=0))

    def moved(position: int) -> int:
        return position + shifts[bisect_right(ends, position)]

    for entry in range(entries, entries + 16 * pictures, 16):
        size, offset = struct.unpack_from(order + "II", index, entry + 4)
        if offset == 0:
            size = max(0, size + moved(len(view)) - len(view))
        else:
            offset = max(0, moved(base + offset) - moved(base))
        struct.pack_into(order + "II", index, entry + 4, size & 0xFFFFFFFF, offset & 0xFFFFFFFF)
    return bytes(index)
