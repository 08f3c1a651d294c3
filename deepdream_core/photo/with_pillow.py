"""JPEG, PNG, WebP, AVIF, GIF and BMP with 8 bits, decoded and encoded by Pillow; deeper AVIF by imagecodecs."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, JpegImagePlugin

from deepdream_core.errors import PictureError
from deepdream_core.photo import animation, colour, with_libpng
from deepdream_core.photo.animation import widened
from deepdream_core.photo.colour_tags import by_boxes
from deepdream_core.photo.container import Blocks, Moving, blocks_of, bmp_colours, file_of, moving_of
from deepdream_core.photo.container.boxes import durations_of, others_in_words, picture_count, plays_of
from deepdream_core.photo.container.jpeg_samples import demanding
from deepdream_core.photo.container.png_samples import for_decoders, has_surplus
from deepdream_core.photo.decoded import (
    NO_BLOCKS,
    Coding,
    Decoded,
    check_plausible,
    check_size,
    fit_for_changed_pixels,
    orientation_of,
    upright,
)
from deepdream_core.photo.exif import bare, without_orientation
from deepdream_core.photo.exif_values import resolution_of
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.frame import Frame
from deepdream_core.photo.receipt import Entry, converted, dropped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Image.MAX_IMAGE_PIXELS = None  # the limit is check_size, from the header, with a message of its own

_OPENED_AS = {"JPEG": ("JPEG", "MPO"), "PNG": ("PNG",), "WEBP": ("WEBP",), "AVIF": ("AVIF",), "GIF": ("GIF",),
              "BMP": ("BMP", "DIB")}  # fmt: skip
_MODES = {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK"}
_MOST_PIXELS = {"JPEG": 512, "PNG": 8 * 1040, "GIF": 2800, "BMP": 128}
"""Pixels that a byte of a file stands for at the most: in JPEG 64 for a bit, in PNG those of 1 bit, in GIF LZW's 4096."""

_PNG_BITS = {"LA": 16, "RGB": 24, "RGBA": 32, "I;16": 16}
_LOSSY_QUALITY = {"JPEG": 95, "WEBP": 95, "AVIF": 90}


