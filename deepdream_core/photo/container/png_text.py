"""The text chunks of a PNG file, and compressed metadata; follows the PNG specification, third edition, 11.3.3."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from deepdream_core.photo.container.blocks import LONGEST_INFLATED
from deepdream_core.photo.formats import FormatError

if TYPE_CHECKING:
    from deepdream_core.photo.container.blocks import Blocks

TEXTS = frozenset({"tEXt", "zTXt", "iTXt"})
"""The kinds of text chunks: plain, compressed, in UTF-8."""


class Inflater:
    """Unpacks compressed metadata, with a limit for all of a file together."""

    def __init__(self) -> None:
        self._left = LONGEST_INFLATED

    def __call__(self, packed: bytes | memoryview) -> bytes:
        """Return the unpacked bytes; raises `ValueError` for damaged ones and past the limit."""
        unpacker = zlib.decompressobj()
        try:
            unpacked = unpacker.decompress(packed, self._left + 1)
        except zlib.error:
            raise FormatError("damaged compressed data") from None
        self._left -= min(len(unpacked), self._left)
        if not unpacker.eof:
            raise FormatError("truncated or too much compressed data")
        return unpacked


def text_chunk(keyword: str, text: str) -> tuple[str, bytes]:
    """Return a text as an entry of `Blocks.others` of a PNG.

    Raises `ValueError` if the keyword is not 1…79 printable Latin-1 characters without spaces at its ends, or if the text
    has a NUL.
    """
    fits = keyword == keyword.strip() and all(c.isprintable() and ord(c) < 256 for c in keyword)
    if not (fits and 1 <= len(keyword) <= 79):
        raise FormatError(f"not a keyword for a PNG text: {keyword!r}")
    if "\0" in text:
        raise FormatError("a PNG text cannot hold a NUL")
    return "iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()


def text_of(blocks: Blocks, keyword: str) -> str | None:
    """Return the first readable text under `keyword` among the text chunks of a PNG, or None."""
    inflate = Inflater()
    for name, payload in blocks.others:
        if name in TEXTS and keyword_of(payload) == keyword:
            try:
                return content_of(name, payload, inflate).decode("utf-8" if name == "iTXt" else "latin-1")
            except ValueError:
                continue
    return None


def keyword_of(payload: bytes | memoryview) -> str:
    """Return the keyword that a text chunk begins with, "" for a malformed one."""
    head, separator, _ = bytes(payload[:80]).partition(b"\0")
    return head.decode("latin-1") if separator else ""


def content_of(kind: str, payload: bytes, inflate: Inflater) -> bytes:
    """Return the text of a text chunk, unpacked but not decoded; raises `ValueError` for a malformed one."""
    start = payload.index(b"\0") + 1
    if kind == "tEXt":
        return payload[start:]
    if kind == "zTXt":
        return inflate(payload[start + 1 :])
    compressed = payload[start : start + 1] == b"\x01"
    language_end = payload.index(b"\0", start + 2)
    start = payload.index(b"\0", language_end + 1) + 1
    return inflate(payload[start:]) if compressed else payload[start:]
