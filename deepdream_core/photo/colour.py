"""Colours that are no RGB, and profiles that a format cannot hold: converted with LittleCMS (imagecodecs), 16 bits deep."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.errors import PictureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_RELATIVE = 1  # rendering intent: relative colorimetric, with black point compensation
_BLACK_POINT, _UNOPTIMIZED = 0x2000, 0x0100
_BAND = 1 << 20  # pixels converted at once, so that memory stays small


@cache
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB, the same bytes every time."""
    import imagecodecs

    return undated(bytes(imagecodecs.cms_profile("srgb")))


def undated(profile: bytes) -> bytes:
    """Return a profile without its creation date and ID, which would make equal runs differ (ICC.1:2022, 7.2)."""
    fixed = bytearray(profile)
    fixed[24:36] = b"\x07\xea\0\1\0\1\0\0\0\0\0\0"
    fixed[84:100] = bytes(16)
    return bytes(fixed)


@cache
def _lab_profile() -> bytes:
    from PIL import ImageCms

    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())


def space_of(profile: bytes) -> str:
    """Return the colour space a profile is for: `RGB`, `CMYK`, `GRAY`, `Lab` …; empty when it is no profile."""
    return profile[16:20].decode("ascii", "replace").strip() if profile[36:40] == b"acsp" else ""


def is_srgb(profile: bytes) -> bool:
    """Say whether a profile turns all colours into themselves in sRGB, up to rounding in 8 bits."""
    if space_of(profile) == "GRAY":
        probe = np.arange(256, dtype=np.uint8).reshape(1, -1, 1)
    else:
        steps = np.array([0, 16, 48, 96, 144, 192, 224, 255], np.uint8)
        probe = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
    try:
        seen = to_srgb(probe, profile)
    except ValueError:
        return False
    return int(np.abs(seen.astype(int) - probe).max()) <= 1


def to_srgb(samples: NDArray[Any], profile: bytes) -> NDArray[Any]:
    """Convert RGB or gray samples, uint8 or uint16 [H, W, 1|3], from their profile to sRGB of the same type.

    Raises `ValueError` when the profile is broken or for other colours.
    """
    space = {"RGB": "rgb", "GRAY": "gray"}.get(space_of(profile))
    if space is None or (space == "gray") != (samples.shape[2] == 1):
        raise ValueError("the profile is not for these colours")
    if space == "gray":  # each value once, by the curve itself: LittleCMS else draws it with a few straight lines
        every = np.arange(np.iinfo(samples.dtype).max + 1, dtype=samples.dtype).reshape(-1, 256)
        gray: NDArray[Any] = _transform(every, profile, space, flags=_UNOPTIMIZED)[..., 1].reshape(-1)[samples]
        return gray
    return _transform(np.ascontiguousarray(samples), profile, space)


def press_of(icc: bytes | None) -> tuple[bytes | None, str]:
    """Return the profile that CMYK samples are turned through, None for the plain formula, and that in words."""
    if icc is not None and space_of(icc) == "CMYK":
        return icc, "CMYK to sRGB through its own profile"
    return None, "CMYK to sRGB without a profile, so by the plain formula"


def cmyk_to_srgb(samples: NDArray[Any], profile: bytes | None) -> NDArray[Any]:
    """Convert CMYK, uint8 or uint16 [H, W, 4] with 0 for no ink, to sRGB of the same type, [H, W, 3].

    Without a profile the plain formula is taken, RGB = (1 - CMY) · (1 - K).
    """
    if profile is not None:
        return _transform(np.ascontiguousarray(samples), profile, "cmyk")
    white = np.float32(np.iinfo(samples.dtype).max)
    plain = np.empty((*samples.shape[:2], 3), samples.dtype)
    black = 1 - samples[..., 3].astype(np.float32) / white
    for channel in range(3):
        plain[..., channel] = np.rint((1 - samples[..., channel].astype(np.float32) / white) * black * white)
    return plain


def lab_to_srgb(lab: Callable[[slice], NDArray[np.float32]], shape: tuple[int, int], dtype: Any) -> NDArray[Any]:
    """Convert CIE L*a*b* (D50) to sRGB of `dtype` uint8 or uint16, [H, W, 3].

    `lab` returns some rows as float32 [rows, W, 3]: L* 0…100, a* and b* -128…127.
    """
    result = np.empty((*shape, 3), dtype)
    rows = max(1, _BAND // shape[1])
    for top in range(0, shape[0], rows):
        band = slice(top, top + rows)
        result[band] = _transform(np.ascontiguousarray(lab(band)), _lab_profile(), "lab", dtype)
    return result


def _transform(samples: NDArray[Any], profile: bytes, space: str, dtype: Any = None, flags: int = 0) -> NDArray[Any]:
    import imagecodecs

    result = np.empty((*samples.shape[:2], 3), dtype or samples.dtype)
    rows = max(1, _BAND // max(1, samples.shape[1]))
    for top in range(0, samples.shape[0], rows):
        band = slice(top, top + rows)
        try:
            result[band] = imagecodecs.cms_transform(
                samples[band], profile, srgb_profile(), colorspace=space, outcolorspace="rgb",
                outdtype=result.dtype.str[1:], intent=_RELATIVE, flags=_BLACK_POINT | flags,
            )  # fmt: skip
        except Exception as error:  # imagecodecs raises types of its own
            raise ValueError(f"its colour profile is broken ({error})") from None
    return result


_PRIMARIES = {
    9: ("Rec. 2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    12: ("Display P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
}
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


def refuse_hdr(transfer: int) -> None:
    """Raise `PictureError` when a code of ITU-T H.273, table 3, stands for PQ or HLG."""
    if transfer in _HDR_TRANSFERS:
        raise PictureError(f"is an HDR picture ({_HDR_TRANSFERS[transfer]}), which is not read", "export it as SDR")


def profile_of_primaries(primaries: int) -> bytes | None:
    """Return an ICC profile for the primaries of ITU-T H.273, table 2, with sRGB's curve; None for sRGB's own."""
    import imagecodecs

    if primaries not in _PRIMARIES:
        return None
    red_x, red_y, green_x, green_y, blue_x, blue_y = _PRIMARIES[primaries][1]
    light = np.linspace(0, 1, 1024)
    curve = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    made = imagecodecs.cms_profile(
        "rgb", whitepoint=(0.3127, 0.3290, 1.0),
        primaries=[red_x, red_y, 1.0, green_x, green_y, 1.0, blue_x, blue_y, 1.0],
        transferfunction=curve.astype(np.float32),
    )  # fmt: skip
    return undated(bytes(made))
