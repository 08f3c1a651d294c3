"""TIFF at every depth, page by page, decoded and encoded by tifffile; its metadata by `ifd`."""

from __future__ import annotations

import io
import logging
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from deepdream_core.errors import PictureError
from deepdream_core.photo import colour, ifd, stacks, tiff_edit, tiff_strips
from deepdream_core.photo.colour_tags import by_exif, with_transfer
from deepdream_core.photo.container import Blocks
from deepdream_core.photo.container.photoshop import without_thumbnails
from deepdream_core.photo.decoded import (
    NO_BLOCKS,
    Coding,
    Decoded,
    check_pixels,
    check_size,
    fit_for_changed_pixels,
    orientation_of,
    upright,
)
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.frame import Frame
from deepdream_core.photo.receipt import Entry, converted, dropped
from deepdream_core.photo.scale import LARGEST_SAMPLE, checked_scale, told_white
from deepdream_core.photo.tiff_pages import Picture, pictures_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False

_ICC, _XMP, _IPTC, _PHOTOSHOP, _LAYERS = 34675, 700, 33723, 34377, 37724
_CARRIED = (_IPTC, _PHOTOSHOP)
_GRAY_WHITE_IS_ZERO, _GRAY, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR, _CIELAB, _ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
_TRANSFER = 301
_KEPT_COMPRESSIONS = {1: None, 5: "lzw", 8: "adobe_deflate", 32946: "adobe_deflate", 32773: "packbits", 50000: "zstd"}


def decode(data: bytes, max_megapixels: float, white: float | None = None) -> Decoded:
    """Decode all pages of a TIFF; `white` is what a person says is white in floating-point ones.

    Raises `PictureError` for what is refused; a broken file raises nearly anything.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        layout = ifd.layout_of(data)
        pictures, left_out = pictures_of(tiff, data, sum(1 for _ in ifd.directory_offsets(data, layout)))
        pages = [picture.page for picture in pictures]
        for page in pages:
            tiff_strips.check_numbers(page)
        total = sum(page.imagewidth * page.imagelength for page in pages)
        check_pixels(total, f"all its {len(pages)} pages together" if len(pages) > 1 else "it", max_megapixels)
        changes: list[Entry] = []
        for page in {id(page): page for page in pages}.values():  # slices share one
            check_size(page.imagewidth, page.imagelength, 1, max_megapixels)
            changes += tiff_strips.check_complete(page, data, max_megapixels)
        frames: list[Frame] = []
        every: list[Blocks] = []
        turned = False
        for picture in pictures:
            frame, blocks, orientation, told = _page(picture, data, layout, white)
            blocks, gone = fit_for_changed_pixels(blocks, orientation)
            turned = turned if every else orientation >= 5
            every.append(blocks)
            frames.append(replace(frame, blocks=blocks))
            changes += [entry for entry in (*told, *gone) if entry not in changes]
        compression = _KEPT_COMPRESSIONS.get(int(pages[0].compression), "adobe_deflate")
        changes += left_out
        dpi = _dpi(pages[0])
        if dpi and turned:
            dpi = dpi[::-1]
    return Decoded(tuple(frames), every[0], Coding(compression=compression, dpi=dpi), tuple(changes))


def _dpi(page: Any) -> tuple[float, float] | None:
    """Return a page's resolution in pixels per inch, where it says one (TIFF 6.0, ResolutionUnit)."""
    unit = {2: 1.0, 3: 2.54}.get(int(page.tags.valueof(296, 2)))
    try:
        across, down = (page.tags.valueof(code)[0] / page.tags.valueof(code)[1] for code in (282, 283))
    except (TypeError, IndexError, ZeroDivisionError):
        return None
    if unit is None or not (1 < across * unit < 65_536 and 1 < down * unit < 65_536):
        return None
    return across * unit, down * unit


