"""Photographs as files: read completely or refused in one line, written completely or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deepdream_core.atomic import check_writable, write_whole
from deepdream_core.errors import DamagedPictureError, DeepDreamError, OutputError, PictureError
from deepdream_core.photo import (
    container,
    recipe_storage,
    stacks,
    tiff_edit,
    with_heif,
    with_jxl,
    with_pillow,
    with_tifffile,
    xmp,
)
from deepdream_core.photo.container import Blocks
from deepdream_core.photo.convert import Plan, fitted, lost_parts, plan_for
from deepdream_core.photo.decoded import NO_BLOCKS, Decoded
from deepdream_core.photo.formats import ENDINGS, FORMATS, HEAD, NAMES, RAW_ENDINGS, FormatError, may_begin, recognised
from deepdream_core.photo.profile import for_pixels, settled
from deepdream_core.photo.receipt import Entry, Receipt, kept
from deepdream_core.photo.receipt_check import checked
from deepdream_core.photo.recipe_storage import sidecar_of
from deepdream_core.photo.scale import advice, beyond_white, with_white

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deepdream_core.photo.decoded import Coding
    from deepdream_core.photo.frame import Frame

_LONGEST_FILE = 4 << 30
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Photo(Decoded):
    """A decoded file.

    `path` and `sha256` are the source's, `format` its real one. `recipe`: the one it bears or that lies beside it, when it
    is a dream already. `untouched`: no sample has changed. `white`: what a person said is white in it, None for nothing.
    """

    path: Path
    sha256: str
    format: str
    recipe: str | None
    untouched: bool
    white: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first picture in pixels."""
        return self.frames[0].size

    def with_frames(self, frames: Sequence[Frame]) -> Photo:
        """Return this photo with other pictures of the same kind."""
        pairs = zip(self.frames, frames, strict=True)
        same = all(np.array_equal(before.samples, after.samples, equal_nan=False) for before, after in pairs)
        return replace(self, frames=tuple(frames), untouched=self.untouched and same)


def read_photo(path: Path, *, max_megapixels: float, white: float | None = None) -> Photo:
    """Decode a picture completely: all frames, all pages.

    `white` is the value that stands for white in floating-point pictures, None for what the file says, else 1.

    Raises `PictureError` naming the file and the reason: missing, no picture, of a kind that is not read, truncated, or
    larger than `max_megapixels` in all, which is checked from the header before anything is decoded.
    """
    with _translated(path):
        data = _read(path)
        name = _recognised(path, data)
        decoded = _decoded(data, name, max_megapixels, white)
        digest = hashlib.sha256(data).hexdigest()
        recipe = recipe_storage.recipe_in(decoded.blocks) or recipe_storage.recipe_beside(path, digest)
        parts = {key: getattr(decoded, key) for key in ("frames", "blocks", "coding", "changes")}
        return Photo(**parts, path=path, sha256=digest, format=name, recipe=recipe, untouched=True, white=white)


def _decoded(data: bytes, name: str, max_megapixels: float, white: float | None = None) -> Decoded:
    return settled(_as_stored(data, name, max_megapixels, white))


def _as_stored(data: bytes, name: str, max_megapixels: float, white: float | None) -> Decoded:
    if name == "TIFF":
        return with_tifffile.decode(data, max_megapixels, white)
    if name == "HEIC":
        return with_heif.decode(data, max_megapixels)
    if name == "JXL":
        decoded = with_jxl.decode(data, max_megapixels)
        return replace(decoded, frames=with_white(decoded.frames, white))
    return with_pillow.decode(data, name, max_megapixels)


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_dir() and not path.is_file():
        raise PictureError("not a regular file but a pipe, socket or device", "give a picture")
    with path.open("rb") as file:
        head = file.read(HEAD)
        _recognised(path, head)
        if path.stat().st_size > _LONGEST_FILE:
            raise PictureError("the file is larger than 4 GB", "give a smaller one")
        file.seek(0)
        return file.read()


