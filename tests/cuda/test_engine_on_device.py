"""The engine on a GPU: exact, repeatable, and within the memory it plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import PHOTOGRAPHS, photograph
from dreaming import by_autograd, collected, norms, overflowing, taking_turns
from on_device import DEVICE, PRECISIONS, QUICK, cuda_only, device, needs_device

from deepdream_core.engine.convolution import deterministic_convolutions
from deepdream_core.engine.device import DTYPES, release_unused
from deepdream_core.engine.dream import dream
from deepdream_core.engine.engine import Engine
from deepdream_core.engine.gradient import TiledGradient
from deepdream_core.engine.objectives.chosen import chosen, layers_of
from deepdream_core.engine.tiles import halo_px
from deepdream_core.engine.vgg19 import Vgg19
from deepdream_core.errors import NumericError, OutOfMemoryError
from deepdream_core.layers import find_layer
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from deepdream_core.engine.progress import Progress
    from deepdream_core.engine.weights import Weights
    from deepdream_core.settings import Pooling

    Planes = NDArray[np.float32]

pytestmark = needs_device
SIDE = 96 if QUICK else 512
LAYERS = ["pool4"] if QUICK else ["conv1_1", "relu2_2", "pool3", "pool4", "relu5_1"]


@pytest.fixture(autouse=True)
def _memory_given_back() -> Iterator[None]:
    yield
    release_unused(device())


def enlarged(name: str, side: int = SIDE) -> Tensor:
    """A square photograph, float32 [1, 3, side, side], on the device."""
    return F.interpolate(photograph(name, 160, 160), size=side, mode="bicubic").clamp(0, 1).to(device())


def network(weights: Weights, layer: str, precision: str = "fp32", pooling: Pooling = "max") -> Vgg19:
    return Vgg19(weights, [layer], device(), DTYPES[precision], pooling)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_the_gradient_is_autograd_s(oxford: Weights, layer: str, pooling: Pooling) -> None:
    net, picture = network(oxford, layer, pooling=pooling), enlarged("astronaut")
    _, gradient = net.value_and_gradient(picture, norms({layer: 1.0}))
    with deterministic_convolutions():
        _, expected = by_autograd(oxford, net, picture, {layer: 1.0})
    assert relative_error(gradient, expected) < 1e-5


def test_the_gradient_is_the_cpu_s(oxford: Weights) -> None:
    """Not to the last digit: a maximum that hangs on one sends its gradient elsewhere."""
    picture = photograph("coffee").to(device())
    _, gradient = network(oxford, "relu3_1").value_and_gradient(picture, norms({"relu3_1": 1.0}))
    cpu = Vgg19(oxford, ["relu3_1"], torch.device("cpu"), torch.float32)
    _, expected = cpu.value_and_gradient(picture.cpu(), norms({"relu3_1": 1.0}))
    assert float(F.cosine_similarity(gradient.cpu().flatten(), expected.flatten(), dim=0)) > 0.999


@pytest.mark.parametrize("photo", PHOTOGRAPHS[: 1 if QUICK else 4])
@pytest.mark.parametrize("precision", PRECISIONS[1:] or PRECISIONS)
@pytest.mark.parametrize(("layer", "pooling"), [("relu3_3", "max"), ("pool4", "max"), ("pool4", "average")])
def test_half_precision_points_the_same_way(
    oxford: Weights, layer: str, pooling: Pooling, precision: str, photo: str
) -> None:
    picture = photograph(photo, 112, 128) if QUICK else photograph(photo, 320, 320)
    picture = picture.to(device())
    _, exact = network(oxford, layer, pooling=pooling).value_and_gradient(picture, norms({layer: 1.0}))
    _, half = network(oxford, layer, precision, pooling).value_and_gradient(picture, norms({layer: 1.0}))
    cosine = float(F.cosine_similarity(half.flatten(), exact.flatten(), dim=0))
    print(f"{layer} {precision} {photo}: cosine {cosine:.5f}")
    assert cosine > 0.99
    assert float(half.norm() / exact.norm()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("layer", "tile"), [("pool4", 64 if QUICK else 192), ("relu5_1", 64 if QUICK else 256)])
def test_tiles_change_nothing(oxford: Weights, layer: str, tile: int) -> None:
    """In float64, where no maximum hangs on a digit that another kernel for another size rounds otherwise."""
    picture, net = enlarged("coffee", 2 * SIDE), Vgg19(oxford, [layer], device(), torch.float64)
    whole = TiledGradient(net, tile="none")(picture, norms({layer: 1.0}), (17, -23))
    tiled = TiledGradient(net, tile=tile)(picture, norms({layer: 1.0}), (17, -23))
    assert relative_error(tiled.tensor, whole.tensor) < 1e-6
    assert tiled.objective == pytest.approx(whole.objective, rel=1e-6)


WHAT: list[dict[str, Any]] = [
    {"guides": ["cat.jpg@relu3_3"]},
    {"guides": ["cat.jpg@relu3_3"], "guide_match": "mean"},
    {"channels": {"conv4_3:17": 1.0, "conv4_3:3": -0.5}},
    {"caricature": {"relu3_3": 1.0}},
    {"layers": {"relu3_3": 1.0}, "tileable": True},
]


@pytest.mark.parametrize("what", WHAT, ids=str)
def test_every_objective_is_the_cpu_s_in_tiles_too(oxford: Weights, what: dict[str, Any]) -> None:
    settings = DreamSettings.model_validate({"layers": {}, **what})
    found = []
    tiles: list[tuple[torch.device, Any]] = [(torch.device("cpu"), "none"), (device(), "none"), (device(), 64)]
    for on, tile in tiles:
        photo, guide = (photograph(name, 160, 192).to(on) for name in ("coffee", "chelsea"))
        net = Vgg19(oxford, layers_of(settings), on, torch.float32)
        gradient_of = TiledGradient(net, tile=tile, wrap=settings.tileable)
        objectives = chosen(settings, [guide] * len(settings.guides))
        gradient_of.prepare(photo, objectives)
        gradient = gradient_of((photo * 0.9 + 0.05).flip(3), {each: each.weight for each in objectives}, (16, -32))
        found.append(gradient.tensor.cpu().flatten())
    assert all(float(F.cosine_similarity(each, found[0], dim=0)) > 0.999 for each in found[1:])


@pytest.mark.parametrize("what", WHAT, ids=str)
def test_every_objective_repeats_to_the_byte(what: dict[str, Any]) -> None:
    guide = photograph("chelsea", 160, 160)[0].numpy()
    settings = DreamSettings.model_validate({"layers": {}, "iterations": 1, "octaves": 2, **what})
    results = [
        collected(
            Engine(EngineSettings(device=DEVICE)).dream(
                enlarged("coffee")[0].cpu().numpy(), settings, guides=[guide] * len(settings.guides)
            )
        )
        for _ in range(2)
    ]
    assert np.array_equal(results[0], results[1])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tiles_point_the_same_way_in_every_precision(oxford: Weights, precision: str) -> None:
    picture, net = enlarged("coffee", 2 * SIDE), network(oxford, "pool4", precision)
    whole = TiledGradient(net, tile="none")(picture, norms({"pool4": 1.0}), (17, -23))
    tiled = TiledGradient(net, tile=SIDE // 2)(picture, norms({"pool4": 1.0}), (17, -23))
    cosine = float(F.cosine_similarity(tiled.tensor.flatten(), whole.tensor.flatten(), dim=0))
    print(f"{precision}: cosine {cosine:.7f}")
    assert cosine > (0.999999 if precision == "fp32" else 0.999)
    assert tiled.objective == pytest.approx(whole.objective, rel=1e-5 if precision == "fp32" else 1e-3)


def steps_of(engine: Engine, name: str = "coffee", **settings: Any) -> Generator[Progress, None, Planes]:
    return engine.dream(enlarged(name)[0].cpu().numpy(), DreamSettings(iterations=2, **settings))


def dreamed(precision: Any, **settings: Any) -> Planes:
    """A whole dream by a new engine."""
    return collected(steps_of(Engine(EngineSettings(device=DEVICE, precision=precision)), **settings))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("way", [{}, {"keep_colours": True, "pooling": "average"}], ids=["natural", "keep_colours"])
def test_the_same_dream_gives_the_same_bytes(precision: str, way: dict[str, Any]) -> None:
    more: dict[str, Any] = {"layers": {"pool4": 1.0, "relu3_3": 0.5}, "laplacian": 2, "tv": 0.1, **way}
    first = dreamed(precision, **more)
    assert not np.array_equal(first, enlarged("coffee")[0].cpu().numpy())
    assert first.tobytes() == dreamed(precision, **more).tobytes()


def test_nothing_on_the_way_is_known_to_vary() -> None:
    """Torch refuses what it knows to be nondeterministic."""
    torch.use_deterministic_algorithms(True)
    try:
        for way in ({}, {"keep_colours": True, "pooling": "average"}):
            dreamed("fp32", layers={"pool4": 1.0, "relu3_3": 0.5}, laplacian=2, tv=0.1, **way)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_half_precision_reaches_the_same_objective(oxford: Weights, precision: str) -> None:
    judge = TiledGradient(network(oxford, "pool4"))
    reached, exact = (
        judge(torch.from_numpy(dreamed(which))[None].to(device()), norms({"pool4": 1.0})).objective
        for which in (precision, "fp32")
    )
    print(f"{precision}: objective {reached / exact:.4f} of fp32's")
    assert reached == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_dreams_that_take_turns_do_not_feel_each_other(precision: Any) -> None:
    engine = Engine(EngineSettings(device=DEVICE, precision=precision))
    names = ("astronaut", "coffee")
    alone = [collected(steps_of(engine, name)) for name in names]
    together = taking_turns([steps_of(engine, name) for name in names])
    assert [each.tobytes() for each in together] == [each.tobytes() for each in alone]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_infinity_from_the_network_is_not_hidden(oxford: Weights, precision: str) -> None:
    gradient_of = TiledGradient(network(overflowing(oxford), "relu3_1", precision))
    settings = DreamSettings(layers={"relu3_1": 1.0}, octaves=1, iterations=1)
    with pytest.raises(NumericError, match=r"NaN or infinity at relu3_1, octave 1, iteration 1"):
        collected(dream(enlarged("coffee", 96), settings, gradient_of))


@cuda_only
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("layer", ["relu2_1", "pool4", "relu5_1"])
def test_a_gradient_takes_no_more_memory_than_planned(oxford: Weights, layer: str, precision: str) -> None:
    net, picture = network(oxford, layer, precision), enlarged("coffee", 1536)
    net.value_and_gradient(
        picture[:, :, :256, :256].contiguous(), norms({layer: 1.0})
    )  # libraries take their own first
    release_unused(device())
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    net.value_and_gradient(picture, norms({layer: 1.0}))
    taken = torch.cuda.max_memory_allocated() - before
    planned = net.bytes_per_pixel * 1536**2
    print(f"{layer} {precision}: {taken / 1e6:.0f} MB taken, {planned / 1e6:.0f} MB planned")
    assert 0.5 * planned < taken < 1.1 * planned


@cuda_only
def test_a_full_memory_makes_tiles_and_is_survived(oxford: Weights) -> None:
    picture, net = enlarged("coffee", 1536), network(oxford, "pool4")
    whole = TiledGradient(net, tile="none")(picture, norms({"pool4": 1.0}))
    release_unused(device())
    free, _ = torch.cuda.mem_get_info()
    needed = int(net.bytes_per_pixel * 1536**2)
    filler = torch.empty(free - needed // 2, dtype=torch.uint8, device=device())
    try:
        planned = TiledGradient(net)
        assert relative_error(planned(picture, norms({"pool4": 1.0})).tensor, whole.tensor) < 1e-2
        assert planned.tile_px((1536, 1536)) is not None, "it knew beforehand"
        surprised = TiledGradient(net, tile="none")
        assert relative_error(surprised(picture, norms({"pool4": 1.0})).tensor, whole.tensor) < 1e-2
        assert surprised.notes[0].startswith("out of memory: tile reduced from whole picture to ")
    finally:
        del filler
        release_unused(device())
    after = TiledGradient(net, tile="none")(picture, norms({"pool4": 1.0}))
    assert relative_error(after.tensor, whole.tensor) < 1e-2, "cuDNN goes on in the way that fitted"
    assert after.objective == pytest.approx(whole.objective, rel=1e-6)


@cuda_only
def test_when_nothing_fits_the_error_has_the_numbers_and_the_next_dream_works(oxford: Weights) -> None:
    picture, net = enlarged("coffee"), network(oxford, "pool4")
    release_unused(device())
    free, _ = torch.cuda.mem_get_info()
    filler = torch.empty(free - 30_000_000, dtype=torch.uint8, device=device())
    try:
        with pytest.raises(OutOfMemoryError, match=r"out of memory on cuda:0: a picture of \d+×\d+ .* MB are free"):
            TiledGradient(net)(picture, norms({"pool4": 1.0}))
    finally:
        del filler
        release_unused(device())
    assert TiledGradient(net)(picture, norms({"pool4": 1.0})).objective > 0


@cuda_only
def test_no_tile_is_larger_than_cudnn_is_fast_for(oxford: Weights) -> None:
    tile_px = TiledGradient(network(oxford, "pool4", "bf16")).tile_px((10_000, 10_000))
    assert tile_px is not None
    assert 64 * (tile_px + 2 * halo_px([find_layer("pool4")])) ** 2 < 2**31


@cuda_only
def test_a_picture_of_24_megapixels_is_the_same_in_any_tiles(oxford: Weights) -> None:
    picture = F.interpolate(photograph("rocket").to(device()), size=(4000, 6000), mode="bilinear")
    net = network(oxford, "pool4", "bf16")
    whole = TiledGradient(net, tile="none")(picture, norms({"pool4": 1.0}))
    tiled = TiledGradient(net, tile=2048)(picture, norms({"pool4": 1.0}))
    assert float(F.cosine_similarity(tiled.tensor.flatten(), whole.tensor.flatten(), dim=0)) > 0.999
    assert tiled.objective == pytest.approx(whole.objective, rel=1e-3)
