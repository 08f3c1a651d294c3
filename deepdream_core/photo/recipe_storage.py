"""Where a dream's recipe is kept: in the XMP, in a PNG also as text, or in a file beside the picture.

That file names the SHA-256 of its picture, so that it cannot be mistaken for another picture's recipe.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from deepdream_core.atomic import check_writable, write_whole
from deepdream_core.errors import OutputError
from deepdream_core.photo import xmp
from deepdream_core.photo.container.png_text import text_chunk, text_of
from deepdream_core.photo.formats import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.photo.container import Blocks

SIDECAR = ".dream.yaml"
"""The ending added to the full name of a picture whose format has no place for a recipe."""

_KEYWORD = "deepdream recipe"
_LONGEST = 1 << 20
_PICTURE = re.compile(r"^picture: ([0-9a-f]{64})\n", re.MULTILINE)


def sidecar_of(path: Path) -> Path:
    """Return the path of the recipe beside a picture that cannot hold it."""
    return path.with_name(path.name + SIDECAR)


def with_recipe(blocks: Blocks, recipe: str, format: str) -> Blocks:
    """Return the blocks of a file of `format` with the recipe; raises `ValueError` if the XMP cannot be edited."""
    blocks = replace(blocks, xmp=xmp.with_recipe(blocks.xmp, recipe))
    if FORMATS[format].text_chunks:
        blocks = replace(blocks, others=(*blocks.others, text_chunk(_KEYWORD, recipe)))
    return blocks


def without_recipe(blocks: Blocks) -> Blocks:
    """Return the blocks without the recipe of an earlier dream."""
    packet = blocks.xmp
    if packet is not None and xmp.recipe_of(packet) is not None:
        packet = xmp.without_recipe(packet)
    mark = _KEYWORD.encode() + b"\0"
    others = tuple((kind, content) for kind, content in blocks.others if not content.startswith(mark))
    return replace(blocks, xmp=packet, others=others)


def recipe_in(blocks: Blocks) -> str | None:
    """Return the recipe that a file's blocks hold, or None."""
    found = xmp.recipe_of(blocks.xmp) if blocks.xmp is not None else None
    return found if found is not None else text_of(blocks, _KEYWORD)


def recipe_beside(path: Path, sha256: str) -> str | None:
    """Return the recipe beside a picture, or None if there is none or its picture has another SHA-256."""
    try:
        with sidecar_of(path).open("rb") as file:
            text = file.read(_LONGEST).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    named = _PICTURE.search(text)
    return _PICTURE.sub("", text, count=1) if named and named[1] == sha256 else None


def write_beside(path: Path, data: bytes | bytearray, recipe: str, *, overwrite: bool) -> None:
    """Write the recipe beside a picture, then the picture, so that the picture is never without it.

    If the picture cannot be written, the earlier recipe is restored. Raises as `write_whole` does.
    """
    sidecar = sidecar_of(path)
    check_writable(path, overwrite=overwrite)
    before = sidecar.read_bytes() if overwrite and sidecar.is_file() else None
    text = f"{recipe}picture: {hashlib.sha256(data).hexdigest()}\n".encode()
    write_whole(sidecar, lambda file: file.write(text), overwrite=overwrite)
    try:
        write_whole(path, lambda file: file.write(data), overwrite=overwrite)
    except OutputError:
        if before is None:
            sidecar.unlink(missing_ok=True)
        else:
            sidecar.write_bytes(before)
        raise