def _page(
    picture: Picture, data: bytes, layout: ifd.Layout, given: float | None
) -> tuple[Frame, Blocks, int, list[Entry]]:
    page = picture.page
    photometric = int(page.photometric)
    changes: list[Entry] = []
    if page.imagedepth > 1 or photometric not in (*range(7), _CIELAB, _ICCLAB) or photometric == _MASK:
        raise PictureError(f"holds colours of a kind that is not read ({page.photometric.name})", "export it as RGB")
    if page.sampleformat not in (1, 3, None):
        raise PictureError("holds signed or complex numbers, which are no colours", "export it with 8 or 16 bits")
    samples, told = picture.samples(data)
    changes += told
    if samples.dtype == bool:
        samples = samples.astype(np.uint8)
    if photometric == _YCBCR and int(page.compression) not in (6, 7):
        raise PictureError("holds uncompressed YCbCr, which is not read", "export it as RGB")
    samples = _with_channels_last(page, samples)
    colours = 1 if photometric in (_GRAY, _GRAY_WHITE_IS_ZERO, _PALETTE) else 4 if photometric == _CMYK else 3
    bits = int(page.bitspersample)
    floating = samples.dtype.kind == "f"
    white = (given or told_white(page, colours)) if floating else float((1 << bits) - 1)
    samples, kinds, premultiplied = _with_one_alpha(page, samples, colours, changes)
    blocks = _blocks(picture, data, layout)
    if table := ifd.directory_at(data, page.offset, layout).get(_TRANSFER):
        described = by_exif(blocks.exif) if blocks.exif else None
        light, inverted = table.integers(data, layout.order), photometric == _GRAY_WHITE_IS_ZERO
        blocks = replace(blocks, described=with_transfer(described, light, bits, inverted=inverted))
    if photometric == _GRAY_WHITE_IS_ZERO:
        samples[..., 0] = white - samples[..., 0]
    elif photometric == _PALETTE:
        samples = _looked_up(page, samples)
        white = 65_535.0 if samples.dtype == np.uint16 else 255.0
        changes.append(converted("colours", "palette to RGB"))
    elif photometric in (_CMYK, _CIELAB, _ICCLAB):
        samples, blocks = _as_rgb(photometric, samples, blocks, changes)
    samples, white = _widened(samples, white, bits, changes)
    stored = page.tags.valueof(274, picture.home.tags.valueof(274, 0))
    orientation = int(stored) if 1 <= stored <= 8 else orientation_of(blocks)
    shown = samples.shape[2] - len(kinds)
    frame = checked_scale(Frame(upright(samples[..., :shown], orientation), white, premultiplied))
    if kinds:
        frame = replace(frame, extra=upright(samples[..., shown:], orientation), extra_kinds=kinds)
    return frame, blocks, orientation, changes


def _with_channels_last(page: Any, samples: NDArray[Any]) -> NDArray[Any]:
    height, width, channels = page.imagelength, page.imagewidth, page.samplesperpixel
    if samples.size != height * width * channels:
        raise FormatError("its samples do not fill it")
    if channels > 1 and int(page.planarconfig) == 2:
        return np.ascontiguousarray(samples.reshape(channels, height, width).transpose(1, 2, 0))
    return samples.reshape(height, width, channels)


def _with_one_alpha(
    page: Any, samples: NDArray[Any], colours: int, changes: list[Entry]
) -> tuple[NDArray[Any], tuple[int, ...], bool]:
    """Return colours, at most one alpha and the other samples; what the file calls those; whether alpha is multiplied in.

    A sample that is not called alpha is none: 0, unspecified, is how selections, masks and near infrared are stored.
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


def _looked_up(page: Any, samples: NDArray[Any]) -> NDArray[Any]:
    """Return the palette's colours; with 8 bits where the palette needs no more (TIFF 6.0, ColorMap)."""
    palette = np.asarray(page.colormap, np.uint16).T
    if int(samples[..., 0].max()) >= len(palette):
        raise FormatError("it names colours that its palette lacks")
    low, high = palette & 255, palette >> 8
    if (low == high).all() or not low.any():
        palette = high.astype(np.uint8)
    coloured: NDArray[Any] = palette[samples[..., 0]]
    if samples.shape[2] == 1:
        return coloured
    factor = 257 if palette.dtype == np.uint16 else 1
    return np.concatenate([coloured, (samples[..., 1:] * factor).astype(palette.dtype)], axis=2)


