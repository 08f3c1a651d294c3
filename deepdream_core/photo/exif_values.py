"""Values in EXIF blocks: description, resolution, and the tags that a block lacks against another."""

from __future__ import annotations

import struct

from deepdream_core.photo.ifd import Layout, Value, below, first_directory, values_of
from deepdream_core.photo.tags import (
    DESCRIPTION,
    EXIF,
    GPS,
    INTEROPERABILITY,
    ORIENTATION,
    RESOLUTION_UNIT,
    RESOLUTIONS,
)


def description_of(exif: bytes) -> str:
    """Return a bare block's ImageDescription; empty if it has none or cannot be read."""
    try:
        _, first = first_directory(exif)
    except ValueError:
        return ""
    entry = first.get(DESCRIPTION)
    return entry.read(exif).rstrip(b"\0").decode("utf-8", "replace") if entry else ""


def resolution_of(exif: bytes) -> tuple[float, float] | None:
    """Return a bare block's resolution in pixels per inch; None if it has none."""
    try:
        layout, first = first_directory(exif)
    except ValueError:
        return None
    unit = first.get(RESOLUTION_UNIT)
    factor = {2: 1.0, 3: 2.54, None: 1.0}.get(unit.integer(exif, layout.order) if unit else None)
    sides = []
    for tag in RESOLUTIONS:
        entry = first.get(tag)
        above, below = struct.unpack(layout.order + "II", entry.read(exif)[:8]) if entry and entry.size >= 8 else (0, 0)
        sides.append(above / below * (factor or 0) if below else 0.0)
    return (sides[0], sides[1]) if min(sides) > 0 else None


def missing_tags(exif: bytes, written: bytes | None) -> list[str]:
    """Return the tags of a bare block that the written one lacks or has with other values, but not its orientation.

    Each is named with its directory. Raises `ValueError` if the first block cannot be read.
    """
    if exif == written:
        return []
    before = _flat(exif)
    try:
        after = _flat(written) if written is not None else {}
    except ValueError:
        after = {}
    return [f"{name}{tag}" for (name, tag), value in before.items() if after.get((name, tag)) != value]


def _flat(exif: bytes) -> dict[tuple[str, int], Value]:
    """Return the values of a block and of the directories below it, without offsets."""
    layout, first = first_directory(exif)
    target = Layout("<", big=False, first=8)
    flat: dict[tuple[str, int], Value] = {}
    nested = below(exif, first, EXIF, layout)
    for name, directory in (("", first), ("Exif ", nested), ("GPS ", below(exif, first, GPS, layout))):
        for tag, value in (values_of(exif, directory, layout, target) if directory else {}).items():
            if tag not in (ORIENTATION, EXIF, GPS, INTEROPERABILITY):
                flat[name, tag] = value
    return flat
