"""The samples of a TIFF page as RGB or gray with one alpha: palettes, CMYK, Lab, odd depths, extra samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.photo import colour
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.receipt import Entry, converted, dropped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepdream_core.photo.container import Blocks

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
"""PhotometricInterpretation (TIFF 6.0; ICCLab is Adobe's)."""

READ = frozenset({WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB})
"""The supported kinds of colours."""


def with_channels_last(page: Any, samples: NDArray[Any]) -> NDArray[Any]:
    """Return a page's samples as [H, W, C]; raises `FormatError` for too few or too many of them."""
    height, width, channels = page.imagelength, page.imagewidth, page.samplesperpixel
    if samples.size != height * width * channels:
        raise FormatError("it has too few or too many samples")
    if channels > 1 and int(page.planarconfig) == 2:
        return np.ascontiguousarray(samples.reshape(channels, height, width).transpose(1, 2, 0))
    return samples.reshape(height, width, channels)


def with_one_alpha(
    page: Any, samples: NDArray[Any], colours: int, changes: list[Entry]
) -> tuple[NDArray[Any], tuple[int, ...], bool]:
    """Return samples as colours, at most one alpha, others; the kinds of the others; whether alpha is premultiplied.

    Only what the file calls alpha is alpha: selections, masks and near infrared are stored as 0, unspecified.
    """
    count = samples.shape[2] - colours
    if count < 0:
        raise FormatError("it has fewer samples than colours")
    kinds = [int(kind) for kind in page.extrasamples][:count]
    kinds += [0] * (count - len(kinds))
    alpha = next((place for place, kind in enumerate(kinds) if kind in (1, 2)), None)
    others = [place for place in range(count) if place != alpha]
    first = [] if alpha is None else [colours + alpha]
    if alpha is not None and colours == 4:
        changes.append(dropped("alpha", "a CMYK picture's transparency is not carried over"))
        first = []
    keep = [*range(colours), *first, *(colours + place for place in others)]
    picked = samples if keep == [*range(samples.shape[2])] else np.ascontiguousarray(samples[..., keep])
    return picked, tuple(kinds[place] for place in others), bool(first) and alpha is not None and kinds[alpha] == 1


def looked_up(page: Any, samples: NDArray[Any]) -> NDArray[Any]:
    """Return the palette's colours, in 8 bits if the palette needs no more (TIFF 6.0, ColorMap)."""
    palette = np.asarray(page.colormap, np.uint16).T
    if int(samples[..., 0].max()) >= len(palette):
        raise FormatError("its pixels use colours that its palette lacks")
    low, high = palette & 255, palette >> 8
    if (low == high).all() or not low.any():
        palette = high.astype(np.uint8)
    coloured: NDArray[Any] = palette[samples[..., 0]]
    if samples.shape[2] == 1:
        return coloured
    factor = 257 if palette.dtype == np.uint16 else 1
    return np.concatenate([coloured, (samples[..., 1:] * factor).astype(palette.dtype)], axis=2)


def as_rgb(
    photometric: int, samples: NDArray[Any], blocks: Blocks, changes: list[Entry]
) -> tuple[NDArray[Any], Blocks]:
    """Return CMYK or Lab samples as sRGB, and the metadata with its profile."""
    if samples.dtype not in (np.uint8, np.uint16):
        raise PictureError("holds CMYK or Lab at a depth that DeepDream cannot read", "export it with 8 or 16 bits")
    if photometric == CMYK:
        profile, how = colour.press_of(blocks.icc)
        changes.append(converted("colours", how, lost=True))
        turned = colour.cmyk_to_srgb(np.ascontiguousarray(samples[..., :4]), profile)
        turned = np.concatenate([turned, samples[..., 4:]], axis=2) if samples.shape[2] > 4 else turned
    else:
        changes.append(converted("colours", "Lab to sRGB", lost=True))
        turned = _lab(samples, signed=photometric == CIELAB)
    return turned, replace(blocks, icc=colour.srgb_profile())


def _lab(samples: NDArray[Any], *, signed: bool) -> NDArray[Any]:
    """Convert Lab to sRGB. In a TIFF L* takes the full range; a* and b* are signed in CIELab, offset by 128 in ICCLab."""
    white = np.iinfo(samples.dtype).max
    unit = 1 if samples.dtype == np.uint8 else 256
    alpha = samples[..., 3:]

    def rows(band: slice) -> NDArray[np.float32]:
        part = samples[band, :, :3]
        lab = np.empty(part.shape, np.float32)
        lab[..., 0] = part[..., 0] * np.float32(100 / white)
        for channel in (1, 2):
            if signed:
                lab[..., channel] = part[..., channel].astype(f"i{samples.itemsize}") / np.float32(unit)
            else:
                lab[..., channel] = part[..., channel] / np.float32(unit) - 128
        return lab

    turned = colour.lab_to_srgb(rows, (samples.shape[0], samples.shape[1]), samples.dtype)
    return np.concatenate([turned, alpha], axis=2) if alpha.shape[2] else turned


def widened(samples: NDArray[Any], white: float, bits: int, changes: list[Entry]) -> tuple[NDArray[Any], float]:
    """Return samples of odd depths (1, 2, 4, 12 … bits) in the next depth that programs share, and their white."""
    if samples.dtype.kind == "f" or white in (255.0, 65_535.0, 4_294_967_295.0):
        return samples, white
    full = 255 if bits < 8 else 65_535 if bits < 16 else 4_294_967_295
    kind = np.uint8 if bits < 8 else np.uint16 if bits < 16 else np.uint32
    if bits <= 16:
        wider = np.rint(np.arange(1 << bits) * (full / white)).astype(kind)[samples]
    else:
        wider = np.rint(samples * (full / white)).astype(kind)
    changes.append(converted("depth", f"{bits} to {np.dtype(kind).itemsize * 8} bits, so that the dream has shades"))
    return wider, float(full)