def decode(data: bytes, name: str, max_megapixels: float) -> Decoded:
    """Decode all pictures of a JPEG, PNG, WebP, AVIF, GIF or BMP.

    Raises `PictureError` for what is refused; a broken file raises nearly anything.
    """
    blocks = blocks_of(data, name) if name in ("JPEG", "PNG", "WEBP", "GIF") else NO_BLOCKS
    blocks = bmp_colours(memoryview(data)) if name == "BMP" else blocks
    changes: list[Entry] = []
    file = demanding(memoryview(data)) if name == "JPEG" else data
    if name == "PNG":
        file, opaque, mended = for_decoders(memoryview(data))
        changes += [dropped("transparency", "its chunk is damaged, and readers pass over it")] * opaque
        changes += [dropped("wrong checksum", "the samples themselves are whole", lost=False)] * mended
    moving = moving_of(file, name)
    _check_stored(moving, name, max_megapixels)
    with _opened(file, name) as image:
        count = getattr(image, "n_frames", 1) if name == "AVIF" else 1
        check_size(image.width, image.height, count, max_megapixels)
        if name in _MOST_PIXELS and not moving:
            bits = _PNG_BITS.get(image.mode, 1) if name == "PNG" else 1
            check_plausible(image.width * image.height, len(data), _MOST_PIXELS[name] // bits)
        surplus = name == "PNG" and has_surplus(memoryview(data))
        changes += [dropped("surplus samples", "beyond the last row, where no reader looks", lost=False)] * surplus
        if name == "AVIF":
            blocks = _avif_blocks(image, memoryview(data))
        bits = _bits(data, name, image)
        coding = _coding(data, name, image, moving, dpi_of(image, blocks.exif))
        if moving:
            frames = animation.frames_of(moving, lambda still: _still(still, name), unused_alpha=name == "PNG")
        elif bits > 8 and count == 1:
            samples = with_libpng.decode(file, surplus=surplus) if name == "PNG" else _deep_avif(data)
            frames = [Frame(samples, float((1 << bits) - 1))]
        else:
            frames = _frames(image, count, memoryview(data))
        if bits not in (8, 24, 32) and frames[0].depth == "8":
            changes.append(_depth_change(bits))
        if image.mode == "P" and name in ("PNG", "BMP"):
            changes.append(converted("colours", "palette to gray" if frames[0].gray else "palette to RGB"))
    if name == "BMP" and frames[0].alpha is not None and not frames[0].alpha.any():  # as Windows' clipboard gives it
        frames = [replace(frames[0], samples=np.ascontiguousarray(frames[0].samples[..., :-1]))]
        changes.append(converted("alpha", "0 everywhere, so the picture is opaque"))
    if name == "AVIF":
        blocks = replace(blocks, described=by_boxes(data))
    if frames[0].samples.shape[2] == 4 and image.mode == "CMYK":
        frames, blocks, told = _without_inks(frames, blocks)
        changes.append(told)
    telling = replace(blocks, xmp=None) if name == "AVIF" else blocks  # its container tells, through EXIF, and not XMP
    orientation = 1 if name in ("GIF", "BMP") else orientation_of(telling)
    frames = [replace(frame, samples=upright(frame.samples, orientation)) for frame in frames]
    blocks, gone = fit_for_changed_pixels(blocks, orientation)
    if coding.dpi and orientation >= 5:
        coding = replace(coding, dpi=coding.dpi[::-1])
    return Decoded(tuple(frames), blocks, coding, (*changes, *gone))


def _opened(file: bytes | memoryview, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(file), formats=_OPENED_AS[name])
    except OSError as error:
        if str(error).startswith("Unsupported BMP"):
            raise PictureError("is a BMP of a kind that is not read", "export it with 24 bits, uncompressed") from None
        raise


def _check_stored(moving: Moving | None, name: str, max_megapixels: float) -> None:
    """Raise for an animation larger than allowed, or with a frame that unfolds to more than it can."""
    if moving is None:
        return
    count = len(moving.frames) + (moving.still is not None)
    check_size(moving.width, moving.height, count, max_megapixels)
    if name == "GIF":  # its canvas may be larger than all that is stored
        check_plausible(
            moving.width * moving.height, sum(len(frame.file) for frame in moving.frames), _MOST_PIXELS[name]
        )
    for frame in moving.frames:
        check_size(frame.width, frame.height, 1, max_megapixels)
        if name in _MOST_PIXELS:
            check_plausible(frame.width * frame.height, len(frame.file), _MOST_PIXELS[name])


def _still(file: bytes, name: str) -> NDArray[Any]:
    if name == "PNG" and _bits(file, name) > 8:
        return with_libpng.decode(file, surplus=has_surplus(memoryview(file)))
    with _opened(file, name) as image:
        image.load()
        return _samples(image)


def check_jpeg(data: bytes, width: int, height: int) -> None:
    """Raise for a JPEG within another file that is cut short, or larger than its place there."""
    with Image.open(io.BytesIO(demanding(memoryview(data))), formats=("JPEG",)) as image:
        if image.width > width or image.height > height:
            raise FormatError("a part of it is larger than its place")
        check_plausible(image.width * image.height, len(data), _MOST_PIXELS["JPEG"])
        image.load()


def _bits(data: bytes, name: str, image: Image.Image | None = None) -> int:
    """Return the bits of a channel as the file holds them; Pillow opens deeper files as 8-bit without a word."""
    if name == "PNG":
        return data[24]
    if name == "AVIF" and (box := data.find(b"av1C", 0, 1 << 16)) > 0:
        flags = data[box + 6]
        return 12 if flags & 0x20 and flags & 0x40 else 10 if flags & 0x40 else 8
    return 1 if image and image.mode == "1" else 8


def _depth_change(bits: int) -> Entry:
    if bits > 8:
        return converted("depth", f"{bits} to 8 bits: an animation is read with 8", lost=True)
    return converted("depth", f"{bits} to 8 bits, so that the dream has shades")


def _deep_avif(data: bytes) -> NDArray[Any]:
    import imagecodecs

    samples: NDArray[Any] = imagecodecs.avif_decode(data)
    return samples if samples.ndim == 3 else samples[..., None]


def _frames(image: Image.Image, count: int, view: memoryview) -> list[Frame]:
    """Decode every picture, all with the same channels."""
    exact = durations_of(view) if count > 1 else []  # Pillow rounds to milliseconds
    frames: list[Frame] = []
    for index in range(count):
        if count > 1:
            image.seek(index)
        image.load()
        frames.append(Frame(_samples(image), 255.0, duration_ms=image.info.get("duration") if count > 1 else None))
    if len(exact) == count:
        frames = [replace(frame, duration_ms=time) for frame, time in zip(frames, exact, strict=True)]
    most = max(frame.samples.shape[2] for frame in frames)
    if any(frame.alpha is not None for frame in frames) and most == 3:
        most = 4
    return [replace(frame, samples=widened(frame.samples, most)) for frame in frames]


def _samples(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode not in _MODES:
        raise PictureError(f"holds {image.mode} pixels, which are not read", "export it as RGB")
    mode = _MODES[image.mode]
    if image.mode == "P" and _is_gray(image):
        mode = "L"
    if "transparency" in image.info and mode in ("L", "RGB"):
        mode = "LA" if mode == "L" else "RGBA"
    if mode == "LA" and image.mode == "P":  # not a way that Pillow knows
        return np.array(image.convert("RGBA"))[..., (0, 3)]
    samples = np.array(image if image.mode == mode else image.convert(mode))
    return samples if samples.ndim == 3 else samples[..., None]


def _is_gray(image: Image.Image) -> bool:
    """Say whether a palette holds nothing but grays, but for what is transparent; such a picture gets no colours."""
    palette = np.frombuffer(image.im.getpalette("RGB", "RGB"), np.uint8).reshape(-1, 3)
    used = palette[: len(image.palette.palette) // len(image.palette.mode)] if image.palette else palette
    coloured = (used != used[:, :1]).any(axis=1)
    hidden = image.info.get("transparency")
    if isinstance(hidden, int) and hidden < len(coloured):
        coloured[hidden] = False
    return not coloured.any()


def _coding(
    data: bytes, name: str, image: Image.Image, moving: Moving | None, dpi: tuple[float, float] | None
) -> Coding:
    coding = Coding(
        lossless=name in ("PNG", "GIF", "BMP"),
        plays=moving.plays if moving else plays_of(memoryview(data)) if name == "AVIF" else 0,
        still_first=moving is not None and moving.still is not None,
        dpi=dpi,
    )
    if name == "WEBP":
        return replace(coding, lossless=b"VP8 " not in _webp_chunks(data))
    if name != "JPEG":
        return coding
    sampling = JpegImagePlugin.get_sampling(image)
    return replace(
        coding,
        qtables=getattr(image, "quantization", None) or None,
        subsampling=sampling
        if sampling in (0, 1, 2)
        else 0,  # Pillow writes no others: full colour is better than less
        progressive=bool(image.info.get("progressive")),
    )


def dpi_of(image: Image.Image, exif: bytes | None) -> tuple[float, float] | None:
    """Return the resolution of an opened picture in pixels per inch: a JPEG's own before that of its EXIF."""
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2):  # Pillow takes one side for both
        return resolution_of(exif) if exif else None
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 <= across < 65_536 and 1 <= down < 65_536 else None


def _webp_chunks(data: bytes) -> set[bytes]:
    """Return the names of a WebP's chunks, those inside animation frames too (RIFF container specification)."""
    names: set[bytes] = set()
    place = 12
    while place + 8 <= len(data):
        name = data[place : place + 4]
        names.add(name)
        if name == b"ANMF":
            place += 8 + 16  # its frame data begin after sixteen bytes of position and duration
            continue
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return names


def _avif_blocks(image: Image.Image, view: memoryview) -> Blocks:
    """Return an AVIF's metadata; Pillow has put the container's orientation, which counts, into the EXIF block."""
    exif = image.info.get("exif")
    animated = getattr(image, "n_frames", 1) > 1
    told = others_in_words(view, animated=animated)
    if not animated and picture_count(view) > 1:
        told.append("further pictures")
    return Blocks(
        image.info.get("icc_profile"), bare(exif) if exif else None, image.info.get("xmp"), dropped=tuple(told)
    )


def _without_inks(frames: list[Frame], blocks: Blocks) -> tuple[list[Frame], Blocks, Entry]:
    profile, how = colour.press_of(blocks.icc)
    turned = [replace(frame, samples=colour.cmyk_to_srgb(frame.samples, profile)) for frame in frames]
    return turned, replace(blocks, icc=colour.srgb_profile()), converted("colours", how, lost=True)


def encode(frames: Sequence[Frame], name: str, coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode pictures of uint8, or for PNG uint16, as `name`; of the blocks only AVIF's are written here."""
    if len(frames) > 1 and name in ("PNG", "GIF", "WEBP"):
        return _encoded_moving(frames, name, coding, blocks, quality)
    if name == "PNG" and frames[0].samples.dtype == np.uint16:
        import imagecodecs

        samples = frames[0].samples
        return bytes(imagecodecs.png_encode(samples if samples.shape[2] > 1 else samples[..., 0], level=6))
    options = _options(name, coding, blocks, quality, gray=frames[0].samples.shape[2] == 1)
    images = [_image(frame) for frame in frames]
    if len(images) > 1:
        durations = [round(100.0 if frame.duration_ms is None else frame.duration_ms) for frame in frames]
        options |= {"save_all": True, "append_images": images[1:], "duration": durations}
    if name == "GIF":
        images[0] = _with_palette(images[0], options)
    encoded = io.BytesIO()
    images[0].save(encoded, **options)
    return encoded.getvalue()


def _encoded_moving(frames: Sequence[Frame], name: str, coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    """Encode an animation frame by frame: encoders of whole ones merge those that are equal."""
    still_first = coding.still_first and name == "PNG"
    alone = name == "GIF" and any(
        frame.alpha is not None for frame in frames
    )  # it cannot put transparency over colours
    moving = animation.reduced(
        frames, lambda frame: encode([frame], name, coding, blocks, quality), plays=coding.plays,
        still_first=still_first, step=2 if name == "WEBP" else 1, whole=alone,
    )  # fmt: skip
    return file_of(moving, name)


def _image(frame: Frame) -> Image.Image:
    return Image.fromarray(frame.samples if frame.samples.shape[2] > 1 else frame.samples[..., 0])


def _options(name: str, coding: Coding, blocks: Blocks, quality: int | None, *, gray: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"format": name}
    lossy = quality if quality is not None else _LOSSY_QUALITY.get(name)
    if name == "JPEG":
        options |= {"progressive": coding.progressive}
        if coding.qtables and quality is None:
            options |= {"qtables": coding.qtables, "subsampling": coding.subsampling}
        else:
            coarse = 2 if lossy is not None and lossy < 90 else 0
            options |= {"quality": lossy, "subsampling": coarse if coding.subsampling is None else coding.subsampling}
    if name == "WEBP":
        lossless = coding.lossless and quality is None
        options |= {"lossless": lossless, "quality": 80 if lossless else lossy, "method": 4, "exact": True}
    if name == "AVIF":
        exif = blocks.exif and without_orientation(blocks.exif)  # else Pillow writes the block again
        metadata = {"icc_profile": blocks.icc, "exif": exif, "xmp": blocks.xmp}
        options |= {"quality": lossy, "subsampling": "4:0:0" if gray else "4:4:4"}
        options |= {key: value for key, value in metadata.items() if value is not None}
    if name in ("JPEG", "PNG", "BMP") and coding.dpi:
        options["dpi"] = coding.dpi
    return options


def _with_palette(image: Image.Image, options: dict[str, Any]) -> Image.Image:
    """Return a picture with the 256 colours that suit it best, one of them transparent where some of it is."""
    if image.mode == "L":
        return image
    if image.mode not in ("LA", "RGBA"):
        return image.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    alpha = image.getchannel("A")
    indexed = image.convert("RGB").quantize(255, dither=Image.Dither.FLOYDSTEINBERG)
    indexed.paste(255, mask=alpha.point(lambda value: 255 * (value < 128)))
    options["transparency"] = 255
    return indexed
