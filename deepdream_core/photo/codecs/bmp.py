"""BMP, decoded and encoded by Pillow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.photo.codecs import pillow
from deepdream_core.photo.container import Blocks, bmp
from deepdream_core.photo.decoded import Coding, Decoded, check_plausible, check_size
from deepdream_core.photo.frame import Frame
from deepdream_core.photo.receipt import converted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_core.photo.facts import Facts

_MOST_PIXELS = 128
"""Pixels that one byte can stand for at most, where they are run-length encoded."""


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode the picture; see `codecs.Codec`."""
    blocks = bmp.blocks_of(memoryview(data))
    try:
        image = pillow.opened(data, "BMP", "DIB")
    except OSError as error:
        if str(error).startswith("Unsupported BMP"):
            raise PictureError(
                "is a kind of BMP that DeepDream cannot read", "export it with 24 bits, uncompressed"
            ) from None
        raise
    with image:
        check_size(image.width, image.height, 1, max_megapixels)
        check_plausible(image.width * image.height, len(data), _MOST_PIXELS)
        bits = 1 if image.mode == "1" else 8
        coding = Coding(dpi=pillow.dpi_of(image))
        frame = Frame(pillow.samples_of(image), 255.0)
        changes = [*pillow.few_bits(bits, frame), *pillow.palette_change(image, frame)]
    if frame.alpha is not None and not frame.alpha.any():  # the Windows clipboard gives such pictures
        frame = replace(frame, samples=np.ascontiguousarray(frame.samples[..., :-1]))
        changes.append(converted("alpha", "0 everywhere, so the picture is opaque"))
    return pillow.turned_upright([frame], blocks, coding, changes, 1)


def encode(frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode a picture; see `codecs.Codec`."""
    return pillow.saved(pillow.image_of(frames[0]), "BMP", **({"dpi": coding.dpi} if coding.dpi else {}))


def facts_of(data: bytes | bytearray) -> Facts:
    """Read back a file; see `codecs.Codec`."""
    return pillow.facts_of(data, "BMP", Blocks())
