"""Pictures as a client sees them on a screen: a part, smaller, uint8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.photo.frame import WHITE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepdream_core.helper.shared import SharedArray
    from deepdream_core.link.view import View


def seen(samples: NDArray[Any], view: View) -> NDArray[np.uint8]:
    """Return the window of `view` that has been cut from a picture, [H, W, C], reduced and as uint8.

    A pixel is the mean of those that it stands for, colours weighted by alpha: invisible ones may hold anything.
    """
    width, height = view.size
    floats = np.nan_to_num(np.multiply(samples, np.float32(1 / WHITE[samples.dtype.name]), dtype=np.float32))
    np.clip(floats, 0, 1, out=floats)
    if (width, height) != (view.width, view.height):
        alpha = floats[..., -1:].copy() if samples.shape[2] % 2 == 0 else None
        if alpha is not None:
            floats[..., :-1] *= alpha
        floats = _means(_means(floats, height, 0), width, 1)
        if alpha is not None:
            np.divide(floats[..., :-1], floats[..., -1:], out=floats[..., :-1], where=floats[..., -1:] > 0)
    reduced: NDArray[np.uint8] = np.rint(floats * 255).astype(np.uint8)
    return reduced


def _means(samples: NDArray[np.float32], count: int, axis: int) -> NDArray[np.float32]:
    edges = np.arange(count + 1) * samples.shape[axis] // count
    sums = np.add.reduceat(samples, edges[:-1], axis=axis)
    shape = [1, 1, 1]
    shape[axis] = count
    means: NDArray[np.float32] = sums / np.diff(edges).astype(np.float32).reshape(shape)
    return means


def seen_in(array: SharedArray, view: View) -> bytes:
    """Return the samples of a view of a picture in shared memory."""
    with array as memory:
        try:
            samples = np.frombuffer(memory, array.header.dtype).reshape(array.header.shape)
            return seen(samples[window(view)], view).tobytes()
        finally:
            del samples
            memory.release()


def window(view: View) -> tuple[slice, slice]:
    """Return the rows and columns that a view shows."""
    return slice(view.y, view.y + view.height), slice(view.x, view.x + view.width)
