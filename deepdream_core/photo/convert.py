"""Fitting a photograph into a format: a plan with its receipt before any work, then the samples themselves."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepdream_core.photo import colour, profile, stacks, tiff_edit
from deepdream_core.photo.container import with_resolution
from deepdream_core.photo.exif_values import resolution_of
from deepdream_core.photo.formats import FORMATS, Format
from deepdream_core.photo.receipt import Entry, Receipt, converted, dropped, kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from deepdream_core.photo.container import Blocks
    from deepdream_core.photo.decoded import Decoded
    from deepdream_core.photo.frame import Frame

_DEPTHS = ("8", "10", "12", "16", "32", "float")
OF_NO_NOTE = frozenset({"pHYs", "sRGB", "tIME", "APP0", "sTER", "oFFs"})  # resolution has its own entry
"""Blocks that receipts do not mention."""

SCREEN_DPI = (72, 96)
"""Resolutions that programs write if there is none."""

_COLOURS = frozenset({"sRGB", "gAMA", "cHRM", "cICP"})
_COLOUR_AND_SIZE = _COLOURS | {"pHYs", "mDCV", "cLLI", "APP0"}
WORDS = {
    "tEXt": "text", "zTXt": "text", "iTXt": "text", "COM": "comment", "APP13": "IPTC", "33723": "IPTC",
    "34377": "IPTC", "gAMA": "colour description", "cHRM": "colour description", "cICP": "colour description",
}  # fmt: skip
"""What a receipt calls the blocks of a format."""


@dataclass(frozen=True)
class Plan:
    """What to do to a photograph for a format, and the receipt for it.

    `count` pictures are written from number `first` on. `turned_to`: the profile to convert the colours to, or None.
    """

    format: Format
    count: int
    depth: str
    alpha: Literal["keep", "lay over white"]
    turned_to: bytes | None
    blocks: Blocks
    receipt: Receipt
    first: int = 0


def plan_for(photo: Decoded, source: str, target: str, *, strip: bool = False) -> Plan:
    """Plan how a decoded photograph of the format `source` goes into `target`.

    `strip` leaves out what may be private: all metadata except those that say how to show the pixels.
    """
    wanted, first = FORMATS[target], photo.frames[0]
    receipt = list(photo.changes)
    depth = _depth(first, source, wanted, receipt)
    first_frame, count = _count(photo, FORMATS[source], wanted, receipt)
    if count > 1 and wanted.sequence == "animation":
        _timing(photo, wanted, receipt)
    keeps_alpha = _alpha(photo.frames[:count], wanted, receipt)
    _extra(photo.frames[:count], wanted, receipt)
    turned_to, icc = profile.planned(first, photo.blocks, wanted, depth, receipt, with_alpha=keeps_alpha)
    blocks = replace(photo.blocks, icc=icc)
    blocks = _stripped(blocks, source == target, receipt) if strip else _described(blocks, source, wanted, receipt)
    blocks = _with_resolution(blocks, photo.coding.dpi, source == target, wanted, receipt)
    if wanted.sequence == "pages":
        receipt += _untrue_descriptions(photo.frames[first_frame:][:count], blocks)
    alpha: Literal["keep", "lay over white"] = "keep" if keeps_alpha else "lay over white"
    return Plan(wanted, count, depth, alpha, turned_to, blocks, tuple(receipt), first_frame)


def _depth(first: Frame, source: str, wanted: Format, receipt: list[Entry]) -> str:
    depth, exactly = first.depth, first.samples.shape[2] == 1  # a palette holds all grays
    if any(entry.part == "depth" for entry in receipt) and depth in wanted.depths:
        return depth  # the decoder has already reported it
    words = f"{depth} bits" if depth != "float" else "floating point"
    if depth in wanted.depths:
        if wanted.palette and not exactly:
            what = f"to the 256 that suit best; {wanted.title} holds at most 256"
            receipt.append(converted("colours", what, lost=source != wanted.name))
        else:
            receipt.append(kept("depth", words))
        return depth
    deeper = [known for known in wanted.depths if _DEPTHS.index(known) > _DEPTHS.index(depth)]
    nearest = deeper[0] if deeper else wanted.depths[-1]
    why = f"the next depth that {wanted.title} holds" if deeper else f"the most that DeepDream writes to {wanted.title}"
    receipt.append(converted("depth", f"{words} to {nearest}: {why}", lost=not deeper))
    return nearest


def _count(photo: Decoded, source: Format, wanted: Format, receipt: list[Entry]) -> tuple[int, int]:
    """Return the number of the first picture to write, from 0, and how many."""
    count = len(photo.frames)
    if count == 1:
        return 0, 1
    words = f"{count} pages" if source.sequence == "pages" else f"{count} frames"
    if source.sequence == wanted.sequence and photo.coding.still_first and source.name != wanted.name:
        receipt.append(dropped("still picture", "only a PNG has a still picture for programs that show no animation"))
        receipt.append(kept("frames", f"{count - 1} frames"))
        return 1, count - 1
    if source.sequence == wanted.sequence:
        receipt.append(kept("frames", words))
        return 0, count
    if wanted.sequence == "pages":
        receipt.append(converted("frames", f"{words} become pages, without their times", lost=True))
        return 0, count
    receipt.append(dropped("frames", f"only the first of {words}"))
    return 0, 1


def _timing(photo: Decoded, wanted: Format, receipt: list[Entry]) -> None:
    times = [frame.duration_ms or 0 for frame in photo.frames]
    if photo.coding.plays and not wanted.counts_plays:
        receipt.append(converted("timing", f"DeepDream writes {wanted.title} to play for ever", lost=True))
    elif wanted.time_step_ms and any(time % wanted.time_step_ms for time in times):
        unit = {1: "milliseconds", 10: "hundredths of a second"}[wanted.time_step_ms]
        receipt.append(converted("timing", f"{wanted.title} counts in {unit}", lost=True))


def _with_resolution(
    blocks: Blocks, dpi: tuple[float, float] | None, same: bool, wanted: Format, receipt: list[Entry]
) -> Blocks:
    """Put the resolution where the format keeps it; some encoders write it themselves."""
    if dpi is None or same or wanted.resolution == "encoder":
        return blocks
    if wanted.resolution == "block":
        return with_resolution(blocks, wanted.name, *dpi)
    if wanted.resolution == "EXIF":
        if blocks.exif is None or not resolution_of(blocks.exif):
            with contextlib.suppress(ValueError):  # nothing can be added to a block that cannot be read
                blocks = replace(blocks, exif=tiff_edit.with_resolution(blocks.exif, *dpi))
    elif round(dpi[0]) not in SCREEN_DPI:
        receipt.append(dropped("resolution", f"{dpi[0]:g} dpi; {wanted.title} has no place for it"))
    return blocks


def _alpha(frames: Sequence[Frame], wanted: Format, receipt: list[Entry]) -> bool:
    if all(frame.alpha is None for frame in frames):
        return True
    if wanted.alpha == "none":
        receipt.append(dropped("alpha", f"laid over white: {wanted.title} has no transparency"))
        return False
    if wanted.alpha == "on or off" and any(_is_soft(frame) for frame in frames):
        receipt.append(converted("alpha", f"{wanted.title} knows only transparent or not", lost=True))
    else:
        receipt.append(kept("alpha"))
    return True


def _extra(frames: Sequence[Frame], wanted: Format, receipt: list[Entry]) -> None:
    most = max(len(frame.extra_kinds) for frame in frames)
    if most and wanted.extra_channels:
        receipt.append(kept("extra channels", f"{most} besides colour and alpha"))
    elif most:
        receipt.append(dropped("extra channels", f"{most} besides colour and alpha: only TIFF has a place for that"))


def _is_soft(frame: Frame) -> bool:
    alpha = frame.alpha
    return alpha is not None and bool(((alpha > 0) & (alpha < frame.white)).any())


def _described(blocks: Blocks, source: str, wanted: Format, receipt: list[Entry]) -> Blocks:
    """Return the metadata that fit the format, and write what becomes of them into the receipt."""
    exif = _with_room(blocks.exif, "EXIF", wanted.exif, wanted.longest_exif, wanted, receipt)
    packet = _with_room(blocks.xmp, "XMP", wanted.xmp, wanted.longest_xmp, wanted, receipt)
    same = source == wanted.name
    quiet = OF_NO_NOTE if same else OF_NO_NOTE | _COLOURS  # the profile says the same
    parts = dict.fromkeys(WORDS.get(name, f"block {name}") for name, _ in blocks.others if name not in quiet)
    for part in parts:
        receipt.append(kept(part) if same else dropped(part, f"only {FORMATS[source].title} has this place for it"))
    described = replace(blocks, exif=exif, xmp=packet)
    return described if same else described.for_another_format()


def _with_room(
    block: bytes | None, part: str, held: bool, longest: int, wanted: Format, receipt: list[Entry]
) -> bytes | None:
    """Return a metadata block if the format can hold it, and write its fate into the receipt."""
    if block is None:
        return None
    if not held:
        receipt.append(dropped(part, f"{wanted.title} has no place for it"))
    elif len(block) > longest:
        receipt.append(dropped(part, f"longer than a {wanted.title} can hold"))
    else:
        receipt.append(kept(part))
        return block
    return None


def _untrue_descriptions(frames: Sequence[Frame], blocks: Blocks) -> list[Entry]:
    runs = stacks.runs([replace(frames[0], blocks=blocks), *frames[1:]])
    untrue = dict.fromkeys(program for _, _, program in runs if program)
    return [dropped(f"{program}'s description", "it describes other pictures than these") for program in untrue]


def _stripped(blocks: Blocks, same: bool, receipt: list[Entry]) -> Blocks:
    kept_blocks = tuple(block for block in blocks.others if same and block[0] in _COLOUR_AND_SIZE)
    parts = {"EXIF": blocks.exif, "XMP": blocks.xmp}
    gone = [part for part, content in parts.items() if content is not None]
    gone += dict.fromkeys(WORDS.get(name, name) for name, _ in blocks.others if name not in _COLOUR_AND_SIZE)
    receipt += [dropped(part, "as you asked", lost=False) for part in gone]
    return replace(blocks, exif=None, xmp=None, others=kept_blocks)


def fitted(frames: Sequence[Frame], plan: Plan, icc: bytes | None) -> list[Frame]:
    """Return the pictures as the plan's format holds them; `icc` is the profile of their colours."""
    ready: list[Frame] = []
    for frame in frames[plan.first : plan.first + plan.count]:
        fit = frame
        if fit.premultiplied and not plan.format.premultiplied:
            fit = _unmultiplied(fit)
        if plan.alpha == "lay over white":
            fit = _over_white(fit)
        depth = fit.depth if fit.depth in plan.format.depths else plan.depth
        if plan.turned_to and icc is not None:  # before the depth goes down, because linear light needs it
            fit = fit if fit.depth == "8" else _with_depth(fit, "16")
            fit = replace(fit, samples=_turned(fit, icc, plan.turned_to))
        fit = _with_depth(fit, depth)
        ready.append(fit)
    return ready


