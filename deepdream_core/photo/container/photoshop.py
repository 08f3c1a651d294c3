"""Photoshop's image resources, which JPEG has in APP13 and ImageMagick writes into PNG text.

Follows Adobe's Photoshop file format specification, "Image Resource Blocks".
"""

from __future__ import annotations

_THUMBNAILS = (1033, 1036)
_SIGNATURES = (b"8BIM", b"PHUT", b"AgHg", b"DCSR", b"MeSa")


def without_thumbnails(resources: bytes) -> bytes:
    """Return the resources without those that show the old picture; what cannot be parsed stays as it is."""
    kept: list[bytes] = []
    at = 0
    while at + 12 <= len(resources) and resources[at : at + 4] in _SIGNATURES:
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        name_end = at + 7 + resources[at + 6]
        name_end += (name_end - at) % 2
        size = int.from_bytes(resources[name_end : name_end + 4], "big")
        end = name_end + 4 + size + size % 2
        if number not in _THUMBNAILS:
            kept.append(resources[at:end])
        at = end
    kept.append(resources[at:])
    return b"".join(kept)
