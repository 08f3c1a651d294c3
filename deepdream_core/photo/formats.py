"""The picture formats: what each is called, how it is recognised, and what it can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Depth = Literal["8", "10", "12", "16", "32", "float"]


class FormatError(ValueError):
    """A file is not as its format asks, or a format has no room for something: told in words for people.

    What libraries raise is not; their words never reach a person.
    """


@dataclass(frozen=True)
class Format:
    """One format: its names, and what survives in it.

    `depths` are the bits a channel may have, `longest_side` is in pixels. `sequence` says what several pictures in one
    file mean: `animation`, `pages`, or nothing (""), when only one fits.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    depths: tuple[Depth, ...] = ("8",)
    alpha: Literal["full", "on or off", "none"] = "full"
    icc: bool = True
    exif: bool = True
    xmp: bool = True
    sequence: Literal["animation", "pages", ""] = ""
    lossy: bool = False
    longest_side: int = 1 << 31


FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        Format("JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), alpha="none", lossy=True, longest_side=65_500),
        Format("PNG", "PNG", (".png", ".apng"), depths=("8", "16"), sequence="animation"),
        Format("TIFF", "TIFF", (".tif", ".tiff"), depths=("8", "16", "32", "float"), sequence="pages"),
        Format("WEBP", "WebP", (".webp",), sequence="animation", lossy=True, longest_side=16_383),
        Format("HEIC", "HEIC", (".heic", ".heif", ".hif"), depths=("8", "10", "12"), lossy=True, longest_side=16_384),
        Format("AVIF", "AVIF", (".avif",), sequence="animation", lossy=True, longest_side=65_536),
        Format("JXL", "JPEG XL", (".jxl",), icc=False, lossy=True),
        Format("GIF", "GIF", (".gif",), alpha="on or off", exif=False, sequence="animation", longest_side=65_535),
        Format("BMP", "BMP", (".bmp", ".dib"), alpha="none", icc=False, exif=False, xmp=False),
    )
}  # fmt: skip
"""All formats that are read and written, by name."""

ENDINGS: dict[str, str] = {ending: known.name for known in FORMATS.values() for ending in known.endings}
"""Lower-case file name endings and the names of their formats."""

NAMES = "JPEG, PNG, TIFF, WebP, HEIC, AVIF, JPEG XL, GIF or BMP"

RAW_ENDINGS = frozenset(
    [
        ".3fr",
        ".arw",
        ".cr2",
        ".cr3",
        ".crw",
        ".dcr",
        ".dng",
        ".erf",
        ".fff",
        ".iiq",
        ".kdc",
        ".mef",
        ".mos",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".raw",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
        ".x3f",
    ]
)
"""Endings of camera RAW files, many of which are TIFF files inside."""

HEAD = 64
"""Bytes from the start of a file that `recognised` looks at."""

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_STARTS = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF",
    b"MM\0+": "TIFF", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP", b"\xff\x0a": "JXL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JXL",
}  # fmt: skip
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")


def recognised(head: bytes) -> str | None:
    """Return the name of the format that a file's first `HEAD` bytes belong to, `RAW` for camera RAW, or None."""
    if head.startswith(_RAW_STARTS) or head[8:11] == b"CR\2" or head[6:14] == b"HEAPCCDR" or head[4:12] == b"ftypcrx ":
        return "RAW"
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[place : place + 4] for place in range(16, len(head), 4))}
        if head[8:12] in _AVIF_BRANDS or (brands & _AVIF_BRANDS and not brands & _HEIC_BRANDS):
            return "AVIF"
        if brands & (_HEIC_BRANDS | {b"mif1", b"msf1"}):
            return "HEIC"
    return None


def may_begin(head: bytes) -> bool:
    """Return whether more bytes after, or in place of, a file's first `HEAD` bytes can make it a picture or camera RAW.

    So for what is recognised; for fewer bytes, as far as they go; and for zeros, which some programs write before the rest.
    """
    if recognised(head) is not None or not any(head):
        return True
    if any(start.startswith(head) for start in (*_STARTS, *_RAW_STARTS)):
        return True
    if head[:4] == b"RIFF"[: len(head)]:
        return len(head) < 12 and b"WEBP".startswith(head[8:])
    # HEIC and AVIF begin with the length of their first box, which may name more brands than are here.
    is_box = head[:2] == b"\0\0" and b"ftyp".startswith(head[4:8])
    return is_box and len(head) < min(HEAD, max(16, int.from_bytes(head[:4])))


def format_named(word: str) -> str | None:
    """Return the format that a person means by `word`: `jpg`, `.TIFF`, `heif`, `JPEG XL`; None for an unknown one."""
    plain = word.lower().lstrip(".").replace("-", "").replace(" ", "")
    for known in FORMATS.values():
        titles = {known.name.lower(), known.title.lower().replace(" ", ""), *(end.lstrip(".") for end in known.endings)}
        if plain in titles:
            return known.name
    return None
