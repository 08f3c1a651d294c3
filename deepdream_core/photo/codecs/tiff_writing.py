"""TIFF pages and slices, encoded by tifffile, with their metadata."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from deepdream_core.photo import ifd, stacks, tiff_edit
from deepdream_core.photo.container import Blocks
from deepdream_core.photo.frame import without_single_channel
from deepdream_core.photo.tags import ICC, LARGEST_SAMPLE, XMP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from deepdream_core.photo.decoded import Coding
    from deepdream_core.photo.frame import Frame

    Tags = dict[int, ifd.Value | ifd.Fields | None]

_LONGEST_CLASSIC = 3_900_000_000  # bytes of samples beyond which a file is a BigTIFF


def encode(frames: Sequence[Frame], coding: Coding, blocks: Blocks, quality: int | None) -> bytearray:
    """Encode pages, each with its own `Frame.blocks`; see `codecs.Codec`.

    Slices that a description counts (`stacks`) follow one another. Each has a directory too.
    """
    encoded = io.BytesIO()
    own = [frame.blocks or Blocks() for frame in frames]
    changes: list[Tags] = [{} for _ in frames]
    with tifffile.TiffWriter(
        encoded, bigtiff=sum(frame.samples.nbytes for frame in frames) > _LONGEST_CLASSIC
    ) as writer:
        for at, count, _ in stacks.runs(frames):
            together = count if coding.compression is None else 1
            for first in range(at, at + count, together):
                page_coding = replace(coding, dpi=None) if first else coding  # the EXIF of later pages has their own
                _write(writer, frames[first : first + together], own[first], page_coding)
            for number in range(at + 1, at + together):
                changes[number] = _unlike(own[number], own[at])
                if frames[number].white != frames[at].white:
                    channels = frames[number].samples.shape[2] + len(frames[number].extra_kinds)
                    white = struct.pack("<f", frames[number].white) * channels
                    changes[number][LARGEST_SAMPLE] = ifd.Value(ifd.FLOAT, white)
    with encoded.getbuffer() as view:
        file = bytearray(view)
    encoded.close()  # or a large picture stays in memory a third time
    if any(changes):
        file = tiff_edit.with_tags(file, changes)
    exifs = [page.exif for page in own]
    return tiff_edit.with_exif(file, exifs) if any(exifs) else file


def _unlike(own: Blocks, first: Blocks) -> Tags:
    """Return the tags of a slice that differ from the first slice's, whose profile tifffile gives to all."""
    change: Tags = {code: ifd.Value(ifd.UNDEFINED, content) for code, content in _carried(own)}
    if own.xmp:
        change[XMP] = ifd.Value(ifd.BYTE, own.xmp)
    if own.icc != first.icc:
        change[ICC] = ifd.Value(ifd.UNDEFINED, own.icc) if own.icc else None
    return change


def _carried(own: Blocks) -> list[tuple[int, bytes]]:
    return [(int(code), content) for code, content in own.others if code.isdigit()]


def _stored(frame: Frame) -> NDArray[Any]:
    """Return a page's samples, including those that are neither colour nor alpha; [H, W] for a single channel."""
    if frame.extra is not None:
        return np.concatenate([frame.samples, frame.extra], axis=2)
    return without_single_channel(frame.samples)


def _write(writer: tifffile.TiffWriter, frames: Sequence[Frame], own: Blocks, coding: Coding) -> None:
    frame, several = frames[0], len(frames) > 1
    stored = [_stored(page) for page in frames]
    extra = (*(() if frame.alpha is None else (1 if frame.premultiplied else 2,)), *frame.extra_kinds)
    tags: list[tuple[int, int | str, int, Any, bool]] = []
    if own.xmp:
        tags.append((XMP, 1, len(own.xmp), own.xmp, True))
    tags += [(code, 7, len(content), content, True) for code, content in _carried(own)]
    if frame.samples.dtype.kind == "f" and frame.white != 1:
        count = stored[0].shape[2] if stored[0].ndim == 3 else 1
        tags.append((LARGEST_SAMPLE, "f", count, (frame.white,) * count, False))
    options: dict[str, Any] = {"resolution": coding.dpi, "resolutionunit": 2} if coding.dpi else {}
    if several:
        options |= {"shape": (len(stored), *stored[0].shape), "dtype": stored[0].dtype}
    wide = frame.samples.dtype.kind == "u" and frame.samples.itemsize > 2
    predicted = coding.compression not in (None, "packbits") and not wide
    writer.write(
        iter(stored) if several else stored[0],
        photometric="minisblack" if frame.gray else "rgb", extrasamples=extra or None, compression=coding.compression,
        predictor=predicted, planarconfig="contig" if stored[0].ndim == 3 else None, iccprofile=own.icc,
        extratags=tags, metadata=None, software=False, contiguous=False, **options,
    )  # fmt: skip
