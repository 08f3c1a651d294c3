"""TIFF at every depth, page by page: samples by tifffile, metadata by `ifd`."""

from __future__ import annotations

import io
import logging
from dataclasses import replace

import numpy as np
import tifffile

from deepdream_core.errors import PictureError
from deepdream_core.photo import ifd, tags
from deepdream_core.photo.codecs import tiff_samples, tiff_strips
from deepdream_core.photo.codecs.tiff_metadata import blocks_of, dpi_of
from deepdream_core.photo.codecs.tiff_pages import Picture, pictures_of
from deepdream_core.photo.codecs.tiff_samples import BLACK_IS_ZERO, CIELAB, CMYK, ICCLAB, PALETTE, WHITE_IS_ZERO, YCBCR
from deepdream_core.photo.codecs.tiff_writing import encode
from deepdream_core.photo.colour_tags import by_exif, with_transfer
from deepdream_core.photo.container import Blocks
from deepdream_core.photo.container.tiff import blocks_of_page
from deepdream_core.photo.decoded import (
    Coding,
    Decoded,
    check_pixels,
    check_size,
    fit_for_changed_pixels,
    orientation_of,
    upright,
)
from deepdream_core.photo.exif_values import resolution_of
from deepdream_core.photo.facts import Facts
from deepdream_core.photo.frame import Frame
from deepdream_core.photo.receipt import Entry, converted
from deepdream_core.photo.scale import checked_scale, white_of_page

__all__ = ["decode", "encode", "facts_of"]

logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False

_COMPRESSIONS = {1: None, 5: "lzw", 8: "adobe_deflate", 32946: "adobe_deflate", 32773: "packbits", 50000: "zstd"}
"""Compressions that a result keeps, by tifffile's names."""


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode all pages; see `codecs.Codec`."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        layout = ifd.layout_of(data)
        pictures, left_out = pictures_of(tiff, data, sum(1 for _ in ifd.directory_offsets(data, layout)))
        pages = [picture.page for picture in pictures]
        for page in pages:
            tiff_strips.check_numbers(page)
        total = sum(page.imagewidth * page.imagelength for page in pages)
        check_pixels(total, f"all its {len(pages)} pages together" if len(pages) > 1 else "it", max_megapixels)
        changes: list[Entry] = []
        for page in {id(page): page for page in pages}.values():  # slices share a page
            check_size(page.imagewidth, page.imagelength, 1, max_megapixels)
            changes += tiff_strips.check_complete(page, data, max_megapixels)
        frames: list[Frame] = []
        orientations: list[int] = []
        for picture in pictures:
            frame, orientation, page_changes = _decoded(picture, data, layout, white)
            frames.append(frame)
            orientations.append(orientation)
            changes += [entry for entry in page_changes if entry not in changes]
        changes += left_out
        compression, dpi = _COMPRESSIONS.get(int(pages[0].compression), "adobe_deflate"), dpi_of(pages[0])
    if dpi and orientations[0] >= 5:
        dpi = dpi[::-1]
    return Decoded(
        tuple(frames), frames[0].blocks or Blocks(), Coding(compression=compression, dpi=dpi), tuple(changes)
    )


def _decoded(
    picture: Picture, data: bytes, layout: ifd.Layout, given_white: float | None
) -> tuple[Frame, int, list[Entry]]:
    """Return a picture upright with its metadata, the orientation that it had, and what has changed."""
    page, photometric = picture.page, int(picture.page.photometric)
    _refuse(picture)
    samples, changes = picture.samples(data)
    if samples.dtype == bool:
        samples = samples.astype(np.uint8)
    if photometric == YCBCR and int(page.compression) not in (6, 7):
        raise PictureError("holds uncompressed YCbCr, which DeepDream cannot read", "export it as RGB")
    samples = tiff_samples.with_channels_last(page, samples)
    colours = 1 if photometric in (BLACK_IS_ZERO, WHITE_IS_ZERO, PALETTE) else 4 if photometric == CMYK else 3
    bits = int(page.bitspersample)
    floating = samples.dtype.kind == "f"
    white = (given_white or white_of_page(page, colours)) if floating else float((1 << bits) - 1)
    samples, kinds, premultiplied = tiff_samples.with_one_alpha(page, samples, colours, changes)
    blocks = blocks_of(picture, data, layout)
    if table := ifd.directory_at(data, page.offset, layout).get(tags.TRANSFER_FUNCTION):
        described = by_exif(blocks.exif) if blocks.exif else None
        light, inverted = table.integers(data, layout.order), photometric == WHITE_IS_ZERO
        blocks = replace(blocks, described=with_transfer(described, light, bits, inverted=inverted))
    if photometric == WHITE_IS_ZERO:
        samples[..., 0] = white - samples[..., 0]
    elif photometric == PALETTE:
        samples = tiff_samples.looked_up(page, samples)
        white = 65_535.0 if samples.dtype == np.uint16 else 255.0
        changes.append(converted("colours", "palette to RGB"))
    elif photometric in (CMYK, CIELAB, ICCLAB):
        samples, blocks = tiff_samples.as_rgb(photometric, samples, blocks, changes)
    samples, white = tiff_samples.widened(samples, white, bits, changes)
    stored = page.tags.valueof(tags.ORIENTATION, picture.home.tags.valueof(tags.ORIENTATION, 0))
    orientation = int(stored) if 1 <= stored <= 8 else orientation_of(blocks)
    shown = samples.shape[2] - len(kinds)
    frame = checked_scale(Frame(upright(samples[..., :shown], orientation), white, premultiplied))
    if kinds:
        frame = replace(frame, extra=upright(samples[..., shown:], orientation), extra_kinds=kinds)
    blocks, gone = fit_for_changed_pixels(blocks, orientation)
    return replace(frame, blocks=blocks), orientation, [*changes, *gone]


def _refuse(picture: Picture) -> None:
    """Raise `PictureError` for unsupported colours and numbers."""
    page, photometric = picture.page, int(picture.page.photometric)
    if page.imagedepth > 1 or photometric not in tiff_samples.READ:
        raise PictureError(
            f"holds a kind of colours that DeepDream cannot read ({page.photometric.name})", "export it as RGB"
        )
    if page.sampleformat not in (1, 3, None):
        raise PictureError("holds signed or complex numbers, which are not colours", "export it with 8 or 16 bits")


def facts_of(data: bytes | bytearray) -> Facts:
    """Read back a file; see `codecs.Codec`."""
    layout = ifd.layout_of(data)
    pages = [ifd.directory_at(data, offset, layout) for offset in ifd.directory_offsets(data, layout)]

    def number(page: ifd.Directory, tag: int, default: int = 0) -> int:
        entry = page.get(tag)
        return (entry.integer(data, layout.order) if entry else None) or default

    blocks = tuple(blocks_of_page(data, page, layout) for page in pages)
    extras = [extra.integers(data, layout.order) if (extra := page.get(tags.EXTRA_SAMPLES)) else () for page in pages]
    alpha = any(kind in (1, 2) for extra in extras for kind in extra)
    depth = "float" if number(pages[0], tags.SAMPLE_FORMAT, 1) == 3 else str(number(pages[0], tags.BITS_PER_SAMPLE, 1))
    sizes = tuple((number(page, tags.WIDTH), number(page, tags.LENGTH)) for page in pages)
    dpi = resolution_of(blocks[0].exif) if blocks[0].exif else None
    return Facts(sizes, blocks, depth, alpha, dpi=dpi, extra=tuple(len(extra) for extra in extras))
