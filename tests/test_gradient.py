"""The picture's gradient does not depend on how it is cut, and survives a full memory."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from conftest import photograph
from dreaming import by_layer, norms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepdream_core.engine.gradient import TiledGradient, take_rolled
from deepdream_core.engine.tiles import Span
from deepdream_core.engine.vgg19 import Vgg19
from deepdream_core.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from deepdream_core.engine.loss_scale import LossScale
    from deepdream_core.engine.objectives.objective import Objective, Window
    from deepdream_core.engine.weights import Weights
    from deepdream_core.settings import Pooling

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "layers", [["pool4"], ["relu4_4"], ["conv4_3", "relu2_2"], ["relu5_1"], ["conv1_1"]], ids="+".join
)
@pytest.mark.parametrize(
    ("size", "tile", "shift"), [((139, 205), 64, (0, 0)), ((203, 171), 96, (17, -23)), ((160, 50), 32, (-500, 7))]
)
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_tiles_change_nothing(
    oxford: Weights, layers: list[str], size: tuple[int, int], tile: int, shift: tuple[int, int], pooling: Pooling
) -> None:
    picture = photograph("coffee", *size)
    coefficients = {name: 1.0 + number for number, name in enumerate(layers)}
    network = Vgg19(oxford, layers, CPU, torch.float32, pooling)
    whole = TiledGradient(network, tile="none")(picture, norms(coefficients), shift)
    tiled = TiledGradient(network, tile=tile)(picture, norms(coefficients), shift)
    assert (tiled.tensor - whole.tensor).norm() / whole.tensor.norm() < 1e-5
    assert tiled.objective == pytest.approx(whole.objective, rel=1e-6)


def test_a_shift_is_a_roll_there_and_back(oxford: Weights) -> None:
    picture = photograph("rocket", 90, 110)
    gradient_of = TiledGradient(Vgg19(oxford, ["relu3_1"], CPU, torch.float32), tile="none")
    rolled = gradient_of(torch.roll(picture, (5, -9), (2, 3)), norms({"relu3_1": 1.0}))
    shifted = gradient_of(picture, norms({"relu3_1": 1.0}), (5, -9))
    assert torch.equal(torch.roll(rolled.tensor, (-5, 9), (2, 3)), shifted.tensor)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.integers(-300, 300), st.integers(-300, 300))
def test_a_rolled_crop_is_a_crop_of_the_roll(down: int, right: int) -> None:
    picture = torch.arange(3 * 40 * 50).view(1, 3, 40, 50)
    taken = take_rolled(picture, (Span(8, 33), Span(0, 50)), (down, right))
    assert torch.equal(taken, torch.roll(picture, (down, right), (2, 3))[:, :, 8:33])


def test_the_objective_is_the_norm_of_the_activations(oxford: Weights) -> None:
    network = Vgg19(oxford, ["relu2_1"], CPU, torch.float32)
    result = TiledGradient(network)(photograph("chelsea", 64, 64), norms({"relu2_1": 1.0}))
    assert result.objective == pytest.approx((2 * by_layer(result.values)["relu2_1"]) ** 0.5)


class CrampedNetwork(Vgg19):
    """A network on a device where crops above a number of pixels do not fit."""

    most_pixels = 0

    def value_and_gradient(
        self,
        crop: Tensor,
        coefficients: Mapping[Objective, float],
        windows: Mapping[str, Window] | None = None,
        loss_scale: LossScale | None = None,
        photo: Tensor | None = None,
    ) -> tuple[dict[Objective, float], Tensor]:
        if crop.shape[2] * crop.shape[3] > self.most_pixels:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().value_and_gradient(crop, coefficients, windows, loss_scale, photo)


def test_a_full_memory_shrinks_the_tile_and_repeats_the_step(oxford: Weights) -> None:
    picture = photograph("coffee", 300, 300)
    network = CrampedNetwork(oxford, ["relu3_1"], CPU, torch.float32)
    network.most_pixels = 130 * 130
    cramped = TiledGradient(network, tile="none")
    result = cramped(picture, norms({"relu3_1": 1.0}))
    assert cramped.notes == [
        "out of memory: tile reduced from whole picture to 152 px",
        "out of memory: tile reduced from 152 to 76 px",
    ]
    network.most_pixels = 10**9
    whole = TiledGradient(network, tile="none")(picture, norms({"relu3_1": 1.0}))
    assert (result.tensor - whole.tensor).norm() / whole.tensor.norm() < 1e-5
    assert cramped.tile_px((300, 300)) == 76, "it stays small"


def test_when_nothing_fits_the_error_has_the_numbers(oxford: Weights) -> None:
    network = CrampedNetwork(oxford, ["relu3_1"], CPU, torch.float32)
    with pytest.raises(
        OutOfMemoryError, match=r"picture of 300×200 .* smallest tile \(\d+×\d+ .* about \d+ MB.*\d+ MB are free"
    ):
        TiledGradient(network)(photograph("coffee", 200, 300), norms({"relu3_1": 1.0}))


def test_automatic_tiles_fit_the_memory_given(oxford: Weights) -> None:
    network = Vgg19(oxford, ["pool4"], CPU, torch.float32)
    gradient_of = TiledGradient(network, memory_mb=1000)
    assert gradient_of.tile_px((600, 900)) is None
    tile_px = gradient_of.tile_px((4000, 6000))
    assert tile_px is not None
    assert tile_px % 128 == 0
    assert (tile_px + 128) ** 2 * network.bytes_per_pixel <= 1_000_000_000
    assert (tile_px + 256 + 128) ** 2 * network.bytes_per_pixel > 1_000_000_000, "the largest that fits"


REAL_SHORTAGE = """
import resource, sys, torch
from deepdream_core.engine.device import choose_device
from deepdream_core.engine.gradient import TiledGradient
from deepdream_core.engine.objectives.norm import Norm
from deepdream_core.engine.vgg19 import Vgg19
from deepdream_core.engine.weights import load_weights

network = Vgg19(load_weights("oxford"), ["relu2_1"], choose_device("cpu"), torch.float32)
picture = torch.rand(1, 3, 1024, 1024)
gradient_of = TiledGradient(network, tile="none")
gradient_of(picture[:, :, :64, :64].contiguous(), {Norm("relu2_1"): 1.0})
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 500_000_000, resource.RLIM_INFINITY))
result = gradient_of(picture, {Norm("relu2_1"): 1.0})
print(len(gradient_of.notes), torch.isfinite(result.tensor).all().item())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space limits are Linux's")
def test_a_real_shortage_of_memory_is_survived() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", REAL_SHORTAGE], capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stderr
    shrunk, finite = answer.stdout.split()
    assert int(shrunk) >= 1
    assert finite == "True"
