"""The dream itself: it rises, repeats itself, leaves alone what it should, and takes any size."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import PHOTOGRAPHS, photograph
from dreaming import collected, norms, overflowing, taking_turns
from skimage import color

from deepdream_core.config import load_config
from deepdream_core.engine.dream import balanced, dream
from deepdream_core.engine.engine import Engine
from deepdream_core.engine.gradient import TiledGradient
from deepdream_core.engine.limit import difference_to, move_
from deepdream_core.engine.objectives.norm import Norm
from deepdream_core.engine.vgg19 import Vgg19
from deepdream_core.errors import NumericError, PictureError
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.settings import EARLIER, DreamSettings

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch import Tensor

    from deepdream_core.engine.progress import Progress
    from deepdream_core.engine.weights import Weights

CPU = torch.device("cpu")
WAYS: list[dict[str, Any]] = [
    {"natural": 0.0, "soft_limit": False},
    {},
    {"keep_colours": True},
    {"pooling": "average"},
]
in_half_and_single = pytest.mark.parametrize(
    "dtype", [pytest.param(torch.bfloat16, marks=pytest.mark.slow("half precision")), torch.float32]
)
in_every_way = pytest.mark.parametrize("way", WAYS, ids=["plain", "natural", "keep_colours", "average"])


def quick(**values: Any) -> DreamSettings:
    chosen = {"layers": {"relu3_1": 1.0}, "octaves": 2, "iterations": 3, "jitter": 8, **values}
    return DreamSettings.model_validate(chosen)


def dreamed(
    weights: Weights,
    picture: Tensor,
    settings: DreamSettings,
    *,
    mask: Tensor | None = None,
    start: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, list[Progress]]:
    network = Vgg19(weights, list(settings.layers), CPU, dtype, settings.pooling)
    seen: list[Progress] = []
    result = collected(dream(picture, settings, TiledGradient(network), mask=mask, start=start), seen)
    return result, seen


def test_the_objective_rises_in_every_octave(oxford: Weights) -> None:
    _, seen = dreamed(oxford, photograph("chelsea"), quick(layers={"pool4": 1.0}, iterations=6))
    for octave in (1, 2):
        values = [progress.objective for progress in seen if progress.octave == octave]
        assert values[-1] > values[0] * 1.3


@in_half_and_single
def test_the_result_excites_the_layer_judged_in_fp32(oxford: Weights, dtype: torch.dtype) -> None:
    picture = photograph("coffee", 80, 96)  # small, as bfloat16 is slow on CPUs without it
    result, _ = dreamed(oxford, picture, quick(iterations=10, finest=96), dtype=dtype)
    judge = TiledGradient(Vgg19(oxford, ["relu3_1"], CPU, torch.float32))
    assert judge(result, norms({"relu3_1": 1.0})).objective > 1.5 * judge(picture, norms({"relu3_1": 1.0})).objective


@pytest.mark.slow("half precision")
def test_half_precision_reaches_the_same_objective(oxford: Weights) -> None:
    picture, settings = photograph("rocket", 80, 96), quick(layers={"pool4": 1.0}, iterations=2, finest=96)
    judge = TiledGradient(Vgg19(oxford, ["pool4"], CPU, torch.float32))
    reached = [
        judge(dreamed(oxford, picture, settings, dtype=dtype)[0], norms({"pool4": 1.0})).objective
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert reached[1] == pytest.approx(reached[0], rel=0.05)


@in_every_way
@in_half_and_single
def test_the_same_seed_gives_the_same_bytes(oxford: Weights, dtype: torch.dtype, way: dict[str, Any]) -> None:
    picture = photograph("astronaut", 70, 90)
    first, again, other = (
        dreamed(oxford, picture, quick(seed=seed, finest=96, **way), dtype=dtype)[0] for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("iterations", "tolerance"), [(1, 1e-3), (5, 0.05)])
def test_made_simple_is_the_notebooks_loop(oxford: Weights, iterations: int, tolerance: float) -> None:
    """The notebook: normalise, then x += 0.1 · ∂‖pool4‖/∂x in normalised space; nothing else until the end.

    One step agrees closely; then chaos sets in: a maximum that hangs on the last digit sends its gradient elsewhere.
    """
    picture = photograph("coffee", 96, 128)
    settings = load_config().dream_settings("made-simple", {"iterations": iterations, "finest": 120})
    result, seen = dreamed(oxford, picture, settings)

    start = F.interpolate(picture, size=(120, 160), mode="bicubic", antialias=True)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (oxford.mean, oxford.std))
    x = (start - mean) / std
    norms = []
    for _ in range(iterations):
        x = x.detach().requires_grad_()
        hidden = x
        for block, convolutions in enumerate((2, 2, 4, 4), start=1):
            for number in range(1, convolutions + 1):
                weight, bias = oxford.convolutions[f"conv{block}_{number}"]
                hidden = F.relu(F.conv2d(hidden, weight, bias, padding=1))
            hidden = F.max_pool2d(hidden, 2)
        loss = hidden.norm()
        norms.append(float(loss.detach()))
        (gradient,) = torch.autograd.grad(loss, x)
        x = x.detach() + 0.1 * gradient
    difference = x * std + mean - start
    expected = (picture + F.interpolate(difference, size=(96, 128), mode="bicubic", antialias=True)).clamp(0, 1)

    assert [progress.objective for progress in seen] == pytest.approx(norms, rel=1e-3)
    assert (result - expected).norm() / (expected - picture).norm() < tolerance
    assert [(p.octave, p.octaves, p.size) for p in seen] == [(1, 1, (120, 160))] * iterations


BEFORE: dict[str, Any] = {
    **EARLIER, "layers": {"relu3_1": 1.0}, "octaves": 2, "octave_scale": 1.4, "finest": 64, "iterations": 2, "step": 1.5,
    "smooth": 0.5, "jitter": 32, "laplacian": 2, "tv": 0.1, "seed": 3,
}  # fmt: skip


def test_a_dream_of_the_first_recipes_is_still_the_same(oxford: Weights) -> None:
    """`earlier_dream.npy` holds what the engine made before it knew natural colours, float16 [3, 64, 64]."""
    expected = torch.from_numpy(np.load(Path(__file__).with_name("earlier_dream.npy"))).float()
    result, _ = dreamed(oxford, photograph("coffee", 64, 64), DreamSettings.model_validate(BEFORE))
    assert (result[0] - expected).abs().mean() < 5e-4


@in_every_way
def test_strength_0_returns_the_same_bits(oxford: Weights, way: dict[str, Any]) -> None:
    picture = photograph("astronaut", 90, 90)
    picture[0, 0, 0, :4] = torch.tensor([-0.0, 1e-42, 1.7, -0.3])
    result, _ = dreamed(oxford, picture, quick(strength=0.0, **way))
    assert torch.equal(result.view(torch.int32), picture.view(torch.int32))


@in_every_way
def test_outside_the_mask_nothing_changes(oxford: Weights, way: dict[str, Any]) -> None:
    picture = photograph("chelsea", 120, 140)
    picture[0, 0, 0, :4] = torch.tensor([-0.0, 1e-42, 1.7, -0.3])
    mask = torch.zeros(1, 1, 120, 140)
    mask[..., 30:90, 40:100] = 1.0
    mask[..., 90:100, 40:100] = 0.5
    result, _ = dreamed(oxford, picture, quick(**way), mask=mask)
    outside = (mask == 0).expand_as(picture)
    assert torch.equal(result[outside].view(torch.int32), picture[outside].view(torch.int32))
    assert (result - picture)[..., 35:85, 45:95].abs().mean() > 0.01


def test_strength_blends(oxford: Weights) -> None:
    picture = photograph("coffee", 120, 120).clamp(0.3, 0.7)
    whole, half = (dreamed(oxford, picture, quick(strength=s, step=0.5, soft_limit=False))[0] for s in (1.0, 0.5))
    torch.testing.assert_close(half, (picture + whole) / 2, atol=1e-5, rtol=0)


def test_strength_blends_along_the_soft_limit(oxford: Weights) -> None:
    picture = photograph("coffee", 120, 120).clamp(0.01, 0.99)
    whole, half = (dreamed(oxford, picture, quick(strength=s))[0] for s in (1.0, 0.5))
    difference = difference_to(whole.clone(), picture, soft=True)
    expected = move_(picture.clone(), difference, soft=True, scale=0.5)
    torch.testing.assert_close(half, expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
def test_a_dream_keeps_the_photographs_colours_and_clips_nothing(oxford: Weights, photo: str) -> None:
    """Measured in CIELAB, as many as 4 to 9 of 100 pixels of a plain dream turn neon."""
    picture = photograph(photo, 128, 160)
    neon, clipped = [], []
    for way in WAYS[:3]:
        result, _ = dreamed(oxford, picture, quick(layers={"pool4": 1.0}, iterations=8, **way))
        before, after = (color.rgb2lab(image[0].permute(1, 2, 0).double().numpy()) for image in (picture, result))
        moved = np.hypot(*np.moveaxis(after - before, -1, 0)[1:])
        chroma = np.hypot(*np.moveaxis(after, -1, 0)[1:]) - np.hypot(*np.moveaxis(before, -1, 0)[1:])
        neon.append(float(((moved > 25) & (chroma > 15)).mean()))
        clipped.append(int((((result <= 0) | (result >= 1)) & (picture > 0) & (picture < 1)).sum()))
    assert max(neon[1:]) < 0.01
    assert max(neon[1:]) < 0.2 * neon[0]
    assert clipped[1:] == [0, 0]
    assert clipped[0] > 0


@pytest.mark.parametrize("mask", [None, 0.6])
@pytest.mark.parametrize("soft", [True, False])
def test_with_colours_kept_the_dream_moves_lightness_alone(oxford: Weights, mask: float | None, soft: bool) -> None:
    picture = photograph("coffee", 120, 140)
    strength_map = None if mask is None else torch.full((1, 1, 120, 140), mask)
    result, _ = dreamed(oxford, picture, quick(keep_colours=True, soft_limit=soft), mask=strength_map)
    weights = torch.tensor((0.3, 0.59, 0.11)).view(1, 3, 1, 1)
    luma, luma_before = ((image * weights).sum(1, keepdim=True) for image in (result, picture))
    wanted = picture - luma_before + luma
    room = wanted + (wanted - luma) / 9 if soft else wanted  # softly, a tenth of the room stays free
    allowed = ((room > 0) & (room < 1)).all(1, keepdim=True)
    assert (luma - luma_before).abs().mean() > 0.004
    assert allowed.float().mean() > 0.8
    assert (result - wanted).abs()[allowed.expand_as(result)].max() < 1 / 255


def test_finest_changes_the_dream_and_keeps_the_photos_detail(oxford: Weights) -> None:
    detail = torch.randn(1, 3, 300, 360, generator=torch.Generator().manual_seed(0)) * 0.05
    picture = (photograph("coffee", 300, 360) * 0.5 + 0.25 + detail).clamp(0, 1)
    result, seen = dreamed(oxford, picture, quick(finest=128, step=0.5))
    assert seen[-1].size == (128, 154)
    added = result - picture
    coarse = F.interpolate(
        F.interpolate(added, size=(128, 154), mode="bicubic", antialias=True), size=(300, 360), mode="bicubic"
    )
    inside = (result > 0) & (result < 1)
    assert (added - coarse)[inside].abs().mean() < 0.15 * added[inside].abs().mean(), "only coarse things were added"


def still_clip(frames: int, low: float = 0.0, high: float = 1.0) -> list[Tensor]:
    """A picture that does not move but for the grain of a camera or of a palette, its values between low and high."""
    picture, grain = photograph("astronaut", 96, 112) * (high - low) + low, torch.Generator().manual_seed(0)
    return [(picture + torch.randn(picture.shape, generator=grain) * 2 / 255).clamp(0, 1) for _ in range(frames)]


@pytest.mark.slow("long dreams")
@in_every_way
def test_frames_of_a_still_clip_stay_alike_and_as_strong(oxford: Weights, way: dict[str, Any]) -> None:
    """Six frames: they flicker far less than ones dreamed each for itself, and none is stronger by more than 15 %."""
    settings = quick(layers={"pool4": 1.0}, finest=96, **way)
    start: Tensor | None = None
    linked: list[Tensor] = []
    alone: list[Tensor] = []
    for frame in still_clip(6):
        alone.append(dreamed(oxford, frame, settings)[0] - frame)
        start = dreamed(oxford, frame, settings, start=start)[0] - frame
        linked.append(start)
    flickers = [
        sum(float((after - before).abs().mean()) for before, after in pairwise(clip)) for clip in (linked, alone)
    ]
    assert flickers[0] < 0.6 * flickers[1]
    strengths = [float(difference.std()) for difference in linked]
    assert strengths == pytest.approx([strengths[0]] * 6, rel=0.15)


@pytest.mark.parametrize(("low", "high"), [(0.02, 0.18), (0.82, 0.98)], ids=["dark", "bright"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_dark_and_bright_frames_stay_as_strong(oxford: Weights, low: float, high: float, strength: float) -> None:
    settings = quick(layers={"pool4": 1.0}, finest=96, strength=strength)
    start: Tensor | None = None
    strengths = []
    for frame in still_clip(5, low, high):
        start = dreamed(oxford, frame, settings, start=start)[0] - frame
        strengths.append(float(start.std()))
    assert strengths == pytest.approx([strengths[0]] * 5, rel=0.15)


def test_a_frame_forgets_the_one_before_after_a_cut(oxford: Weights) -> None:
    settings = quick()
    start = dreamed(oxford, photograph("astronaut"), settings)[0] - photograph("astronaut")
    picture = photograph("coffee")
    alone = dreamed(oxford, picture, settings)[0] - picture
    likeness: list[float] = []
    for _ in range(3):
        start = dreamed(oxford, picture, settings, start=start)[0] - picture
        likeness.append(float(F.cosine_similarity(start.flatten(), alone.flatten(), dim=0)))
    assert likeness == sorted(likeness)
    assert likeness[-1] > 0.7


def test_strength_blends_later_frames_too(oxford: Weights) -> None:
    picture = photograph("coffee", 120, 120).clamp(0.3, 0.7)
    second = []
    for strength in (1.0, 0.5):
        settings = quick(strength=strength, step=0.5, smooth=0.5, **WAYS[0])
        first, _ = dreamed(oxford, picture, settings)
        second.append(dreamed(oxford, picture, settings, start=first - picture)[0])
    torch.testing.assert_close(second[1], (picture + second[0]) / 2, atol=1e-4, rtol=0)


def test_the_frame_before_may_have_any_size_and_is_left_alone() -> None:
    """And the engine remembers nothing of it: the same picture without it comes out as it did."""
    engine = Engine(EngineSettings(device="cpu", precision="fp32"))
    planes = photograph("coffee", 120, 130)[0].numpy()
    first = collected(engine.dream(planes, quick()))
    results = []
    for size in ((120, 130), (60, 65)):
        start = torch.full((3, *size), 0.1).numpy()
        results.append(torch.from_numpy(collected(engine.dream(planes, quick(), start=start))))
        assert bool((start == np.float32(0.1)).all())
    torch.testing.assert_close(results[0], results[1], atol=0.02, rtol=0)
    assert torch.equal(torch.from_numpy(collected(engine.dream(planes, quick()))), torch.from_numpy(first))
    assert results[0].mean() > first.mean() + 0.02


def test_what_should_not_change_does_not_in_later_frames_either(oxford: Weights) -> None:
    picture = photograph("chelsea", 120, 140)
    picture[0, 0, 0, :4] = torch.tensor([-0.0, 1e-42, 1.7, -0.3])
    start = torch.full_like(picture, 0.2)
    same, _ = dreamed(oxford, picture, quick(strength=0.0), start=start)
    assert torch.equal(same.view(torch.int32), picture.view(torch.int32))
    mask = torch.zeros(1, 1, 120, 140)
    mask[..., 30:90, 40:100] = 1.0
    result, _ = dreamed(oxford, picture, quick(), mask=mask, start=start)
    outside = (mask == 0).expand_as(picture)
    assert torch.equal(result[outside].view(torch.int32), picture[outside].view(torch.int32))
    assert (result - picture)[..., 35:85, 45:95].abs().mean() > 0.01


@in_every_way
def test_values_beyond_the_visible_range_are_not_cut(oxford: Weights, way: dict[str, Any]) -> None:
    picture = photograph("rocket", 128, 128) * 3 - 1
    result, _ = dreamed(oxford, picture, quick(**way))
    low, high = picture.clamp(max=0), picture.clamp(min=1)
    assert bool(((result >= low) & (result <= high)).all())


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (16, 200), (33, 31), (129, 130)])
@pytest.mark.parametrize("preset", ["classic", "monster"])
def test_any_size(oxford: Weights, size: tuple[int, int], preset: str) -> None:
    picture = F.interpolate(photograph("astronaut", 100, 100), size=size, mode="bilinear")
    settings = load_config().dream_settings(
        preset, {"iterations": 1, "octaves": 1, "layers": {"pool5": 1.0, "relu1_1": 1.0}}
    )
    result, _ = dreamed(oxford, picture, settings)
    assert result.shape == picture.shape
    assert bool(torch.isfinite(result).all())
    assert not torch.equal(result, picture)


def test_progress_says_how_far_it_is(oxford: Weights) -> None:
    _, seen = dreamed(oxford, photograph("coffee"), quick())
    assert [(p.octave, p.iteration) for p in seen] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert fractions[2] == pytest.approx(1 / (1 + 1.3**2), rel=0.02), "work goes by area"


def test_one_can_look_on_the_way_and_stop_anywhere(oxford: Weights) -> None:
    picture = photograph("chelsea")
    network = Vgg19(oxford, ["relu3_1"], CPU, torch.float32)
    steps = dream(picture, quick(), TiledGradient(network))
    next(steps)
    early = next(steps).picture()
    assert early.shape == picture.shape
    assert not torch.equal(early, picture)
    steps.close()
    result, seen = dreamed(oxford, picture, quick())
    assert torch.equal(early, early.clamp(0, 1))
    assert not torch.equal(early, result)
    assert len(seen) == 6


def test_looking_changes_nothing_and_the_last_look_is_the_result(oxford: Weights) -> None:
    picture, settings = photograph("rocket", 128, 128), quick()
    unseen, _ = dreamed(oxford, picture, settings)
    looks: list[Tensor] = []

    def looking() -> Generator[None, None, Tensor]:
        steps = dream(picture, settings, TiledGradient(Vgg19(oxford, ["relu3_1"], CPU, torch.float32)))
        while True:
            try:
                looks.append(next(steps).picture())
            except StopIteration as stop:
                result: Tensor = stop.value
                return result
            yield

    seen = collected(looking())
    assert torch.equal(seen, unseen)
    assert torch.equal(looks[-1], unseen)


@pytest.mark.slow("half precision")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("layers", [("relu3_1", "relu3_1"), ("relu3_1", "relu2_1")], ids=" then ".join)
def test_dreams_that_take_turns_do_not_feel_each_other(layers: tuple[str, ...], dtype: torch.dtype) -> None:
    """Interactive jobs overtake between two iterations. In float16 both pictures move the loss scale on their way."""
    engine = Engine(EngineSettings(device="cpu", precision="fp32"))
    engine.dtype = dtype  # the engine refuses what this CPU does only slowly

    def dreams() -> list[Generator[Progress, None, np.ndarray[Any, np.dtype[np.float32]]]]:
        jobs = zip(("astronaut", "coffee"), layers, strict=True)
        return [
            engine.dream(photograph(name, 96, 96)[0].numpy(), quick(layers={layer: 1.0}, jitter=4, finest=96))
            for name, layer in jobs
        ]

    alone = [collected(steps) for steps in dreams()]
    together = taking_turns(dreams())
    assert [result.tobytes() for result in together] == [result.tobytes() for result in alone]


def test_dreams_in_tiles_and_whole_can_take_turns(oxford: Weights) -> None:
    """And what one does to its tiles and notes is not the other's: they share the network alone."""
    network = Vgg19(oxford, ["relu2_1"], CPU, torch.float32)
    picture, settings = photograph("rocket", 96, 96), quick(layers={"relu2_1": 1.0}, finest=96)

    def dreams() -> list[Generator[Progress, None, Tensor]]:
        return [dream(picture, settings, TiledGradient(network, tile=tile)) for tile in (32, "none")]

    alone = [collected(steps) for steps in dreams()]
    assert not torch.equal(*alone), "tiles decide about the last bits"
    assert all(torch.equal(*pair) for pair in zip(alone, taking_turns(dreams()), strict=True))