def _unmultiplied(frame: Frame) -> Frame:
    straight = replace(frame, samples=frame.samples.copy(), premultiplied=False)
    alpha = frame.samples[..., -1]
    for channel in range(frame.samples.shape[2] - 1):
        share = np.divide(frame.samples[..., channel], alpha, out=np.zeros(alpha.shape, np.float32), where=alpha != 0)
        share *= np.float32(frame.white)
        if frame.samples.dtype.kind == "u":
            np.clip(np.rint(share, out=share), 0, frame.white, out=share)
        straight.samples[..., channel] = share
    return straight


def _over_white(frame: Frame) -> Frame:
    alpha = frame.alpha
    if alpha is None:
        return frame
    share = np.multiply(alpha, np.float32(1 / frame.white), dtype=np.float32)
    colours = frame.samples.shape[2] - 1
    samples = np.empty((*frame.samples.shape[:2], colours), frame.samples.dtype)
    for channel in range(colours):
        over = frame.samples[..., channel] if frame.premultiplied else frame.samples[..., channel] * share
        laid = over + (1 - share) * np.float32(frame.white)
        samples[..., channel] = laid if samples.dtype.kind == "f" else np.rint(laid)
    return replace(frame, samples=samples, premultiplied=False)


def _with_depth(frame: Frame, depth: str) -> Frame:
    """Return the frame with channels of `depth`, rounded; whole numbers clip floating point to 0…1."""
    if frame.depth == depth:
        return frame
    if depth == "float":
        return replace(frame, samples=(frame.samples / np.float64(frame.white)).astype(np.float32), white=1.0)
    white = (1 << int(depth)) - 1
    kind = np.uint8 if white < 1 << 8 else np.uint16 if white < 1 << 16 else np.uint32
    samples: NDArray[Any] = np.empty(frame.samples.shape, kind)
    for channel in range(samples.shape[2]):
        scaled = frame.samples[..., channel] * (np.float64 if white >= 1 << 24 else np.float32)(white / frame.white)
        samples[..., channel] = np.clip(np.rint(scaled), 0, white)
    return replace(frame, samples=samples, white=float(white))


def _turned(frame: Frame, icc: bytes, target: bytes) -> NDArray[Any]:
    colours = 1 if frame.gray else 3
    turned = colour.to_srgb(frame.samples[..., :colours], profile.for_pixels(icc, gray=frame.gray) or icc, target)
    return turned if frame.alpha is None else np.concatenate([turned, frame.samples[..., colours:]], axis=2)


def lost_parts(receipt: Iterable[Entry]) -> str:
    """Return in one line what a person may miss."""
    return "; ".join(str(entry) for entry in receipt if entry.lost)
