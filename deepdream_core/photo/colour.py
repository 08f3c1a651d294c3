"""Conversions of colours that are not RGB, and from profiles that a format cannot hold; LittleCMS (imagecodecs)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.photo import icc
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.icc import space_of

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
    """Return a profile without its creation date and ID, which would differ from run to run (ICC.1:2022, 7.2)."""
    fixed = bytearray(profile)
    fixed[24:36] = b"\x07\xea\0\1\0\1\0\0\0\0\0\0"
    fixed[84:100] = bytes(16)
    return bytes(fixed)


@cache
def _lab_profile() -> bytes:
    from PIL import ImageCms

    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())


def is_whole(profile: bytes) -> bool:
    """Return whether colours can be converted from a gray or RGB profile."""
    try:
        to_srgb(np.zeros((1, 1, 1 if space_of(profile) == "GRAY" else 3), np.uint8), profile)
    except ValueError:
        return False
    return True


def is_srgb(profile: bytes) -> bool:
    """Return whether a profile maps all colours to the same values in sRGB, up to rounding in 8 bits."""
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


def to_srgb(samples: NDArray[Any], profile: bytes, target: bytes | None = None) -> NDArray[Any]:
    """Convert RGB or gray samples, uint8 or uint16 [H, W, 1|3], from their profile to sRGB, or `target`, of the same type.

    Raises `ValueError` if the profile is broken or is for other colours.
    """
    space = {"RGB": "rgb", "GRAY": "gray"}.get(space_of(profile))
    if space is None or (space == "gray") != (samples.shape[2] == 1):
        raise FormatError("the profile is not for these colours")
    if (
        space == "gray"
    ):  # each value once, unoptimised: otherwise LittleCMS approximates the curve by a few straight lines
        every = np.arange(np.iinfo(samples.dtype).max + 1, dtype=samples.dtype).reshape(-1, 256)
        gray: NDArray[Any] = _transform(every, profile, space, flags=_UNOPTIMIZED, target=target)[..., 1].reshape(-1)[
            samples
        ]
        return gray
    return _transform(np.ascontiguousarray(samples), profile, space, target=target)


def press_of(profile: bytes | None) -> tuple[bytes | None, str]:
    """Return the profile to convert CMYK samples with, None for the plain formula, and a description of it."""
    if profile is not None and space_of(profile) == "CMYK":
        return profile, "CMYK to sRGB through its own profile"
    why = "without a profile" if profile is None else "without the profile, which is not for CMYK"
    return None, f"CMYK to sRGB {why}, so by the plain formula"


def cmyk_to_srgb(samples: NDArray[Any], profile: bytes | None) -> NDArray[Any]:
    """Convert CMYK, uint8 or uint16 [H, W, 4] with 0 for no ink, to sRGB of the same type, [H, W, 3].

    Without a profile it uses the plain formula, RGB = (1 - CMY) · (1 - K).
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

    `lab` returns rows as float32 [rows, W, 3]: L* 0…100, a* and b* -128…127.
    """
    result = np.empty((*shape, 3), dtype)
    rows = max(1, _BAND // shape[1])
    for top in range(0, shape[0], rows):
        band = slice(top, top + rows)
        result[band] = _transform(np.ascontiguousarray(lab(band)), _lab_profile(), "lab", dtype)
    return result


def luminance(profile: bytes, steps: int) -> NDArray[np.float64]:
    """Return the light, 0…1, of a gray or RGB profile's grays at equal steps; raises `ValueError` for a broken profile."""
    space = "gray" if space_of(profile) == "GRAY" else "rgb"
    ramp = np.rint(np.linspace(0, 65_535, steps)).astype(np.uint16).reshape(1, -1, 1)
    linear = icc.gray_profile("light", icc.gamma_curve(1))
    light = _converted(
        ramp if space == "gray" else ramp.repeat(3, 2), profile, space, linear, "gray", "u2", _UNOPTIMIZED
    )
    return np.asarray(light, np.float64).ravel() / 65_535


def _transform(
    samples: NDArray[Any], profile: bytes, space: str, dtype: Any = None, flags: int = 0, target: bytes | None = None
) -> NDArray[Any]:
    result = np.empty((*samples.shape[:2], 3), dtype or samples.dtype)
    rows = max(1, _BAND // max(1, samples.shape[1]))
    for top in range(0, samples.shape[0], rows):
        band = slice(top, top + rows)
        result[band] = _converted(
            samples[band], profile, space, target or srgb_profile(), "rgb", result.dtype.str[1:], flags
        )
    return result


def _converted(
    samples: NDArray[Any], profile: bytes, space: str, target: bytes, target_space: str, dtype: str, flags: int
) -> NDArray[Any]:
    import imagecodecs

    try:
        turned: NDArray[Any] = imagecodecs.cms_transform(
            samples, profile, target, colorspace=space, outcolorspace=target_space, outdtype=dtype, intent=_RELATIVE,
            flags=_BLACK_POINT | flags,
        )  # fmt: skip
    except Exception:  # imagecodecs has its own exceptions
        raise FormatError("its colour profile is broken") from None
    return turned