def _as_rgb(
    photometric: int, samples: NDArray[Any], blocks: Blocks, changes: list[Entry]
) -> tuple[NDArray[Any], Blocks]:
    if samples.dtype not in (np.uint8, np.uint16):
        raise PictureError("holds CMYK or Lab of a depth that is not read", "export it with 8 or 16 bits")
    if photometric == _CMYK:
        profile, how = colour.press_of(blocks.icc)
        changes.append(converted("colours", how, lost=True))
        turned = colour.cmyk_to_srgb(np.ascontiguousarray(samples[..., :4]), profile)
        turned = np.concatenate([turned, samples[..., 4:]], axis=2) if samples.shape[2] > 4 else turned
    else:
        changes.append(converted("colours", "Lab to sRGB", lost=True))
        turned = _lab(samples, signed=photometric == _CIELAB)
    return turned, replace(blocks, icc=colour.srgb_profile())


def _lab(samples: NDArray[Any], *, signed: bool) -> NDArray[Any]:
    """Convert Lab as TIFF holds it: a* and b* signed in CIELab, from 128 upwards in ICCLab; L* over the whole range."""
    white = np.iinfo(samples.dtype).max
    one = 1 if samples.dtype == np.uint8 else 256
    alpha = samples[..., 3:]

    def rows(band: slice) -> NDArray[np.float32]:
        part = samples[band, :, :3]
        lab = np.empty(part.shape, np.float32)
        lab[..., 0] = part[..., 0] * np.float32(100 / white)
        for channel in (1, 2):
            if signed:
                lab[..., channel] = part[..., channel].astype(f"i{samples.itemsize}") / np.float32(one)
            else:
                lab[..., channel] = part[..., channel] / np.float32(one) - 128
        return lab

    turned = colour.lab_to_srgb(rows, (samples.shape[0], samples.shape[1]), samples.dtype)
    return np.concatenate([turned, alpha], axis=2) if alpha.shape[2] else turned


def _widened(samples: NDArray[Any], white: float, bits: int, changes: list[Entry]) -> tuple[NDArray[Any], float]:
    """Bring odd depths (1, 2, 4, 12 … bits) to the next that programs share."""
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


def _blocks(picture: Picture, data: bytes, layout: ifd.Layout) -> Blocks:
    """Return a picture's metadata: its own, and those of the page it hangs below; slices after the first have none."""
    page, home = picture.page, picture.home
    icc = _raw(page, data, _ICC) or _raw(home, data, _ICC)
    if picture.slice:
        return Blocks(icc=icc)
    others: list[tuple[str, bytes]] = []
    told: list[str] = []
    for code in _CARRIED:
        raw = _raw(home, data, code)
        if raw is not None:
            content = without_thumbnails(raw) if code == _PHOTOSHOP else raw
            others.append((str(code), content))
            told += ["thumbnail"] if content != raw else []
    told += [words for one in {id(one): one for one in (page, home)}.values() for words in _second_ones(one, data)]
    every = {id(tag): tag.code for one in (page, home) for tag in one.tags}
    if _LAYERS in every.values():
        told.append("Photoshop layers")
    lost = sorted({code for code in every.values() if code not in tiff_edit.OF_STORAGE | tiff_edit.DESCRIPTIVE})
    if lost:
        told.append(f"TIFF tags {', '.join(str(code) for code in lost[:8])}{' …' if len(lost) > 8 else ''}")
    xmp = _raw(page, data, _XMP) or _raw(home, data, _XMP)
    return Blocks(icc, tiff_edit.exif_of_tiff(data, home.offset, layout), xmp, tuple(others), tuple(told))


def _second_ones(page: Any, data: bytes) -> list[str]:
    """Tell of tags that stand in a directory again with another value; readers take the first."""
    words = {_ICC: "second colour profile", _XMP: "second XMP packet"}
    seen: dict[int, Any] = {}
    told: list[str] = []
    for tag in page.tags:
        value = data[tag.valueoffset : tag.valueoffset + tag.valuebytecount]
        if seen.setdefault(tag.code, value) != value:
            told.append(words.get(tag.code, f"second TIFF tag {tag.code}"))
    return told


def _raw(page: Any, data: bytes, code: int) -> bytes | None:
    """Return a tag's bytes as they stand in the file."""
    tag = page.tags.get(code)
    if tag is None:
        return None
    count = tag.count * (4 if int(tag.dtype) == 4 else 1)  # IPTC is often declared as numbers of 4 bytes
    if tag.valueoffset + count > len(data) or count == 0:
        return None
    return data[tag.valueoffset : tag.valueoffset + count]


