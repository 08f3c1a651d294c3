"""The base of all objectives: what one gives to the tiles and to the network's backward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import torch

from deepdream_core.layers import find_layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

Window = tuple[slice, slice]
"""The rows and columns of a feature map that count."""

EVERYTHING: Window = (slice(None), slice(None))


class FeaturesOf(Protocol):
    """How an objective gets the activations of a picture, float32 [1, 3, H, W], at its layer: [1, C, h, w]."""

    def __call__(self, picture: Tensor, layer: str) -> Tensor: ...  # noqa: D102


class Objective(ABC):
    """What one layer adds to the sum that a dream maximises, with a weight whose sign says whether it grows or shrinks.

    `layer`: the name of a VGG19 layer. `measure` and `write_gradient` see the cells of one tile, [1, C, h, w] in the
    network's dtype; what `measure` finds out is handed on to `write_gradient`.
    """

    compares = False
    """Whether it needs the photograph's own activations beside the dream's."""

    rooted = False
    """Whether a sum of such alone, all growing, counts as the norm sqrt(2 E) instead of E."""

    def __init__(self, layer: str, weight: float = 1.0) -> None:
        self.layer = find_layer(layer)
        self.weight = weight

    @property
    def label(self) -> str:
        """What a message calls it."""
        return self.layer.name

    @property
    def bytes_per_cell(self) -> int:
        """The memory that it takes for each cell of a tile, from the forward to the backward."""
        return 0

    @property
    def held_bytes(self) -> int:
        """The memory that it holds all the time, besides what a tile takes."""
        return 0

    @property
    def working_bytes(self) -> int:
        """The memory that it takes while it looks at a tile."""
        return 0

    def prepare(self, photo: Tensor, features_of: FeaturesOf) -> None:  # noqa: B027  # most need no preparation
        """Get ready for an octave, whose photograph is float32 [1, 3, H, W]."""

    @abstractmethod
    def measure(self, own: Tensor, photo: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return parts that `total` sums up, float32 on the device, and what the gradient needs to know of them.

        `photo`: the photograph's activations, like `own`, for an objective that `compares`.
        """

    def total(self, parts: Tensor) -> float:
        """Return e from its parts; a GPU is waited for."""
        return float(parts.cpu().double().sum())

    @abstractmethod
    def write_gradient(
        self, own: Tensor, photo: Tensor | None, found: Tensor | None, coefficient: float, out: Tensor
    ) -> None:
        """Write coefficient · ∂e/∂own into `out`, a part of a map like `own`."""


def seed(
    activation: Tensor,
    photo: Tensor | None,
    window: Window,
    shares: Mapping[Objective, Tensor | None],
    coefficients: Mapping[Objective, float],
) -> Tensor:
    """Return ∂E/∂a inside the window and 0 outside, a new tensor like `activation` [1, C, h, w].

    `shares`: the layer's objectives, and what each `measure` found.
    """
    whole = window == EVERYTHING
    gradient = torch.empty_like(activation) if whole else torch.zeros_like(activation)
    out, own = gradient[:, :, window[0], window[1]], activation[:, :, window[0], window[1]]
    for number, (objective, found) in enumerate(shares.items()):
        into = torch.empty_like(own) if number else out
        objective.write_gradient(own, photo, found, coefficients[objective], into)
        if number:
            out.add_(into)
    return gradient


def blocks(own: Tensor, cells: int) -> Iterator[slice]:
    """Cut the rows of [1, C, h, w] into blocks of at most `cells` cells, or of one row."""
    height, width = own.shape[2:]
    rows = max(1, cells // width)
    return (slice(start, min(height, start + rows)) for start in range(0, height, rows))


def as_cells(own: Tensor, rows: slice) -> Tensor:
    """Return the cells of some rows of [1, C, h, w] as float32 [cells, C]; they may be the same memory."""
    part = own[0, :, rows].permute(1, 2, 0)
    return part.reshape(-1, part.shape[2]).float()


def write_cells(out: Tensor, rows: slice, cells: Tensor) -> None:
    """Write cells [cells, C] into some rows of [1, C, h, w]."""
    part = out[0, :, rows].permute(1, 2, 0)
    part.copy_(cells.view(part.shape))
