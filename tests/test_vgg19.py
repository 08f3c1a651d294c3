"""The hand-written gradient is autograd's; half precision points the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from conftest import PHOTOGRAPHS, photograph
from dreaming import by_autograd, by_layer, norms

from deepdream_core.engine import vgg19
from deepdream_core.engine.loss_scale import LOSS_SCALE_TRIES, LossScale
from deepdream_core.engine.vgg19 import Vgg19

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

    from deepdream_core.engine.weights import Weights
    from deepdream_core.settings import Pooling

CPU = torch.device("cpu")
CHOICES = [
    ["conv1_1"], ["relu1_1"], ["relu2_2"], ["pool3"], ["conv4_4"], ["relu4_4"], ["pool4"], ["pool5"],
    ["conv4_4", "relu4_4", "pool2"], ["relu3_1", "conv5_1", "pool4", "relu4_4"],
]  # fmt: skip


@pytest.mark.parametrize("layers", CHOICES, ids="+".join)
@pytest.mark.parametrize("size", [(96, 128), (61, 83)])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_value_and_gradient_are_those_of_autograd(
    oxford: Weights, layers: list[str], size: tuple[int, int], pooling: Pooling
) -> None:
    picture = photograph("astronaut", *size)
    coefficients = {name: 0.5 + number for number, name in enumerate(layers)}
    network = Vgg19(oxford, layers, CPU, torch.float32, pooling)
    values, gradient = network.value_and_gradient(picture, norms(coefficients))
    expected_values, expected = by_autograd(oxford, network, picture, coefficients)
    assert by_layer(values) == pytest.approx(expected_values, rel=1e-5)
    assert (gradient - expected).norm() / expected.norm() < 1e-5


def test_float32_is_close_to_float64(oxford: Weights) -> None:
    """Not closer than this: a maximum or a sign that hangs on the last digit sends its gradient elsewhere."""
    picture = photograph("astronaut", 64, 64)
    network = Vgg19(oxford, ["relu3_1"], CPU, torch.float32)
    _, gradient = network.value_and_gradient(picture, norms({"relu3_1": 1.0}))
    _, expected = by_autograd(oxford, network, picture, {"relu3_1": 1.0}, torch.float64)
    assert (gradient - expected).norm() / expected.norm() < 1e-3


def test_flat_areas_choose_one_maximum_as_autograd_does(oxford: Weights) -> None:
    picture = torch.full((1, 3, 64, 64), 1.0)
    network = Vgg19(oxford, ["pool4"], CPU, torch.float32)
    _, gradient = network.value_and_gradient(picture, norms({"pool4": 1.0}))
    _, expected = by_autograd(oxford, network, picture, {"pool4": 1.0})
    assert (gradient - expected).norm() / expected.norm() < 1e-5


def test_the_fused_and_the_plain_convolution_agree(oxford: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = photograph("coffee", 64, 96)
    fused = Vgg19(oxford, ["pool3"], CPU, torch.float32).value_and_gradient(picture, norms({"pool3": 1.0}))[1]
    monkeypatch.setattr(vgg19, "fused_works", lambda device, dtype: False)
    plain = Vgg19(oxford, ["pool3"], CPU, torch.float32).value_and_gradient(picture, norms({"pool3": 1.0}))[1]
    assert (fused - plain).norm() / plain.norm() < 1e-6


@pytest.mark.slow("half precision")
@pytest.mark.parametrize("photo", PHOTOGRAPHS)
@pytest.mark.parametrize(
    ("layer", "dtype", "pooling"),
    [
        ("pool4", torch.bfloat16, "max"),
        ("relu3_3", torch.bfloat16, "max"),
        ("pool4", torch.float16, "max"),
        ("pool4", torch.bfloat16, "average"),
    ],
)
def test_half_precision_points_the_same_way(
    oxford: Weights, photo: str, layer: str, dtype: torch.dtype, pooling: Pooling
) -> None:
    picture = photograph(photo, 112, 128)
    _, exact = Vgg19(oxford, [layer], CPU, torch.float32, pooling).value_and_gradient(picture, norms({layer: 1.0}))
    values, half = Vgg19(oxford, [layer], CPU, dtype, pooling).value_and_gradient(picture, norms({layer: 1.0}))
    assert F.cosine_similarity(half.flatten(), exact.flatten(), dim=0) > 0.99
    assert half.norm() / exact.norm() == pytest.approx(1, abs=0.05)
    assert all(value > 0 for value in values.values())


@pytest.mark.parametrize("coefficient", [1e-12, 1e6])
def test_float16_finds_a_loss_scale(oxford: Weights, coefficient: float) -> None:
    picture = photograph("chelsea", 64, 64)
    network = Vgg19(oxford, ["pool3"], CPU, torch.float16)
    _, exact = Vgg19(oxford, ["pool3"], CPU, torch.float32).value_and_gradient(picture, norms({"pool3": coefficient}))
    _, half = network.value_and_gradient(picture, norms({"pool3": coefficient}))
    assert F.cosine_similarity(half.flatten() / coefficient, exact.flatten() / coefficient, dim=0) > 0.99


def test_a_loss_scale_is_felt_by_its_owner_alone(oxford: Weights) -> None:
    picture = photograph("chelsea", 64, 64)
    network, scales = Vgg19(oxford, ["pool3"], CPU, torch.float16), [LossScale(), LossScale()]
    first = network.value_and_gradient(picture, norms({"pool3": 1.0}), None, scales[0])[1]
    before = scales[0].value
    network.value_and_gradient(picture, norms({"pool3": 1e-12}), None, scales[1])
    assert scales[1].value > 2.0**20
    assert scales[0].value == before
    assert torch.equal(network.value_and_gradient(picture, norms({"pool3": 1.0}))[1], first)


def test_the_network_is_as_deep_as_asked(oxford: Weights) -> None:
    network = Vgg19(oxford, ["relu2_1", "2"], CPU, torch.float32)
    assert [layer.name for layer in network.chain] == [
        "conv1_1",
        "relu1_1",
        "conv1_2",
        "relu1_2",
        "pool1",
        "conv2_1",
        "relu2_1",
    ]


def test_a_loss_scale_that_never_settles_does_not_hang(oxford: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Vgg19(oxford, ["relu1_1"], CPU, torch.float16)
    tries: list[Tensor] = []

    def never_satisfied(scale: LossScale, values: Collection[float], gradient: Tensor) -> bool:
        tries.append(gradient)
        return True

    monkeypatch.setattr(LossScale, "adapt", never_satisfied)
    values, _ = network.value_and_gradient(photograph("coffee", 32, 32), norms({"relu1_1": 1.0}))
    assert len(tries) == LOSS_SCALE_TRIES
    assert by_layer(values)["relu1_1"] > 0
