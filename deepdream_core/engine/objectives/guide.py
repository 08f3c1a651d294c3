"""Dream toward another picture, the guide: eyes from this one, scales from that one."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

import torch

from deepdream_core.engine.objectives.objective import Objective, as_cells, blocks, write_cells
from deepdream_core.engine.resample import resize

if TYPE_CHECKING:
    from torch import Tensor

    from deepdream_core.engine.objectives.objective import FeaturesOf

_CELLS_AT_ONCE = 1 << 12
"""Cells of the guide that a block of own cells is compared with at once; the products of a block are as many numbers as
`_PRODUCTS`, whatever the sizes of picture and guide."""
_PRODUCTS = {"cpu": 1 << 22}
_PRODUCTS_ELSEWHERE = 1 << 26


class GuideAtLayer(Objective):
    """What a guide's objectives share: the guide at its layer, at its own size or at the octave's.

    `guide`: float32 [1, 3, H, W] in 0…1. `size`: its short side in px in every octave, or
    `octave` for the octave's; a guide is never enlarged.
    """

    def __init__(self, layer: str, weight: float = 1.0, *, guide: Tensor, size: int | Literal["octave"]) -> None:
        super().__init__(layer, weight)
        self.guide, self.size = guide, size
        self._short_side: int | None = None

    @property
    def label(self) -> str:
        """The layer, and that a guide is followed there."""
        return f"guide at {self.layer.name}"

    def prepare(self, photo: Tensor, features_of: FeaturesOf) -> None:
        """Compute the guide's features, if its size is another than before."""
        height, width = self.guide.shape[2:]
        short = min(photo.shape[2:]) if self.size == "octave" else self.size
        short = min(max(short, self.layer.receptive_field), height, width)
        if short != self._short_side:
            factor = short / min(height, width)
            guide = resize(self.guide, (round(height * factor), round(width * factor)))
            self.see(features_of(guide.clamp(0, 1), self.layer.name))
            self._short_side = short

    @abstractmethod
    def see(self, features: Tensor) -> None:
        """Take the guide's features [1, C, h, w]."""


class BestMatch(GuideAtLayer):
    """e = Σ max_j x·y_j over own cells x: each grows toward the cell y_j of the guide that it is most like.

    Its gradient is that y_j: `y[:, argmax xᵀy]` in google/deepdream's notebook (Mordvintsev, 2015).
    """

    _cells: Tensor

    @property
    def bytes_per_cell(self) -> int:
        """The number of its match."""
        return torch.int64.itemsize

    @property
    def held_bytes(self) -> int:
        """The guide's features."""
        return self._cells.nbytes

    @property
    def working_bytes(self) -> int:
        """A block of own cells, its products, and the best of them."""
        return 4 * 3 * _PRODUCTS.get(self._cells.device.type, _PRODUCTS_ELSEWHERE)

    def see(self, features: Tensor) -> None:
        """Keep the features as float32 [cells, C]."""
        self._cells = as_cells(features, slice(None)).contiguous()

    def measure(self, own: Tensor, photo: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the sums of blocks of cells, and for each cell its match, int64 [cells]."""
        del photo
        at_once = min(_CELLS_AT_ONCE, len(self._cells))
        sums: list[Tensor] = []
        matches: list[Tensor] = []
        widest = max(at_once, self._cells.shape[1])
        for rows in blocks(own, _PRODUCTS.get(own.device.type, _PRODUCTS_ELSEWHERE) // widest):
            cells = as_cells(own, rows)
            most, match = (cells @ self._cells[:at_once].T).max(1)
            for start in range(at_once, len(self._cells), at_once):
                other, other_match = (cells @ self._cells[start : start + at_once].T).max(1)
                match = torch.where(other > most, other_match + start, match)
                most = torch.maximum(most, other)
            sums.append(most.sum())
            matches.append(match)
        return torch.stack(sums), torch.cat(matches)

    def write_gradient(
        self, own: Tensor, photo: Tensor | None, found: Tensor | None, coefficient: float, out: Tensor
    ) -> None:
        """Write c · y_j into each cell."""
        del photo
        assert found is not None
        width = own.shape[3]
        for rows in blocks(own, _CELLS_AT_ONCE):
            match = found[rows.start * width : rows.stop * width]
            write_cells(out, rows, self._cells[match] * coefficient)


class MeanMatch(GuideAtLayer):
    """e = ½ Σ_k w_k Σ a_k²: each channel counts as much as the guide has of it, w_k = Σ y_k / Σ y.

    The guided dream of crowsonkb/deep_dream (2016): its texture everywhere, and as fast as the norm.
    """

    _weights: Tensor

    def see(self, features: Tensor) -> None:
        """Keep each channel's share of the guide's activations, float32 [C]; what is below 0 counts as nothing."""
        sums = features[0].float().clamp(min=0).sum((1, 2))
        self._weights = sums / sums.sum().clamp(min=1e-30) * len(sums)

    def measure(self, own: Tensor, photo: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the weighted square sums of the window's rows."""
        del photo
        wide = torch.promote_types(own.dtype, torch.float32)
        rows = torch.linalg.vector_norm(own, dim=3, dtype=wide).square()
        return rows * (0.5 * self._weights.view(1, -1, 1)), None

    def write_gradient(
        self, own: Tensor, photo: Tensor | None, found: Tensor | None, coefficient: float, out: Tensor
    ) -> None:
        """Write c · w_k a_k."""
        del photo, found
        torch.mul(own, (self._weights * coefficient).to(own.dtype).view(1, -1, 1, 1), out=out)
