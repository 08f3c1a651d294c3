"""The strips and tiles of a TIFF's page: checks that none is missing, and reads odd ones as libtiff does.

tifffile fills holes with zeros without a warning, and refuses what libtiff reads: byte counts that are missing or too
large, and a last strip with rows beyond the picture's end.
"""

from __future__ import annotations

import io
import math
import struct
from typing import TYPE_CHECKING, Any

import tifffile

from deepdream_core.errors import PictureError
from deepdream_core.photo.codecs.jpeg import check_jpeg
from deepdream_core.photo.decoded import check_pixels, check_plausible
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.receipt import Entry, dropped
from deepdream_core.photo.tags import LENGTH, ROWS_PER_STRIP

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS = ("imagewidth", "imagelength", "imagedepth", "bitspersample", "samplesperpixel", "tilewidth", "tilelength",
            "tiledepth", "rowsperstrip")  # fmt: skip
_HEADER = 8
_MOST_MORE_PIXELS = 1 << 22
_NONE, _JPEG = 1, 7
_MOST_PACKED = {_NONE: 1, 5: 3000, _JPEG: 2000, 8: 1040, 32946: 1040, 32773: 64, 34925: 8000, 50000: 40_000}
"""Supported compressions, and how many bytes one byte unpacks to at most: 4096 from 12 bits in LZW.

Fax compressions (2, 3, 4) are missing because their decoder fills gaps with white, without a warning.
"""


def check_numbers(page: Any) -> None:
    """Raise `FormatError` unless all numbers are numbers: tifffile returns bytes for a width of the kind BYTE.

    A number times bytes would fill the memory.
    """
    if not all(type(getattr(page, name)) is int and getattr(page, name) >= 0 for name in _NUMBERS):
        raise FormatError("its directory has something else instead of a number")


def check_complete(page: Any, data: bytes, max_megapixels: float) -> list[Entry]:
    """Correct a page's byte counts as libtiff does, and return the receipt's entries for that and for missing strips.

    Raises `FormatError` for missing samples, `PictureError` for an unsupported compression.
    """
    compression, size = int(page.compression), len(data)
    if compression not in _MOST_PACKED:
        kind = getattr(page.compression, "name", compression)
        raise PictureError(f"has a compression that DeepDream cannot read ({kind})", "export it with LZW or deflate")
    count = math.prod(page.chunked)
    if len(page.dataoffsets) < count:
        raise FormatError("some of its strips or tiles are missing")
    counts = _counts(page, size)
    entries = []
    if counts != page.databytecounts:
        entries.append(dropped("sizes of strips", "they are wrong, so DeepDream calculated them", lost=False))
    page.databytecounts = counts
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    held = [(start, length) for start, length in parts if start or length]  # both 0: sparse, as GDAL writes it
    if not held or any(length == 0 for _, length in held):
        raise FormatError("some of its strips or tiles are missing")
    if max(start + length for start, length in held) > size:
        raise FormatError("samples are beyond the end of the file")
    if min(start for start, _ in held) < _HEADER:
        raise FormatError("samples overlap its header")
    sparse = len(parts) - len(held)
    chunk = math.prod(page.chunks) * page.bitspersample // 8
    rowbytes = -(-page.imagewidth * page.samplesperpixel * page.bitspersample // 8)
    announced = rowbytes * page.imagelength if not sparse else chunk * len(held)
    together = size if compression == _NONE else min(size, sum(length for _, length in held))
    check_plausible(announced, together, _MOST_PACKED[compression])
    check_pixels(math.prod(page.chunks) // page.samplesperpixel, "a strip or tile of it", max_megapixels)
    longest = size if compression == _NONE else min(size, max(length for _, length in held))
    check_plausible(chunk, longest, _MOST_PACKED[compression])
    if compression == _JPEG:
        for start, length in held:
            _check_jpeg(page, data[start : start + length])
    if sparse:
        what = "tiles" if page.is_tiled else "strips"
        entries.append(dropped(f"{sparse} of {len(parts)} {what}", "not in the file, which means zeros", lost=False))
    return entries


def _counts(page: Any, size: int) -> tuple[int, ...]:
    """Return how many bytes each strip or tile has, calculated for a last strip whose count is too large or missing.

    It may be missing for a single strip. Only counts of uncompressed samples are calculated; others end by themselves.
    """
    offsets, counts = page.dataoffsets, list(page.databytecounts)
    lone = len(offsets) == 1
    counts += [0] * (lone and not counts)
    if len(counts) != len(offsets):
        raise FormatError("some of its strips or tiles are missing")
    if page.is_tiled or not page.rowsperstrip:
        return tuple(counts)
    strips = -(-page.imagelength // page.rowsperstrip)
    samples = 1 if int(page.planarconfig or 1) == 2 else page.samplesperpixel
    rows = page.imagelength - (strips - 1) * page.rowsperstrip
    for place in range(strips - 1, len(counts), strips):  # the last of each plane
        start, count = offsets[place], counts[place]
        if int(page.compression) == _NONE and start and (start + count > size or (lone and not count)):
            counts[place] = rows * -(-page.imagewidth * samples * page.bitspersample // 8)
        elif lone and not count:
            counts[place] = max(0, size - start)
    return tuple(counts)


def _check_jpeg(page: Any, part: bytes) -> None:
    if page.bitspersample != 8 or (page.planarconfig == 1 and page.samplesperpixel not in (1, 3, 4)):
        raise PictureError("holds a kind of JPEG that DeepDream cannot read", "export it with LZW or deflate")
    tables: bytes | None = page.jpegtables
    height, width = page.chunks[:2]
    check_jpeg(tables[:-2] + part[2:] if tables else part, width, height)


def samples_of(page: Any, data: bytes) -> tuple[NDArray[Any], list[Entry]]:
    """Decode a page, and return the receipt's entries for rows beyond the picture's end in its last strip."""
    try:
        return page.asarray(), []
    except Exception:  # tifffile raises nearly anything
        rows = _rows_stored(page)
        if rows == page.imagelength:
            raise
    longer = bytearray(data)
    tag = page.tags[LENGTH]
    kind = {3: "H", 4: "I", 16: "Q"}[int(tag.dtype)]
    struct.pack_into(page.parent.byteorder + kind, longer, tag.valueoffset, rows)
    with tifffile.TiffFile(io.BytesIO(longer)) as tiff:
        again: Any = next(known for known in tiff.pages if known.offset == page.offset)
        samples: NDArray[Any] = (again if isinstance(again, tifffile.TiffPage) else again.aspage()).asarray()
    apart = int(page.planarconfig or 1) == 2 and page.samplesperpixel > 1
    cut = samples[:, : page.imagelength] if apart else samples[: page.imagelength]
    return cut, [dropped("surplus samples", "rows beyond the last, which readers ignore", lost=False)]


def _rows_stored(page: Any) -> int:
    """Return how many rows the strips hold if the last is as high as the others; the picture's rows if that is too many."""
    strip = page.tags.valueof(ROWS_PER_STRIP)
    if page.is_tiled or not isinstance(strip, int) or strip < 1:
        return int(page.imagelength)
    rows = -(-page.imagelength // strip) * strip
    plausible = rows * page.imagewidth <= 2 * page.imagelength * page.imagewidth + _MOST_MORE_PIXELS
    return int(rows if plausible else page.imagelength)
