"""Reads pictures from files completely, or refuses them in one line."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deepdream_core.errors import DamagedPictureError, PictureError
from deepdream_core.photo import container, recipe_storage
from deepdream_core.photo.codecs import codec_of
from deepdream_core.photo.decoded import Decoded
from deepdream_core.photo.formats import FORMATS, HEAD, NAMES, RAW_ENDINGS, in_words, may_begin, recognised
from deepdream_core.photo.profile import settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deepdream_core.photo.frame import Frame

_LONGEST_FILE = 4 << 30


@dataclass(frozen=True, kw_only=True)
class Photo(Decoded):
    """A decoded file.

    `path` and `sha256` are the source's, `format` is its real format. `recipe`: how it was made, if it is a dream; from the
    file or from beside it. `untouched`: no sample has changed. `white`: the value of white that a person gave, or None.
    `noise`: it was not read but made, by `deepdream_core.noise`.
    """

    path: Path
    sha256: str
    format: str
    recipe: str | None
    untouched: bool
    white: float | None = None
    noise: bool = False

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

    `white` is the value of white in floating-point pictures; None takes it from the file, or 1.

    Raises `PictureError` naming the file and the reason: missing, not a picture, unsupported, truncated, or
    larger than `max_megapixels` in all. The size is checked in the header before anything is decoded.
    """
    with errors_in_words(path):
        data = _read(path)
        name = _format_of(path, data)
        decoded = settled(codec_of(name).decode(data, max_megapixels, white))
        digest = hashlib.sha256(data).hexdigest()
        recipe = recipe_storage.recipe_in(decoded.blocks) or recipe_storage.recipe_beside(path, digest)
        parts = {key: getattr(decoded, key) for key in ("frames", "blocks", "coding", "changes")}
        return Photo(**parts, path=path, sha256=digest, format=name, recipe=recipe, untouched=True, white=white)


def recipe_text(path: Path, *, max_megapixels: float) -> str | None:
    """Return the recipe in a file or beside it, or None; raises `PictureError` as `read_photo` does."""
    with errors_in_words(path):
        data = _read(path)
        name = _format_of(path, data)
        if FORMATS[name].container:
            blocks = container.blocks_of(data, name)
        else:
            blocks = settled(codec_of(name).decode(data, max_megapixels, None)).blocks
        return recipe_storage.recipe_in(blocks) or recipe_storage.recipe_beside(path, hashlib.sha256(data).hexdigest())


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_dir() and not path.is_file():
        raise PictureError("not a regular file but a pipe, socket or device", "give a picture")
    with path.open("rb") as file:
        head = file.read(HEAD)
        _format_of(path, head)
        if path.stat().st_size > _LONGEST_FILE:
            raise PictureError("the file is larger than 4 GB", "give a smaller one")
        file.seek(0)
        return file.read()


def _format_of(path: Path, head: bytes) -> str:
    name = recognised(head[:HEAD])
    if name == "RAW" or (head and name in ("TIFF", None) and path.suffix.lower() in RAW_ENDINGS):
        raise PictureError("is camera RAW, which a RAW program must develop first", "export a 16-bit TIFF from it")
    if name is None:
        what = f"not a {NAMES} picture" if head else "the file is empty"
        give = "give a picture in one of these formats" if head else f"give a {NAMES}"
        raise (DamagedPictureError if may_begin(head[:HEAD]) else PictureError)(what, give)
    return name


@contextlib.contextmanager
def errors_in_words(path: Path) -> Iterator[None]:
    """Turn what decoders and the system raise for a bad file into one line, and drop warnings about bad tags."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except FileNotFoundError:
            raise PictureError(f"{path}: no such file", "check its name") from None
        except IsADirectoryError:
            raise PictureError(f"{path}: is a folder", "give a picture") from None
        except PermissionError:
            raise PictureError(f"{path}: no permission to read it", "change its permissions") from None
        except ImportError as error:
            what = f"{path}: a library for its format cannot be loaded ({error.name or 'unknown'})"
            raise PictureError(what, "see deepdream doctor") from None
        except MemoryError:
            raise PictureError(f"{path}: not enough memory to decode it", "close other programs") from None
        except PictureError as error:
            raise type(error)(f"{path}: {error.what}", error.next_step) from None
        except Exception as error:  # decoders raise nearly anything for a broken file
            if "\0" in str(path):
                raise PictureError(f"{path}: a file name cannot contain a null byte", "check the name") from None
            if isinstance(error, OSError) and error.errno:
                raise PictureError(f"{path}: cannot be read: {error.strerror}", "check the name and the disk") from None
            what = f"{path}: truncated or damaged ({in_words(error, 'it cannot be decoded')})"
            raise DamagedPictureError(what, "get an intact copy of the file") from None
