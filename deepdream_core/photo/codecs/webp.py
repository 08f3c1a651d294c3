"""WebP, still or animated, decoded and encoded by Pillow (libwebp)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from deepdream_core.photo import animation
from deepdream_core.photo.codecs import moving, pillow
from deepdream_core.photo.container import moving_webp, webp
from deepdream_core.photo.decoded import Coding, Decoded, check_size, orientation_of
from deepdream_core.photo.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.photo.container import Blocks
    from deepdream_core.photo.facts import Facts

_QUALITY = 95
_FRAME_HEADER = 16  # bytes of place and duration before the chunks of a frame


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode all frames; see `codecs.Codec`."""
    view = memoryview(data)
    blocks, stored = webp.blocks_of(view), moving_webp.moving_of(view)
    lossless = b"VP8 " not in _chunk_names(data)
    if stored:
        moving.check_stored(stored, max_megapixels)
    with pillow.opened(data, "WEBP") as image:
        check_size(image.width, image.height, 1, max_megapixels)
        if stored:
            frames = animation.frames_of(stored, _still, unused_alpha=False)
        else:
            frames = [Frame(pillow.samples_of(image), 255.0)]
    coding = Coding(lossless=lossless, plays=stored.plays if stored else 0)
    return pillow.turned_upright(frames, blocks, coding, (), orientation_of(blocks))


def _still(file: bytes) -> NDArray[np.uint8]:
    with pillow.opened(file, "WEBP") as image:
        return pillow.samples_of(image)


def _chunk_names(data: bytes) -> set[bytes]:
    """Return the names of all chunks, those inside frames too (RFC 9649, 2.3 and 2.7)."""
    names: set[bytes] = set()
    at = 12
    while at + 8 <= len(data):
        name = data[at : at + 4]
        names.add(name)
        if name == b"ANMF":
            at += 8 + _FRAME_HEADER
            continue
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return names


def encode(frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode a picture or an animation, lossless if the source was and no `quality` is given; see `codecs.Codec`."""
    still = partial(_encoded, lossless=coding.lossless and quality is None, quality=quality)
    if len(frames) == 1:
        return still(frames[0])
    return moving_webp.file_of(animation.reduced(frames, still, plays=coding.plays, still_first=False, step=2))


def _encoded(frame: Frame, *, lossless: bool, quality: int | None) -> bytes:
    effort = 80 if lossless else _QUALITY if quality is None else quality
    return pillow.saved(pillow.image_of(frame), "WEBP", lossless=lossless, quality=effort, method=4, exact=True)


def facts_of(data: bytes | bytearray) -> Facts:
    """Read back a file; see `codecs.Codec`."""
    view = memoryview(data)
    blocks, stored = webp.blocks_of(view), moving_webp.moving_of(view)
    if stored:
        return moving.facts_of(stored, blocks, alpha=bool(data[20] & 0x10))
    return pillow.facts_of(data, "WEBP", blocks)
