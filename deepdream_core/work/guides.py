"""Guides: pictures to dream toward, from their files to what the engine and the helper take."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.link.wire import GUIDE_PIXELS
from deepdream_core.objective_values import check_guide
from deepdream_core.photo import read_photo
from deepdream_core.photo.scale import beyond_white
from deepdream_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepdream_core.photo import Frame
    from deepdream_core.settings import DreamSettings

    Planes = NDArray[np.float32]

_GIVE = "give another guide"


@dataclass(frozen=True)
class Guide:
    """A guide's picture, float32 [3, H, W] in 0…1 of at most 2 megapixels, and the SHA-256 of its file."""

    planes: Planes
    sha256: str


class GuideFiles:
    """Reads the guides that settings name; a file that has not changed since the last call is not read again."""

    def __init__(self) -> None:
        self._known: dict[object, Guide] = {}
        self._lock = threading.Lock()

    def read(self, settings: DreamSettings, *, max_megapixels: float) -> tuple[DreamSettings, tuple[Planes, ...]]:
        """Return the settings with each guide's absolute path and hash, and the guides' pictures in their order.

        Relative paths begin at the current folder. Raises `PictureError` naming the file: missing, no picture, too large or
        too small for its layers, or not the one whose hash the settings hold.
        """
        with self._lock:
            found: dict[object, Guide] = {}
            named: list[dict[str, Any]] = []
            pictures: list[Planes] = []
            for guide in settings.guides:
                path = path_of(guide)
                key = _version(path)
                read = found[key] = self._known.get(key) or _read(path, guide, max_megapixels)
                _check(guide, path, read, settings)
                named.append({"file": "", **guide} | {"file": printable(str(path)), "sha256": read.sha256})
                pictures.append(read.planes)
            self._known = found
        return settings.model_copy(update={"guides": named}), tuple(pictures)


def path_of(guide: Mapping[str, Any]) -> Path:
    """Return the absolute path of a guide's file."""
    return Path(os.path.abspath(os.path.expanduser(guide["file"])))  # noqa: PTH100 - a link stays one


def hash_of(guide: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of a guide's file, None if it cannot be read."""
    try:
        with path_of(guide).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def _version(path: Path) -> object:
    try:
        status = path.stat()
    except (OSError, ValueError):  # reading it says why
        return path
    return path, status.st_size, status.st_mtime_ns, status.st_ino


def _read(path: Path, guide: Mapping[str, Any], max_megapixels: float) -> Guide:
    if guide["sha256"] is not None and not os.path.lexists(path):
        raise PictureError(f"{guide['file']}: the guide is gone", "give the same picture with --guide")
    try:
        photo = read_photo(path, max_megapixels=max_megapixels)
    except PictureError as error:  # the picture that is dreamed has the same errors
        why = error.what.removeprefix(f"{path}: ")
        raise type(error)(f"the guide {guide['file']}: {why}", error.next_step) from None
    return Guide(_reduced(photo.frames[0], path), photo.sha256)


def _check(guide: Mapping[str, Any], path: Path, read: Guide, settings: DreamSettings) -> None:
    if guide["sha256"] not in (None, read.sha256):
        raise PictureError(f"{path}: the guide has changed since", "give the picture that it was with --guide")
    height, width = read.planes.shape[1:]
    for name in settings.layers_of(guide):
        check_guide(str(path), (width, height), name, settings.guide_size)


def _reduced(frame: Frame, path: Path) -> Planes:
    """Return a picture as float32 [3, H, W] in 0…1, averaged over areas to at most `GUIDE_PIXELS`; alpha is ignored.

    Transparent pixels have the colours around them, so that no edge appears that people do not see.
    """
    from PIL import Image

    if frame.invisible:
        raise PictureError(f"{path}: the guide is transparent everywhere", _GIVE)
    if beyond := frame.beyond:
        raise PictureError(f"{path}: {beyond_white(beyond, frame.white)}", "give a guide with values up to 1")
    planes = frame.floats()
    if not np.isfinite(planes).all():
        raise PictureError(f"{path}: the guide holds NaN or infinite values", _GIVE)
    width, height = frame.size
    factor = min(1.0, (GUIDE_PIXELS / (width * height)) ** 0.5)
    size = max(1, int(width * factor)), max(1, int(height * factor))
    if factor < 1:
        planes = np.stack([np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX)) for plane in planes])
    return np.ascontiguousarray(planes.clip(0, 1))