def encode(pages: Sequence[Frame], coding: Coding) -> bytearray:
    """Encode pages with their profiles and metadata; a page without blocks of its own has none.

    Slices of which a description says so (`stacks`) lie behind each other, each with a directory too.
    """
    encoded = io.BytesIO()
    own = [page.blocks or NO_BLOCKS for page in pages]
    changes: list[dict[int, ifd.Value | ifd.Fields | None]] = [{} for _ in pages]
    with tifffile.TiffWriter(encoded, bigtiff=sum(page.samples.nbytes for page in pages) > 3_900_000_000) as writer:
        for at, count, _ in stacks.runs(pages):
            together = count if coding.compression is None else 1
            for first in range(at, at + count, together):
                once = replace(coding, dpi=None) if first else coding  # each page's EXIF says it for itself
                _write_pages(writer, pages[first : first + together], own[first], once)
            for number in range(at + 1, at + together):
                changes[number] = _unlike(own[number], own[at])
                if pages[number].white != pages[at].white:
                    channels = pages[number].samples.shape[2] + len(pages[number].extra_kinds)
                    white = struct.pack("<f", pages[number].white) * channels
                    changes[number][LARGEST_SAMPLE] = ifd.Value(ifd.FLOAT, white)
    with encoded.getbuffer() as view:
        file = bytearray(view)
    encoded.close()  # a large picture is not kept a third time
    if any(changes):
        file = tiff_edit.with_tags(file, changes)
    exifs = [blocks.exif for blocks in own]
    return tiff_edit.with_exif(file, exifs) if any(exifs) else file


def _unlike(own: Blocks, first: Blocks) -> dict[int, ifd.Value | ifd.Fields | None]:
    """Return the tags that a slice has other than the first one, whose profile tifffile gives to all."""
    change: dict[int, ifd.Value | ifd.Fields | None] = {
        code: ifd.Value(ifd.UNDEFINED, content) for code, content in _carried(own)
    }
    if own.xmp:
        change[_XMP] = ifd.Value(ifd.BYTE, own.xmp)
    if own.icc != first.icc:
        change[_ICC] = ifd.Value(ifd.UNDEFINED, own.icc) if own.icc else None
    return change


def _carried(own: Blocks) -> list[tuple[int, bytes]]:
    return [(int(code), content) for code, content in own.others if code.isdigit()]


def _stored(frame: Frame) -> NDArray[Any]:
    """Return a page's samples with those that are neither colour nor alpha, [H, W] where there is but one."""
    if frame.extra is not None:
        return np.concatenate([frame.samples, frame.extra], axis=2)
    return frame.samples if frame.samples.shape[2] > 1 else frame.samples[..., 0]


def _write_pages(writer: tifffile.TiffWriter, frames: Sequence[Frame], own: Blocks, coding: Coding) -> None:
    frame, several = frames[0], len(frames) > 1
    every = [_stored(one) for one in frames]
    extra = (*(() if frame.alpha is None else (1 if frame.premultiplied else 2,)), *frame.extra_kinds)
    tags: list[tuple[int, int | str, int, Any, bool]] = []
    if own.xmp:
        tags.append((_XMP, 1, len(own.xmp), own.xmp, True))
    tags += [(code, 7, len(content), content, True) for code, content in _carried(own)]
    if frame.samples.dtype.kind == "f" and frame.white != 1:
        count = every[0].shape[2] if every[0].ndim == 3 else 1
        tags.append((LARGEST_SAMPLE, "f", count, (frame.white,) * count, False))
    options: dict[str, Any] = {"resolution": coding.dpi, "resolutionunit": 2} if coding.dpi else {}
    if several:
        options |= {"shape": (len(every), *every[0].shape), "dtype": every[0].dtype}
    odd = frame.samples.dtype.kind == "u" and frame.samples.itemsize > 2
    predicted = coding.compression not in (None, "packbits") and not odd
    writer.write(
        iter(every) if several else every[0],
        photometric="minisblack" if frame.gray else "rgb", extrasamples=extra or None, compression=coding.compression,
        predictor=predicted, planarconfig="contig" if every[0].ndim == 3 else None, iccprofile=own.icc,
        extratags=tags, metadata=None, software=False, contiguous=False, **options,
    )  # fmt: skip
