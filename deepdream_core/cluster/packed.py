"""Pictures as they travel: in the smallest sample type that holds them exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SCALES: tuple[tuple[type[np.unsignedinteger[Any]], int], ...] = ((np.uint8, 255), (np.uint16, 65535))


def packed(planes: NDArray[np.float32]) -> NDArray[Any]:
    """Return float32 planes as uint8 or uint16 where `unpacked` gives exactly the same floats, else unchanged."""
    for kind, white in _SCALES:
        with np.errstate(invalid="ignore"):  # NaN, which stays float32
            samples = np.rint(np.clip(planes, 0, 1) * np.float32(white)).astype(kind)
        if np.array_equal(unpacked(samples), planes):
            exact: NDArray[Any] = samples
            return exact
    return np.ascontiguousarray(planes)


def unpacked(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return packed planes as float32 again, 1.0 for white, by the formula of `photo.Frame.floats`."""
    for kind, white in _SCALES:
        if samples.dtype == kind:
            planes: NDArray[np.float32] = np.multiply(samples, np.float32(1 / white), dtype=np.float32)
            return planes
    return samples
