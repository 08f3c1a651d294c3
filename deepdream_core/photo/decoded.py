"""What every decoder returns, and the steps they share: size limit, orientation, metadata that no longer fit."""

from __future__ import annotations

import contextlib
import re
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.photo import exif as exif_block
from deepdream_core.photo import xmp
from deepdream_core.photo.container import Blocks
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.receipt import Entry, converted, dropped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deepdream_core.photo.frame import Frame

before_decoding: ContextVar[Callable[[int], None]] = ContextVar("before_decoding", default=lambda _pixels: None)
"""Called with a picture's number of pixels before it is decoded; may wait until there is memory for it."""
NO_BLOCKS = Blocks(icc=None, exif=None, xmp=None)
_REPEATED = re.compile(r"second (colour profile|EXIF block|XMP packet|extended XMP|\w{4} chunk|TIFF tag \d+)")


@dataclass(frozen=True)
class Coding:
    """How a file was coded, so that a result can be coded the same way; what does not apply has its default.

    `plays`: how often an animation runs, 0 for ever. `still_first`: an APNG's first picture is only for programs that show
    no animation. `dpi`: pixels per inch, horizontal and vertical.
    """

    lossless: bool = True
    qtables: dict[int, list[int]] | None = None
    subsampling: int | None = None
    progressive: bool = False
    plays: int = 0
    still_first: bool = False
    compression: str | None = None
    nclx: dict[str, Any] | None = None
    dpi: tuple[float, float] | None = None


@dataclass(frozen=True)
class Decoded:
    """A file's upright pictures, its metadata fit for changed pixels, and what reading already had to change."""

    frames: tuple[Frame, ...]
    blocks: Blocks
    coding: Coding
    changes: tuple[Entry, ...] = ()


def check_size(width: int, height: int, frames: int, max_megapixels: float) -> None:
    """Raise `PictureError` when the header announces more pixels in all than allowed."""
    if width < 1 or height < 1:
        raise FormatError("it has no pixels")
    times = f" times {frames}" if frames > 1 else ""
    check_pixels(width * height * frames, f"{width}×{height}{times}", max_megapixels)


def check_pixels(pixels: int, what: str, max_megapixels: float, unless: str = "if you trust the file,") -> None:
    """Raise `PictureError` when `what` has more pixels than allowed; `unless` says when, or what else, to do."""
    if pixels > max_megapixels * 1e6:
        raise PictureError(
            f"{what} is {pixels / 1e6:.0f} megapixels, the limit is {max_megapixels:g}",
            f"{unless} raise engine.max_megapixels in config.yaml",
        )
    before_decoding.get()(pixels)


def check_plausible(announced: int, held: int, most: int) -> None:
    """Raise `ValueError` when `held` bytes cannot unfold to `announced` bytes, packed at most `most` to one."""
    if announced > most * held + (1 << 20):
        raise FormatError("the file is too short for the size it announces")


def orientation_of(blocks: Blocks) -> int:
    """Return the orientation, 1…8 as in EXIF, from the EXIF block, otherwise from XMP; 1 if neither has it."""
    orientation = exif_block.orientation_of(blocks.exif) if blocks.exif else None
    if orientation is None and blocks.xmp:
        orientation = xmp.orientation_of(blocks.xmp)
    return orientation or 1


def upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return samples [H, W, C] turned and mirrored so that EXIF orientation 1…8 becomes 1."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    rows = slice(None, None, -1) if orientation in (3, 4, 7, 8) else slice(None)
    columns = slice(None, None, -1) if orientation in (2, 3, 6, 7) else slice(None)
    return np.ascontiguousarray(samples[rows, columns])


def _left_out(part: str) -> Entry:
    if "thumbnail" in part:
        return dropped("thumbnail", "it showed the old picture", lost=False)
    if _REPEATED.fullmatch(part):
        return dropped(part, "readers use the first")
    known = "damaged" in part or part.startswith(("TIFF tags", "linked"))
    return dropped(part, "" if known else "it does not fit the dreamed picture")


def fit_for_changed_pixels(blocks: Blocks, orientation: int) -> tuple[Blocks, tuple[Entry, ...]]:
    """Return the metadata without what shows or presumes the old pixels, with orientation 1, and the receipt's entries.

    `orientation` is what the decoder has applied.
    """
    changes = [_left_out(part) for part in blocks.dropped]
    exif, packet = blocks.exif, blocks.xmp
    thumbnail = False
    if exif:
        exif, thumbnail = exif_block.without_thumbnail(exif)
        exif = exif_block.upright(exif, swapped=orientation >= 5)
    if packet:
        with contextlib.suppress(ValueError):  # a packet that is not XMP stays as it is
            if xmp.has_gain_map(packet):
                packet = xmp.without_gain_map(packet)
                if not any("gain map" in part for part in blocks.dropped):
                    changes.append(_left_out("HDR gain map"))
            packet = xmp.without_motion(packet)
            packet, shows = xmp.without_thumbnails(packet)
            thumbnail |= shows
            if xmp.orientation_of(packet) not in (None, 1):
                packet = xmp.with_orientation(packet, 1)
    shown = _left_out("thumbnail")
    if thumbnail and shown not in changes:
        changes.append(shown)
    if orientation != 1:
        changes.append(converted("orientation", "applied"))
    return replace(blocks, exif=exif, xmp=packet, dropped=()), tuple(changes)
