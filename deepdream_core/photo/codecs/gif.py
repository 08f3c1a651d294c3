"""GIF, still or animated, decoded and encoded by Pillow frame by frame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from deepdream_core.photo import animation
from deepdream_core.photo.codecs import moving, pillow
from deepdream_core.photo.container import gif, moving_gif
from deepdream_core.photo.decoded import Coding, Decoded, check_plausible

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.photo.container import Blocks
    from deepdream_core.photo.facts import Facts
    from deepdream_core.photo.frame import Frame

_MOST_PIXELS = 2800
"""Pixels that one byte can stand for at most: LZW packs 4096 into 12 bits."""


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode all frames; see `codecs.Codec`."""
    view = memoryview(data)
    blocks, stored = gif.blocks_of(view), moving_gif.moving_of(view)
    moving.check_stored(stored, max_megapixels, _MOST_PIXELS)
    held = sum(len(frame.file) for frame in stored.frames)  # the canvas may be larger than all that is stored
    check_plausible(stored.width * stored.height, held, _MOST_PIXELS)
    frames = animation.frames_of(stored, _still, unused_alpha=False)
    return pillow.turned_upright(frames, blocks, Coding(plays=stored.plays), (), 1)


def _still(file: bytes) -> NDArray[np.uint8]:
    with pillow.opened(file, "GIF") as image:
        return pillow.samples_of(image)


def encode(frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode a picture or an animation, each frame with the 256 colours that suit it best; see `codecs.Codec`."""
    if len(frames) == 1:
        return _encoded(frames[0])
    alone = any(frame.alpha is not None for frame in frames)  # GIF cannot make a pixel transparent again
    return moving_gif.file_of(animation.reduced(frames, _encoded, plays=coding.plays, still_first=False, whole=alone))


def _encoded(frame: Frame) -> bytes:
    image, options = pillow.image_of(frame), {}
    if image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
        image = _quantised(image.convert("RGB"), 255)
        image.paste(255, mask=alpha.point(lambda value: 255 * (value < 128)))
        options["transparency"] = 255
    elif image.mode != "L":
        image = _quantised(image, 256)
    return pillow.saved(image, "GIF", **options)


def _quantised(image: Image.Image, colours: int) -> Any:
    return image.quantize(colours, dither=Image.Dither.FLOYDSTEINBERG)


def facts_of(data: bytes | bytearray) -> Facts:
    """Read back a file; see `codecs.Codec`."""
    view = memoryview(data)
    stored = moving_gif.moving_of(view)
    alpha = any(b"\x21\xf9\x04\x01" in frame.file[:1024] for frame in stored.frames)
    facts = moving.facts_of(stored, gif.blocks_of(view), alpha=alpha)
    return facts if len(stored.frames) > 1 else replace(facts, durations=(), plays=None)
