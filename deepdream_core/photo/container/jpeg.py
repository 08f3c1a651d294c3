"""The metadata segments of a JPEG file.

Follows JFIF 1.02, Exif 2.32, XMP part 3 and ICC.1 annex B.4.
"""

from __future__ import annotations

import re
import struct

from deepdream_core.photo.container.blocks import (
    DAMAGED_ICC,
    GAIN_MAP,
    OLD_THUMBNAIL,
    Blocks,
    Gathered,
    credentials_in_words,
    edited,
    holds_gain_map,
    rest_in_words,
)
from deepdream_core.photo.container.jpeg_segments import FRAME_HEADERS, Segment, segments_of
from deepdream_core.photo.container.mpf import MPF_ID, listed_pictures, moved_index
from deepdream_core.photo.container.photoshop import without_thumbnails
from deepdream_core.photo.formats import FormatError

_APP0, _COM = 0xE0, 0xFE
_EXIF_ID = b"Exif\0\0"
_XMP_ID = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION_ID = b"http://ns.adobe.com/xmp/extension/\0"
_DIGEST = slice(len(_EXTENSION_ID), len(_EXTENSION_ID) + 32)
_ICC_ID = b"ICC_PROFILE\0"
_PHOTOSHOP_ID = b"Photoshop 3.0\0"

_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0xE0, b"JFIF\0", "jfif"),
    (0xE0, b"JFXX\0", "jfxx"),
    (0xE1, _EXIF_ID, "exif"),
    (0xE1, _XMP_ID, "xmp"),
    (0xE1, _EXTENSION_ID, "extension"),
    (0xE2, _ICC_ID, "icc"),
    (0xE2, MPF_ID, "mpf"),
    (0xE2, b"urn:iso:std:iso:ts:21496:-1\0", "gain map"),
    (0xEB, b"", "layer"),
    (0xED, _PHOTOSHOP_ID, "photoshop"),
    (0xEE, b"Adobe", "coding"),  # says how the colours are coded, so it stays with its pixels
)

_LONGEST = 65_533
_FULL = 60_000  # only a segment of nearly the full length continues in the next
_TIFF_HEADERS = (b"II*\0", b"MM\0*")
_LONGEST_ICC_PART = _LONGEST - len(_ICC_ID) - 2

# Phones of 2014…2018 put the unblurred picture and its depth, in base64, into the extended XMP.
_PICTURE_IN_XMP = re.compile(rb"ns\.google\.com/photos/1\.0/(?:depthmap|image)/")
_THUMBNAIL_IN_XMP = b"<xmpGImg:image"


def blocks_of(view: memoryview) -> Blocks:
    """Return the metadata of a JPEG file; see `container.blocks_of`."""
    segments, end = segments_of(view)
    found = Gathered()
    groups: dict[str, list[bytes]] = {}
    for segment in segments:
        kind = _kind(view, segment)
        if kind == "coding":
            continue
        payload = bytes(view[segment.body : segment.end])
        group = groups.setdefault(kind, [])
        group.append(payload)
        if kind in ("other", "extension") or (kind in ("jfif", "photoshop") and len(group) == 1):
            found.others.append((_name(segment.marker), payload))
    for block in _joined_exif(groups.get("exif", [])):
        found.take_exif(block)
    for payload in groups.get("xmp", []):
        found.take_xmp(payload.removeprefix(_XMP_ID))
    for profile in _joined_profiles(groups.get("icc", [])):
        if profile is None:
            found.dropped.append(DAMAGED_ICC)
        else:
            found.take_icc(profile)
    _remove_thumbnails(found, groups)
    _check_extensions(found, groups.get("extension", []))
    _name_other_pictures(found, groups, view[end:])
    return found.blocks()


def with_blocks(view: memoryview, blocks: Blocks) -> bytes:
    """Return the JPEG with other metadata; see `container.with_blocks`."""
    segments, end = segments_of(view)
    cuts = [(segment.start, segment.end, b"") for segment in segments if _kind(view, segment) != "coding"]
    jfif = _jfif_to_write(view, segments, blocks)
    written = [] if jfif is None else [_segment(_APP0, jfif, "the JFIF header")]
    if blocks.exif is not None:
        written.append(_segment(0xE1, _EXIF_ID + blocks.exif, "the EXIF"))
    if blocks.xmp is not None:
        written.append(_xmp_segment(blocks.xmp))
    if blocks.icc is not None:
        written += _profile_segments(blocks.icc)
    for name, payload in blocks.others:
        if not _is_jfif(name, payload):
            written.append(_segment(_marker(name), payload, f"the block {name}"))
    return b"".join(edited(view, [(2, 2, b"".join(written)), *cuts, (end, len(view), b"")]))


