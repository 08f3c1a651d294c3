"""VGG19's feature layers as data: names, indices, strides, receptive fields. Pure Python, no torch.

Configuration E of Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014):
five blocks of 3×3 convolutions with ReLU, each block closed by a 2×2 maximum pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from deepdream_core.errors import SettingsError, nearest

BLOCKS: tuple[tuple[int, int], ...] = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""(number of convolutions, channels) of each block."""


@dataclass(frozen=True)
class Layer:
    """One feature layer.

    `index` is its place in torchvision's `vgg19().features`; one cell of its map stands for `stride` × `stride` pixels
    and depends on `receptive_field` × `receptive_field` pixels around their middle.
    """

    name: str
    index: int
    kind: Literal["conv", "relu", "pool"]
    channels: int
    stride: int
    receptive_field: int

    @property
    def margin(self) -> int:
        """Pixels that a cell sees beyond its own `stride` × `stride` square, on each side."""
        return (self.receptive_field - self.stride) // 2


def _chain() -> tuple[Layer, ...]:
    layers: list[Layer] = []
    stride, field = 1, 1
    for block, (convs, channels) in enumerate(BLOCKS, start=1):
        for number in range(1, convs + 1):
            field += 2 * stride
            layers.append(Layer(f"conv{block}_{number}", len(layers), "conv", channels, stride, field))
            layers.append(Layer(f"relu{block}_{number}", len(layers), "relu", channels, stride, field))
        field += stride
        stride *= 2
        layers.append(Layer(f"pool{block}", len(layers), "pool", channels, stride, field))
    return tuple(layers)


LAYERS: tuple[Layer, ...] = _chain()
"""All 37 layers in the order in which they run."""


@cache
def find_layer(name: str) -> Layer:
    """Return the layer with this name (`relu4_4`) or torchvision `features` index (`27`).

    Raises `SettingsError` with the nearest known name.
    """
    for layer in LAYERS:
        if name.strip().lower() in (layer.name, str(layer.index)):
            return layer
    known = [layer.name for layer in LAYERS]
    raise SettingsError(f"unknown layer {name!r}", f"{nearest(name, known)} (or an index from 0 to {len(LAYERS) - 1})")