def _recognised(path: Path, head: bytes) -> str:
    name = recognised(head[:HEAD])
    if name == "RAW" or (head and name in ("TIFF", None) and path.suffix.lower() in RAW_ENDINGS):
        raise PictureError("is camera RAW, which a RAW program must develop first", "export a 16-bit TIFF from it")
    if name is None:
        what = f"not a {NAMES} picture" if head else "the file is empty"
        raise (DamagedPictureError if may_begin(head[:HEAD]) else PictureError)(what, f"give a {NAMES}")
    return name


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what the decoders and the system raise for a bad file into one line; warnings about bad tags are dropped."""
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
        except MemoryError:
            raise PictureError(f"{path}: not enough memory to decode it", "close other programs") from None
        except PictureError as error:
            raise type(error)(f"{path}: {error.what}", error.next_step) from None
        except Exception as error:  # decoders raise nearly anything for a broken file
            if "\0" in str(path):
                raise PictureError(f"{path}: no file has a null byte in its name", "check the name") from None
            if isinstance(error, OSError) and error.errno:
                raise PictureError(f"{path}: cannot be read: {error.strerror}", "check the name and the disk") from None
            what = f"{path}: truncated or damaged ({_reason(error, 'it cannot be decoded')})"
            raise DamagedPictureError(what, "get an intact copy of the file") from None


def _reason(error: Exception, otherwise: str) -> str:
    """Return an error in words for people: those of a library are only logged, at the level of debugging."""
    if isinstance(error, (FormatError, DeepDreamError)):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    _log.debug(otherwise, exc_info=error)
    return otherwise


@dataclass(frozen=True)
class WriteOptions:
    """How to write.

    `quality`: 1…100 for lossy formats, None for as good as the source. `strip`: leave out private metadata. `strict`:
    refuse what would lose anything.
    """

    quality: int | None = None
    strip: bool = False
    strict: bool = False


def check_target(
    photo: Photo,
    path: Path,
    options: WriteOptions | None = None,
    *,
    overwrite: bool,
    recipe: bool = False,
    will_change: bool = True,
) -> None:
    """Raise now what `write_photo` would raise after the work, as far as that can be known; a missing folder is made.

    `recipe` says whether one is going to be written, `will_change` whether samples are going to change; nothing is lost
    where they do not.
    """
    options = options or WriteOptions()
    target = FORMATS[ENDINGS[path.suffix.lower()]]
    plan = plan_for(photo, photo.format, target.name, strip=options.strip)
    if max(side for frame in photo.frames[plan.first :][: plan.count] for side in frame.size) > target.longest_side:
        longest = f"{target.title} ends at {target.longest_side} pixels a side"
        raise OutputError(f"{path}: {longest}", "choose .png or .tif with -o, or --format")
    shown = photo.frames[plan.first :][: plan.count]
    if "float" not in target.depths and (beyond := max((frame.beyond or 0 for frame in shown), default=0)):
        what = f"{beyond_white(beyond, shown[0].white)}, so that {target.title} would show little else"
        raise OutputError(f"{path}: {what}", f"{advice(beyond)}, or choose .tif")
    copied = not will_change and _can_be_copied(photo, target.name, options)
    if options.strict and not copied and (lost := lost_parts(plan.receipt)):
        raise _would_lose(path, lost)
    check_writable(path, overwrite=overwrite)
    if recipe and not target.xmp:
        check_writable(sidecar_of(path), overwrite=overwrite)


def _would_lose(path: Path, lost: str) -> OutputError:
    return OutputError(f"{path}: would lose something: {lost}", "leave out --strict, or choose another --format")


def write_photo(
    photo: Photo, path: Path, options: WriteOptions | None = None, *, recipe: str | None = None, overwrite: bool
) -> Receipt:
    """Encode a photo in the format of `path`'s ending, completely or not at all, and return what became of its parts.

    Where no sample has changed and the format stays, the source's own bytes are taken and only the recipe is put in.
    `recipe` goes into the file, or beside it (`bearing.SIDECAR`) where the format has no place for it. Written to a
    temporary file in the same folder, flushed to disk, then renamed. The receipt is what the encoded file says when read
    back. Raises `OutputError` when the file exists and may not be overwritten, when the folder, the disk or the format
    refuses, when a picture is not in the encoded file, or, if `strict`, when anything else that was planned is not.
    """
    options = options or WriteOptions()
    target = ENDINGS[path.suffix.lower()]
    receipt: list[Entry]
    data: bytes | bytearray
    if photo.untouched and _can_be_copied(photo, target, options):
        data, beside = _unchanged(photo, recipe)
        receipt = [kept("everything", "no pixel has changed")]
    else:
        plan = plan_for(photo, photo.format, target, strip=options.strip)
        try:
            data, beside, receipt = _encoded(photo, plan, options, recipe)
        except Exception as error:  # encoders raise nearly anything
            reason = _reason(error, f"the encoder for {FORMATS[target].title} refuses it")
            step = "choose another format with -o or --format"
            raise OutputError(f"{path}: cannot be encoded ({reason})", step) from None
        if options.strict and (lost := lost_parts(entry for entry in receipt if entry not in plan.receipt)):
            raise _would_lose(path, lost)
    if recipe is not None and beside:
        recipe_storage.write_beside(path, data, recipe, overwrite=overwrite)
    else:
        write_whole(path, lambda file: file.write(data), overwrite=overwrite)
    if recipe is not None:
        receipt.append(kept("recipe", f"beside the picture, in {sidecar_of(path).name}" if beside else ""))
    return tuple(receipt)


def _can_be_copied(photo: Photo, target: str, options: WriteOptions) -> bool:
    return target == photo.format and options.quality is None and not options.strip


def _unchanged(photo: Photo, recipe: str | None) -> tuple[bytes, bool]:
    """Return the source's bytes with the recipe in their XMP, and whether it must go beside instead."""
    with _translated(photo.path):
        data = photo.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            raise PictureError("has changed while it was being dreamed", "dream it again")
    if recipe is None:
        return data, False
    try:
        if photo.format == "TIFF":
            packet = xmp.with_recipe(tiff_edit.xmp_of(data), recipe)
            return bytes(tiff_edit.with_xmp(bytearray(data), packet)), False
        packet = xmp.with_recipe(container.blocks_of(data, photo.format).xmp, recipe)
        return container.with_xmp(data, photo.format, packet), False
    except ValueError:
        return data, True


