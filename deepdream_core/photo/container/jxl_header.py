"""The codestream in the boxes of a JPEG XL, and its header; follows ISO/IEC 18181-1, annex D, and 18181-2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_core.photo.formats import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

BLACK = 4
"""The kind of an extra channel that holds CMYK's black."""

_ALPHA, _SPOT, _CFA = 0, 2, 5
_LAST_PART = 1 << 31
_LONGEST_HEADER = 1 << 16  # bytes that a header takes at most, however its channels are named


@dataclass(frozen=True)
class Header:
    """The header of a codestream (ISO/IEC 18181-1, annex D); `lossless`, `depth` and `alpha` are None if unknown.

    `orientation` is what decoders have applied, 1…8 as in EXIF. `depth` and `premultiplied` are as in `Frame`. `others`:
    the kinds of channels that are neither colour nor the first alpha.
    """

    width: int
    height: int
    animated: bool
    lossless: bool | None
    orientation: int = 1
    depth: str | None = None
    alpha: bool | None = None
    premultiplied: bool = False
    others: tuple[int, ...] = ()


def codestream_of(data: bytes | bytearray) -> bytes:
    """Return the codestream, bare or from its boxes, so that other boxes do not confuse decoders.

    Raises `ValueError` if it is incomplete.
    """
    data = bytes(data)
    if data[:2] == b"\xff\x0a":
        return data
    parts: list[bytes] = []
    place = 0
    while place + 8 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        start = place + (16 if size == 1 else 8)
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        end = place + size if size else len(data)
        if end < start or end > len(data):
            break
        if kind == b"jxlc":
            return data[start:end]
        if kind == b"jxlp":
            number = int.from_bytes(data[start : start + 4], "big")
            if number & ~_LAST_PART != len(parts):
                break
            parts.append(data[start + 4 : end])
            if number & _LAST_PART:
                return b"".join(parts)
        place = end
    raise FormatError("its codestream is incomplete")


def header_of(codestream: bytes) -> Header:
    """Read the header of a codestream; raises `ValueError` if it is not one."""
    if codestream[:2] != b"\xff\x0a":
        raise FormatError("its codestream has a wrong start")
    bits = _Bits(codestream[2:_LONGEST_HEADER])
    height, width = _size(bits)
    orientation = 1
    if bits.take(1):  # all_default: XYB colours, which are lossy
        return Header(width, height, animated=False, lossless=False, depth="8", alpha=False)
    if bits.take(1):  # extra_fields
        orientation = bits.take(3) + 1
        if bits.take(1):
            _size(bits)
        if bits.take(1):
            return Header(width, height, animated=False, lossless=None)  # a preview follows, which no encoder writes
        if bits.take(1):
            return Header(width, height, animated=True, lossless=None)
    depth = _depth(bits)
    bits.take(1)  # modular_16bit_buffers
    channels = [_channel(bits) for _ in range(bits.choice((0, 0), (1, 0), (2, 4), (1, 12)))]
    kinds = [kind for kind, _ in channels]
    alpha = kinds.index(_ALPHA) if _ALPHA in kinds else None
    return Header(
        width, height, animated=False, lossless=not bits.take(1), orientation=orientation, depth=depth,
        alpha=alpha is not None, premultiplied=alpha is not None and channels[alpha][1],
        others=tuple(kind for place, kind in enumerate(kinds) if place != alpha),
    )  # fmt: skip


def _depth(bits: _Bits) -> str:
    """Read a BitDepth."""
    if bits.take(1):
        bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
        return "float"
    return str(bits.choice((8, 0), (10, 0), (12, 0), (1, 6)))


def _channel(bits: _Bits) -> tuple[int, bool]:
    """Read an ExtraChannelInfo: its kind, and for alpha whether the colours are premultiplied."""
    if bits.take(1):
        return _ALPHA, False
    kind = bits.choice((0, 0), (1, 0), (2, 4), (18, 6))
    _depth(bits)
    bits.choice((0, 0), (3, 0), (4, 0), (1, 3))  # dim_shift
    bits.take(8 * bits.choice((0, 0), (0, 4), (16, 5), (48, 10)))  # name
    associated = kind == _ALPHA and bits.take(1) == 1
    if kind == _SPOT:
        bits.take(4 * 16)
    elif kind == _CFA:
        bits.choice((1, 0), (0, 2), (3, 4), (19, 8))
    return kind, associated


def _size(bits: _Bits) -> tuple[int, int]:
    """Read a SizeHeader: (height, width)."""
    small = bits.take(1)
    height = _side(bits, small)
    ratio = bits.take(3)
    ratios = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
    if ratio:
        across, down = ratios[ratio]
        return height, height * across // down
    return height, _side(bits, small)


def _side(bits: _Bits, small: int) -> int:
    return (bits.take(5) + 1) * 8 if small else bits.choice((1, 9), (1, 13), (1, 18), (1, 30))


class _Bits:
    """Reads numbers from bytes, lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._bits = self._each(data)

    @staticmethod
    def _each(data: bytes) -> Iterator[int]:
        for byte in data:
            for place in range(8):
                yield byte >> place & 1
        raise FormatError("its header is cut off")

    def take(self, count: int) -> int:
        """Return the number in the next `count` bits."""
        return sum(next(self._bits) << place for place in range(count))

    def choice(self, *choices: tuple[int, int]) -> int:
        """Read two bits that choose one of four: a start, and how many bits to add to it."""
        start, count = choices[self.take(2)]
        return start + self.take(count)
