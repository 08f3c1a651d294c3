"""PNG, still or animated: 8 bits decoded and encoded by Pillow, 16 bits by libpng (imagecodecs)."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.photo import animation
from deepdream_core.photo.codecs import libpng, moving, pillow
from deepdream_core.photo.container import moving_png, png
from deepdream_core.photo.container.png_samples import for_decoders, has_surplus
from deepdream_core.photo.decoded import Coding, Decoded, check_plausible, check_size, orientation_of
from deepdream_core.photo.facts import Facts
from deepdream_core.photo.frame import Frame, without_single_channel
from deepdream_core.photo.receipt import Entry, dropped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from deepdream_core.photo.container import Blocks

_MOST_PIXELS = 8 * 1040
"""Pixels of 1 bit that one byte can stand for at most."""

_BITS = {"LA": 16, "RGB": 24, "RGBA": 32, "I;16": 16}
"""Bits of a pixel, by Pillow's mode."""


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode all frames; see `codecs.Codec`."""
    view = memoryview(data)
    blocks = png.blocks_of(view)
    file, opaque, repaired = for_decoders(view)
    changes: list[Entry] = []
    if opaque:
        changes.append(dropped("transparency", "its chunk is damaged, and readers ignore it"))
    if repaired:
        changes.append(dropped("wrong checksum", "the samples are intact", lost=False))
    stored = moving_png.moving_of(memoryview(file))
    if stored:
        moving.check_stored(stored, max_megapixels, _MOST_PIXELS)
    with pillow.opened(file, "PNG") as image:
        check_size(image.width, image.height, 1, max_megapixels)
        if not stored:
            check_plausible(image.width * image.height, len(data), _MOST_PIXELS // _BITS.get(image.mode, 1))
        surplus = has_surplus(view)
        if surplus:
            changes.append(dropped("surplus samples", "beyond the last row, which readers ignore", lost=False))
        bits = _bits_of(data)
        coding = Coding(dpi=pillow.dpi_of(image))
        if stored:
            coding = replace(coding, plays=stored.plays, still_first=stored.still is not None)
            frames = animation.frames_of(stored, _still, unused_alpha=True)
        elif bits > 8:
            frames = [Frame(libpng.decode(file, surplus=surplus), 65_535.0)]
        else:
            frames = [Frame(pillow.samples_of(image), 255.0)]
        changes += [*pillow.few_bits(bits, frames[0]), *pillow.palette_change(image, frames[0])]
    return pillow.turned_upright(frames, blocks, coding, changes, orientation_of(blocks))


def _bits_of(file: bytes) -> int:
    """Return the bits of a channel as the header says; Pillow opens deeper files as 8-bit without a warning."""
    return file[24]


def _still(file: bytes) -> NDArray[Any]:
    if _bits_of(file) > 8:
        return libpng.decode(file, surplus=has_surplus(memoryview(file)))
    with pillow.opened(file, "PNG") as image:
        return pillow.samples_of(image)


def encode(frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode a picture or an animation of uint8 or uint16; see `codecs.Codec`."""
    still = partial(_encoded, dpi=coding.dpi)
    if len(frames) == 1:
        return still(frames[0])
    return moving_png.file_of(animation.reduced(frames, still, plays=coding.plays, still_first=coding.still_first))


def _encoded(frame: Frame, *, dpi: tuple[float, float] | None) -> bytes:
    if frame.samples.dtype == np.uint16:
        import imagecodecs

        return bytes(imagecodecs.png_encode(without_single_channel(frame.samples), level=6))
    return pillow.saved(pillow.image_of(frame), "PNG", **({"dpi": dpi} if dpi else {}))


def facts_of(data: bytes | bytearray) -> Facts:
    """Read back a file; see `codecs.Codec`."""
    view = memoryview(data)
    width, height, bits, colours = struct.unpack_from(">IIBB", data, 16)
    blocks, stored = png.blocks_of(view), moving_png.moving_of(view)
    alpha = colours in (4, 6) or b"tRNS" in data[:4096]
    if stored:
        facts = moving.facts_of(stored, blocks, str(bits), alpha=alpha)
    else:
        facts = Facts(((width, height),), (blocks,), str(bits), alpha)
    return replace(facts, dpi=png.resolution_of(blocks))
