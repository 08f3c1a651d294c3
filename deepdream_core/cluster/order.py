"""What travels: an order to dream one picture, and the dream. Pixels and settings, never a path."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.cluster.packed import packed, unpacked
from deepdream_core.printable import printable
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RESOURCE = "deepdream"
"""The Dask resource of which each machine has as much as it has devices."""
PROGRESS = "deepdream-progress"
"""The topic of the events `[key, progress]`; None as progress says that a machine begins."""


def resource_of(version: str, weights_sha256: str) -> str:
    """Return the resource that only workers with this version of DeepDream and these weights have."""
    return f"{RESOURCE}-{version}-{weights_sha256[:16]}"


@dataclass(frozen=True)
class Order:
    """A picture to dream: what `Engine.dream` takes, with pixels as `packed` gives them and the settings as data."""

    label: str
    planes: NDArray[Any]
    settings: dict[str, Any]
    mask: NDArray[Any] | None = None
    start: NDArray[Any] | None = None
    guides: tuple[NDArray[Any], ...] = field(default=())

    def key(self) -> str:
        """Return the hash of all that determines the dream."""
        known = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        for array in (self.planes, self.mask, self.start, *self.guides):
            known.update(b"-" if array is None else f"{array.dtype} {array.shape}".encode())
            if array is not None:
                known.update(array.data)
        return known.hexdigest()


@dataclass(frozen=True)
class Dream:
    """A dreamed picture, float32 [3, H, W]; the device and weights that dreamed it; and the picked settings.

    `tile_px` is the width of the last tiles, `notes` what the progress has not reported yet.
    """

    planes: NDArray[np.float32]
    about: dict[str, Any]
    picked: dict[str, Any]
    tile_px: int | None
    notes: tuple[str, ...]


def order_of(
    label: str,
    planes: NDArray[np.float32],
    settings: DreamSettings,
    mask: NDArray[np.float32] | None,
    start: NDArray[np.float32] | None,
    guides: Sequence[NDArray[np.float32]],
) -> Order:
    """Return the order for what `Engine.dream` takes."""
    data = settings.model_dump()
    data["guides"] = [{**guide, "file": f"guide {number}"} for number, guide in enumerate(data["guides"], 1)]
    return Order(
        printable(label), packed(planes), data, None if mask is None else packed(mask),
        None if start is None else np.ascontiguousarray(start), tuple(map(packed, guides)),
    )  # fmt: skip


def opened(order: Order) -> tuple[Any, ...]:
    """Return planes, settings, mask, start and guides as `Engine.dream` takes them."""
    return (
        unpacked(order.planes), DreamSettings(**order.settings), None if order.mask is None else unpacked(order.mask),
        order.start, tuple(map(unpacked, order.guides)),
    )  # fmt: skip
