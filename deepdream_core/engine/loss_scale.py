"""The scale of a float16 loss, which keeps its gradient in range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

LOSS_SCALE_TRIES = 16
"""The most times that a float16 gradient is computed again; a network that suits no scale must not hang the dream."""


@dataclass
class LossScale:
    """What a float16 loss is multiplied by, a power of two. It follows the gradients it is used for.

    It decides about last bits, so each dream has its own: dreams that take turns on one network must not feel each other.
    """

    value: float = 1.0

    def adapt(self, values: Collection[float], gradient: Tensor) -> bool:
        """Move to where the largest gradient is about 2⁶; say whether this one must be computed again."""
        if not all(math.isfinite(value) for value in values):
            return False
        largest = float(gradient.abs().max()) * self.value
        if not math.isfinite(largest):
            self.value *= 2.0**-6
            return self.value > 2.0**-60
        if largest == 0.0:
            if not any(values) or self.value > 2.0**20:
                return False
            self.value *= 2.0**8
            return True
        exponent = math.frexp(largest)[1]
        if not 0 <= exponent <= 12:
            self.value *= 2.0 ** (6 - exponent)
        return exponent < -8
