"""What is maximised: the L2 norm of the chosen layers' activations, taken as one long vector.

With activations a_l and coefficients c_l the objective is L = sqrt(Σ_l c_l Σ a_l²). For one layer that is the notebook's
`activations.norm()`. Its gradient is that of E = ½ Σ_l c_l Σ a_l², divided by L. E is a sum over feature cells, so tiles
can share the work exactly; the division needs the whole picture and is done once, after the tiles.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

Window = tuple[slice, slice]
"""The rows and columns of a feature map that count."""

EVERYTHING: Window = (slice(None), slice(None))


def row_norms(activation: Tensor, window: Window) -> Tensor:
    """Return the norms of the rows in the window of an activation [1, C, h, w], float32 on its device: `energy`'s input.

    On CUDA a row goes through all channels, as it lies in memory there; elsewhere each channel has rows of its own.
    """
    own = activation[:, :, window[0], window[1]]
    wide = torch.promote_types(own.dtype, torch.float32)
    norms: Tensor = torch.linalg.vector_norm(own, dim=(1, 3) if own.is_cuda else 3, dtype=wide)
    return norms


def energy(norms: Tensor) -> float:
    """Return Σ a² from the norms of rows.

    Rows are added up in float32 and the rows' sums in float64: one float32 sum over millions of cells is off by 1e-5.
    """
    return float(norms.cpu().double().square().sum())


def seed(activation: Tensor, window: Window, coefficient: float) -> Tensor:
    """Return ∂E/∂a = c·a inside the window and 0 outside, a new tensor like `activation` [1, C, h, w]."""
    if window == EVERYTHING:
        return activation * coefficient
    gradient = torch.zeros_like(activation)
    own = gradient[:, :, window[0], window[1]]
    torch.mul(activation[:, :, window[0], window[1]], coefficient, out=own)
    return gradient


def norm(energies: Mapping[str, float], coefficients: Mapping[str, float]) -> float:
    """Return the objective L from each layer's energy and coefficient."""
    return math.sqrt(sum(coefficients[name] * value for name, value in energies.items()))
