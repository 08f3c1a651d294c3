"""How a picture takes a difference: plainly, or softly, so that it comes near black and white but is not cut off there.

Softly, a value x that rises moves along a logistic curve from just below black to white: with u = (x + e) / (1 + e) by
d it goes to where u is σ(logit u + 4 d). One that falls goes the mirrored way. In the middle that is about x + d; toward
the end that it moves to, a move grows ever smaller, so that highlights and shadows keep their drawing where a plain sum
would be cut off. It moves away from the other end, so that white paper and black ink dream too, but less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepdream_core.engine.strips import strips

if TYPE_CHECKING:
    from torch import Tensor

EDGE = 1 / 512
"""Half a step of 8 bits: nearer to the end that a value moves to, its place on the curve makes no difference."""
_BEFORE = 0.03
"""The e above: the larger, the more a dream shows on pure black and white; chosen by eye."""
_FARTHEST = 3.75
"""The largest soft move, which leads from one end to the other; float32 can hold its exponential."""


def move_(picture: Tensor, difference: Tensor, *, soft: bool, scale: float = 1.0) -> Tensor:
    """Move a picture by `scale` · `difference`, both float32 [1, C, H, W], in place. To move by 0 changes no value."""
    if not soft:
        return picture.add_(difference, alpha=scale)
    for strip in strips(picture):
        values, change = picture[:, :, strip.own], difference[:, :, strip.own] * scale
        u = _on_curve(values, change > 0)
        grown = change.abs().clamp_(max=_FARTHEST).mul_(4).expm1_()
        # σ(logit u + t) = u + u (1 - u) m / (1 + u m) with m = exp(t) - 1
        way = (1 - u).mul_(u).mul_(grown).mul_(1 + _BEFORE).div_(grown.mul_(u).add_(1))
        values.add_(way.copysign_(change))
    return picture


def difference_to(picture: Tensor, base: Tensor, *, soft: bool) -> Tensor:
    """Turn `picture` into what moves `base` to it, both float32 [1, C, H, W], in place."""
    if not soft:
        return picture.sub_(base)
    for strip in strips(picture):
        values, before = picture[:, :, strip.own], base[:, :, strip.own]
        rises = values > before
        to, since = (_on_curve(each, rises).clamp_(max=1 - EDGE).logit_() for each in (values, before))
        values.copy_(to.sub_(since).mul_(0.25).copysign_(values - before))
    return picture


def _on_curve(values: Tensor, rises: Tensor) -> Tensor:
    """Return u in 0…1 of values that rise, and of those that fall the mirrored one; beyond counts as black or white."""
    inside = values.clamp(0, 1)
    return torch.where(rises, inside, 1 - inside).add_(_BEFORE).mul_(1 / (1 + _BEFORE))
