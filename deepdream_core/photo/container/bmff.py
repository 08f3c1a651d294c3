"""The colours of a HEIC or AVIF file's main picture, from its boxes; follows ISO/IEC 14496-12 and 23008-12.

Decoders report one description of the colours. A file may have several: a profile and code points, for the picture and its
tiles, for a gain map and for the brighter rendition.
"""

from __future__ import annotations

from deepdream_core.photo.container.boxes import boxes_of
from deepdream_core.photo.container.coded import CodePoints, of_av1, of_hevc

_LONGEST_START = 4096
_SAMPLE_ENTRY = 78  # bytes of a VisualSampleEntry before the boxes in it


def code_points_of(data: bytes) -> list[CodePoints]:
    """Return the code points of the main picture, otherwise of its tiles, and of the tracks of an animation.

    If no box has them, those in the coded picture count (ISO/IEC 23000-22, 7.3.6.4). Skips what is damaged.
    """
    view = memoryview(data)
    found: list[CodePoints] = []
    try:
        for kind, body in boxes_of(view):
            if kind == b"meta":
                found += _of_main_picture(body[4:], view)
            elif kind == b"moov":
                found += _of_tracks(body)
    except (IndexError, ValueError):
        pass
    return found


def _of_main_picture(meta: memoryview, file: memoryview) -> list[CodePoints]:
    boxes = dict(boxes_of(meta))
    main = boxes.get(b"pitm", memoryview(b""))
    if not main or b"iprp" not in boxes:
        return []
    item = int.from_bytes(main[4:], "big")
    properties, associated = _properties(boxes[b"iprp"])
    items = [item, *_tiles(boxes.get(b"iref", memoryview(b"")), item)]
    for each in items:
        if found := _named(properties, associated.get(each, [])):
            return found
    for each in items:
        for kind, body in _chosen(properties, associated.get(each, [])):
            if kind == b"hvcC":
                code = of_hevc(bytes(body))
            elif kind == b"av1C":  # without them in the box, the picture begins with them
                code = of_av1(bytes(body[4:])) or of_av1(_start_of(boxes.get(b"iloc", memoryview(b"")), each, file))
            else:
                continue
            return [code] if code else []
    return []


def _start_of(iloc: memoryview, item: int, file: memoryview) -> bytes:
    """Return the first bytes of an item's data, empty if they are not stored in the file as they are."""
    if len(iloc) < 8:
        return b""
    version, sizes = iloc[0], (iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if iloc[0] else 0)
    offset_size, length_size, base_size, index_size = sizes
    wide = 4 if version == 2 else 2
    at = 6

    def take(size: int) -> int:
        nonlocal at
        at += size
        if at > len(iloc):
            raise ValueError("the places of the items are cut off")
        return int.from_bytes(iloc[at - size : at], "big")

    for _ in range(take(wide)):
        found, method = take(wide), take(2) & 15 if version else 0
        take(2)
        base, extents = take(base_size), take(2)
        places = [(take(index_size), take(offset_size), take(length_size)) for _ in range(extents)]
        if found == item and places and method == 0:
            start = base + places[0][1]
            return bytes(file[start : start + min(places[0][2] or _LONGEST_START, _LONGEST_START)])
    return b""


def _properties(iprp: memoryview) -> tuple[list[tuple[bytes, memoryview]], dict[int, list[int]]]:
    """Return all properties, and for each item the numbers of its properties, from 1."""
    properties: list[tuple[bytes, memoryview]] = []
    associated: dict[int, list[int]] = {}
    for kind, body in boxes_of(iprp):
        if kind == b"ipco":
            properties = list(boxes_of(body))
        elif kind == b"ipma":
            id_size, wide = 4 if body[0] else 2, 2 if body[3] & 1 else 1
            at = 8
            for _ in range(int.from_bytes(body[4:8], "big")):
                item, count = int.from_bytes(body[at : at + id_size], "big"), body[at + id_size]
                at += id_size + 1
                numbers = [int.from_bytes(body[at + wide * n : at + wide * (n + 1)], "big") for n in range(count)]
                associated.setdefault(item, []).extend(number & (0x7FFF if wide == 2 else 0x7F) for number in numbers)
                at += wide * count
    return properties, associated


def _chosen(properties: list[tuple[bytes, memoryview]], numbers: list[int]) -> list[tuple[bytes, memoryview]]:
    return [properties[number - 1] for number in numbers if 0 < number <= len(properties)]


def _named(properties: list[tuple[bytes, memoryview]], numbers: list[int]) -> list[CodePoints]:
    return [code for kind, body in _chosen(properties, numbers) if kind == b"colr" for code in _code_points(body)]


def _code_points(colr: memoryview) -> list[CodePoints]:
    if bytes(colr[:4]) not in (b"nclx", b"nclc") or len(colr) < 8:
        return []
    return [CodePoints(int.from_bytes(colr[4:6], "big"), int.from_bytes(colr[6:8], "big"))]


def _tiles(iref: memoryview, item: int) -> list[int]:
    """Return the items that a picture consists of."""
    if len(iref) < 4:
        return []
    size = 4 if iref[0] else 2
    for kind, body in boxes_of(iref[4:]):
        numbers = [int.from_bytes(body[at : at + size], "big") for at in (0, *range(size + 2, len(body), size))]
        if kind == b"dimg" and numbers[0] == item:
            return numbers[1:]
    return []


def _of_tracks(box: memoryview) -> list[CodePoints]:
    found: list[CodePoints] = []
    for kind, body in boxes_of(box):
        if kind in (b"trak", b"mdia", b"minf", b"stbl"):
            found += _of_tracks(body)
        elif kind == b"stsd":
            for _, entry in boxes_of(body[8:]):
                found += [
                    code
                    for name, colr in boxes_of(entry[_SAMPLE_ENTRY:])
                    if name == b"colr"
                    for code in _code_points(colr)
                ]
    return found
