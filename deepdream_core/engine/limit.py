"""How a picture takes a difference: plainly, or softly, so that it comes near black and white but never reaches them.

Softly, a value x moves along the logistic curve: by d it goes from x to σ(logit x + 4 d). In the middle that is x + d;
toward black and white a move grows ever smaller, by 4 x (1 - x). So a highlight or a shadow keeps its drawing where a
plain sum would be cut off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_core.engine.strips import strips

if TYPE_CHECKING:
    from torch import Tensor

_EDGE = 1 / 512
"""Differences of values nearer to black or white than half a step of 8 bits count as none: they would be huge."""
_FARTHEST = 3.75
"""A soft move by more is one by this, which leads from nearly black to nearly white; float32 holds its exponential."""


def move_(picture: Tensor, difference: Tensor, *, soft: bool, scale: float = 1.0) -> Tensor:
    """Move a picture by `scale` · `difference`, both float32 [1, C, H, W], in place.

    A move by 0 changes no value, and a soft one none that is black, white or beyond.
    """
    if not soft:
        return picture.add_(difference, alpha=scale)
    for strip in strips(picture):
        values = picture[:, :, strip.own]
        inside = values.clamp(0, 1)
        grown = (difference[:, :, strip.own] * scale).clamp_(-_FARTHEST, _FARTHEST).mul_(4).expm1_()
        # σ(logit x + t) = x + x (1 - x) m / (1 + x m) with m = exp(t) - 1
        values.addcdiv_((1 - inside).mul_(inside).mul_(grown), grown.mul_(inside).add_(1))
    return picture


def difference_to(picture: Tensor, base: Tensor, *, soft: bool) -> Tensor:
    """Turn `picture` into what moves `base` to it, both float32 [1, C, H, W], in place."""
    if not soft:
        return picture.sub_(base)
    for strip in strips(picture):
        values, before = picture[:, :, strip.own], base[:, :, strip.own].clamp(_EDGE, 1 - _EDGE)
        values.clamp_(_EDGE, 1 - _EDGE).logit_().sub_(before.logit_()).mul_(0.25)
    return picture