def test_a_mask_that_dreams_share_is_left_alone() -> None:
    engine = Engine(EngineSettings(device="cpu", precision="fp32"))
    planes, mask = photograph("coffee", 96, 96)[0].numpy(), np.full((96, 96), 1.5, np.float32)
    collected(engine.dream(planes, quick(layers={"relu2_1": 1.0}, finest=96), mask))
    assert (mask == 1.5).all()


def test_equal_weights_move_the_picture_equally(oxford: Weights) -> None:
    picture = photograph("astronaut")
    gradient_of = TiledGradient(Vgg19(oxford, ["relu2_1", "pool4"], CPU, torch.float32))
    coefficients = balanced([Norm("relu2_1"), Norm("pool4", 2.0)], picture, gradient_of)
    pulls = {}
    for each, coefficient in coefficients.items():
        alone = gradient_of(picture, {each: coefficient})
        pulls[each.layer.name] = float(alone.tensor.norm()) * alone.objective
    assert pulls["pool4"] == pytest.approx(2 * pulls["relu2_1"], rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_infinity_from_the_network_names_layer_octave_and_iteration(oxford: Weights, dtype: torch.dtype) -> None:
    with pytest.raises(NumericError, match=r"NaN or infinity at relu3_1, octave 1, iteration 1 — "):
        dreamed(overflowing(oxford), photograph("coffee"), quick(), dtype=dtype)


def test_a_step_that_explodes_is_told(oxford: Weights) -> None:
    settings = quick(normalize="none", step=10_000.0, soft_limit=False, clamp=False, iterations=100, smooth=0.0)
    with pytest.raises(NumericError, match=r"octave \d, iteration \d+"):
        dreamed(oxford, photograph("coffee", 64, 64), settings, dtype=torch.float16)


def test_a_picture_with_nan_is_refused() -> None:
    engine = Engine(EngineSettings(device="cpu"))
    planes = photograph("coffee", 64, 64)[0].numpy()
    planes[1, 5, 5] = float("nan")
    with pytest.raises(PictureError, match="NaN or infinite"):
        next(engine.dream(planes, quick()))
