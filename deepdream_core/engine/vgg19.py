"""VGG19's feature layers with a hand-written value-and-gradient.

Autograd would keep every activation and compute gradients that are not needed. A chain of 3×3 convolutions, ReLUs and
2×2 pools needs little: a ReLU's gradient needs only its output's sign, a maximum pool's only the indices of its maxima, an
average pool's nothing, and no gradient of a weight is needed. In float32 the result equals autograd's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from deepdream_core.engine.convolution import (
    deterministic_convolutions,
    fused_convolution,
    fused_hides_nan,
    fused_works,
    split_input,
    split_weight,
)
from deepdream_core.engine.loss_scale import LOSS_SCALE_TRIES, LossScale
from deepdream_core.engine.objectives.objective import EVERYTHING, Window, seed
from deepdream_core.layers import LAYERS, Layer, find_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from torch import Tensor

    from deepdream_core.engine.objectives.objective import Objective
    from deepdream_core.engine.weights import Weights
    from deepdream_core.settings import Pooling

_aten = torch.ops.aten


AVERAGE_GAIN = 2.0
"""An average pool's output is multiplied by this: averages are smaller than maxima, and the layers after it were trained
on those (Gatys, Ecker & Bethge 2016 pool by average; the factor is Katherine Crowson's, style-transfer-pytorch)."""


class Vgg19:
    """The network up to the deepest layer asked for, on one device in one precision. Using it does not change it.

    `layers`: the names whose activations count. `pooling`: `max`, as it was trained, or `average`. `mean` and `std` are
    float32 [1, 3, 1, 1] on the device.
    """

    def __init__(
        self, weights: Weights, layers: list[str], device: torch.device, dtype: torch.dtype, pooling: Pooling = "max"
    ) -> None:
        self.targets = tuple(sorted({find_layer(name) for name in layers}, key=lambda layer: layer.index))
        self.chain = LAYERS[: self.targets[-1].index + 1]
        self.device, self.dtype = device, dtype
        self.pooling = pooling
        self.mean = torch.tensor(weights.mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(weights.std, device=device).view(1, 3, 1, 1)
        self.layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        self._fused = fused_works(device, dtype)
        self._hides_nan = self._fused and fused_hides_nan(device, dtype)
        self._parameters: dict[str, tuple[Tensor, Tensor]] = {}
        self._turned: dict[str, Tensor] = {}
        for layer in self.chain:
            if layer.kind == "conv":
                weight, bias = weights.convolutions[layer.name]
                self._parameters[layer.name] = (
                    weight.to(device, dtype, memory_format=self.layout),
                    bias.to(device, dtype),
                )
                if layer.index == 0:
                    self._first_weight = split_weight(weight.to(device), dtype).to(memory_format=self.layout)
                if device.type == "cuda":
                    turned = self._parameters[layer.name][0].flip(2, 3).transpose(0, 1)
                    self._turned[layer.name] = turned.contiguous(memory_format=self.layout)

    @property
    def bytes_per_pixel(self) -> float:
        """Return about how many bytes per pixel of a crop `value_and_gradient` holds at its peak; estimated high.

        What the backward keeps and one widest map on top, or some widest maps at the shallow end, and the crop itself.
        cuDNN takes up to one (in float32 three) of these for itself (measured on an H100).
        """
        kept = 0.0
        for layer, after in zip(self.chain, [*self.chain[1:], None], strict=True):
            cells = layer.channels / layer.stride**2
            if self._keeps(layer, after):
                kept += cells * self.dtype.itemsize
            if layer.kind == "pool" and self.pooling == "max":
                kept += cells * torch.int64.itemsize
        widest = self.chain[0].channels * self.dtype.itemsize
        maps = 4 if self.device.type != "cuda" else 7 if self.dtype == torch.float32 else 5
        crop = 3 * 3 * torch.float32.itemsize + self.channels_into(self.chain[0]) * self.dtype.itemsize
        return max(kept + widest, maps * widest) + crop

    @property
    def most_pixels(self) -> int | None:
        """Return how large a crop may be for the device to be fast, None for any size.

        cuDNN counts a map's elements with 32 bits. What is larger takes six times as long for a pixel (H100, bfloat16:
        35 instead of 6 ms for a megapixel).
        """
        return (2**31 - 1) // self.chain[0].channels if self.device.type == "cuda" else None

    def value_and_gradient(
        self,
        crop: Tensor,
        coefficients: Mapping[Objective, float],
        windows: Mapping[str, Window] | None = None,
        loss_scale: LossScale | None = None,
        photo: Tensor | None = None,
    ) -> tuple[dict[Objective, float], Tensor]:
        """Return each objective's e and the gradient of E = Σ c e by the normalised input.

        `crop`: float32 [1, 3, h, w], sRGB-encoded RGB in 0…1, each side at least the deepest layer's stride.
        `windows`: the cells that count, per layer; all without it. `photo`: the photograph's crop, like `crop`, for
        objectives that compare. The gradient is float32 [1, 3, h, w], contiguous.

        float16 has few exponents, so the loss is scaled by a power of two that keeps the gradient in range, found by
        trying: the gradient comes back non-finite only if no scale helps. The search starts at `loss_scale` and leaves
        there where the next gradient of the same picture should start; without it, it starts at 1.
        """
        scale = loss_scale or LossScale()
        windows = windows or dict.fromkeys((layer.name for layer in self.targets), EVERYTHING)
        of_photo: dict[str, Tensor] = {}
        if photo is not None:
            compared = {objective.layer.name for objective in coefficients if objective.compares}
            of_photo = self.features(photo, {name: windows[name] for name in compared})
        values, gradient = self._run(crop, coefficients, windows, scale.value, of_photo)
        for _ in range(LOSS_SCALE_TRIES if self.dtype == torch.float16 else 0):
            if not scale.adapt(values.values(), gradient):
                break
            values, gradient = self._run(crop, coefficients, windows, scale.value, of_photo)
        return values, gradient

    def features(self, crop: Tensor, windows: Mapping[str, Window]) -> dict[str, Tensor]:
        """Return the activations of some of the layers in their windows, [1, C, h, w] in the network's dtype."""
        with torch.no_grad(), deterministic_convolutions():
            kept, _ = self._forward(crop, fused=self._fused, only=windows.keys())
            return {name: kept[name][:, :, rows, columns] for name, (rows, columns) in windows.items()}

    def _run(
        self,
        crop: Tensor,
        coefficients: Mapping[Objective, float],
        windows: Mapping[str, Window],
        scale: float,
        photo: Mapping[str, Tensor],
    ) -> tuple[dict[Objective, float], Tensor]:
        with torch.no_grad(), deterministic_convolutions():
            kept, indices = self._forward(crop, fused=self._fused)
            measured: dict[Objective, tuple[Tensor, Tensor | None]] = {}
            for objective in coefficients:
                name = objective.layer.name
                rows, columns = windows[name]
                measured[objective] = objective.measure(kept[name][:, :, rows, columns], photo.get(name))
            scaled = {objective: value * scale for objective, value in coefficients.items()}

            def seed_of(layer: Layer, output: Tensor) -> Tensor:
                found = {each: memo for each, (_, memo) in measured.items() if each.layer == layer}
                return seed(output, photo.get(layer.name), windows[layer.name], found, scaled)

            seeds = {each.layer.name: seed_of for each in coefficients}
            gradient = self._backward(kept, indices, seeds)
            gradient = gradient.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / scale)
            # a GPU is waited for here, once
            return {objective: objective.total(parts) for objective, (parts, _) in measured.items()}, gradient

    def _forward(
        self, crop: Tensor, *, fused: bool, only: Collection[str] = ()
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, torch.Size]]]:
        """Run the chain; return the activations the backward needs, and each pool's (indices, input shape).

        `only`: of these layers alone, and without indices.
        """
        x = split_input((crop - self.mean) / self.std, self.dtype).contiguous(memory_format=self.layout)
        kept: dict[str, Tensor] = {}
        indices: dict[str, tuple[Tensor, torch.Size]] = {}
        highest: list[Tensor] = []
        for layer, after in zip(self.chain, [*self.chain[1:], None], strict=True):
            if layer.kind == "conv":
                x = self.convolve(layer, x, relu=self._fuses(layer), fused=fused)
            elif layer.kind == "relu":
                conv = LAYERS[layer.index - 1]
                x = x if self._fuses(conv) else x.relu()
            elif self.pooling == "average":
                x = F.avg_pool2d(x, 2).mul_(AVERAGE_GAIN)
            else:
                shape = x.shape
                x, at = F.max_pool2d(x, 2, return_indices=True)
                if not only:
                    indices[layer.name] = (at, shape)
            if layer.name in only if only else self._keeps(layer, after):
                kept[layer.name] = x
                highest += [x.amax()] if fused and self._hides_nan else []
            if only and len(kept) == len(only):
                break
        if highest and not bool(torch.stack(highest).isfinite().all()):
            # Infinity leads to NaN, which this ReLU turns into 0; the plain one shows it.
            return self._forward(crop, fused=False, only=only)
        return kept, indices

    def _backward(
        self,
        kept: dict[str, Tensor],
        indices: dict[str, tuple[Tensor, torch.Size]],
        seeds: Mapping[str, Callable[[Layer, Tensor], Tensor]],
    ) -> Tensor:
        """Walk the chain back, freeing what has been used; each layer with a seed adds it to the gradient on the way."""
        gradient: Tensor | None = None
        for layer in reversed(self.chain):
            output = kept.pop(layer.name, None)
            if layer.name in seeds:
                assert output is not None
                own = seeds[layer.name](layer, output)
                gradient = own if gradient is None else gradient.add_(own)
                del own
            if gradient is None:
                continue
            if layer.kind == "conv":
                gradient = self.convolve_back(layer, gradient)
            elif layer.kind == "relu" and output is not None:
                _aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
            elif layer.kind == "pool" and self.pooling == "average":
                before = kept[LAYERS[layer.index - 1].name]
                gradient = _aten.avg_pool2d_backward(
                    gradient.mul_(AVERAGE_GAIN), before, [2, 2], [2, 2], [0, 0], False, True, None
                )
            elif layer.kind == "pool":
                # A maximum of 0 came from a ReLU at 0: masking here, on a quarter of the cells, spares the ReLU before.
                _aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
                at, shape = indices.pop(layer.name)
                like = torch.empty(shape, dtype=self.dtype, device=self.device, memory_format=self.layout)
                gradient = _aten.max_pool2d_with_indices_backward(
                    gradient, like, [2, 2], [2, 2], [0, 0], [1, 1], False, at
                )
        assert gradient is not None
        return gradient

    def _keeps(self, layer: Layer, after: Layer | None) -> bool:
        """Say whether the backward needs a layer's output: of targets, of maximum pools, and of ReLUs that none follows."""
        if layer in self.targets:
            return True
        if layer.kind == "pool":
            return self.pooling == "max"
        return layer.kind == "relu" and (self.pooling == "average" or after is None or after.kind != "pool")

    def _fuses(self, conv: Layer) -> bool:
        """Say whether a convolution's ReLU is computed with it: where a ReLU follows and its input is not needed."""
        return conv.index + 1 < len(self.chain) and conv not in self.targets

    def channels_into(self, layer: Layer) -> int:
        """Return how many channels a convolution is given: the picture comes to the first one in parts."""
        weight = self._first_weight if layer.index == 0 else self._parameters[layer.name][0]
        return int(weight.shape[1])

    def convolve(self, layer: Layer, x: Tensor, *, relu: bool, fused: bool = True) -> Tensor:
        """Return a convolution of x [1, `channels_into`, h, w], with the ReLU after it if wanted."""
        weight, bias = self._parameters[layer.name]
        weight = self._first_weight if layer.index == 0 else weight
        if fused and self._fused:
            return fused_convolution(x, weight, bias, relu=relu)
        out = F.conv2d(x, weight, bias, padding=1)
        return out.relu_() if relu else out

    def convolve_back(self, layer: Layer, gradient: Tensor) -> Tensor:
        """Return the gradient [1, I, h, w] by a convolution's input, of the picture itself for the first one."""
        if self._turned:
            # The same sums as a convolution with the kernel turned: cuDNN's forward is 1.1 to 7 times faster than its
            # backward, above all in float32 (H100).
            return F.conv2d(gradient, self._turned[layer.name], padding=1)
        weight, _ = self._parameters[layer.name]
        shape = (1, weight.shape[1], *gradient.shape[2:])
        like = torch.empty(shape, dtype=self.dtype, device=self.device, memory_format=self.layout)
        only_input = (True, False, False)
        back: Tensor = _aten.convolution_backward(
            gradient, like, weight, None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1, only_input
        )[0]
        return back
