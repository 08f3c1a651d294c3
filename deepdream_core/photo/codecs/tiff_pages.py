"""Which pictures a TIFF holds: pages, larger pictures below a thumbnail, slices without a directory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from deepdream_core.errors import PictureError
from deepdream_core.photo.codecs.tiff_strips import samples_of
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.receipt import Entry, dropped
from deepdream_core.photo.stacks import program_of, slices_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_REDUCED, _IS_MASK = 1, 4  # bits of NewSubfileType
_MOST_PAGES = 10_000
_LEAST_HIDDEN = 1 << 16
"""Unused bytes that are normal: rewritten directories, notes of the camera."""

_DNG, _CFA, _LINEAR_RAW = 50706, 32803, 34892
_STACKS = {33628: "MetaMorph", 33629: "MetaMorph", 43314: "NIH Image"}
"""Tags of programs whose slices only they and ImageJ find."""

_COPIES = dropped("reduced copies", "they showed the old picture", lost=False)
_BELOW = dropped("pictures below a page", "DeepDream dreams only pages")


@dataclass(frozen=True)
class Picture:
    """A picture of a TIFF. `home`: the page with the metadata, if the picture is below another page, else `page` itself.

    `slice`: its number, from 0, among slices that share a directory.
    """

    page: Any
    home: Any
    slice: int = 0

    def samples(self, data: bytes) -> tuple[NDArray[Any], list[Entry]]:
        """Return the samples as tifffile shapes a page's, and the receipt's entries; raises nearly anything."""
        page = self.page
        if not self.slice:
            return samples_of(page, data)
        kind = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        size = int(np.prod(page.shape))
        start = page.dataoffsets[0] + self.slice * size * kind.itemsize
        return np.frombuffer(data, kind, size, start).reshape(page.shape).astype(page.dtype), []


def pictures_of(tiff: tifffile.TiffFile, data: bytes, count: int) -> tuple[list[Picture], list[Entry]]:
    """Return the pictures of a TIFF, and the receipt's entries for what is left out.

    `count` is the number of pages, because tifffile skips what it cannot read. Raises `PictureError` for camera RAW and for
    unsupported stacks, and `ValueError` if a page cannot be read.
    """
    every = list(itertools.islice(_bounded(tiff), count + 1))  # tifffile follows a circle for ever
    if len(every) != count:
        raise FormatError("one of its pages cannot be read")
    largest: list[Picture] = []
    entries: list[Entry] = []
    all_readable = True
    directories = list(every)
    for page in every:
        below, readable = _below(page)
        all_readable &= readable
        directories += below
        chosen = max((page, *below), key=lambda each: (_area(each), not _is_reduced(each)))
        largest.append(Picture(chosen, page))
        rest = [each for each in (page, *below) if each is not chosen]
        if not readable or any(not _is_reduced(each) and _area(each) == _area(chosen) for each in rest):
            entries.append(_BELOW)
        elif rest or page.subifds:
            entries.append(_COPIES)
        for each in (page, *below):
            _refuse_others(each)
    pictures = [picture for picture in largest if not _is_reduced(picture.page)]
    if not pictures:
        pictures = [max(largest, key=lambda picture: _area(picture.page))]
    if len(pictures) < len(largest):
        entries.append(_COPIES)
    found = list(_with_slices(pictures, len(data)))
    if all_readable and (hidden := _hidden(found, directories, len(data))):
        entries.append(dropped(f"{hidden:,} bytes that no directory refers to", "DeepDream dreams only pages"))
    return found, list(dict.fromkeys(entries))


def _hidden(pictures: Sequence[Picture], directories: Sequence[Any], size: int) -> int:
    """Return how many bytes belong to no directory, if they may hold another uncompressed picture; else 0."""
    first = pictures[0].page
    known = sum(picture.page.nbytes for picture in pictures if picture.slice)
    for page in directories:
        known += sum(page.databytecounts) + sum(tag.valuebytecount for tag in page.tags)
    return size - known if first.is_contiguous and size - known >= max(first.nbytes, _LEAST_HIDDEN) else 0


def _refuse_others(page: Any) -> None:
    if _DNG in page.tags or int(page.photometric) in (_CFA, _LINEAR_RAW):
        raise PictureError("is camera RAW, which a RAW program must develop first", "export a 16-bit TIFF from it")
    for tag, program in _STACKS.items():
        if tag in page.tags:
            raise PictureError(f"is a {program} stack, which DeepDream cannot read", "save it as TIFF with ImageJ")


def _below(page: Any) -> tuple[list[Any], bool]:
    """Return the pictures below a page, without masks, and whether all could be read."""
    if not page.subifds:
        return [], True
    try:
        inner = [_whole(each) for each in page.pages]
        for each in inner:
            _area(each)
    except Exception:  # tifffile raises nearly anything for a broken directory
        return [], False
    return [each for each in inner if not int(each.subfiletype) & _IS_MASK], True


def _whole(page: Any) -> Any:
    """Return a page with all its tags; tifffile reads some as frames without."""
    return page if isinstance(page, tifffile.TiffPage) else page.aspage()


def _area(page: Any) -> int:
    return int(page.imagewidth) * int(page.imagelength) if not int(page.subfiletype) & _IS_MASK else 0


def _is_reduced(page: Any) -> bool:
    return bool(int(page.subfiletype) & (_REDUCED | _IS_MASK))


def _bounded(tiff: tifffile.TiffFile) -> Iterator[Any]:
    for number in range(_MOST_PAGES):
        try:
            page = tiff.pages[number]
        except IndexError:
            return
        yield _whole(page)
    raise PictureError(f"holds more than {_MOST_PAGES} pages", "split it")


def _with_slices(pictures: Sequence[Picture], size: int) -> Iterator[Picture]:
    """Yield the pictures, and after a page the slices that its text counts, without their own directories."""
    at = 0
    while at < len(pictures):
        picture = pictures[at]
        page = picture.page
        count = max(1, _announced(page))
        following = [picture.page for picture in pictures[at + 1 : at + count]]
        alike = len(following) == count - 1 and all(
            (next_page.shape, next_page.dtype) == (page.shape, page.dtype) for next_page in following
        )
        end = page.dataoffsets[0] + count * page.nbytes if count > 1 and page.is_final else size + 1
        if count == 1 or alike or end > size:
            have = count if alike else 1
            yield from pictures[at : at + have]
            at += have
            continue
        if count > _MOST_PAGES:
            raise PictureError(f"holds more than {_MOST_PAGES} slices", "split it")
        yield from (Picture(page, page, number) for number in range(count))
        at += 1
        while at < len(pictures) and page.dataoffsets[0] < min(pictures[at].page.dataoffsets, default=0) < end:
            at += 1


def _announced(page: Any) -> int:
    """Return how many slices the text of a page counts, in the first of its descriptions that is for programs."""
    text = page.imagej_description or page.shaped_description or ""
    sides = (page.imagelength, page.imagewidth)
    shape = (page.samplesperpixel, *sides) if int(page.planarconfig) == 2 else (*sides, page.samplesperpixel)
    return slices_of(text, shape) if program_of(text) else 1