def _encoded(
    photo: Photo, plan: Plan, options: WriteOptions, recipe: str | None
) -> tuple[bytes | bytearray, bool, list[Entry]]:
    """Return the encoded file, whether the recipe found no place in it, and what became of the parts."""
    name = plan.format.name
    coding = photo.coding if name == photo.format else replace(photo.coding, qtables=None, compression="adobe_deflate")
    frames = fitted(photo.frames, plan, photo.blocks.icc)
    blocks = recipe_storage.without_recipe(plan.blocks)
    marked = blocks
    if recipe is not None and plan.format.xmp:
        with contextlib.suppress(ValueError):
            marked = recipe_storage.with_recipe(blocks, recipe, name)
    if name == "TIFF":
        own = [_of_page(frame, frame.blocks or Blocks(icc=blocks.icc), strip=options.strip) for frame in frames[1:]]
        pages = [replace(frame, blocks=blocks) for frame, blocks in zip(frames, [marked, *own], strict=True)]
        pages = stacks.with_true_descriptions(pages)
        written = [page.blocks or NO_BLOCKS for page in pages]
        data: bytes | bytearray = with_tifffile.encode(pages, coding)
    elif name == "HEIC":
        written = [marked]
        data = with_heif.encode(frames[0], coding, marked, options.quality)
    else:
        coded = _coded(frames, name, coding, marked, options.quality)
        try:
            written = [marked]
            data = _with_blocks(coded, name, marked)
        except ValueError:
            if marked is blocks:
                raise
            written = [blocks]
            data = _with_blocks(coded, name, blocks)
    receipt, facts = checked(data, plan, frames, written, coding)
    return data, recipe is not None and recipe_storage.recipe_in(facts.blocks[0]) != recipe, receipt


def _coded(frames: Sequence[Frame], name: str, coding: Coding, blocks: Blocks, quality: int | None) -> bytes:
    if name == "JXL":
        return with_jxl.encode(frames[0], coding, quality)
    return with_pillow.encode(frames, name, coding, blocks, quality)


def _with_blocks(data: bytes, name: str, blocks: Blocks) -> bytes:
    return data if name in ("AVIF", "BMP") else container.with_blocks(data, name, blocks)


def _of_page(frame: Frame, blocks: Blocks, *, strip: bool) -> Blocks:
    """Return the metadata of a page that is not the first, which alone bears a recipe."""
    blocks = replace(blocks, icc=blocks.icc and for_pixels(blocks.icc, gray=frame.gray))
    return replace(blocks, exif=None, xmp=None, others=()) if strip else recipe_storage.without_recipe(blocks)


def recipe_text(path: Path, *, max_megapixels: float) -> str | None:
    """Return the recipe that a file bears or that lies beside it, or None; raises `PictureError` as `read_photo`."""
    with _translated(path):
        data = _read(path)
        name = _recognised(path, data)
        held = name in ("JPEG", "PNG", "WEBP", "GIF", "JXL")
        blocks = container.blocks_of(data, name) if held else _decoded(data, name, max_megapixels).blocks
        return recipe_storage.recipe_in(blocks) or recipe_storage.recipe_beside(path, hashlib.sha256(data).hexdigest())
