"""Colours that files describe without an ICC profile, and the profile that means the same.

PNG's chunks follow the PNG specification, third edition, 4.3; code points ITU-T H.273; EXIF follows EXIF 2.32 and DCF 2.0;
TIFF follows TIFF 6.0, section 20.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.photo import icc
from deepdream_core.photo.container.bmff import code_points_of
from deepdream_core.photo.icc import D65, SRGB_CURVE, SRGB_PRIMARIES, Chromaticities
from deepdream_core.photo.ifd import below, first_directory
from deepdream_core.photo.tags import COLOUR_SPACE, EXIF, GAMMA, INTEROPERABILITY, PRIMARY_CHROMATICITIES, WHITE_POINT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deepdream_core.photo.ifd import Directory, Layout

_NEAR = 0.005
_NEEDS_DEPTH = 1.5  # an exponent below which dark shades are far apart
_LONGEST_TABLE = 4096


@dataclass(frozen=True)
class Description:
    """Colours described without a profile.

    `name`: what they are called. `source`: where the file describes them. `curves`: one for all channels, or three for red,
    green and blue. `over_icc`: it overrides a profile, which is then `embedded`. `only_in`: the format whose own blocks
    describe it, so that it needs no profile there.
    """

    name: str
    source: str
    chromaticities: Chromaticities = SRGB_PRIMARIES
    curves: tuple[bytes, ...] = (SRGB_CURVE,)
    over_icc: bool = False
    only_in: str = ""
    embedded: bytes | None = None

    def __str__(self) -> str:
        """Return name and source: `Adobe RGB by EXIF`."""
        return f"{self.name} by {self.source}"

    @property
    def needs_depth(self) -> bool:
        """Whether 8 bits are too few for dark shades, as in linear light."""
        exponent = icc.exponent_of(self.curves[0])
        return exponent is not None and exponent < _NEEDS_DEPTH

    def for_8_bits(self, *, gray: bool) -> bytes:
        """Return an ICC profile of the same primaries with the curve of sRGB, even if that is sRGB itself."""
        if gray:
            return icc.gray_profile("gray with the curve of sRGB", SRGB_CURVE)
        name = "sRGB" if _is_near(self.chromaticities, SRGB_PRIMARIES) else "the same primaries with the curve of sRGB"
        return icc.rgb_profile(name, self.chromaticities, (SRGB_CURVE,))

    def profile(self, *, gray: bool) -> bytes | None:
        """Return an ICC profile of these colours; None for sRGB, and for values that are not a colour space."""
        standard = all(curve == SRGB_CURVE for curve in self.curves)
        if gray:
            return None if standard else icc.gray_profile(self.name, self.curves[0])
        if standard and _is_near(self.chromaticities, SRGB_PRIMARIES):
            return None
        try:
            return icc.rgb_profile(self.name, self.chromaticities, self.curves)
        except ValueError:
            return None


def _is_near(first: Chromaticities, second: Chromaticities) -> bool:
    return all(abs(a - b) <= _NEAR for a, b in zip(first, second, strict=True))


_PRIMARIES: dict[int, tuple[str, Chromaticities]] = {
    1: ("sRGB", SRGB_PRIMARIES),
    4: ("BT.470 M", (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316)),
    5: ("BT.601 625", (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *D65)),
    6: ("BT.601 525", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65)),
    7: ("SMPTE 240M", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65)),
    9: ("Rec. 2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65)),
    11: ("DCI-P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351)),
    12: ("Display P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *D65)),
    22: ("EBU 3213", (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *D65)),
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_HDR = {16: "PQ", 18: "HLG"}
_ADOBE: Chromaticities = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *D65)
_ADOBE_GAMMA = 563 / 256  # as in Adobe's own profile


def refuse_hdr(kind: str | None) -> None:
    """Raise `PictureError` for `PQ` or `HLG`."""
    if kind:
        raise PictureError(f"is an HDR picture ({kind}), which DeepDream cannot read", "export it as SDR")


def refuse_hdr_code(transfer: int) -> None:
    """Raise `PictureError` when a code of ITU-T H.273, table 3, stands for PQ or HLG."""
    refuse_hdr(_HDR.get(transfer))


def by_boxes(data: bytes) -> Description | None:
    """Return the colours named by code points in the boxes of a HEIC or AVIF; raises `PictureError` for PQ and HLG."""
    found = [by_code_points(*codes, "code points") for codes in code_points_of(data)]
    return next((described for described in found if described), None)


def by_code_points(
    primaries: int, transfer: int, source: str, *, full_range: bool = True, bits: int = 8, png: bool = False
) -> Description | None:
    """Return the colours of code points of ITU-T H.273, tables 2 and 3; None for unspecified and unknown ones.

    Curves of video cameras count as sRGB's, as in browsers. Raises `PictureError` for PQ and HLG. `full_range` is False if
    black and white are 16 and 235 (times 1, 256 …) in samples that have not been scaled.
    """
    refuse_hdr_code(transfer)
    if primaries not in _PRIMARIES:
        return None
    name, chromaticities = _PRIMARIES[primaries]
    exponent = _GAMMAS.get(transfer)
    curve = SRGB_CURVE if exponent is None else icc.gamma_curve(exponent)
    name += "" if exponent is None else f" with gamma {exponent:g}"
    if not full_range:
        curve = _narrow(exponent, bits)
        name += " in narrow range"
    only_in = "PNG" if png else ""
    return Description(name, source, chromaticities, (curve,), over_icc=png, only_in=only_in)


def _narrow(exponent: float | None, bits: int) -> bytes:
    level = 1 << (bits - 8)
    signal = (np.linspace(0, 1, _LONGEST_TABLE) * ((1 << bits) - 1) - 16 * level) / (219 * level)
    signal = np.clip(signal, 0, 1)
    return icc.table_curve(icc.srgb_light(signal) if exponent is None else signal**exponent)


def by_chunks(chunks: Mapping[str, bytes], bits: int) -> Description | None:
    """Return the colours that a PNG's chunks describe: cICP, which overrides a profile, or sRGB, or gAMA and cHRM."""
    code = chunks.get("cICP", b"")
    if len(code) == 4:
        found = by_code_points(code[0], code[1], "cICP", full_range=code[3] != 0, bits=max(8, bits), png=True)
        if found and not code[2]:
            return found
    if len(chunks.get("sRGB", b"")) == 1:
        return Description("sRGB", "the sRGB chunk", only_in="PNG")
    numbers = struct.unpack(">8I", chunks["cHRM"]) if len(chunks.get("cHRM", b"")) == 32 else ()
    gamma = int.from_bytes(chunks["gAMA"], "big") if len(chunks.get("gAMA", b"")) == 4 else 0
    white, primaries = [number / 100_000 for number in numbers[:2]], [number / 100_000 for number in numbers[2:]]
    chromaticities = cast("Chromaticities", (*primaries, *white)) if numbers else SRGB_PRIMARIES
    source = " and ".join(name for name, value in (("gAMA", gamma), ("cHRM", numbers)) if value)
    return by_gamma(100_000 / gamma if gamma else None, chromaticities, source, only_in="PNG") if source else None


