"""What the boxes of a HEIC or AVIF file say of its main picture, after ISO/IEC 14496-12 and 23008-12.

Decoders name one description of the colours, where there may be several: a profile and code points, for the picture and for
its tiles, for a gain map and for the brighter rendition that it makes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BOXES = 1 << 16
_SAMPLE_ENTRY = 78  # bytes of a VisualSampleEntry before the boxes in it


class CodePoints(NamedTuple):
    """Primaries and transfer curve in numbers of ITU-T H.273."""

    primaries: int
    transfer: int


def code_points_of(data: bytes) -> list[CodePoints]:
    """Return the code points of the main picture, or its tiles where it has none, and of the tracks of an animation.

    What is damaged is left out.
    """
    view = memoryview(data)
    found: list[CodePoints] = []
    try:
        for kind, body in _boxes(view):
            if kind == b"meta":
                found += _of_main_picture(body[4:])
            elif kind == b"moov":
                found += _of_tracks(body)
    except (IndexError, ValueError):
        pass
    return found


def _boxes(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at, count = 0, 0
    while at + 8 <= len(view) and count < _MOST_BOXES:
        size, kind = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        head = 8
        if size == 1:
            size, head = int.from_bytes(view[at + 8 : at + 16], "big"), 16
        end = at + size if size else len(view)
        if end < at + head or end > len(view):
            return
        yield kind, view[at + head : end]
        at, count = end, count + 1


def _of_main_picture(meta: memoryview) -> list[CodePoints]:
    boxes = dict(_boxes(meta))
    main = boxes.get(b"pitm", memoryview(b""))
    if not main or b"iprp" not in boxes:
        return []
    item = int.from_bytes(main[4:], "big")
    properties, associated = _properties(boxes[b"iprp"])
    found = _named(properties, associated.get(item, []))
    tiles = () if found else _tiles(boxes.get(b"iref", memoryview(b"")), item)
    return found or [code for tile in tiles for code in _named(properties, associated.get(tile, []))]


def _properties(iprp: memoryview) -> tuple[list[tuple[bytes, memoryview]], dict[int, list[int]]]:
    """Return all properties, and by item the numbers of those it has, from 1."""
    properties: list[tuple[bytes, memoryview]] = []
    associated: dict[int, list[int]] = {}
    for kind, body in _boxes(iprp):
        if kind == b"ipco":
            properties = list(_boxes(body))
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


def _named(properties: list[tuple[bytes, memoryview]], numbers: list[int]) -> list[CodePoints]:
    chosen = [properties[number - 1] for number in numbers if 0 < number <= len(properties)]
    return [code for kind, body in chosen if kind == b"colr" for code in _code_points(body)]


def _code_points(colr: memoryview) -> list[CodePoints]:
    if bytes(colr[:4]) not in (b"nclx", b"nclc") or len(colr) < 8:
        return []
    return [CodePoints(int.from_bytes(colr[4:6], "big"), int.from_bytes(colr[6:8], "big"))]


def _tiles(iref: memoryview, item: int) -> list[int]:
    """Return the items that a picture is put together from."""
    if len(iref) < 4:
        return []
    size = 4 if iref[0] else 2
    for kind, body in _boxes(iref[4:]):
        numbers = [int.from_bytes(body[at : at + size], "big") for at in (0, *range(size + 2, len(body), size))]
        if kind == b"dimg" and numbers[0] == item:
            return numbers[1:]
    return []


def _of_tracks(box: memoryview) -> list[CodePoints]:
    found: list[CodePoints] = []
    for kind, body in _boxes(box):
        if kind in (b"trak", b"mdia", b"minf", b"stbl"):
            found += _of_tracks(body)
        elif kind == b"stsd":
            for _, entry in _boxes(body[8:]):
                found += [
                    code
                    for name, colr in _boxes(entry[_SAMPLE_ENTRY:])
                    if name == b"colr"
                    for code in _code_points(colr)
                ]
    return found
