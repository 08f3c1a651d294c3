"""The value of white in floating-point pictures: 1, or what the file or the user says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deepdream_core.errors import PictureError
from deepdream_core.photo.tags import LARGEST_SAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepdream_core.photo.frame import Frame

_A_BIT_ABOVE = 2  # the largest sample up to which a picture counts as an HDR photograph, in which 1 is white
_USUAL = (100, 255, 1023, 4095, 16_383, 65_535)


def white_of_page(page: Any, colours: int) -> float:
    """Return the value of white that a page of a TIFF names, else 1."""
    named = page.tags.valueof(LARGEST_SAMPLE, ())
    values = named[:colours] if isinstance(named, tuple) else (named,)
    largest = max((float(value) for value in values if isinstance(value, (int, float))), default=1.0)
    return largest if math.isfinite(largest) and largest > _A_BIT_ABOVE else 1.0


def checked_scale(frame: Frame) -> Frame:
    """Return the frame; raises `PictureError` if transparency and colours have different scales."""
    alpha = frame.alpha
    if alpha is not None and frame.samples.dtype.kind == "f" and frame.white > 1 and 0 < float(alpha.max()) <= 1:
        what = f"its colours go up to {frame.white:g} but its transparency to 1, which DeepDream cannot read"
        raise PictureError(what, "export it without transparency, or with colours up to 1")
    return frame


def with_white(frames: Iterable[Frame], white: float | None) -> tuple[Frame, ...]:
    """Return floating-point frames with another white, if one is given; whole numbers keep theirs."""
    return tuple(
        checked_scale(replace(frame, white=white) if white and frame.samples.dtype.kind == "f" else frame)
        for frame in frames
    )


def beyond_white(largest: float, white: float) -> str:
    """Return the message for a picture whose values are on an unknown scale."""
    return f"its values reach {largest:g}, and {white:g} is white"


def advice(largest: float) -> str:
    """Return what to do about an unknown scale."""
    scale = next((usual for usual in _USUAL if largest <= usual), largest)
    return f"say what is white with --white {scale:g}, or with white in a drop folder's config.yaml"
