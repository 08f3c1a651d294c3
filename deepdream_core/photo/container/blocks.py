"""The metadata of a picture file outside its container, and editing of bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepdream_core.photo.colour_tags import Description

MOST_BLOCKS = 1 << 18
"""Blocks a file may have; real files have thousands, and millions of empty ones are an attack on memory."""

LONGEST_INFLATED = 64 << 20
"""Bytes that the compressed metadata of one file may grow to."""

CREDENTIALS = "content credentials (C2PA)"
GAIN_MAP = "HDR gain map"
MOTION = "motion photo video"
DAMAGED_ICC = "damaged colour profile"
DAMAGED_EXIF = "damaged EXIF"
OLD_THUMBNAIL = "thumbnail of the old picture"
SECOND_ICC = "second colour profile"
SECOND_EXIF = "second EXIF block"
SECOND_XMP = "second XMP packet"

# What Adobe, Apple and ISO 21496-1 write into a gain map's own XMP or header.
_GAIN_MAP = (b"hdrgm:Version", b"hdr-gain-map/", b"hdrgainmap", b"HDRGainMap", b"urn:iso:std:iso:ts:21496:-1")
_VIDEO = re.compile(rb"ftyp(?:mp4|iso|avc|hev|hvc|qt  |3gp|M4V|MSNV)")


@dataclass(frozen=True)
class Blocks:
    """The metadata of one picture file.

    `icc`: the colour profile. `exif`: the bare block that begins with the TIFF header. `xmp`: the packet. `others`: further
    blocks that only the same format can hold, as (name, payload) in file order, with the format's own names: "APP13",
    "COM", "pHYs", "iTXt" … `dropped`: descriptions of what must not be copied to changed pixels, because it shows or
    certifies the old ones, or because it is damaged. `described`: the colours, if described without a profile.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    others: tuple[tuple[str, bytes], ...] = ()
    dropped: tuple[str, ...] = ()
    described: Description | None = None

    def for_another_format(self) -> Blocks:
        """Return only the blocks that other formats can hold: profile, EXIF and XMP."""
        return replace(self, others=())


@dataclass
class Gathered:
    """The blocks of a file during reading; the first EXIF, profile or packet counts."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    others: list[tuple[str, bytes]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def take_exif(self, block: bytes) -> None:
        """Take an EXIF block with or without its JPEG identifier; without a TIFF header it counts as damaged."""
        bare = block.removeprefix(b"Exif\0\0")
        if bare[:2] not in (b"II", b"MM"):
            self.dropped.append(DAMAGED_EXIF)
        elif self.exif is None:
            self.exif = bare
        elif bare != self.exif:
            self.dropped.append(SECOND_EXIF)

    def take_icc(self, profile: bytes) -> None:
        """Take a colour profile."""
        if not self.icc:
            self.icc = profile
        elif profile != self.icc:
            self.dropped.append(SECOND_ICC)

    def take_xmp(self, packet: bytes) -> None:
        """Take an XMP packet."""
        if self.xmp is None:
            self.xmp = packet
        elif packet != self.xmp:
            self.dropped.append(SECOND_XMP)

    def blocks(self) -> Blocks:
        """Return the gathered blocks, with each dropped thing named once."""
        dropped = tuple(dict.fromkeys(self.dropped))
        return Blocks(self.icc, self.exif, self.xmp, tuple(self.others), dropped)


def holds_gain_map(data: bytes) -> bool:
    """Return whether something in `data` is called an HDR gain map."""
    return any(name in data for name in _GAIN_MAP)


def rest_in_words(rest: memoryview) -> list[str]:
    """Describe what follows the end of a picture; padding does not count."""
    data = bytes(rest)
    found = []
    if holds_gain_map(data):
        found.append(GAIN_MAP)
    if _VIDEO.search(data):
        found.append(MOTION)
    if data.endswith(b"SEFT"):
        found.append("camera data after the picture (Samsung)")
    if not found and data.strip(b"\0\r\n\xff"):
        found.append(f"{len(data):,} bytes after the picture")
    return found


def credentials_in_words(box: bytes) -> str:
    """Describe a JUMBF box."""
    return CREDENTIALS if b"c2pa" in box else "JUMBF data"


def edited(view: memoryview, edits: Iterable[tuple[int, int, bytes]]) -> list[bytes | memoryview]:
    """Return the pieces of `view` after `edits`: (start, end, replacement), without overlaps."""
    pieces: list[bytes | memoryview] = []
    at = 0
    for start, end, replacement in sorted(edits, key=lambda edit: edit[:2]):
        pieces += [view[at:start], replacement]
        at = end
    pieces.append(view[at:])
    return pieces
