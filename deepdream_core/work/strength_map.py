"""A mask: a picture whose brightness says where another picture is dreamed, and how strongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.photo import Photo, read_photo
from deepdream_core.photo.scale import beyond_white
from deepdream_core.work.recipe import Mask

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class StrengthMap:
    """The mask of a `photo`: a picture's brightness, black 0 to white 1. Transparent pixels count as black.

    `record` is its entry in a recipe; `empty`: it is black everywhere. Raises `PictureError` when its proportions are not
    the photo's.
    """

    def __init__(self, path: Path, photo: Photo, *, max_megapixels: float) -> None:
        mask = read_photo(path, max_megapixels=max_megapixels)
        self.record = Mask(file=path.name, sha256=mask.sha256)
        self._values = mask.frames[0].visible_brightness()
        if not np.isfinite(self._values).all():
            raise PictureError(f"{path}: holds NaN or infinite values", "give a mask without them")
        if beyond := mask.frames[0].beyond:
            raise PictureError(
                f"{path}: {beyond_white(beyond, mask.frames[0].white)}", "give a mask with values up to 1"
            )
        self.empty = not self._values.any()
        mask_width, mask_height = mask.size
        for width, height in {frame.size for frame in photo.frames}:
            if abs(mask_width * height - mask_height * width) > max(mask_width * height, mask_height * width) * 0.01:
                raise PictureError(
                    f"{path}: the mask is {mask_width}×{mask_height}, the picture {width}×{height}",
                    "give a mask with the same proportions",
                )

    def of_size(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the map as float32 [H, W] in 0…1 for a picture of `size` (width, height)."""
        from PIL import Image

        resized = Image.fromarray(self._values).resize(size, Image.Resampling.BILINEAR)
        return np.asarray(resized, np.float32).clip(0, 1)
