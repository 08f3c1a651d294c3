"""The picture formats: one row for each, with its names, how to recognise it, what it holds and which modules handle it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deepdream_core.errors import DeepDreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

_log = logging.getLogger(__name__)

Depth = Literal["8", "10", "12", "16", "32", "float"]


class FormatError(ValueError):
    """A file breaks its format's rules, or a format has no room for something.

    The message is written for users. Messages of libraries are not, and never reach a user.
    """


def in_words(error: Exception, otherwise: str) -> str:
    """Return an error for users: our own messages, and `otherwise` for a library's, which only goes to the debug log."""
    if isinstance(error, (FormatError, DeepDreamError)):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    _log.debug(otherwise, exc_info=error)
    return otherwise


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format. A new format is a new row: completion, help, messages and the table in the docs follow from it.

    `codec` names the module in `codecs` that decodes, encodes and reads back a file. `container` names the module in
    `container` that exchanges metadata in an encoded file, "" if there is none. `encoder_writes_blocks`: the encoder writes
    all metadata, so that only their exchange in a finished file is the container's.

    Recognition: a file begins with one of `starts` and has `form` at byte 8, or is an ISO media file of one of `brands`.

    Abilities of a written file: `depths` are the bits of a channel. `sequence` says what several pictures in one file mean;
    "" if only one fits. `gray` says when a gray picture can stay gray. `resolution` is what writes it: the encoder, a block
    of the container, or EXIF. `time_step_ms` is the unit of frame times; 0 is any fraction. `longest_side` is in pixels,
    `longest_exif` and `longest_xmp` are in bytes. `reads` describes the bits that are read, for the docs.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    codec: str
    container: str = ""
    encoder_writes_blocks: bool = False
    starts: tuple[bytes, ...] = ()
    form: bytes = b""
    brands: frozenset[bytes] = frozenset()
    reads: str = "8"
    depths: tuple[Depth, ...] = ("8",)
    palette: bool = False
    gray: Literal["always", "without alpha", "never"] = "always"
    alpha: Literal["full", "on or off", "none"] = "full"
    premultiplied: bool = False
    extra_channels: bool = False
    icc: bool = True
    exif: bool = True
    xmp: bool = True
    text_chunks: bool = False
    resolution: Literal["encoder", "block", "EXIF", "none"] = "EXIF"
    sequence: Literal["animation", "pages", ""] = ""
    still_first: bool = False
    counts_plays: bool = True
    time_step_ms: int = 0
    lossy: bool = False
    longest_side: int = 1 << 31
    longest_exif: int = 1 << 31
    longest_xmp: int = 1 << 31


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            name="JPEG", title="JPEG", endings=(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
            codec="jpeg", container="jpeg", starts=(b"\xff\xd8\xff",), reads="8; CMYK becomes RGB",
            alpha="none", resolution="block", lossy=True,
            longest_side=65_500, longest_exif=65_527, longest_xmp=65_502,
        ),
        Format(
            name="PNG", title="PNG", endings=(".png", ".apng"),
            codec="png", container="png", starts=(b"\x89PNG\r\n\x1a\n",), reads="1–16; a palette becomes RGB",
            depths=("8", "16"), text_chunks=True, resolution="block", sequence="animation", still_first=True,
        ),
        Format(
            name="TIFF", title="TIFF", endings=(".tif", ".tiff"),
            codec="tiff", container="tiff", encoder_writes_blocks=True, starts=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
            reads="1–32, float; a palette, CMYK and Lab become RGB", depths=("8", "16", "32", "float"),
            premultiplied=True, extra_channels=True, resolution="encoder", sequence="pages",
        ),
        Format(
            name="WEBP", title="WebP", endings=(".webp",),
            codec="webp", container="webp", starts=(b"RIFF",), form=b"WEBP",
            gray="never", sequence="animation", time_step_ms=1, lossy=True, longest_side=16_383,
        ),
        Format(
            name="HEIC", title="HEIC", endings=(".heic", ".heif", ".hif"),
            codec="heic", brands=frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}),
            reads="8, 10, 12", depths=("8", "10", "12"), gray="without alpha", premultiplied=True,
            lossy=True, longest_side=16_384,
        ),
        Format(
            name="AVIF", title="AVIF", endings=(".avif",),
            codec="avif", brands=frozenset({b"avif", b"avis"}), reads="8, 10, 12", gray="without alpha",
            sequence="animation", counts_plays=False, time_step_ms=1, lossy=True, longest_side=65_536,
        ),
        Format(
            name="JXL", title="JPEG XL", endings=(".jxl",),
            codec="jxl", container="jxl", starts=(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"), reads="8, 16, float",
            icc=False, lossy=True,
        ),
        Format(
            name="GIF", title="GIF", endings=(".gif",),
            codec="gif", container="gif", starts=(b"GIF87a", b"GIF89a"), palette=True, gray="never",
            alpha="on or off", exif=False, resolution="none", sequence="animation", time_step_ms=10,
            longest_side=65_535,
        ),
        Format(
            name="BMP", title="BMP", endings=(".bmp", ".dib"),
            codec="bmp", starts=(b"BM",), reads="1–8; a palette becomes RGB",
            alpha="none", icc=False, exif=False, xmp=False, resolution="encoder",
        ),
    )
}  # fmt: skip
"""All formats that are read and written, by name."""

