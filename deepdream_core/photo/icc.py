"""ICC profiles as bytes: reading their tags, and making profiles from primaries and a curve.

Follows ICC.1:2022 (profile version 4.4), annexes E and F: Bradford's matrix adapts colours to D50.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of red, green, blue and white."""

D65 = (0.3127, 0.3290)
SRGB_PRIMARIES: Chromaticities = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_CURVES = {"RGB": (b"rTRC", b"gTRC", b"bTRC"), "GRAY": (b"kTRC",)}
_OF_DEVICES = (b"scnr", b"mntr", b"prtr", b"spac")
_HDR_NAME = re.compile(
    r"(?:\b|2100|2020)[-_ ]?(?:(PQ|PeQ|Perceptual Quantizer|(?:ST|SMPTE)[ -]?2084)|(HLG|Hybrid Log.?Gamma))\b"
)
_HDR_CODES = {16: "PQ", 18: "HLG"}


def space_of(profile: bytes) -> str:
    """Return the colour space of a profile's pixels: `RGB`, `CMYK`, `GRAY`, `Lab` …; empty if it is not for pixels."""
    if profile[36:40] != b"acsp" or profile[12:16] not in _OF_DEVICES:
        return ""
    return profile[16:20].decode("ascii", "replace").strip()


def tag(profile: bytes, name: bytes) -> bytes | None:
    """Return the data of one of a profile's tags, or None."""
    if profile[36:40] != b"acsp" or len(profile) < 132:
        return None
    count = min(int.from_bytes(profile[128:132], "big"), (len(profile) - 132) // 12)
    for number in range(count):
        called, start, length = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if called == name:
            return profile[start : start + length] or None
    return None


def hdr_of(profile: bytes) -> str | None:
    """Return `PQ` or `HLG` for a profile of an HDR picture, else None.

    The `cicp` tag says so. Profiles older than that tag (ICC.1:2022, 9.2.17) are known by their name or curve.
    """
    code = tag(profile, b"cicp")
    if code and code[:4] == b"cicp" and len(code) >= 12:
        return _HDR_CODES.get(code[9])
    if found := _HDR_NAME.search(name_of(profile)):
        return "PQ" if found[1] else "HLG"
    return _hdr_curve(tag(profile, b"gTRC") or b"")


def name_of(profile: bytes) -> str:
    """Return a profile's name, empty if it has none that can be read."""
    data = tag(profile, b"desc") or b""
    try:
        if data[:4] == b"desc":
            return data[12 : 12 + int.from_bytes(data[8:12], "big")].decode("latin-1")
        if data[:4] == b"mluc":
            length, start = struct.unpack_from(">II", data, 20)
            return data[start : start + length].decode("utf-16-be", "replace")
    except struct.error:
        pass
    return ""


def _hdr_curve(curve: bytes) -> str | None:
    """Return which curve of ITU-R BT.2100, tables 4 and 5, a table of numbers follows; no gamma comes near them."""
    if curve[:4] != b"curv" or len(curve) < 12 + 2 * 16:
        return None
    count = min(int.from_bytes(curve[8:12], "big"), (len(curve) - 12) // 2)
    light = np.frombuffer(curve, ">u2", count, 12) / 65_535
    at = np.linspace(0, 1, 17)
    seen = np.interp(at, np.linspace(0, 1, count), light)
    for name, meant in (("PQ", pq(at)), ("HLG", hlg(at))):
        if np.abs(seen - meant).max() < 0.01:
            return name
    return None


def pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of a PQ signal, both 0…1 (BT.2100, table 4)."""
    root = signal ** (32 / 2523)
    light: NDArray[np.float64] = (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16_384 / 2610)
    return light


def hlg(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scene light of an HLG signal, both 0…1 (BT.2100, table 5)."""
    light: NDArray[np.float64] = np.where(
        signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    )
    return light


def gamma_curve(exponent: float) -> bytes:
    """Return a curve in which light is the sample to the power of `exponent`."""
    return b"para" + bytes(8) + _fixed(exponent)


def exponent_of(curve: bytes) -> float | None:
    """Return the exponent of a curve that is a plain power, else None."""
    if curve[:4] != b"para" or curve[8:10] != b"\0\0" or len(curve) < 16:
        return None
    exponent: int = struct.unpack_from(">i", curve, 12)[0]
    return exponent / 65_536


SRGB_CURVE = b"para" + bytes(4) + b"\0\3\0\0" + struct.pack(
    ">5i", *(round(65_536 * part) for part in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)  # fmt: skip
"""The curve of sRGB (IEC 61966-2-1)."""


def srgb_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of an sRGB signal, both 0…1 (IEC 61966-2-1)."""
    light: NDArray[np.float64] = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return light


def table_curve(light: NDArray[np.float64] | Sequence[float]) -> bytes:
    """Return a curve through light 0…1 at equal steps."""
    numbers = np.rint(np.clip(light, 0, 1) * np.float64(65_535)).astype(">u2")
    return b"curv" + bytes(4) + len(numbers).to_bytes(4, "big") + numbers.tobytes()


def curves_of(profile: bytes) -> list[bytes] | None:
    """Return the curves of a plain matrix and curve profile, or the curve of a gray one; else None."""
    if profile[20:24] != b"XYZ " or tag(profile, b"A2B0") or tag(profile, b"A2B1"):
        return None
    found = [tag(profile, name) for name in _CURVES.get(space_of(profile), ())]
    return [curve for curve in found if curve] if found and all(found) else None


def rgb_profile(name: str, chromaticities: Chromaticities, curves: Sequence[bytes]) -> bytes:
    """Return an RGB profile called `name` with these primaries and white, and one curve or three.

    Raises `ValueError` if the chromaticities are not a colour space.
    """
    matrix, adapting = _matrix(chromaticities)
    tags = {called: b"XYZ " + bytes(4) + _fixed(*column) for called, column in
            zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)}  # fmt: skip
    three = curves if len(curves) == 3 else [curves[0]] * 3
    tags |= dict(zip(_CURVES["RGB"], three, strict=True))
    tags[b"chad"] = b"sf32" + bytes(4) + _fixed(*adapting.ravel())
    return _profile(name, b"RGB ", tags)


def gray_profile(name: str, curve: bytes) -> bytes:
    """Return a gray profile called `name` with this curve."""
    return _profile(name, b"GRAY", {b"kTRC": curve})


def _matrix(chromaticities: Chromaticities) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the colours of red, green and blue as columns, adapted to D50, and the matrix that adapts."""
    xy = np.array(chromaticities, np.float64).reshape(4, 2)
    if not np.isfinite(xy).all() or (xy[:, 1] <= 0).any():
        raise ValueError("its primaries are not valid colours")
    xyz = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]])
    if abs(np.linalg.det(xyz[:, :3])) < 1e-6 or (xyz[:, 3] < 0).any():
        raise ValueError("its primaries are not valid colours")
    unadapted = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ xyz[:, 3])
    adapting = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD
    matrix = adapting @ unadapted
    if not (np.abs(matrix) < 3).all():
        raise ValueError("its primaries are not valid colours")
    return matrix, adapting


def _fixed(*numbers: float) -> bytes:
    """Return numbers as s15Fixed16."""
    return struct.pack(f">{len(numbers)}i", *(round(number * 65_536) for number in numbers))


def _text(text: str) -> bytes:
    written = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(written), 28) + written


def _profile(name: str, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    every = {b"desc": _text(name), b"cprt": _text("No copyright"), b"wtpt": b"XYZ " + bytes(4) + _fixed(*_D50), **tags}
    at = 132 + 12 * len(every)
    table, body = len(every).to_bytes(4, "big"), b""
    places: dict[bytes, int] = {}
    for called, data in every.items():
        if data not in places:  # writes equal curves once
            places[data] = at + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", called, places[data], len(data))
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x04400000, b"mntr", space, b"XYZ ")
    header += b"\x07\xea\0\1\0\1\0\0\0\0\0\0" + b"acsp" + bytes(24) + b"\0\0\0\1" + _fixed(*_D50)
    return header.ljust(128, b"\0") + table + body