def with_xmp(view: memoryview, xmp: bytes | None) -> bytes:
    """Return the JPEG with another XMP packet; see `container.with_xmp`."""
    segments, _ = segments_of(view)
    kinds = [_kind(view, segment) for segment in segments]
    edits = [(segment.start, segment.end, b"") for segment, kind in zip(segments, kinds, strict=True) if kind == "xmp"]
    if xmp is not None:
        head = 0  # how many segments must come first
        while kinds[head] in ("jfif", "jfxx", "exif"):
            head += 1
        place = edits.pop(0) if edits else (segments[head].start, segments[head].start, b"")
        edits.append((*place[:2], _xmp_segment(xmp)))
    if "mpf" in kinds:
        segment = segments[kinds.index("mpf")]
        edits.append((segment.body, segment.end, moved_index(view, segment.body, segment.end, edits)))
    return b"".join(edited(view, edits))


def resolution_block(across: float, down: float) -> tuple[str, bytes]:
    """Return a resolution in pixels per inch as an entry of `Blocks.others`: a JFIF header."""
    return "APP0", b"JFIF\0\1\1\1" + struct.pack(">HH", round(across), round(down)) + b"\0\0"


def _kind(view: memoryview, segment: Segment) -> str:
    if not (segment.marker == _COM or _APP0 <= segment.marker < _APP0 + 16):
        return "coding"
    start = bytes(view[segment.body : min(segment.body + 40, segment.end)])
    return next(
        (kind for marker, known, kind in _KINDS if marker == segment.marker and start.startswith(known)), "other"
    )


def _name(marker: int) -> str:
    return "COM" if marker == _COM else f"APP{marker - _APP0}"


def _marker(name: str) -> int:
    if name == "COM":
        return _COM
    if not re.fullmatch(r"APP(\d|1[0-5])", name):
        raise FormatError(f"a JPEG has no place for the block {name}")
    return _APP0 + int(name[3:])


def _segment(marker: int, payload: bytes, what: str) -> bytes:
    if len(payload) > _LONGEST:
        raise FormatError(f"{what} is too long for a JPEG: {len(payload):,} bytes, at most {_LONGEST:,} fit")
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _xmp_segment(xmp: bytes) -> bytes:
    return _segment(0xE1, _XMP_ID + xmp, "the XMP packet")


def _joined_exif(payloads: list[bytes]) -> list[bytes]:
    """Return the EXIF blocks; a block longer than a segment continues in the next one, without a header."""
    blocks: list[bytes] = []
    for number, payload in enumerate(payloads):
        bare = payload.removeprefix(_EXIF_ID)
        if number and len(payloads[number - 1]) >= _FULL and not bare.startswith(_TIFF_HEADERS):
            blocks[-1] += bare
        else:
            blocks.append(bare)
    return blocks


def _joined_profiles(payloads: list[bytes]) -> list[bytes | None]:
    """Return the profiles from their numbered parts, None for a profile with a missing part.

    A repeated number, or another count of parts, begins another profile.
    """
    profiles: list[dict[int, bytes]] = []
    counts: list[int] = []
    for payload in payloads:
        number, count = (payload[12], payload[13]) if len(payload) > 14 else (0, 0)
        if not profiles or number in profiles[-1] or count != counts[-1]:
            profiles.append({})
            counts.append(count)
        profiles[-1][number] = payload[14:]
    return [
        b"".join(parts[number] for number in sorted(parts)) if set(parts) == set(range(1, count + 1)) else None
        for parts, count in zip(profiles, counts, strict=True)
    ]


def _profile_segments(icc: bytes) -> list[bytes]:
    parts = [icc[at : at + _LONGEST_ICC_PART] for at in range(0, len(icc), _LONGEST_ICC_PART)]
    if len(parts) > 255:
        raise FormatError(f"the colour profile is too long for a JPEG: {len(icc):,} bytes")
    return [
        _segment(0xE2, _ICC_ID + bytes([number, len(parts)]) + part, "the colour profile")
        for number, part in enumerate(parts, 1)
    ]


def _is_jfif(name: str, payload: bytes) -> bool:
    return name == "APP0" and payload.startswith(b"JFIF\0")


