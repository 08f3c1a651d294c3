"""How a step treats colour: natural colours, and a dream in lightness alone.

All of it works on the picture's own encoding, channel by channel or strip by strip, since a copy of a large picture would
not fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepdream_core.engine.strips import strips
from deepdream_core.noise import COLOUR_SQRT

if TYPE_CHECKING:
    from torch import Tensor

_LUMA = (0.3, 0.59, 0.11)


def mixing(natural: float, *, keep_colours: bool, std: Tensor) -> Tensor:
    """Return the matrix, float32 [3, 3] on the CPU, that makes a picture's step of the gradient by the normalised input.

    `std`: float32 [1, 3, 1, 1], the normalisation's, by which a move of the normalised input is one of the picture. Then
    (1 - k) I + k C Cᵀ with k = `natural` in 0…1. To multiply a gradient by C Cᵀ is to climb in decorrelated colours: gray
    keeps its strength, the two colour axes get 1/13 and 1/56, as rarely as photographs have those colours. With
    `keep_colours` all channels move alike, whatever `natural` is.
    """
    identity = torch.eye(3, dtype=torch.float64)
    root = torch.tensor(COLOUR_SQRT, dtype=torch.float64)
    root /= torch.linalg.vector_norm(root, dim=0).max()
    mixed = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    if not keep_colours:
        mixed = (1 - natural) * identity + natural * root @ root.T
    return (mixed * std.flatten().cpu()).float()


def mix_(gradient: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the colours of a gradient, float32 [1, 3, H, W], by `matrix`, [3, 3] on the CPU, in place."""
    if torch.equal(matrix, matrix.diag().diag()):
        return gradient.mul_(matrix.diag().view(1, 3, 1, 1).to(gradient.device))
    rows = matrix.tolist()  # not a matrix product, which may be rounded to TF32 and waits for the matrix on a GPU
    for strip in strips(gradient):
        part = gradient[:, :, strip.own]
        red, green, blue = part.clone().unbind(1)
        for mixed, (of_red, of_green, of_blue) in zip(part.unbind(1), rows, strict=True):
            torch.mul(red, of_red, out=mixed).add_(green, alpha=of_green).add_(blue, alpha=of_blue)
    return gradient


def recolour_(picture: Tensor, original: Tensor, *, limit: bool, soft: bool) -> Tensor:
    """Give `picture` the hue and chroma of `original`, both float32 [1, 3, H, W], and leave its luma; in place.

    The blend mode Luminosity of PDF and of W3C's Compositing and Blending Level 1 (`SetLum`, `ClipColor`). Chroma is
    what a colour has beyond its luma, 0.3 R + 0.59 G + 0.11 B. With `limit` it is reduced, hue kept, where the luma
    leaves no room for it in 0…1, or in what the original takes where that lies beyond. `soft`: it is reduced more and
    more from `_AT_EASE` of the room on, or from where the original lies; what was neither black nor white does not become
    it, in 8 bits either.
    """
    edge = _DARKEST if soft else 0.0
    for strip in strips(picture):
        new, old = picture[:, :, strip.own], original[:, :, strip.own]
        luma, old_luma = _luma(new), _luma(old)
        chroma = old - old_luma
        if limit:
            low, high = old.clamp(max=edge), old.clamp(min=1 - edge)
            used = _used(chroma, luma, low, high)
            most = torch.ones_like(used)
            if soft:
                free = 1 - _used(chroma, old_luma, low, high).clamp_(_AT_EASE, 1)
                over = (used - 1).add_(free).clamp_(min=0)
                most = 1 - free + over * free / (2 * over + free).clamp_(min=1e-9)
            chroma *= (most / used.clamp_(min=1e-9)).clamp_(max=1)
            new.copy_(torch.clamp(chroma.add_(luma), low, high))
        else:
            new.copy_(chroma.add_(luma))
    return picture


_AT_EASE = 0.9
"""Share of its room up to which chroma is kept whole."""
_DARKEST = 1 / 255
"""How near to black and white a channel may come that was farther away: what 8 bits can tell from them."""


def _luma(picture: Tensor) -> Tensor:
    red, green, blue = _LUMA
    return red * picture[:, :1] + green * picture[:, 1:2] + blue * picture[:, 2:]


def _used(chroma: Tensor, luma: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return which share of the room between a luma and `low` or `high` chroma takes, at most over the channels."""
    room = torch.where(chroma > 0, high - luma, luma - low).clamp_(min=1e-9)
    return chroma.abs().div_(room).amax(1, keepdim=True)
