"""Pixels on the wire: NPY 1.0 arrays of height × width × channels, in C order and little-endian.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .wire import WireError

DTYPES: dict[str, str] = {"uint8": "|u1", "uint16": "<u2", "float16": "<f2", "float32": "<f4"}  # name → descr in NPY
HEADER_LIMIT, SIDE_LIMIT = 1024, 1_000_000

_MAGIC = b"\x93NUMPY\x01\x00"
_NAMES = {descr: name for name, descr in DTYPES.items()}
_HEADER = re.compile(
    rb"\{'descr': '(\|u1|<u2|<f2|<f4)', 'fortran_order': False, "
    rb"'shape': \(([1-9][0-9]{0,6}), ([1-9][0-9]{0,6}), ([1-4])\), \} *\n"
)


@dataclass(frozen=True)
class ArrayHeader:
    """An array on the wire: `dtype` a key of DTYPES, `shape` (height, width, channels), C order, little-endian."""

    dtype: str
    shape: tuple[int, int, int]

    @property
    def nbytes(self) -> int:
        """The bytes that follow the header."""
        height, width, channels = self.shape
        return height * width * channels * int(DTYPES[self.dtype][-1])


def npy_header(dtype: str, shape: tuple[int, int, int]) -> bytes:
    """Return the NPY 1.0 header that numpy writes for a C-ordered array; the raw samples follow it.

    Raises `WireError` for a dtype that is not in DTYPES, or for a shape other than H×W×1…4 with sides 1…1 000 000.
    """
    if dtype not in DTYPES:
        raise WireError(f"{dtype!r} is not one of the sample types {', '.join(DTYPES)}")
    _check_shape(shape)
    sides = ", ".join(map(str, shape))
    words = f"{{'descr': '{DTYPES[dtype]}', 'fortran_order': False, 'shape': ({sides}), }}"
    words += " " * (21 - len(str(shape[0])))  # numpy leaves room for the first axis to grow
    words += " " * (64 - (len(_MAGIC) + 2 + len(words) + 1) % 64) + "\n"
    return _MAGIC + len(words).to_bytes(2, "little") + words.encode("ascii")


def npy_header_length(first_ten: bytes) -> int:
    """Return the length of the header in bytes, including these first ten.

    Raises `WireError` if they are not the beginning of NPY 1.0, or the header has more than 1024 bytes.
    """
    if len(first_ten) < 10 or first_ten[:8] != _MAGIC:
        raise WireError("these bytes do not begin with the header of an NPY 1.0 array")
    length = 10 + int.from_bytes(first_ten[8:10], "little")
    if length > HEADER_LIMIT or length % 16:
        raise WireError(f"an NPY header of {length} bytes, which neither numpy nor DeepDream writes")
    return length


def parse_npy_header(data: bytes) -> ArrayHeader:
    """Parse a complete header (magic to newline, nothing after it); raises `WireError` for one that numpy does not write.

    Nothing in it is evaluated. Fortran order, big-endian samples, other dtypes and other shapes than H×W×1…4 are refused.
    """
    length = npy_header_length(data[:10])
    if len(data) != length:
        raise WireError(f"an NPY header should have {length} bytes, but has {len(data)}")
    match = _HEADER.fullmatch(data, 10)
    if not match:
        raise WireError(f"an NPY header that is not H×W×1…4 of {', '.join(DTYPES)} in C order: {data[10:90]!r}")
    shape = (int(match[2]), int(match[3]), int(match[4]))
    _check_shape(shape)
    return ArrayHeader(_NAMES[match[1].decode("ascii")], shape)


def _check_shape(shape: tuple[int, int, int]) -> None:
    whole = len(shape) == 3 and all(type(side) is int and 1 <= side <= SIDE_LIMIT for side in shape)
    if not whole or shape[2] > 4:
        raise WireError(f"a shape of {shape}: only height × width × 1…4 with sides up to {SIDE_LIMIT} can be sent")
