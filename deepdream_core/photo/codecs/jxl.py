"""JPEG XL, decoded and encoded by libjxl (imagecodecs; its profile read by pillow_jxl).

Reads every depth. Writes 8 bits, because imagecodecs declares deeper samples as linear, which ours are not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.photo import colour
from deepdream_core.photo.colour_tags import Description, refuse_hdr
from deepdream_core.photo.container import jxl
from deepdream_core.photo.container.jxl_header import BLACK, codestream_of, header_of
from deepdream_core.photo.decoded import Coding, Decoded, check_size, fit_for_changed_pixels
from deepdream_core.photo.facts import Facts
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.frame import Frame, with_channels, without_single_channel
from deepdream_core.photo.icc import hdr_of
from deepdream_core.photo.receipt import dropped
from deepdream_core.photo.scale import with_white

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_core.photo.container import Blocks

_DISTANCE = 0.5
"""How far a lossy picture may be from the original, in just noticeable differences."""


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode the picture; see `codecs.Codec`.

    libjxl turns it as the codestream says. An orientation in the EXIF block repeats that.
    """
    import imagecodecs

    codestream = codestream_of(data)
    header = header_of(codestream)
    check_size(header.width, header.height, 1, max_megapixels)
    if header.animated:
        raise PictureError("is an animated JPEG XL, which DeepDream cannot read", "export it as GIF, WebP or PNG")
    if BLACK in header.others:
        raise PictureError("is a CMYK JPEG XL, which DeepDream cannot read", "export it as RGB")
    blocks = jxl.blocks_of(memoryview(data))
    samples = imagecodecs.jpegxl_decode(codestream, numthreads=0)
    fits = samples.shape[:2] in ((header.height, header.width), (header.width, header.height))
    samples = with_channels(samples)
    if samples.shape[2] > 4 or (header.others and not fits):  # next to gray they come one after another
        raise PictureError("has extra channels, which DeepDream cannot read", "export it without them")
    if not fits:
        raise FormatError("its size differs from its header")
    icc = _profile(codestream)
    white = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max)
    if icc:
        refuse_hdr(hdr_of(icc))
    own = icc if icc and not colour.is_srgb(icc) else None
    blocks = replace(blocks, icc=own, described=Description("sRGB", "the codestream"))
    blocks, gone = fit_for_changed_pixels(blocks, header.orientation)
    if count := len(header.others):
        gone = (*gone, dropped("extra channels", f"{count} besides colour and alpha, which DeepDream cannot read"))
    frame = Frame(samples, white, header.premultiplied and samples.shape[2] % 2 == 0)
    return Decoded(with_white([frame], white), blocks, Coding(lossless=bool(header.lossless)), gone)


def _profile(data: bytes) -> bytes | None:
    import pillow_jxl

    try:
        found: bytes | None = pillow_jxl.Decoder(num_threads=1)(data)[3]
    except BaseException as error:  # a panic in Rust is not an Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise FormatError("its colours cannot be read") from None
    return bytes(found) if found else None


def encode(frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode a picture of uint8, as sRGB; see `codecs.Codec`.

    `quality` 1…100 becomes a distance as in libjxl's own program; 100 is lossless.
    """
    import imagecodecs

    samples = without_single_channel(frames[0].samples)
    if quality == 100 or (quality is None and coding.lossless):
        return bytes(imagecodecs.jpegxl_encode(samples, lossless=True, effort=4, numthreads=0))
    return bytes(imagecodecs.jpegxl_encode(samples, distance=_distance(quality), effort=5, numthreads=0))


def _distance(quality: int | None) -> float:
    """Return the distance for a quality; follows `JxlEncoderDistanceFromQuality` of libjxl."""
    if quality is None:
        return _DISTANCE
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53.0 / 3000.0 * quality * quality - 23.0 / 20.0 * quality + 25.0


def facts_of(data: bytes | bytearray) -> Facts:
    """Read back a file; see `codecs.Codec`."""
    header = header_of(codestream_of(data))
    return Facts(((header.width, header.height),), (jxl.blocks_of(memoryview(data)),), header.depth, header.alpha)
