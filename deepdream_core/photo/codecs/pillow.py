"""What the formats that Pillow decodes and encodes share: opening, samples, resolution, orientation."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from deepdream_core.errors import PictureError
from deepdream_core.photo.container import Blocks
from deepdream_core.photo.decoded import Coding, Decoded, fit_for_changed_pixels, upright
from deepdream_core.photo.exif import bare
from deepdream_core.photo.facts import Facts
from deepdream_core.photo.frame import with_channels, without_single_channel
from deepdream_core.photo.receipt import Entry, converted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from deepdream_core.photo.frame import Frame

Image.MAX_IMAGE_PIXELS = None  # `check_size` checks the header instead, with a message for users

WITH_ALPHA = frozenset({"LA", "RGBA", "RGBa", "PA", "La"})
"""Pillow's modes with transparency."""

_MODES = {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK"}


def opened(file: bytes | bytearray | memoryview, *formats: str) -> Image.Image:
    """Open a file as one of Pillow's formats, without decoding it."""
    return Image.open(io.BytesIO(file), formats=formats)


def samples_of(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an opened picture: uint8 [H, W, C] with 1 to 4 channels, gray or RGB or CMYK, and alpha last."""
    image.load()
    if image.mode not in _MODES:
        raise PictureError(f"holds {image.mode} pixels, which DeepDream cannot read", "export it as RGB")
    mode = _MODES[image.mode]
    if image.mode == "P" and _has_gray_palette(image):
        mode = "L"
    if "transparency" in image.info and mode in ("L", "RGB"):
        mode = "LA" if mode == "L" else "RGBA"
    if mode == "LA" and image.mode == "P":  # Pillow has no such conversion
        return np.array(image.convert("RGBA"))[..., (0, 3)]
    return with_channels(np.array(image if image.mode == mode else image.convert(mode)))


def _has_gray_palette(image: Image.Image) -> bool:
    """Return whether a palette holds only grays, apart from the transparent entry."""
    palette = np.frombuffer(image.im.getpalette("RGB", "RGB"), np.uint8).reshape(-1, 3)
    used = palette[: len(image.palette.palette) // len(image.palette.mode)] if image.palette else palette
    coloured = (used != used[:, :1]).any(axis=1)
    hidden = image.info.get("transparency")
    if isinstance(hidden, int) and hidden < len(coloured):
        coloured[hidden] = False
    return not coloured.any()


def blocks_of(info: Mapping[Any, Any]) -> Blocks:
    """Return the metadata that a decoder has put into a picture's `info`."""
    exif = info.get("exif")
    return Blocks(info.get("icc_profile"), bare(exif) if exif else None, info.get("xmp") or None)


def dpi_of(image: Image.Image) -> tuple[float, float] | None:
    """Return the resolution of an opened picture in pixels per inch, None if it has none."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 <= across < 65_536 and 1 <= down < 65_536 else None


def few_bits(bits: int, frame: Frame) -> list[Entry]:
    """Return the receipt's entry for a file whose channels had `bits` bits, if they are not the frame's 8."""
    if bits == 8 or frame.depth != "8":
        return []
    if bits > 8:
        return [converted("depth", f"{bits} to 8 bits: an animation is read with 8", lost=True)]
    return [converted("depth", f"{bits} to 8 bits, so that the dream has shades")]


def palette_change(image: Image.Image, frame: Frame) -> list[Entry]:
    """Return the receipt's entry for a file with a palette."""
    if image.mode != "P":
        return []
    return [converted("colours", "palette to gray" if frame.gray else "palette to RGB")]


def turned_upright(
    frames: Sequence[Frame], blocks: Blocks, coding: Coding, changes: Sequence[Entry], orientation: int
) -> Decoded:
    """Return a decoded file with an EXIF orientation, 1…8, applied to pixels, metadata and resolution."""
    frames = [replace(frame, samples=upright(frame.samples, orientation)) for frame in frames]
    blocks, gone = fit_for_changed_pixels(blocks, orientation)
    if coding.dpi and orientation >= 5:
        coding = replace(coding, dpi=coding.dpi[::-1])
    return Decoded(tuple(frames), blocks, coding, (*changes, *gone))


def image_of(frame: Frame) -> Image.Image:
    """Return Pillow's picture of a frame of uint8."""
    return Image.fromarray(without_single_channel(frame.samples))


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    """Encode a picture in one of Pillow's formats."""
    encoded = io.BytesIO()
    image.save(encoded, format=format, **options)
    return encoded.getvalue()


def facts_of(data: bytes | bytearray, format: str, blocks: Blocks) -> Facts:
    """Return the facts of a still picture."""
    with opened(data, format) as image:
        return Facts((image.size,), (blocks,), alpha=image.mode in WITH_ALPHA, dpi=dpi_of(image))
