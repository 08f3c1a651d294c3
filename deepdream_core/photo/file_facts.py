"""What a finished file holds, read back from its headers: pictures, times, depth, transparency, metadata, resolution."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from deepdream_core.photo import ifd, tiff_edit
from deepdream_core.photo.container import Blocks, blocks_of, moving_of
from deepdream_core.photo.container.boxes import durations_of
from deepdream_core.photo.exif import bare
from deepdream_core.photo.exif_values import resolution_of
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.with_jxl import HEADER, codestream_of, header_of
from deepdream_core.photo.with_pillow import dpi_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DPI = tuple[float, float] | None
_WITH_ALPHA = frozenset({"LA", "RGBA", "RGBa", "PA", "La"})


@dataclass(frozen=True)
class Facts:
    """What a file says of itself.

    `sizes`: (width, height) of each picture. `blocks`: the metadata of each page of a TIFF, of the file else. `durations`:
    of an animation's frames in ms, else empty. `depth` is as in `Frame`, `plays` as in `Coding`. `dpi`: where it lies
    outside of EXIF. `extra`: the number of a TIFF page's samples besides colours. None is what the headers do not say.
    """

    sizes: tuple[tuple[int, int], ...]
    blocks: tuple[Blocks, ...]
    depth: str | None = "8"
    alpha: bool | None = None
    durations: tuple[float, ...] = ()
    plays: int | None = None
    dpi: _DPI = None
    extra: tuple[int, ...] = ()


def facts_of(data: bytes | bytearray, name: str) -> Facts:
    """Read a file of the format `name`, without its samples; raises nearly anything for a broken one."""
    return _tiff(data) if name == "TIFF" else _READERS[name](bytes(data))


def _by_pillow(data: bytes, name: str) -> Facts:
    blocks = blocks_of(data, name) if name == "JPEG" else Blocks()
    with Image.open(io.BytesIO(data), formats=[name]) as image:
        return Facts((image.size,), (blocks,), alpha=image.mode in _WITH_ALPHA, dpi=dpi_of(image, blocks.exif))


def _png(data: bytes) -> Facts:
    width, height, bits, colours = struct.unpack_from(">IIBB", data, 16)
    blocks = blocks_of(data, "PNG")
    moving = moving_of(data, "PNG")
    sizes = [(width, height)]
    if moving:
        sizes = [(width, height)] * (len(moving.frames) + (moving.still is not None))
    dpi = None
    if physical := next((content for kind, content in blocks.others if kind == "pHYs"), None):
        across, down, unit = struct.unpack(">IIB", physical)
        dpi = (across * 0.0254, down * 0.0254) if unit == 1 else None
    return Facts(
        tuple(sizes), (blocks,), str(bits), colours in (4, 6) or b"tRNS" in data[:4096],
        tuple(frame.duration_ms for frame in moving.frames) if moving else (), moving.plays if moving else None, dpi,
    )  # fmt: skip


def _webp(data: bytes) -> Facts:
    blocks, moving = blocks_of(data, "WEBP"), moving_of(data, "WEBP")
    if moving:
        sizes = ((moving.width, moving.height),) * len(moving.frames)
        durations = tuple(frame.duration_ms for frame in moving.frames)
        return Facts(sizes, (blocks,), alpha=bool(data[20] & 0x10), durations=durations, plays=moving.plays)
    with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
        return Facts((image.size,), (blocks,), alpha=image.mode == "RGBA")


def _gif(data: bytes) -> Facts:
    blocks, moving = blocks_of(data, "GIF"), moving_of(data, "GIF")
    if moving is None:
        raise FormatError("the GIF holds no picture")
    alpha = any(b"\x21\xf9\x04\x01" in frame.file[:1024] for frame in moving.frames)
    several = len(moving.frames) > 1
    durations = tuple(frame.duration_ms for frame in moving.frames) if several else ()
    sizes = ((moving.width, moving.height),) * len(moving.frames)
    return Facts(sizes, (blocks,), alpha=alpha, durations=durations, plays=moving.plays if several else None)


def _avif(data: bytes) -> Facts:
    with Image.open(io.BytesIO(data), formats=["AVIF"]) as image:
        exif = image.info.get("exif")
        blocks = Blocks(image.info.get("icc_profile"), bare(exif) if exif else None, image.info.get("xmp"))
        count = getattr(image, "n_frames", 1)
        durations = tuple(durations_of(memoryview(data))) if count > 1 else ()
        return Facts((image.size,) * count, (blocks,), alpha=image.mode == "RGBA", durations=durations)


def _heic(data: bytes) -> Facts:
    import pillow_heif

    image = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    exif = image.info.get("exif")
    blocks = Blocks(image.info.get("icc_profile"), bare(exif) if exif else None, image.info.get("xmp") or None)
    alpha = image.mode.split(";")[0] in _WITH_ALPHA
    return Facts((image.size,) * len(image), (blocks,), str(image.info.get("bit_depth")), alpha)


def _jxl(data: bytes) -> Facts:
    header = header_of(codestream_of(data)[:HEADER])
    return Facts(((header.width, header.height),), (blocks_of(data, "JXL"),), header.depth, header.alpha)


def _tiff(data: bytes | bytearray) -> Facts:
    layout = ifd.layout_of(data)
    pages = [ifd.directory_at(data, offset, layout) for offset in ifd.directory_offsets(data, layout)]

    def number(page: ifd.Directory, tag: int, default: int = 0) -> int:
        entry = page.get(tag)
        return (entry.integer(data, layout.order) if entry else None) or default

    def content(page: ifd.Directory, tag: int) -> bytes | None:
        entry = page.get(tag)
        return entry.read(data) if entry else None

    blocks = []
    for page in pages:
        others = tuple((str(tag), found) for tag in (33723, 34377) if (found := content(page, tag)) is not None)
        exif = tiff_edit.exif_of_tiff(data, page.offset, layout)
        blocks.append(Blocks(content(page, 34675), exif, content(page, 700), others))
    first = pages[0]
    extras = [extra.integers(data, layout.order) if (extra := page.get(338)) else () for page in pages]
    alpha = any(kind in (1, 2) for extra in extras for kind in extra)
    depth = "float" if number(first, 339, 1) == 3 else str(number(first, 258, 1))
    sizes = tuple((number(page, 256), number(page, 257)) for page in pages)
    dpi = resolution_of(blocks[0].exif) if blocks[0].exif else None
    return Facts(sizes, tuple(blocks), depth, alpha, dpi=dpi, extra=tuple(len(extra) for extra in extras))


_READERS: Mapping[str, Callable[[bytes], Facts]] = {
    "JPEG": lambda data: _by_pillow(data, "JPEG"), "BMP": lambda data: _by_pillow(data, "BMP"), "PNG": _png,
    "WEBP": _webp, "GIF": _gif, "AVIF": _avif, "HEIC": _heic, "JXL": _jxl,
}  # fmt: skip
