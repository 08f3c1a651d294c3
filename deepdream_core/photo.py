"""Photographs: file ↔ float arrays, with what must survive the trip (orientation applied, ICC, EXIF, alpha)."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from deepdream_core.atomic import check_writable, write_whole
from deepdream_core.errors import OutputError, PictureError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

FORMATS: dict[str, str] = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip
"""File name endings that are read and written, and Pillow's names of their formats."""

Image.MAX_IMAGE_PIXELS = None  # the limit is read_photo's own, from the header, with a message of its own

_READ = tuple(sorted(set(FORMATS.values())))
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
_LONGEST_JPEG_EXIF = 65_527
_MODES = {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA"}


_DESCRIPTIVE_TAGS = {
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.XResolution,
    ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit, ExifTags.Base.Software, ExifTags.Base.DateTime,
    ExifTags.Base.Artist, ExifTags.Base.HostComputer, ExifTags.Base.Rating, ExifTags.Base.RatingPercent,
    ExifTags.Base.Copyright, ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords, ExifTags.Base.XPSubject,
}  # fmt: skip


@dataclass(frozen=True)
class Photo:
    """A decoded picture, upright.

    `pixels`: uint8 [H, W, 3] RGB, in the file's own encoding. `alpha`: uint8 [H, W] or None. `gray`: the file had no
    colour, and gets none. `icc` and `exif` are the file's own bytes, the EXIF's orientation reset to upright.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    gray: bool
    format: str
    icc: bytes | None
    exif: bytes | None
    jpeg: dict[str, Any]
    """What a JPEG is written with again: its quantisation tables and chroma subsampling."""
    lossless: bool = True
    """Whether the file held every pixel as it was; a WebP is then written so."""

    def floats(self) -> NDArray[np.float32]:
        """Return the pixels as float32 [3, H, W] in 0…1."""
        planes = np.empty((3, *self.pixels.shape[:2]), np.float32)
        np.multiply(self.pixels.transpose(2, 0, 1), np.float32(1 / 255), out=planes)
        return planes

    def with_floats(self, planes: NDArray[np.float32]) -> Photo:
        """Return this photo with other pixels: float32 [3, H, W] in 0…1, rounded to 8 bits."""
        pixels = np.empty((*planes.shape[1:], 3), np.uint8)
        for channel in range(3):
            pixels[..., channel] = np.rint(planes[channel] * np.float32(255)).clip(0, 255)
        return replace(self, pixels=pixels)


def read_photo(path: Path, *, max_megapixels: float) -> Photo:
    """Decode a JPEG, PNG, WebP or TIFF completely.

    Raises `PictureError` naming the file and the reason: missing, no picture, of another format or depth, truncated, or
    larger than `max_megapixels`, which is checked from the header before anything is decoded.
    """
    with _translated(path), _open_regular(path) as file, Image.open(file, formats=_READ) as image:
        megapixels = image.width * image.height / 1e6
        if megapixels > max_megapixels:
            raise PictureError(
                f"{path}: {image.width}×{image.height} is {megapixels:.0f} megapixels, the limit is {max_megapixels:g}",
                "raise engine.max_megapixels in config.yaml if you trust the file",
            )
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            raise PictureError(f"{path}: holds {frames} pictures", "export the one to dream as a file of its own")
        _check_depth(path, image)
        jpeg = _jpeg_settings(image)
        lossless = image.format in ("PNG", "TIFF") or (image.format == "WEBP" and _is_lossless_webp(path))
        image.load()
        icc = image.info.get("icc_profile")
        pixels, alpha, gray = _split(ImageOps.exif_transpose(image))
        exif = _upright_exif(image)
        return Photo(pixels, alpha, gray, str(image.format).replace("MPO", "JPEG"), icc, exif, jpeg, lossless)


def _open_regular(path: Path) -> BinaryIO:
    if path.exists() and not path.is_dir() and not path.is_file():
        raise PictureError(f"{path}: not a regular file but a pipe, socket or device", "give a picture")
    return path.open("rb")


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what Pillow and the system raise for a bad file into one line; Pillow's warnings about bad tags are dropped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except FileNotFoundError:
            raise PictureError(f"{path}: no such file", "check the name") from None
        except IsADirectoryError:
            raise PictureError(f"{path}: is a folder", "give a picture") from None
        except PermissionError:
            raise PictureError(f"{path}: no permission to read it", "change its permissions") from None
        except UnidentifiedImageError:
            empty = path.stat().st_size == 0
            what = "the file is empty" if empty else "not a JPEG, PNG, WebP or TIFF picture"
            raise PictureError(f"{path}: {what}", "give a JPEG, PNG, WebP or TIFF") from None
        except MemoryError:
            raise PictureError(f"{path}: not enough memory to decode it", "close other programs") from None
        except PictureError:
            raise
        except Exception as error:  # Pillow's decoders raise nearly anything for a broken file
            if isinstance(error, OSError) and error.errno:
                raise PictureError(f"{path}: cannot be read: {error.strerror}", "check the name and the disk") from None
            reason = " ".join(str(error).split())[:100] or type(error).__name__
            raise PictureError(f"{path}: truncated or damaged ({reason})", "get an intact copy of the file") from None


def _check_depth(path: Path, image: Image.Image) -> None:
    """Refuse what 8 bits cannot hold: Pillow opens some 16-bit files as 8-bit without a word."""
    deep = image.mode not in _MODES
    if image.format == "PNG":
        deep = deep or _png_bit_depth(path) > 8
    elif image.format == "TIFF":
        bits = image.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
        deep = deep or max(bits if isinstance(bits, tuple) else (bits,)) > 8
    if deep:
        raise PictureError(
            f"{path}: more than 8 bits, CMYK or Lab (it opens as {image.mode}), which is not read yet",
            "export it as 8-bit RGB",
        )


def _is_lossless_webp(path: Path) -> bool:
    """Say whether the first picture chunk of a WebP is `VP8L`, looking past what may stand before it."""
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8 and head[:4] not in (b"VP8L", b"VP8 "):
            size = int.from_bytes(head[4:], "little")
            file.seek(size + size % 2, 1)
    return head[:4] == b"VP8L"


def _png_bit_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[24]


def _jpeg_settings(image: Image.Image) -> dict[str, Any]:
    if image.format not in ("JPEG", "MPO"):
        return {}
    from PIL import JpegImagePlugin

    sampling = JpegImagePlugin.get_sampling(image)
    tables = getattr(image, "quantization", None)
    settings: dict[str, Any] = {"progressive": bool(image.info.get("progressive"))}
    if tables:
        settings["qtables"] = tables
    if sampling in (0, 1, 2) and len(image.getbands()) == 3:
        settings["subsampling"] = sampling
    return settings


def _upright_exif(image: Image.Image) -> bytes | None:
    """Return the picture's EXIF for a file of another size, layout and orientation: upright, and only what describes it.

    A TIFF's EXIF stands among the tags that say where its pixels lie; those would lead a reader of the result astray.
    """
    exif = image.getexif()
    if not exif:
        return None
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    if image.format != "TIFF":
        if orientation != 1:
            exif[ExifTags.Base.Orientation] = 1
        return exif.tobytes() if orientation != 1 else image.info.get("exif") or exif.tobytes()
    clean = Image.Exif()
    for tag in _DESCRIPTIVE_TAGS.intersection(exif):
        clean[tag] = exif[tag]
    for folder in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if content := exif.get_ifd(folder):
            clean.get_ifd(folder).update(content)
    return clean.tobytes() if clean or clean.get_ifd(ExifTags.IFD.Exif) or clean.get_ifd(ExifTags.IFD.GPSInfo) else None


def _split(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, bool]:
    """Return pixels uint8 [H, W, 3], alpha uint8 [H, W] or None, and whether the picture is gray."""
    mode = _MODES[image.mode]
    if "transparency" in image.info:
        mode = "LA" if mode == "L" else "RGBA"
    image = image if image.mode == mode else image.convert(mode)
    alpha = np.array(image.getchannel("A")) if mode in ("LA", "RGBA") else None
    gray = mode in ("L", "LA")
    pixels = np.array(image.convert("RGB") if mode != "RGB" else image)
    return pixels, alpha, gray


def write_photo(photo: Photo, path: Path, *, overwrite: bool) -> None:
    """Encode a photo in the format of `path`'s ending, completely or not at all.

    Written to a temporary file in the same folder, flushed to disk, then renamed. Raises `OutputError` when the file
    exists and may not be overwritten, or when the folder, the disk or the format refuses.
    """
    image = _joined(photo)
    wanted = FORMATS[path.suffix.lower()]
    if wanted == "JPEG" and photo.alpha is not None:
        raise _no_transparency(path)
    options: dict[str, Any] = {"format": wanted, **_encoder_options(wanted, photo)}
    if photo.icc:
        options["icc_profile"] = photo.icc
    if photo.exif:
        options["exif"] = photo.exif
    encoded = io.BytesIO()  # encoders hide why a disk refuses; a plain write does not
    try:
        image.save(encoded, **options)
    except Exception as error:  # Pillow's encoders raise nearly anything
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise OutputError(f"{path}: cannot be encoded ({reason})", "choose another format with -o") from None
    write_whole(path, lambda file: file.write(encoded.getbuffer()), overwrite=overwrite)


def _no_transparency(path: Path) -> OutputError:
    return OutputError(f"{path}: JPEG has no transparency", "choose an output that ends in .png, .webp or .tif")


def _joined(photo: Photo) -> Image.Image:
    image = Image.fromarray(photo.pixels)
    if photo.gray:
        image = image.convert("L")
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    return image


def _encoder_options(wanted: str, photo: Photo) -> dict[str, Any]:
    if wanted == "JPEG":
        settings = {"quality": 95, "subsampling": 0}
        if photo.jpeg.get("qtables"):
            settings = dict(photo.jpeg)
            if photo.gray:
                settings.pop("subsampling", None)
        return settings
    if wanted == "WEBP":
        return {"lossless": photo.lossless, "quality": 95, "method": 4, "exact": True}
    if wanted == "TIFF":
        nested = photo.exif is not None and _has_folders(photo.exif)
        return {} if nested else {"compression": "tiff_lzw"}  # Pillow's compressed TIFF cannot hold EXIF folders
    return {}


def _has_folders(exif: bytes) -> bool:
    tags = Image.Exif()
    tags.load(exif)
    return any(tags.get_ifd(folder) for folder in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo))


def check_target(photo: Photo, path: Path, *, overwrite: bool) -> None:
    """Raise now what `write_photo` would raise after the work, as far as that can be known; a missing folder is made."""
    wanted = FORMATS[path.suffix.lower()]
    if wanted == "JPEG" and photo.alpha is not None:
        raise _no_transparency(path)
    if max(photo.pixels.shape[:2]) > _LONGEST_SIDE.get(wanted, 1 << 31):
        longest = _LONGEST_SIDE[wanted]
        raise OutputError(f"{path}: {wanted} ends at {longest} pixels a side", "choose .png or .tif with -o")
    if wanted == "JPEG" and len(photo.exif or b"") > _LONGEST_JPEG_EXIF:
        raise OutputError(f"{path}: the picture's EXIF is too long for a JPEG", "choose .png or .tif with -o")
    check_writable(path, overwrite=overwrite)
