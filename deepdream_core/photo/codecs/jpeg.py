"""JPEG, decoded and encoded by Pillow (libjpeg)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PIL import JpegImagePlugin

from deepdream_core.photo import colour
from deepdream_core.photo.codecs import pillow
from deepdream_core.photo.container import jpeg
from deepdream_core.photo.container.jpeg_samples import demanding
from deepdream_core.photo.decoded import Coding, Decoded, check_plausible, check_size, orientation_of
from deepdream_core.photo.exif_values import resolution_of
from deepdream_core.photo.facts import Facts
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.frame import Frame
from deepdream_core.photo.receipt import Entry, converted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from deepdream_core.photo.container import Blocks

_MOST_PIXELS = 512
"""Pixels that one byte can stand for at most: 64 for each bit."""

_QUALITY = 95


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode the main picture; see `codecs.Codec`."""
    view = memoryview(data)
    blocks = jpeg.blocks_of(view)
    changes: list[Entry] = []
    with pillow.opened(demanding(view), "JPEG", "MPO") as image:
        check_size(image.width, image.height, 1, max_megapixels)
        check_plausible(image.width * image.height, len(data), _MOST_PIXELS)
        coding = _coding(image, _dpi_of(image, blocks))
        frame = Frame(pillow.samples_of(image), 255.0)
    if image.mode == "CMYK":
        profile, how = colour.press_of(blocks.icc)
        frame = replace(frame, samples=colour.cmyk_to_srgb(frame.samples, profile))
        blocks = replace(blocks, icc=colour.srgb_profile())
        changes.append(converted("colours", how, lost=True))
    return pillow.turned_upright([frame], blocks, coding, changes, orientation_of(blocks))


def _dpi_of(image: Image.Image, blocks: Blocks) -> tuple[float, float] | None:
    """Return the resolution: the JFIF header's, otherwise EXIF's, of which Pillow takes one side for both."""
    if image.info.get("jfif_unit") in (1, 2):
        return pillow.dpi_of(image)
    return resolution_of(blocks.exif) if blocks.exif else None


def _coding(image: Image.Image, dpi: tuple[float, float] | None) -> Coding:
    sampling = JpegImagePlugin.get_sampling(image)
    return Coding(
        lossless=False, qtables=getattr(image, "quantization", None) or None,
        subsampling=sampling if sampling in (0, 1, 2) else 0,  # Pillow writes no others, so full colour for those
        progressive=bool(image.info.get("progressive")), dpi=dpi,
    )  # fmt: skip


def check_jpeg(data: bytes, width: int, height: int) -> None:
    """Raise for a JPEG inside another file that is truncated, or larger than its place there."""
    with pillow.opened(demanding(memoryview(data)), "JPEG") as image:
        if image.width > width or image.height > height:
            raise FormatError("part of it is larger than its place in the file")
        check_plausible(image.width * image.height, len(data), _MOST_PIXELS)
        image.load()


def encode(frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode a picture with the quantisation tables of its source, or with a `quality`; see `codecs.Codec`."""
    options: dict[str, Any] = {"progressive": coding.progressive}
    if coding.qtables and quality is None:
        options |= {"qtables": coding.qtables, "subsampling": coding.subsampling}
    else:
        options["quality"] = _QUALITY if quality is None else quality
        coarse = 2 if options["quality"] < 90 else 0
        options["subsampling"] = coarse if coding.subsampling is None else coding.subsampling
    if coding.dpi:
        options["dpi"] = coding.dpi
    return pillow.saved(pillow.image_of(frames[0]), "JPEG", **options)


def facts_of(data: bytes | bytearray) -> Facts:
    """Read back a file; see `codecs.Codec`."""
    blocks = jpeg.blocks_of(memoryview(data))
    with pillow.opened(data, "JPEG") as image:
        return Facts((image.size,), (blocks,), alpha=False, dpi=_dpi_of(image, blocks))
