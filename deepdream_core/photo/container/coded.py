"""Code points of colour in coded pictures, for HEIC and AVIF files whose boxes have none.

Follows "AV1 Bitstream & Decoding Process Specification", 5.3 to 5.5; ITU-T H.265, 7.3 and E.2.1, for HEVC, and
ISO/IEC 14496-15, 8.3.3.1, for its configuration.
"""

from __future__ import annotations

from typing import NamedTuple

_SEQUENCE_HEADER = 1
_SEQUENCE_PARAMETERS = 33
_LONGEST = 4096  # bytes of a header to look at


class CodePoints(NamedTuple):
    """Primaries and transfer curve, as numbered in ITU-T H.273."""

    primaries: int
    transfer: int


class _Bits:
    """Reads numbers from bytes, highest bit first; raises `ValueError` at their end."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """Return the number in the next `count` bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("a header is cut off")
        return self._number >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Return a number in Exponential-Golomb code."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def of_av1(obus: bytes) -> CodePoints | None:
    """Return the code points in the sequence header among `obus`, or None; raises `ValueError` if it is cut off."""
    at = 0
    while at < len(obus):
        kind, extended, sized = obus[at] >> 3 & 15, obus[at] >> 2 & 1, obus[at] >> 1 & 1
        at += 1 + extended
        size, shift = 0 if sized else len(obus) - at, 0
        while sized:
            if at >= len(obus):
                raise ValueError("a header is cut off")
            size |= (obus[at] & 127) << shift
            sized, at, shift = obus[at] >> 7, at + 1, shift + 7
        if kind == _SEQUENCE_HEADER:
            return _in_sequence_header(_Bits(obus[at : at + min(size, _LONGEST)]))
        at += size
    return None


def _in_sequence_header(bits: _Bits) -> CodePoints | None:
    profile, _, reduced = bits.take(3), bits.take(1), bits.take(1)
    if reduced:
        bits.take(5)
    else:
        if bits.take(1):  # timing, which pictures do not have
            return None
        delays = bits.take(1)
        for _ in range(bits.take(5) + 1):
            bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            if delays and bits.take(1):
                bits.take(4)
    sides = bits.take(4), bits.take(4)
    bits.take(sides[0] + 1 + sides[1] + 1)
    if not reduced and bits.take(1):  # frame numbers
        bits.take(7)
    bits.take(3)
    if not reduced:
        bits.take(4)
        ordered = bits.take(1)
        bits.take(2 * ordered)
        if bits.take(1) or bits.take(1):  # tools for screen content, chosen or forced
            bits.take(not bits.take(1))
        bits.take(3 * ordered)
    bits.take(3)
    deep = bits.take(1)
    bits.take((profile == 2 and deep) + (profile != 1))
    return CodePoints(bits.take(8), bits.take(8)) if bits.take(1) else None


def of_hevc(configuration: bytes) -> CodePoints | None:
    """Return the code points in the parameters of an `hvcC` box, or None; raises `ValueError` if they are cut off."""
    at = 23
    for _ in range(configuration[22] if len(configuration) > 22 else 0):
        kind, count = configuration[at] & 63, int.from_bytes(configuration[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(configuration[at : at + 2], "big")
            unit = configuration[at + 2 : at + 2 + min(size, _LONGEST)]
            if kind == _SEQUENCE_PARAMETERS:
                return _in_sequence_parameters(_Bits(unit[2:].replace(b"\0\0\3", b"\0\0")))
            at += 2 + size
    return None


def _in_sequence_parameters(bits: _Bits) -> CodePoints | None:
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + 96)
    flags = [(bits.take(1), bits.take(1)) for _ in range(8 if layers else 0)]
    for profile, level in flags[:layers]:
        bits.take(88 * profile + 8 * level)
    bits.golomb()
    if bits.golomb() == 3:
        bits.take(1)
    _pass(bits, 2)
    if bits.take(1):  # a window
        _pass(bits, 4)
    _pass(bits, 3)
    _pass(bits, 3 * (layers + 1 if bits.take(1) else 1))
    _pass(bits, 6)
    if bits.take(1) and bits.take(1):  # its own scaling lists, which pictures do not have
        return None
    bits.take(2)
    if bits.take(1):  # PCM
        bits.take(8)
        _pass(bits, 2)
        bits.take(1)
    if bits.golomb() or bits.take(1):  # frames that refer to others
        return None
    bits.take(2)
    if not bits.take(1):  # VUI
        return None
    if bits.take(1) and bits.take(8) == 255:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(4)
        if bits.take(1):
            return CodePoints(bits.take(8), bits.take(8))
    return None


def _pass(bits: _Bits, count: int) -> None:
    for _ in range(count):
        bits.golomb()
