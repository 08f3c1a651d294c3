"""Feature channels, each with a weight: more eyes, fewer dogs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from deepdream_core.engine.objectives.objective import Objective

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_NAMED = 8
"""So many channels are named in a message."""


class Channels(Objective):
    """e = Σ_k w_k Σ a_k: the channels with a positive weight grow everywhere, those with a negative one shrink.

    The objective `channel` of Lucid (Olah et al., 2017). `weights`: by channel number.
    """

    def __init__(self, layer: str, weights: Mapping[int, float], weight: float = 1.0) -> None:
        super().__init__(layer, weight)
        self.weights = dict(weights)

    @property
    def label(self) -> str:
        """The layer with its first channels."""
        first, more = [*self.weights][:_NAMED], len(self.weights) > _NAMED
        return f"{self.layer.name}:{','.join(map(str, first))}{'…' if more else ''}"

    @property
    def bytes_per_cell(self) -> int:
        """A copy of its channels, as they are and in float32."""
        return 2 * torch.float32.itemsize * len(self.weights)

    def measure(self, own: Tensor, photo: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the weighted sums of the window's rows."""
        del photo
        rows = own[:, list(self.weights)].float().sum(3)
        return rows * rows.new_tensor(list(self.weights.values())).view(1, -1, 1), None

    def write_gradient(
        self, own: Tensor, photo: Tensor | None, found: Tensor | None, coefficient: float, out: Tensor
    ) -> None:
        """Write c · w_k into the channels k, and 0 into the others."""
        del photo, found
        weights = torch.zeros(own.shape[1])
        weights[list(self.weights)] = torch.tensor(list(self.weights.values())) * coefficient
        out.copy_(weights.view(1, -1, 1, 1).to(own.device).expand_as(own))


def mean_activations(features: Tensor) -> Tensor:
    """Return the mean of each channel of a map [1, C, h, w]: float32 [C], on the CPU."""
    return features[0].float().mean((1, 2)).cpu()


def picked_channels(features: Tensor, which: Literal["strongest", "weakest", "average"], count: int) -> list[int]:
    """Return the numbers of `count` channels of a map [1, C, h, w] by their mean activation.

    `average`: those nearest to the mean of all.
    """
    means = mean_activations(features)
    orders = {"strongest": -means, "weakest": means, "average": (means - means.mean()).abs()}
    return sorted(orders[which].argsort(stable=True)[:count].tolist())
