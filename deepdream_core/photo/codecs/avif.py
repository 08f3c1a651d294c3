"""AVIF, still or animated, decoded and encoded by Pillow (libavif); more than 8 bits decoded by imagecodecs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deepdream_core.photo.animation import widened
from deepdream_core.photo.codecs import pillow
from deepdream_core.photo.colour_tags import by_boxes
from deepdream_core.photo.container.boxes import durations_of, others_in_words, picture_count, plays_of
from deepdream_core.photo.decoded import Coding, Decoded, check_size, orientation_of
from deepdream_core.photo.exif import without
from deepdream_core.photo.facts import Facts
from deepdream_core.photo.frame import Frame, with_channels
from deepdream_core.photo.tags import ORIENTATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from deepdream_core.photo.container import Blocks

_QUALITY = 90


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode all frames; see `codecs.Codec`."""
    view = memoryview(data)
    with pillow.opened(data, "AVIF") as image:
        count = getattr(image, "n_frames", 1)
        check_size(image.width, image.height, count, max_megapixels)
        blocks = pillow.blocks_of(image.info)  # Pillow puts the container's orientation, which counts, into the EXIF
        others = others_in_words(view, animated=count > 1)
        if count == 1 and picture_count(view) > 1:
            others.append("further pictures")
        blocks = replace(blocks, dropped=tuple(others))
        bits = _bits_of(data)
        deep = bits > 8 and count == 1
        frames = [Frame(_deep(data), float((1 << bits) - 1))] if deep else _frames(image, count, view)
    changes = pillow.few_bits(bits, frames[0])
    blocks = replace(blocks, described=by_boxes(data))
    orientation = orientation_of(replace(blocks, xmp=None))  # the container's, which Pillow reports through EXIF
    coding = Coding(lossless=False, plays=plays_of(view))
    return pillow.turned_upright(frames, blocks, coding, changes, orientation)


def _bits_of(data: bytes) -> int:
    """Return the bits of a channel as the file holds them; Pillow decodes deeper files to 8 without a warning."""
    box = data.find(b"av1C", 0, 1 << 16)
    flags = data[box + 6] if box > 0 else 0
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def _deep(data: bytes) -> NDArray[Any]:
    import imagecodecs

    return with_channels(imagecodecs.avif_decode(data))


def _frames(image: Image.Image, count: int, view: memoryview) -> list[Frame]:
    """Decode every picture, all with the same channels."""
    if count == 1:
        return [Frame(pillow.samples_of(image), 255.0)]
    frames: list[Frame] = []
    for index in range(count):
        image.seek(index)
        samples = pillow.samples_of(image)
        frames.append(Frame(samples, 255.0, duration_ms=image.info.get("duration")))
    exact = durations_of(view)  # Pillow rounds to milliseconds
    if len(exact) == count:
        frames = [replace(frame, duration_ms=time) for frame, time in zip(frames, exact, strict=True)]
    most = max(frame.samples.shape[2] for frame in frames)
    if any(frame.alpha is not None for frame in frames) and most == 3:
        most = 4
    return [replace(frame, samples=widened(frame.samples, most)) for frame in frames]


def encode(frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode a picture or an animation of uint8 with its metadata; see `codecs.Codec`."""
    exif = blocks.exif and without(blocks.exif, ORIENTATION)  # Pillow rewrites one with it, damaging MakerNote
    metadata = {"icc_profile": blocks.icc, "exif": exif, "xmp": blocks.xmp}
    options: dict[str, Any] = {key: value for key, value in metadata.items() if value is not None}
    options["quality"] = _QUALITY if quality is None else quality
    options["subsampling"] = "4:0:0" if frames[0].samples.shape[2] == 1 else "4:4:4"
    first, *rest = (pillow.image_of(frame) for frame in frames)
    if rest:
        durations = [round(100.0 if frame.duration_ms is None else frame.duration_ms) for frame in frames]
        options |= {"save_all": True, "append_images": rest, "duration": durations}
    return pillow.saved(first, "AVIF", **options)


def facts_of(data: bytes | bytearray) -> Facts:
    """Read back a file; see `codecs.Codec`."""
    with pillow.opened(data, "AVIF") as image:
        count = getattr(image, "n_frames", 1)
        durations = tuple(durations_of(memoryview(data))) if count > 1 else ()
        return Facts(
            (image.size,) * count, (pillow.blocks_of(image.info),), alpha=image.mode == "RGBA", durations=durations
        )
