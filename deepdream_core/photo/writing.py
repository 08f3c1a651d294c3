"""Pictures written to files: completely or not at all, with a receipt for what could not be kept."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deepdream_core.atomic import check_writable, write_whole
from deepdream_core.errors import OutputError, PictureError
from deepdream_core.photo import container, recipe_storage, stacks, xmp
from deepdream_core.photo.codecs import codec_of
from deepdream_core.photo.container import Blocks
from deepdream_core.photo.convert import Plan, fitted, lost_parts, plan_for
from deepdream_core.photo.formats import ENDINGS, FORMATS, in_words
from deepdream_core.photo.profile import for_pixels
from deepdream_core.photo.reading import errors_in_words
from deepdream_core.photo.receipt import Entry, Receipt, kept
from deepdream_core.photo.receipt_check import checked
from deepdream_core.photo.recipe_storage import sidecar_of
from deepdream_core.photo.scale import advice, beyond_white

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.photo.frame import Frame
    from deepdream_core.photo.reading import Photo


@dataclass(frozen=True)
class WriteOptions:
    """How to write.

    `quality`: 1…100 for lossy formats, None for as good as the source. `strip`: leave out private metadata. `strict`:
    refuse to lose anything.
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
    """Raise what `write_photo` would raise later, as far as that can be known before the work; makes a missing folder.

    `recipe` says whether a recipe will be written. `will_change` says whether samples will change; otherwise nothing is
    lost.
    """
    options = options or WriteOptions()
    target = FORMATS[ENDINGS[path.suffix.lower()]]
    plan = plan_for(photo, photo.format, target.name, strip=options.strip)
    if max(side for frame in photo.frames[plan.first :][: plan.count] for side in frame.size) > target.longest_side:
        longest = f"{target.title} ends at {target.longest_side} pixels a side"
        raise OutputError(f"{path}: {longest}", "choose .png or .tif with -o, or --format")
    shown = photo.frames[plan.first :][: plan.count]
    if "float" not in target.depths and (beyond := max((frame.beyond or 0 for frame in shown), default=0)):
        what = f"{beyond_white(beyond, shown[0].white)}, so {target.title} would show little else"
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

    If no sample has changed and the format stays, copies the source's bytes and only adds the recipe. `recipe` goes into
    the file, or beside it (`recipe_storage.SIDECAR`) if the format has no place for it. Writes a temporary file in the same
    folder, flushes it to disk, then renames it. The receipt is what the encoded file says when read back. Raises
    `OutputError` if the file exists and may not be overwritten, if the folder, the disk or the format refuses, if a picture
    is missing in the encoded file, or, if `strict`, if anything else that was planned is missing.
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
            reason = in_words(error, f"the encoder for {FORMATS[target].title} refuses it")
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
    """Return the source's bytes with the recipe in the XMP, and whether the recipe must go beside them instead."""
    with errors_in_words(photo.path):
        data = photo.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            raise PictureError("changed while it was being dreamed", "dream it again")
    if recipe is None:
        return data, False
    try:
        packet = xmp.with_recipe(container.blocks_of(data, photo.format).xmp, recipe)
        return container.with_xmp(data, photo.format, packet), False
    except ValueError:
        return data, True


def _encoded(
    photo: Photo, plan: Plan, options: WriteOptions, recipe: str | None
) -> tuple[bytes | bytearray, bool, list[Entry]]:
    """Return the encoded file, whether it has no place for the recipe, and what became of the parts."""
    name = plan.format.name
    coding = photo.coding if name == photo.format else replace(photo.coding, qtables=None, compression="adobe_deflate")
    frames = fitted(photo.frames, plan, photo.blocks.icc)
    blocks = marked = recipe_storage.without_recipe(plan.blocks)
    if recipe is not None and plan.format.xmp:
        with contextlib.suppress(ValueError):
            marked = recipe_storage.with_recipe(blocks, recipe, name)
    if plan.format.sequence == "pages":
        frames = _pages(frames, marked, blocks.icc, strip=options.strip)
    written = [page.blocks or Blocks() for page in frames] if plan.format.sequence == "pages" else [marked]
    data = codec_of(name).encode(frames, coding, marked, options.quality)
    if plan.format.container and not plan.format.encoder_writes_blocks:
        try:
            data = container.with_blocks(data, name, marked)
        except ValueError:
            if marked is blocks:
                raise
            written = [blocks]
            data = container.with_blocks(data, name, blocks)
    receipt, facts = checked(data, plan, frames, written, coding)
    return data, recipe is not None and recipe_storage.recipe_in(facts.blocks[0]) != recipe, receipt


def _pages(frames: list[Frame], first: Blocks, icc: bytes | None, *, strip: bool) -> list[Frame]:
    """Return pages with the metadata to write; only the first one holds a recipe."""
    pages = [replace(frames[0], blocks=first)]
    for frame in frames[1:]:
        blocks = frame.blocks or Blocks(icc=icc)
        blocks = replace(blocks, icc=blocks.icc and for_pixels(blocks.icc, gray=frame.gray))
        blocks = replace(blocks, exif=None, xmp=None, others=()) if strip else recipe_storage.without_recipe(blocks)
        pages.append(replace(frame, blocks=blocks))
    return stacks.with_true_descriptions(pages)
