"""What the boxes of a HEIC or AVIF file hold besides its picture, and the times of its frames.

Follows ISO/IEC 14496-12 and 23008-12 (HEIF), and Google's Motion Photo format 1.0 for `mpvd`; `sefd` is Samsung's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deepdream_core.photo.container.blocks import (
    CREDENTIALS,
    GAIN_MAP,
    MOST_BLOCKS,
    MOTION,
    credentials_in_words,
    rest_in_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_THE_PICTURE = frozenset({b"ftyp", b"styp", b"meta", b"mdat", b"idat", b"free", b"skip", b"wide", b"pdin", b"etyp"})
_NAMED = {b"mpvd": MOTION, b"sefd": "camera data after the picture (Samsung)"}
_TRACKS = {b"pict": "image sequence", b"vide": "video", b"soun": "sound"}
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_ALPHA = (b"auxiliary:alpha", b"auxid:1")
_DEPTH = (b"auxiliary:depth", b"auxid:2")
_RDF = b"application/rdf+xml"
_NO_PICTURES = frozenset({b"Exif", b"mime", b"uri ", b"tmap"})
_FULL = 4
"""Bytes of version and flags before the content of some boxes."""


class Box(NamedTuple):
    """One box: its four letters and its content."""

    kind: bytes
    content: memoryview


def box_at(view: memoryview, at: int) -> tuple[bytes, int, int]:
    """Return the letters of the box that begins at `at`, where its content begins, and where the box ends."""
    size, start = int.from_bytes(view[at : at + 4], "big"), at + 8
    if size == 1:
        size, start = int.from_bytes(view[at + 8 : at + 16], "big"), at + 16
    elif size == 0:
        size = len(view) - at
    return bytes(view[at + 4 : at + 8]), start, at + size


def boxes_of(view: memoryview) -> Iterator[Box]:
    """Yield the boxes in `view`; bytes that are not a box come last, without letters."""
    at = count = 0
    while at < len(view):
        kind, start, end = box_at(view, at)
        count += 1
        if end > len(view) or start > end or len(kind) < 4 or count > MOST_BLOCKS:
            yield Box(b"", view[at:])
            return
        yield Box(kind, view[start:end])
        at = end


def others_in_words(view: memoryview, *, animated: bool) -> list[str]:
    """Describe what a HEIC or AVIF file holds besides its main picture, or besides the frames if `animated`."""
    found: list[str] = []
    for kind, content in boxes_of(view):
        if kind == b"meta":
            found += _items_in_words(content[_FULL:])
        elif kind == b"moov":
            tracks = {_TRACKS[handler] for handler in _handlers(content) if handler in _TRACKS}
            found += sorted(tracks - ({"image sequence"} if animated else set()))
        elif kind == b"uuid":
            found.append(CREDENTIALS if content[:16] == _C2PA else "data of another program (uuid box)")
        elif kind == b"jumb":
            found.append(credentials_in_words(bytes(content)))
        elif kind == b"":
            found += rest_in_words(content)
        elif kind not in _OF_THE_PICTURE:
            found.append(_NAMED.get(kind) or f"{kind.decode('latin-1').strip()} box")
    return list(dict.fromkeys(found))


def _handlers(moov: memoryview) -> Iterator[bytes]:
    """Yield the kind of each track of a film."""
    for track in _within(moov, b"trak"):
        for media in _within(track, b"mdia"):
            yield from (bytes(handler[8:12]) for handler in _within(media, b"hdlr"))


def _within(view: memoryview, kind: bytes) -> list[memoryview]:
    return [box.content for box in boxes_of(view) if box.kind == kind]


def _items_in_words(meta: memoryview) -> Iterator[str]:
    """Describe the items and auxiliary pictures that are not carried over."""
    for item in _items(meta):
        if item.kind == b"tmap":
            yield GAIN_MAP
        elif item.kind == b"mime" and item.content_type != _RDF:
            yield f"item of the kind {item.content_type.decode('latin-1')}"
        elif item.kind == b"uri ":
            yield "item of another program"
    for properties in _within(meta, b"iprp"):
        for container in _within(properties, b"ipco"):
            for kind in _within(container, b"auxC"):
                name = bytes(kind[_FULL:]).partition(b"\0")[0]
                if b"gainmap" in name.lower():
                    yield GAIN_MAP
                elif name.endswith(_DEPTH):
                    yield "depth map"
                elif not name.endswith(_ALPHA):
                    yield f"auxiliary picture ({name.decode('latin-1').rpartition(':')[2]})"


class _Item(NamedTuple):
    """One item of a `meta` box."""

    number: int
    kind: bytes
    content_type: bytes
    hidden: bool


def _items(meta: memoryview) -> Iterator[_Item]:
    """Yield the items that `iinf` lists; those of its first two versions have no kind and are in no picture file."""
    for info in _within(meta, b"iinf"):
        for entry in _within(info[_FULL + (2 if bytes(info[:1]) == b"\0" else 4) :], b"infe"):
            width = 4 if bytes(entry[:1]) == b"\3" else 2
            kind = bytes(entry[_FULL + width + 2 :][:4])
            named = bytes(entry[_FULL + width + 6 :]).split(b"\0")
            number = int.from_bytes(entry[_FULL : _FULL + width], "big")
            yield _Item(number, kind, named[1] if len(named) > 1 else b"", bool(int.from_bytes(entry[3:4], "big") & 1))


def picture_count(view: memoryview) -> int:
    """Return how many pictures a viewer may show: no tiles of others, no auxiliary ones, no thumbnails."""
    pictures: set[int] = set()
    parts: set[int] = set()
    for box in _within(view, b"meta"):
        meta = box[_FULL:]
        pictures |= {item.number for item in _items(meta) if item.kind not in _NO_PICTURES and not item.hidden}
        for references in _within(meta, b"iref"):
            width = 2 if bytes(references[:1]) == b"\0" else 4
            for kind, content in boxes_of(references[_FULL:]):
                source, targets = content[:width], content[width + 2 :]
                if kind in (b"thmb", b"auxl"):
                    parts.add(int.from_bytes(source, "big"))
                elif kind == b"dimg":
                    parts |= {int.from_bytes(targets[at : at + width], "big") for at in range(0, len(targets), width)}
    return len(pictures - parts)


def durations_of(view: memoryview) -> list[float]:
    """Return how long each frame of an image sequence is shown, in ms; empty if the file does not say."""
    found: list[float] = []
    for media in _within(_sequence(view), b"mdia"):
        heads = [(head, 20 if bytes(head[:1]) == b"\1" else 12) for head in _within(media, b"mdhd")]
        scale = max([1, *(int.from_bytes(head[at : at + 4], "big") for head, at in heads[:1])])
        for inner in _within(media, b"minf"):
            for table in _within(inner, b"stbl"):
                for times in _within(table, b"stts"):
                    for at in range(_FULL + 4, len(times) - 7, 8):
                        count, duration = (int.from_bytes(times[place : place + 4], "big") for place in (at, at + 4))
                        found += [duration * 1000 / scale] * min(count, MOST_BLOCKS)
    return found[:MOST_BLOCKS]


def plays_of(view: memoryview) -> int:
    """Return how often an image sequence runs; 0 is for ever, also if it does not say.

    The edit list's flag says that it repeats, the track's duration says for how long (ISO/IEC 23000-22, 7.5.2.1).
    """
    track = _sequence(view)
    for edits in _within(track, b"edts"):
        for edit in _within(edits, b"elst"):
            if not int.from_bytes(edit[1:4], "big") & 1:
                return 1
            head = next(iter(_within(track, b"tkhd")), memoryview(b""))
            whole, once = _number(head, 20, 28), _number(edit, 8, 8)
            endless = (1 << (64 if bytes(head[:1]) == b"\1" else 32)) - 1
            return 0 if whole == endless or not once else -(-whole // once)
    return 0


def _sequence(view: memoryview) -> memoryview:
    """Return the track of an image sequence, empty if there is none."""
    for film in _within(view, b"moov"):
        for track in _within(film, b"trak"):
            media = _within(track, b"mdia")
            if any(bytes(handler[8:12]) == b"pict" for inner in media for handler in _within(inner, b"hdlr")):
                return track
    return memoryview(b"")


def _number(box: memoryview, narrow_at: int, wide_at: int) -> int:
    """Return a duration: 64 bits at `wide_at` in version 1 of a box, 32 bits at `narrow_at` in version 0."""
    wide = bytes(box[:1]) == b"\1"
    at = wide_at if wide else narrow_at
    return int.from_bytes(box[at : at + (8 if wide else 4)], "big")
