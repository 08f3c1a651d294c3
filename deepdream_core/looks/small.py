"""A photograph at a tile's size: the pixels to dream, and the JPEG in sRGB that a page shows."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from deepdream_core.errors import PictureError
from deepdream_core.photo import Frame
from deepdream_core.photo.colour import to_srgb
from deepdream_core.photo.decoded import NO_BLOCKS
from deepdream_core.photo.profile import for_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepdream_core.photo import Photo
    from deepdream_core.settings import DreamSettings
    from deepdream_core.work.backend import Backend

_QUALITY = 90
_MADE_AS = 1
"""Increases when the same settings give another tile."""


@dataclass(frozen=True)
class Small:
    """A photograph's first picture, short side at most `side` px: float32 samples in its own encoding, white 1.

    `profile` is the ICC profile that its colours are in, None for sRGB; `sha256` the file's.
    """

    frame: Frame
    profile: bytes | None
    side: int
    sha256: str
    white: float | None

    def key(self, settings: DreamSettings, engine: Backend) -> str:
        """Return a hash of all that the tile depends on: photo, size, settings, weights and precision."""
        parts = [
            _MADE_AS, self.sha256, self.white, self.side, settings.model_dump(), engine.weights.sha256,
            engine.precision,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def jpeg(self, planes: NDArray[np.float32] | None = None) -> bytes:
        """Return the picture, or its dream float32 [3, H, W], as a JPEG in sRGB, on white where it is transparent."""
        frame = self.frame if planes is None else self.frame.with_floats(planes)
        channels = 1 if frame.gray else 3
        samples = np.rint(frame.samples[..., :channels].clip(0, 1) * 65_535).astype(np.uint16)
        if self.profile is not None:
            samples = to_srgb(samples, self.profile)
        seen = samples.astype(np.float32) / 257
        if frame.alpha is not None:
            seen = 255 + (seen - 255) * frame.alpha[..., None].clip(0, 1)
        image = Image.fromarray(np.rint(np.broadcast_to(seen, (*seen.shape[:2], 3))).astype(np.uint8))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=_QUALITY, subsampling=0)
        return file.getvalue()


def small(photo: Photo, side: int) -> Small:
    """Return the photo's first picture, reduced to a short side of `side` px where it is larger.

    Raises `PictureError` when it holds NaN or infinity, or is transparent everywhere.
    """
    frame = photo.frames[0]
    if frame.invisible:
        raise PictureError(f"{photo.path}: is transparent everywhere", "give a picture with visible pixels")
    width, height = frame.size
    scale = min(1.0, side / min(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    planes = frame.floats()[: 1 if frame.gray else 3]
    if not np.isfinite(planes).all():
        raise PictureError(f"{photo.path}: the picture holds NaN or infinite values", "replace them first")
    parts = [_resized(plane, size) for plane in planes]
    if frame.alpha is not None:
        parts.append(_resized(np.multiply(frame.alpha, np.float32(1 / frame.white), dtype=np.float32), size))
    profile = (frame.blocks or photo.blocks or NO_BLOCKS).icc
    fit = profile and for_pixels(profile, gray=frame.gray)
    return Small(Frame(np.stack(parts, -1), 1.0), fit, side, photo.sha256, photo.white)


def _resized(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a plane [H, W] at `size` (width, height), bicubic and antialiased as the engine's octaves are."""
    if plane.shape == size[::-1]:
        return plane
    resized = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
    return resized.clip(plane.min(), plane.max())
