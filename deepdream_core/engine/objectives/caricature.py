"""Exaggerate what a photograph has: grow toward the photograph's own features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepdream_core.engine.objectives.objective import Objective, as_cells, blocks, write_cells

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST_COSINE = 0.1
_TINY = 1e-4
_CELLS_AT_ONCE = 1 << 14


class Caricature(Objective):
    """e = Σ x·y max(0.1, cos(x, y))^p over cells, with the dream's features x and the photograph's y in the same cell.

    `dot_compare` and `_dot_cossim` of Lucid (Olah et al., 2017), `lucid/optvis/objectives_util.py`. `power`, p: 0 grows
    whatever the photograph has much of; the larger it is, the more the dream keeps the proportions between channels.
    """

    compares = True

    def __init__(self, layer: str, weight: float = 1.0, *, power: float) -> None:
        super().__init__(layer, weight)
        self.power = power

    @property
    def label(self) -> str:
        """The layer, and that it is a caricature."""
        return f"caricature at {self.layer.name}"

    @property
    def bytes_per_cell(self) -> int:
        """The photograph's activations."""
        return torch.float32.itemsize * self.layer.channels

    def measure(self, own: Tensor, photo: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the sums of blocks of cells."""
        assert photo is not None
        sums: list[Tensor] = []
        for rows in blocks(own, _CELLS_AT_ONCE):
            dot, _, _, cosine = _compared(as_cells(own, rows), as_cells(photo, rows))
            sums.append((dot * cosine.clamp(min=_SMALLEST_COSINE) ** self.power).sum())
        return torch.stack(sums), None

    def write_gradient(
        self, own: Tensor, photo: Tensor | None, found: Tensor | None, coefficient: float, out: Tensor
    ) -> None:
        """Write c (by_y y - by_x x) for each cell, by the product rule.

        With d = x·y, cos = d / (|x|ε |y|ε), |x|ε = |x| + 1e-4 and k = max(0.1, cos): by_y = k^p + d p k^(p-1) / (|x|ε |y|ε)
        and by_x = d p k^(p-1) cos / (|x|ε |x|); where cos ≤ 0.1, by_y = 0.1^p and by_x = 0.
        """
        assert photo is not None
        del found
        p = self.power
        for rows in blocks(own, _CELLS_AT_ONCE):
            x, y = as_cells(own, rows), as_cells(photo, rows)
            dot, of_x, of_y, cosine = _compared(x, y)
            floored = cosine.clamp(min=_SMALLEST_COSINE)
            of_cosine = dot * p * floored ** (p - 1) * (cosine > _SMALLEST_COSINE)
            # ∂cos/∂x = y / (|x|ε |y|ε) - cos · x / (|x| |x|ε), where |x|ε = |x| + 1e-4
            by_y = floored**p + of_cosine / (of_x + _TINY) / (of_y + _TINY)
            by_x = of_cosine * cosine / (of_x + _TINY) / of_x.clamp(min=1e-30)
            write_cells(out, rows, (y * by_y).sub_(x * by_x).mul_(coefficient))


def _compared(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return dot product, both norms and cosine of the rows of x and y, float32 [cells, C], each as [cells, 1]."""
    dot = (x * y).sum(1, keepdim=True)
    of_x, of_y = (torch.linalg.vector_norm(each, dim=1, keepdim=True) for each in (x, y))
    return dot, of_x, of_y, dot / (of_x + _TINY) / (of_y + _TINY)
