"""VGG19's layers as data agree with torchvision's network and with the published receptive fields."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import vgg19

from deepdream_core.errors import SettingsError
from deepdream_core.layers import LAYERS, find_layer

KINDS = {torch.nn.Conv2d: "conv", torch.nn.ReLU: "relu", torch.nn.MaxPool2d: "pool"}


def test_layers_are_those_of_torchvision() -> None:
    with torch.device("meta"):
        features = vgg19(weights=None).features
    assert [KINDS[type(module)] for module in features] == [layer.kind for layer in LAYERS]
    widths = [module.out_channels for module in features if isinstance(module, torch.nn.Conv2d)]
    assert widths == [layer.channels for layer in LAYERS if layer.kind == "conv"]


@pytest.mark.parametrize(
    ("name", "index", "stride", "field"),
    [
        ("conv1_1", 0, 1, 3),
        ("relu4_4", 26, 8, 116),
        ("pool4", 27, 16, 124),
        ("conv5_1", 28, 16, 156),
        ("relu5_4", 35, 16, 252),
    ],
)
def test_known_layers(name: str, index: int, stride: int, field: int) -> None:
    layer = find_layer(name)
    assert (layer.index, layer.stride, layer.receptive_field) == (index, stride, field)
    assert find_layer(str(index)) == layer


@pytest.mark.parametrize(("typo", "meant"), [("pol4", "pool4"), ("relu44", "relu4_4"), ("conv6_1", "conv5_1")])
def test_an_unknown_layer_names_a_near_one(typo: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown layer '{typo}' — did you mean (conv|relu|pool)") as caught:
        find_layer(typo)
    assert meant[:4] in str(caught.value)
