"""The metadata of a TIFF page: its profile, EXIF, XMP, IPTC, resolution, and what does not survive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepdream_core.photo import tiff_edit
from deepdream_core.photo.container import Blocks
from deepdream_core.photo.container.photoshop import without_thumbnails
from deepdream_core.photo.container.tiff import CARRIED
from deepdream_core.photo.tags import ICC, PHOTOSHOP, PHOTOSHOP_LAYERS, RESOLUTION_UNIT, RESOLUTIONS, XMP

if TYPE_CHECKING:
    from deepdream_core.photo.codecs.tiff_pages import Picture
    from deepdream_core.photo.ifd import Layout


def blocks_of(picture: Picture, data: bytes, layout: Layout) -> Blocks:
    """Return a picture's metadata: its own and those of the page above it; slices after the first only have a profile."""
    page, home = picture.page, picture.home
    icc = _raw(page, data, ICC) or _raw(home, data, ICC)
    if picture.slice:
        return Blocks(icc=icc)
    others: list[tuple[str, bytes]] = []
    dropped: list[str] = []
    for code in CARRIED:
        raw = _raw(home, data, code)
        if raw is not None:
            content = without_thumbnails(raw) if code == PHOTOSHOP else raw
            others.append((str(code), content))
            dropped += ["thumbnail"] if content != raw else []
    for each in [page] if page is home else [page, home]:
        dropped += _repeated(each, data)
    codes = {tag.code for each in (page, home) for tag in each.tags}
    if PHOTOSHOP_LAYERS in codes:
        dropped.append("Photoshop layers")
    lost = sorted(codes - tiff_edit.OF_STORAGE - tiff_edit.DESCRIPTIVE)
    if lost:
        dropped.append(f"TIFF tags {', '.join(str(code) for code in lost[:8])}{' …' if len(lost) > 8 else ''}")
    xmp = _raw(page, data, XMP) or _raw(home, data, XMP)
    return Blocks(icc, tiff_edit.exif_of_tiff(data, home.offset, layout), xmp, tuple(others), tuple(dropped))


def _repeated(page: Any, data: bytes) -> list[str]:
    """Name the tags that a directory repeats with another value; readers take the first."""
    words = {ICC: "second colour profile", XMP: "second XMP packet"}
    seen: dict[int, Any] = {}
    dropped: list[str] = []
    for tag in page.tags:
        value = data[tag.valueoffset : tag.valueoffset + tag.valuebytecount]
        if seen.setdefault(tag.code, value) != value:
            dropped.append(words.get(tag.code, f"second TIFF tag {tag.code}"))
    return dropped


def _raw(page: Any, data: bytes, code: int) -> bytes | None:
    """Return a tag's bytes as stored in the file."""
    tag = page.tags.get(code)
    if tag is None:
        return None
    count = tag.count * (4 if int(tag.dtype) == 4 else 1)  # IPTC is often declared as 4-byte numbers
    if tag.valueoffset + count > len(data) or count == 0:
        return None
    return data[tag.valueoffset : tag.valueoffset + count]


def dpi_of(page: Any) -> tuple[float, float] | None:
    """Return a page's resolution in pixels per inch, None if it has none (TIFF 6.0, ResolutionUnit)."""
    unit = {2: 1.0, 3: 2.54}.get(int(page.tags.valueof(RESOLUTION_UNIT, 2)))
    try:
        across, down = (page.tags.valueof(code)[0] / page.tags.valueof(code)[1] for code in RESOLUTIONS)
    except (TypeError, IndexError, ZeroDivisionError):
        return None
    if unit is None or not (1 < across * unit < 65_536 and 1 < down * unit < 65_536):
        return None
    return across * unit, down * unit
