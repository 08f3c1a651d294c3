"""Image descriptions in TIFF files that programs read: ImageJ's, tifffile's and OME's, which say where slices are.

ImageJ only looks at the first directory: the slices that its text counts follow the first one without a gap
(ij.io.TiffDecoder, ImageJ 1.54). tifffile reads its `{"shape": …}` the same way if the first directory suffices. OME-XML
(OME-TIFF 6.1) gives the planes' size and type. A text that is no longer true misleads these programs.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from deepdream_core.photo.exif import without
from deepdream_core.photo.exif_values import description_of
from deepdream_core.photo.tags import DESCRIPTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deepdream_core.photo.frame import Frame

_OME_TYPES = {"u1": "uint8", "u2": "uint16", "u4": "uint32", "f4": "float", "f8": "double"}
_TRUNCATED = re.compile(rb',\s*"truncated":\s*true')


def program_of(description: str) -> str:
    """Return the program that reads a description, empty for a text for people."""
    if description.startswith(("ImageJ=", "SCIFIO=")):
        return "ImageJ"
    if description.startswith("shape=") or (description.startswith("{") and '"shape":' in description):
        return "tifffile"
    return "OME" if "<OME " in description[:1000] or "<ome:OME " in description[:1000] else ""


def slices_of(description: str, shape: Sequence[int]) -> int:
    """Return how many slices a description counts from a page of `shape` on.

    `shape` is in the order of the samples. 1 for a text for people, 0 for a text that contradicts the page.
    """
    program = program_of(description)
    if program == "ImageJ":
        values = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
        return max(1, _number(values.get("images", "1")))
    if program == "tifffile":
        stack, page = ([side for side in sides if side > 1] for sides in (_shape(description), shape))
        count = len(stack) - len(page)
        return math.prod(stack[:count]) if stack[count:] == page else 0
    if program == "OME":
        sizes = {"SizeX": str(shape[1]), "SizeY": str(shape[0])}
        return int(all(value == sizes.get(key, value) for key, value in _ome(description)))
    return 1


def _number(text: str) -> int:
    return int(text) if text.strip().isdecimal() and len(text) < 10 else 1


def _shape(description: str) -> tuple[int, ...]:
    try:
        numbers = json.loads(description)["shape"] if description[0] == "{" else re.findall(r"\d+", description)
        shape = tuple(int(number) for number in numbers)
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()
    return shape if shape and min(shape) > 0 else ()


def _ome(description: str) -> Iterator[tuple[str, str]]:
    """Yield size and type of the first picture's planes."""
    opening = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", description)
    yield from re.findall(r'\s(SizeX|SizeY|Type)="([^"]*)"', opening[0]) if opening else ()


def runs(pages: Sequence[Frame]) -> Iterator[tuple[int, int, str]]:
    """Yield where slices begin, how many belong together, and the program whose text there is untrue, if it is.

    Pages without such a text each stand alone.
    """
    layouts = [(*page.size, page.samples.shape[2] + len(page.extra_kinds), page.samples.dtype) for page in pages]
    at = 0
    while at < len(pages):
        blocks = pages[at].blocks
        description = description_of(blocks.exif) if blocks and blocks.exif else ""
        width, height, channels, kind = layouts[at]
        count = slices_of(description, (height, width, channels))
        true = 0 < count <= len(pages) - at and set(layouts[at : at + count]) == {layouts[at]}
        if program_of(description) == "OME":
            named = _OME_TYPES.get(kind.str[1:])
            true = true and all(value == named for key, value in _ome(description) if key == "Type")
        yield (at, count, "") if true else (at, 1, program_of(description))
        at += count if true else 1


def with_true_descriptions(pages: Sequence[Frame]) -> list[Frame]:
    """Return pages, each with a directory, without descriptions that are untrue of them."""
    kept = []
    for page in pages:
        exif = page.blocks.exif if page.blocks else None
        short = _TRUNCATED.sub(lambda found: b" " * len(found[0]), exif) if exif else None
        kept.append(replace(page, blocks=replace(page.blocks, exif=short)) if page.blocks and short != exif else page)
    for at, _, untrue in runs(pages):
        blocks = pages[at].blocks
        if untrue and blocks and blocks.exif:
            kept[at] = replace(kept[at], blocks=replace(blocks, exif=without(blocks.exif, DESCRIPTION)))
    return kept