def by_gamma(
    exponent: float | None, chromaticities: Chromaticities, source: str, only_in: str = ""
) -> Description | None:
    """Return the colours of primaries and a gamma; None for an implausible gamma.

    Files describe sRGB as a gamma of about 2.2 with its primaries. That means sRGB's own curve.
    """
    standard = _is_near(chromaticities, SRGB_PRIMARIES)
    if exponent is None or (standard and 2.17 < exponent < 2.23):
        curve, name = SRGB_CURVE, "sRGB"
    else:
        curve, name = icc.gamma_curve(exponent), f"gamma {exponent:.4g}"
        if not 0.1 <= exponent <= 10:
            return None
    if not standard:
        name = f"primaries of its own, {name if exponent else 'with the curve of sRGB'}"
        if _is_near(chromaticities, _ADOBE) and exponent and 2.17 < exponent < 2.23:
            name = "compatible with Adobe RGB (1998)"
    return Description(name, source, chromaticities, (curve,), only_in=only_in)


_SRGB, _ADOBE_RGB = 1, 2


def by_exif(exif: bytes) -> Description | None:
    """Return the colours that a bare EXIF block describes: sRGB, Adobe RGB, or primaries and gamma; None if it has none.

    Adobe RGB is DCF's optional colour space: an uncalibrated one in EXIF, with `R03` for interoperability. Some cameras
    write 2 for it.
    """
    try:
        layout, first = first_directory(exif)
        nested = below(exif, first, EXIF, layout)
        entry = nested.get(COLOUR_SPACE) if nested else None
        space = entry.integer(exif, layout.order) if entry else None
        if space == _SRGB:
            return Description("sRGB", "EXIF")
        index = next(
            (
                found.read(exif)
                for parent in (nested, first)
                if parent and (inter := below(exif, parent, INTEROPERABILITY, layout)) and (found := inter.get(1))
            ),
            b"",
        )
        if space == _ADOBE_RGB or index.startswith(b"R03"):
            name = "compatible with Adobe RGB (1998)"
            return Description(name, "EXIF", _ADOBE, (icc.gamma_curve(_ADOBE_GAMMA),))
        primaries = _rationals(exif, first, PRIMARY_CHROMATICITIES, layout, 6)
        white = _rationals(exif, first, WHITE_POINT, layout, 2)
        gamma = _rationals(exif, nested, GAMMA, layout, 1) if nested else ()
    except ValueError:
        return None
    if not (primaries and white):
        return None
    chromaticities = cast("Chromaticities", (*primaries, *white))
    exponent = gamma[0] if gamma and gamma[0] > 0 else 2.2  # TIFF's own default
    return by_gamma(exponent, chromaticities, "WhitePoint and PrimaryChromaticities")


def _rationals(exif: bytes, directory: Directory, tag: int, layout: Layout, count: int) -> tuple[float, ...]:
    entry = directory.get(tag)
    if entry is None or entry.kind != 5 or entry.count != count:
        return ()
    numbers = struct.unpack(f"{layout.order}{2 * count}I", entry.read(exif))
    if not all(numbers[1::2]):
        return ()
    return tuple(over / under for over, under in zip(numbers[::2], numbers[1::2], strict=True))


def with_transfer(
    described: Description | None, table: Sequence[int], bits: int, *, inverted: bool
) -> Description | None:
    """Return the colours with the curves of a TIFF's TransferFunction: the light of each sample value, 0…65,535.

    One table for all channels, or three of equal length. `inverted`: the samples were inverted so that 0 is black.
    """
    light = np.asarray(table, np.float64) / 65_535
    parts = len(light) >> bits
    if parts not in (1, 3) or len(light) != parts << bits:
        return described
    curves = []
    for part in light.reshape(parts, -1):
        ordered = part[::-1] if inverted else part
        steps = np.linspace(0, 1, min(len(ordered), _LONGEST_TABLE))
        curve = np.interp(steps, np.linspace(0, 1, len(ordered)), ordered)
        if curve[-1] <= curve[0]:
            return described
        curves.append(SRGB_CURVE if np.abs(curve - icc.srgb_light(steps)).max() < 0.01 else icc.table_curve(curve))
    chromaticities = described.chromaticities if described else SRGB_PRIMARIES
    return Description("a curve of its own", "TransferFunction", chromaticities, tuple(curves))