ENDINGS: dict[str, str] = {ending: row.name for row in FORMATS.values() for ending in row.endings}
"""Lower-case file name endings and the names of their formats."""

WORDS: tuple[str, ...] = tuple(row.endings[0][1:] for row in FORMATS.values())
"""One short word for each format, as people type it: `jpg`, `png` …"""


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: `a, b or c`."""
    return f"{', '.join(words[:-1])} or {words[-1]}"


NAMES = listed(tuple(row.title for row in FORMATS.values()))
"""All formats, for a sentence."""

RAW_ENDINGS = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef",
    ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})  # fmt: skip
"""Endings of camera RAW files, many of which are TIFF files inside."""

HEAD = 64
"""Bytes from the start of a file that `recognised` looks at."""

_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
_HEIF_BRANDS = frozenset({b"mif1", b"msf1"})  # any coding; without another brand the picture is usually HEIC


def recognised(head: bytes) -> str | None:
    """Return the name of the format that a file's first `HEAD` bytes belong to, `RAW` for camera RAW, or None."""
    if head.startswith(_RAW_STARTS) or head[8:11] == b"CR\2" or head[6:14] == b"HEAPCCDR" or head[4:12] == b"ftypcrx ":
        return "RAW"
    for row in FORMATS.values():
        if head.startswith(row.starts) and head[8 : 8 + len(row.form)] == row.form:
            return row.name
    if head[4:8] != b"ftyp":
        return None
    compatible = {head[at : at + 4] for at in range(16, len(head), 4)}
    for brands in ({head[8:12]}, compatible):  # the major brand first
        for row in FORMATS.values():
            if brands & row.brands:
                return row.name
    return "HEIC" if ({head[8:12]} | compatible) & _HEIF_BRANDS else None


def may_begin(head: bytes) -> bool:
    """Return whether a file may still become a picture or camera RAW: `head` are its first `HEAD` bytes, or all it has.

    True for what is recognised, for the first bytes of such a file, and for zeros, which some programs write first.
    """
    if recognised(head) is not None or not any(head):
        return True
    if any(start.startswith(head) for start in _RAW_STARTS) or any(_agrees(row, head) for row in FORMATS.values()):
        return True
    # HEIC and AVIF begin with the length of their first box, which may name more brands than are here.
    is_box = head[:2] == b"\0\0" and b"ftyp".startswith(head[4:8])
    return is_box and len(head) < min(HEAD, max(16, int.from_bytes(head[:4])))


def _agrees(row: Format, head: bytes) -> bool:
    """Return whether bytes are those of a format as far as they go."""
    begun = any(start[: len(head)] == head[: len(start)] for start in row.starts)
    return begun and row.form.startswith(head[8 : 8 + len(row.form)])


def format_named(word: str) -> str | None:
    """Return the format that a person means by `word`: `jpg`, `.TIFF`, `heif`, `JPEG XL`; None for an unknown one."""
    plain = word.lower().lstrip(".").replace("-", "").replace(" ", "")
    for row in FORMATS.values():
        if plain in {row.name.lower(), row.title.lower().replace(" ", ""), *(end.lstrip(".") for end in row.endings)}:
            return row.name
    return None
