"""PNG with 16 bits a channel, which Pillow reads as 8, decoded by libpng (imagecodecs).

libpng tells the terminal of what it does not like, and takes a picture with samples missing for a warning's worth. So it is
given nothing but header, transparency and samples, whose checksums and number have been checked here before.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.photo.container.png import picture_of, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Left, top, step across and step down of Adam7's passes (PNG specification, 8.2)."""

_PIECE = 1 << 20


def decode(data: bytes) -> NDArray[np.uint16]:
    """Decode a PNG of 16 bits a channel, [H, W, C]; raises `ValueError` for one that is damaged in any way."""
    header, transparency, packed = picture_of(memoryview(data))
    width, height, bits, colours, *methods, interlaced = struct.unpack(">IIBBBBB", header)
    if bits != 16 or colours not in _CHANNELS or any(methods) or interlaced > 1:
        raise ValueError("the PNG's header is damaged")
    if len(transparency) != {0: 2, 2: 6}.get(colours):
        transparency = b""
    pixel = 2 * _CHANNELS[colours]
    if interlaced:
        return _woven(width, height, pixel, colours, transparency, b"".join(_inflated(packed)))
    if sum(len(piece) for piece in _inflated(packed)) != height * (1 + width * pixel):
        raise ValueError("the PNG's samples do not fill it")
    return _decoded(width, height, colours, transparency, packed)


def _woven(width: int, height: int, pixel: int, colours: int, transparency: bytes, rows: bytes) -> NDArray[np.uint16]:
    """Decode each pass of an interlaced picture as a picture of its own, and put them together."""
    passes = [(p, -(-(width - p[0]) // p[2]), -(-(height - p[1]) // p[3])) for p in _PASSES]
    passes = [(place, across, down) for place, across, down in passes if across > 0 and down > 0]
    if len(rows) != sum(down * (1 + across * pixel) for _, across, down in passes):
        raise ValueError("the PNG's samples do not fill it")
    whole = np.empty((height, width, 0), np.uint16)
    at = 0
    for (left, top, step, step_down), across, down in passes:
        end = at + down * (1 + across * pixel)
        samples = _decoded(across, down, colours, transparency, zlib.compress(rows[at:end], 0))
        if whole.shape[2] != samples.shape[2]:
            whole = np.empty((height, width, samples.shape[2]), np.uint16)
        whole[top::step_down, left::step] = samples
        at = end
    return whole


def _inflated(packed: bytes) -> Iterator[bytes]:
    """Yield what `packed` unfolds to, piece by piece; raises for damaged data and a wrong checksum."""
    unpacker = zlib.decompressobj()
    left: Any = packed
    while not unpacker.eof:
        piece = unpacker.decompress(left, _PIECE)
        left = unpacker.unconsumed_tail
        if not piece and not left and not unpacker.eof:
            raise ValueError("the PNG is truncated")
        yield piece


def _decoded(width: int, height: int, colours: int, transparency: bytes, packed: bytes) -> NDArray[np.uint16]:
    import imagecodecs

    header = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0)
    samples: NDArray[np.uint16] = imagecodecs.png_decode(plain(header, transparency, packed))
    return samples if samples.ndim == 3 else samples[..., None]
