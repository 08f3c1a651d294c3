"""PNG with 16 bits a channel, which Pillow reads as 8, decoded by libpng (imagecodecs).

libpng prints its complaints to the terminal, and only warns of missing samples. So it gets only header, transparency and
samples, whose checksums and number have been checked before.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from deepdream_core.photo.container.png_samples import ADAM7, CHANNELS, picture_of, plain, unfolded
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.frame import with_channels

if TYPE_CHECKING:
    from numpy.typing import NDArray


def decode(data: bytes | memoryview, *, surplus: bool = False) -> NDArray[np.uint16]:
    """Decode a PNG of 16 bits a channel, [H, W, C]; `has_surplus` must have checked its samples."""
    header, transparency, packed = picture_of(memoryview(data))
    width, height, bits, colours, *methods, interlaced = struct.unpack(">IIBBBBB", header)
    if bits != 16 or colours == 3 or colours not in CHANNELS or any(methods) or interlaced > 1:
        raise FormatError("the PNG's header is damaged")
    if interlaced or surplus:
        rows = zlib.decompressobj().decompress(packed, unfolded(width, height, bits, colours, interlaced))
        if interlaced:
            return _woven(width, height, colours, transparency, rows)
        packed = zlib.compress(rows, 0)
    return _decoded(width, height, colours, transparency, packed)


def _woven(width: int, height: int, colours: int, transparency: bytes, rows: bytes) -> NDArray[np.uint16]:
    """Decode each pass of an interlaced picture separately, and interleave them."""
    whole = np.empty((height, width, 0), np.uint16)
    at = 0
    for left, top, step, step_down in ADAM7:
        across, down = -(-(width - left) // step), -(-(height - top) // step_down)
        if across < 1 or down < 1:
            continue
        end = at + down * (1 + across * 2 * CHANNELS[colours])
        samples = _decoded(across, down, colours, transparency, zlib.compress(rows[at:end], 0))
        if not whole.shape[2]:
            whole = np.empty((height, width, samples.shape[2]), np.uint16)
        whole[top::step_down, left::step] = samples
        at = end
    return whole


def _decoded(width: int, height: int, colours: int, transparency: bytes, packed: bytes) -> NDArray[np.uint16]:
    import imagecodecs

    header = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0)
    return with_channels(imagecodecs.png_decode(plain(header, transparency, packed)))
