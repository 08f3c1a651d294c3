"""HEIC with 8, 10 or 12 bits, decoded and encoded by libheif (pillow_heif)."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.photo.codecs import pillow
from deepdream_core.photo.colour_tags import by_boxes, refuse_hdr_code
from deepdream_core.photo.container.boxes import others_in_words
from deepdream_core.photo.decoded import Coding, Decoded, check_size, fit_for_changed_pixels, orientation_of
from deepdream_core.photo.facts import Facts
from deepdream_core.photo.frame import Frame, with_channels
from deepdream_core.photo.receipt import Entry, dropped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepdream_core.photo.container import Blocks

_NCLX = ("color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag")
_QUALITY = 90
_PROPERTIES = 1 << 16
"""Bytes from the start of a file that hold its properties."""

_ITEM = re.compile(rb"infe(?:\x02.{7}|\x03.{9})(.{4})", re.DOTALL)
_CODINGS = {
    b"vvc1": "VVC", b"evc1": "EVC", b"av01": "AV1", b"avc1": "H.264", b"jpeg": "JPEG", b"j2k1": "JPEG 2000",
    b"unci": "uncompressed samples",
}  # fmt: skip


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode the main picture; see `codecs.Codec`.

    libheif turns and mirrors it as the container says. Only the container counts: an orientation in EXIF repeats it.
    """
    import pillow_heif

    _refuse_other_codings(data)
    heif = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    count, index = len(heif), heif.primary_index
    image = heif[index]
    check_size(*image.size, 1, max_megapixels)
    samples = np.asarray(image)
    samples = np.ascontiguousarray(with_channels(samples))
    info: Mapping[str, Any] = image.info
    bits = int(info.get("bit_depth") or 8)
    premultiplied = image.mode.split(";")[0].endswith("a")
    others = tuple(others_in_words(memoryview(data), animated=False))
    blocks = replace(pillow.blocks_of(info), described=by_boxes(data), dropped=others)
    nclx = info.get("nclx_profile")
    changes: list[Entry] = []
    if nclx:
        refuse_hdr_code(int(nclx["transfer_characteristics"]))
    if count > 1:
        changes.append(dropped("further pictures", f"DeepDream dreams only the main one of {count}"))
    if info.get("thumbnails"):
        changes.append(dropped("thumbnail", "it showed the old picture", lost=False))
    frame = Frame(samples, float((1 << bits) - 1), premultiplied)
    turned = any(data.find(kind, 0, _PROPERTIES) >= 0 for kind in (b"irot", b"imir"))
    blocks, gone = fit_for_changed_pixels(blocks, orientation_of(blocks) if turned else 1)
    code_points = {key: int(nclx[key]) for key in _NCLX if key in nclx} if nclx else None
    return Decoded((frame,), blocks, Coding(lossless=False, nclx=code_points), (*changes, *gone))


def _refuse_other_codings(data: bytes) -> None:
    """Raise `PictureError` for a file that is coded otherwise than in HEVC, so that libheif finds no picture.

    Follows ISO/IEC 23008-12.
    """
    kinds = set(_ITEM.findall(data, 0, _PROPERTIES))
    if b"hvc1" not in kinds and (others := sorted(_CODINGS[kind] for kind in kinds & _CODINGS.keys())):
        step = "export it as JPEG, or as TIFF with 16 bits"
        raise PictureError(f"is a HEIC coded as {' and '.join(others)}, which DeepDream cannot read", step)


def encode(frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode a picture of uint8, or of uint16 with 10 or 12 bits, with its metadata; see `codecs.Codec`."""
    import pillow_heif

    frame = frames[0]
    names = {1: "L", 2: "LA", 3: "RGB", 4: "RGBa" if frame.premultiplied else "RGBA"}
    mode = names[frame.samples.shape[2]]
    samples = frame.samples
    if mode == "LA":  # libheif has no gray with alpha
        samples, mode = np.concatenate([samples[..., :1].repeat(3, 2), samples[..., 1:]], axis=2), "RGBA"
    bits = int(frame.white).bit_length()
    if bits > 8:
        mode += f";{bits}"
    options: dict[str, Any] = {"quality": _QUALITY if quality is None else quality, "chroma": 444}
    if coding.nclx:
        options |= {"color_primaries": coding.nclx.get("color_primaries", 1),
                    "transfer_characteristics": coding.nclx.get("transfer_characteristics", 13)}  # fmt: skip
    metadata: dict[str, Any] = {"icc_profile": blocks.icc, "exif": blocks.exif, "xmp": blocks.xmp}
    pillow_heif.set_orientation(metadata)  # or it turns a picture whose orientation it finds elsewhere
    heif = pillow_heif.from_bytes(mode, frame.size, np.ascontiguousarray(samples).tobytes())
    encoded = io.BytesIO()
    heif.save(encoded, **options, **{key: value for key, value in metadata.items() if value})
    return encoded.getvalue()


def facts_of(data: bytes | bytearray) -> Facts:
    """Read back a file; see `codecs.Codec`."""
    import pillow_heif

    image = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    alpha = image.mode.split(";")[0] in pillow.WITH_ALPHA
    return Facts((image.size,) * len(image), (pillow.blocks_of(image.info),), str(image.info.get("bit_depth")), alpha)