def _jfif_to_write(view: memoryview, segments: list[Segment], blocks: Blocks) -> bytes | None:
    """Return the JFIF header to write: the given one, unless it, or its absence, would change the colours.

    A JFIF header means YCbCr to decoders. Without it, the Adobe segment counts, then the components' names. One of JFIF,
    EXIF and Adobe must say what kind of JPEG this is, so the file's own header stays if it is the only one.
    """
    own: bytes | None = None
    adobe: int | None = None
    components = b""
    for segment in segments:
        payload = view[segment.body : segment.end]
        if _kind(view, segment) == "jfif" and own is None:
            own = bytes(payload)
        elif segment.marker == 0xEE and _kind(view, segment) == "coding" and len(payload) >= 12:
            adobe = payload[11]
        elif segment.marker in FRAME_HEADERS and not components:
            components = bytes(payload[6::3])

    def is_rgb(*, jfif: bool) -> bool:
        if jfif or len(components) != 3:
            return False
        return adobe == 0 if adobe is not None else components == b"RGB"

    given = next((payload for name, payload in blocks.others if _is_jfif(name, payload)), None)
    if given is None and blocks.exif is None and adobe is None:
        return own
    return given if is_rgb(jfif=given is not None) == is_rgb(jfif=own is not None) else own


def _remove_thumbnails(found: Gathered, groups: dict[str, list[bytes]]) -> None:
    """Remove the thumbnails from the JFIF header and from Photoshop's resources, which continue from segment to segment."""
    thumbnail = bool(groups.get("jfxx"))
    if jfif := groups.get("jfif"):
        place = found.others.index(("APP0", jfif[0]))
        if len(jfif[0]) < 14:
            del found.others[place]
        elif len(jfif[0]) > 14:
            thumbnail = True
            found.others[place] = ("APP0", jfif[0][:12] + b"\0\0")
    if photoshop := groups.get("photoshop"):
        place = found.others.index(("APP13", photoshop[0]))
        resources = b"".join(payload.removeprefix(_PHOTOSHOP_ID) for payload in photoshop)
        kept = without_thumbnails(resources)
        if kept != resources:
            thumbnail = True
            part = _LONGEST - len(_PHOTOSHOP_ID)
            photoshop = [_PHOTOSHOP_ID + kept[at : at + part] for at in range(0, len(kept), part)]
        found.others[place : place + 1] = [("APP13", payload) for payload in photoshop]
    if thumbnail:
        found.dropped.append(OLD_THUMBNAIL)


def _check_extensions(found: Gathered, extensions: list[bytes]) -> None:
    """Leave out extended XMP that shows the old picture or belongs to another packet; its parts share a digest."""
    joined: dict[bytes, bytes] = {}
    for payload in extensions:
        digest = payload[_DIGEST]
        joined[digest] = joined.get(digest, b"") + payload[_DIGEST.stop + 8 :]  # after the total length and the offset
    for digest, text in joined.items():
        if _PICTURE_IN_XMP.search(text):
            part = "depth map or unblurred picture (extended XMP)"
        elif _THUMBNAIL_IN_XMP in text:
            part = OLD_THUMBNAIL
        elif found.xmp and b"HasExtendedXMP" in found.xmp and digest not in found.xmp:
            part = "second extended XMP"
        else:
            continue
        found.dropped.append(part)
        found.others = [
            (name, payload)
            for name, payload in found.others
            if not (payload.startswith(_EXTENSION_ID) and payload[_DIGEST] == digest)
        ]


def _name_other_pictures(found: Gathered, groups: dict[str, list[bytes]], rest: memoryview) -> None:
    """Name further pictures, videos and credentials, which do not fit changed pixels."""
    layers = groups.get("layer", [])
    if boxes := [payload for payload in layers if payload[:2] == b"JP" and payload[12:16] == b"jumb"]:
        found.dropped.append(credentials_in_words(b"".join(boxes)))
    if len(boxes) < len(layers):
        found.dropped.append("further image layer (APP11)")
    after = rest_in_words(rest)
    named = []
    if len(rest) and ("gain map" in groups or (found.xmp and holds_gain_map(found.xmp)) or GAIN_MAP in after):
        named.append(GAIN_MAP)
    pictures = listed_pictures(memoryview(groups["mpf"][0]))[1] if "mpf" in groups else 0
    if len(rest) and pictures > 1 + len(named):  # a gain map itself is the second of two
        named.append("second picture (MPF)")
    found.dropped += named + [words for words in after if not (named and "bytes after" in words)]
