"""The L2 norm of a layer's activations, which the first DeepDream maximises; with a negative weight it calms the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepdream_core.engine.objectives.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor


class Norm(Objective):
    """e = ½ Σ a². Where nothing else grows it counts as L = sqrt(Σ c Σ a²): the notebook's `activations.norm()`."""

    rooted = True

    def measure(self, own: Tensor, photo: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the norms of the window's rows.

        On CUDA a row goes through all channels, as it lies in memory there; elsewhere each channel has rows of its own.
        """
        del photo
        wide = torch.promote_types(own.dtype, torch.float32)
        return torch.linalg.vector_norm(own, dim=(1, 3) if own.is_cuda else 3, dtype=wide), None

    def total(self, parts: Tensor) -> float:
        """Return ½ Σ a² from the norms of rows.

        Rows are added up in float32 and the rows' sums in float64: one float32 sum over millions of cells is off by 1e-5.
        """
        return 0.5 * float(parts.cpu().double().square().sum())

    def write_gradient(
        self, own: Tensor, photo: Tensor | None, found: Tensor | None, coefficient: float, out: Tensor
    ) -> None:
        """Write c · a."""
        del photo, found
        torch.mul(own, coefficient, out=out)
