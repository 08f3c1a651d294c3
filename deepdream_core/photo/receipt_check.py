"""The receipt compared with the written file, so that it describes the file and not the plan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deepdream_core.photo.codecs import codec_of
from deepdream_core.photo.convert import OF_NO_NOTE, SCREEN_DPI, WORDS
from deepdream_core.photo.exif_values import missing_tags, resolution_of
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.receipt import Entry, converted, dropped
from deepdream_core.photo.tiff_edit import OF_STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deepdream_core.photo.container import Blocks
    from deepdream_core.photo.convert import Plan
    from deepdream_core.photo.decoded import Coding
    from deepdream_core.photo.facts import Facts
    from deepdream_core.photo.frame import Frame

_NOT_THERE = "the written file lacks it"


def checked(
    data: bytes | bytearray, plan: Plan, frames: Sequence[Frame], blocks: Sequence[Blocks], coding: Coding
) -> tuple[list[Entry], Facts]:
    """Return the plan's receipt, corrected by what the file says, and the file's facts.

    `frames` were encoded; `blocks` are the metadata of the file, or of each page of a TIFF. Raises `FormatError` if
    pictures are missing or have another size, and nearly anything if the file cannot be read.
    """
    facts = codec_of(plan.format.name).facts_of(data)
    sizes = tuple(frame.size for frame in frames)
    if len(facts.sizes) != len(sizes):
        raise FormatError(f"the written file holds {len(facts.sizes)} pictures, not {len(sizes)}")
    if facts.sizes != sizes:
        raise FormatError("the written file holds pictures of another size")
    receipt = list(plan.receipt)
    corrections = [*_samples(facts, frames), *_metadata(facts, blocks, {entry.part for entry in receipt})]
    corrections += _timing(facts, plan, frames, coding)
    corrections += _resolution(facts, receipt, coding)
    for correction in corrections:
        places = [number for number, entry in enumerate(receipt) if entry.part == correction.part]
        if any(receipt[number].state == "dropped" for number in places):
            continue
        if not places or receipt[places[0]].lost:  # the planned loss happened too
            receipt.append(correction)
        else:
            receipt[places[0]] = correction
    return receipt, facts


def _samples(facts: Facts, frames: Sequence[Frame]) -> Iterator[Entry]:
    depth = frames[0].depth
    if facts.depth not in (None, depth):
        yield converted("depth", f"{depth} to {facts.depth}, as the encoder wrote it", lost=True)
    alphas = [frame.alpha for frame in frames]
    if facts.alpha is False and any(alpha is not None for alpha in alphas):
        opaque = all(alpha is None or (alpha == frame.white).all() for alpha, frame in zip(alphas, frames, strict=True))
        yield dropped("alpha", "every pixel was opaque" if opaque else _NOT_THERE, lost=not opaque)
    extra = tuple(len(frame.extra_kinds) + (frame.alpha is not None) for frame in frames)
    if facts.extra and facts.extra != extra and any(frame.extra_kinds for frame in frames):
        yield dropped("extra channels", _NOT_THERE)


def _metadata(facts: Facts, blocks: Sequence[Blocks], planned: set[str]) -> Iterator[Entry]:
    """Yield metadata with another fate than planned, except XMP only for a recipe and EXIF only for a resolution."""
    for number, (wanted, found) in enumerate(zip(blocks, facts.blocks, strict=True)):
        if wanted.icc != found.icc and wanted.icc is not None:
            yield dropped("ICC", _NOT_THERE)
        if wanted.exif is not None and wanted.exif != found.exif and (number or "EXIF" in planned):
            yield from _exif(wanted.exif, found.exif)
        if wanted.xmp is not None and wanted.xmp != found.xmp and (number or "XMP" in planned):
            yield dropped("XMP", _NOT_THERE)
        for name, content in wanted.others:
            if name not in OF_NO_NOTE and (name, content) not in found.others:
                yield dropped(WORDS.get(name, f"block {name}"), _NOT_THERE)


def _exif(wanted: bytes, found: bytes | None) -> Iterator[Entry]:
    if found is None:
        yield dropped("EXIF", _NOT_THERE)
        return
    try:
        missing = [tag for tag in missing_tags(wanted, found) if tag not in _TAGS_OF_STORAGE]
    except ValueError:
        missing = ["all"]
    if missing:
        named = ", ".join(missing[:8]) + (" …" if len(missing) > 8 else "")
        yield converted("EXIF", f"without the tags {named}", lost=True)


_TAGS_OF_STORAGE = frozenset(str(tag) for tag in OF_STORAGE)
"""Tags that say how a file stores its pixels, which differs from file to file."""


def _timing(facts: Facts, plan: Plan, frames: Sequence[Frame], coding: Coding) -> Iterator[Entry]:
    if len(frames) < 2 or plan.format.sequence != "animation":
        return
    rounded = any(entry.part == "timing" for entry in plan.receipt)
    most = 0.05 + (plan.format.time_step_ms / 2 if rounded else 0.0)
    shown = frames[1:] if coding.still_first and plan.format.still_first else frames
    wanted = [100.0 if frame.duration_ms is None else frame.duration_ms for frame in shown]
    if len(facts.durations) != len(wanted):
        yield converted("timing", "the written file does not say how long each frame is shown", lost=True)
    elif other := sum(not math.isclose(a, b, abs_tol=most) for a, b in zip(wanted, facts.durations, strict=True)):
        yield converted("timing", f"{other} of {len(wanted)} frames have another duration", lost=True)
    if facts.plays not in (None, coding.plays):
        yield converted("timing", f"it plays {facts.plays} times, not {coding.plays} (0 is for ever)", lost=True)


def _resolution(facts: Facts, receipt: Sequence[Entry], coding: Coding) -> Iterator[Entry]:
    if coding.dpi is None or any(entry.part == "EXIF" and entry.state == "dropped" for entry in receipt):
        return
    block = facts.blocks[0].exif
    found = facts.dpi or (resolution_of(block) if block else None)
    wanted = coding.dpi
    pairs = zip(sorted(wanted), sorted(found or (0, 0)), strict=True)  # turning a picture exchanges them
    same = all(math.isclose(a, b, rel_tol=0.01, abs_tol=0.5) for a, b in pairs)
    if not same and round(wanted[0]) not in SCREEN_DPI:
        yield dropped("resolution", f"{wanted[0]:g} dpi, {_NOT_THERE}")
