"""Objectives: each against autograd, under tiles and shifts, and what each does to a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from conftest import photograph
from dreaming import by_layer, collected, normalised, plainly, taking_turns

from deepdream_core.engine.dream import dream
from deepdream_core.engine.engine import Engine
from deepdream_core.engine.gradient import TiledGradient
from deepdream_core.engine.objectives import guide as guide_module
from deepdream_core.engine.objectives.channels import picked_channels
from deepdream_core.engine.objectives.chosen import chosen, layers_of
from deepdream_core.engine.resample import resize
from deepdream_core.engine.smoothing import gaussian_blur
from deepdream_core.engine.vgg19 import Vgg19
from deepdream_core.errors import PictureError, SettingsError
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.objective_values import guide_layers
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from deepdream_core.engine.objectives.objective import Objective
    from deepdream_core.engine.weights import Weights

CPU = torch.device("cpu")
SIZE = (208, 176)
"""Multiples of 16: at these a shifted and a wrapped picture have the same cells."""
GUIDE = photograph("chelsea", 144, 160)
GUIDED = {"guide_size": 144, "layers": {}}

# ---- each objective once more, as its source writes it, for autograd ----


def norm(x: Tensor, photo: Tensor, guide: Tensor) -> Tensor:
    return x.square().sum() / 2


def best_match(x: Tensor, photo: Tensor, guide: Tensor) -> Tensor:
    """google/deepdream's `objective_guide`: its gradient is the matching cell of the guide."""
    own, other = x[0].flatten(1), guide[0].flatten(1)
    return (own * other[:, (own.detach().T @ other).argmax(1)]).sum()


def mean_match(x: Tensor, photo: Tensor, guide: Tensor) -> Tensor:
    sums = guide.clamp(min=0).sum((0, 2, 3))
    return (x.square().sum((0, 2, 3)) * sums / sums.mean()).sum() / 2


def two_channels(x: Tensor, photo: Tensor, guide: Tensor) -> Tensor:
    return (x[:, 17] - 0.5 * x[:, 3]).sum()


def lucid(power: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Lucid's `_dot_cossim`, summed instead of averaged."""

    def dot_cossim(x: Tensor, photo: Tensor, guide: Tensor) -> Tensor:
        dot = (x * photo).sum(1)
        lengths = [each.square().sum(1).clamp(min=1e-20).sqrt() for each in (x, photo)]
        cosine = dot / (1e-4 + lengths[0]) / (1e-4 + lengths[1])
        return (dot * torch.maximum(torch.tensor(0.1), cosine) ** power).sum()

    return dot_cossim


KINDS: dict[str, tuple[Callable[[str], dict[str, Any]], Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "norm": (lambda layer: {"layers": {layer: 1.0}}, norm),
    "best match": (lambda layer: {"guides": [f"cat.jpg@{layer}"], **GUIDED}, best_match),
    "mean match": (lambda layer: {"guides": [f"cat.jpg@{layer}"], "guide_match": "mean", **GUIDED}, mean_match),
    "channels": (lambda layer: {"channels": {f"{layer}:17": 1.0, f"{layer}:3": -0.5}, "layers": {}}, two_channels),
    "caricature 0": (lambda layer: {"caricature": {layer: 1.0}, "caricature_power": 0.0, "layers": {}}, lucid(0.0)),
    "caricature 1": (lambda layer: {"caricature": {layer: 1.0}, "layers": {}}, lucid(1.0)),
    "caricature 2": (lambda layer: {"caricature": {layer: 1.0}, "caricature_power": 2.0, "layers": {}}, lucid(2.0)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def settings_of(kind: str, layer: str, **more: Any) -> DreamSettings:
    return DreamSettings.model_validate({**KINDS[kind][0](layer), **more})


def gradient_with(
    weights: Weights, settings: DreamSettings, photo: Tensor, guides: list[Tensor], tile: Any = "none", **options: Any
) -> tuple[TiledGradient, dict[Objective, float]]:
    """A gradient that is ready for an octave, and its objectives with their weights as coefficients."""
    dtype = options.pop("dtype", torch.float32)
    network = Vgg19(weights, layers_of(settings), CPU, dtype, settings.pooling)
    gradient_of = TiledGradient(network, tile=tile, wrap=settings.tileable, **options)
    objectives = chosen(settings, guides[: len(settings.guides)])
    gradient_of.prepare(photo, objectives)
    return gradient_of, {each: each.weight for each in objectives}


def autograd(
    weights: Weights, kind: str, layer: str, picture: Tensor, photo: Tensor, shift: tuple[int, int], padding: str
) -> tuple[float, Tensor]:
    network = Vgg19(weights, [layer], CPU, torch.float32)
    x = normalised(picture, network)
    rolled = (torch.roll(each, shift, (2, 3)) for each in (x, normalised(photo, network).detach()))
    own, of_photo = (plainly(weights, network, each, padding)[layer] for each in rolled)
    of_guide = plainly(weights, network, normalised(GUIDE, network).detach())[layer]
    value = KINDS[kind][1](own, of_photo.detach(), of_guide.detach())
    (gradient,) = torch.autograd.grad(value, x)
    return float(value.detach()), gradient


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def a_little_dreamed(photo: Tensor) -> Tensor:
    return (photo + 0.1 * torch.rand(photo.shape, generator=torch.Generator().manual_seed(3))).clamp(0, 1)


@every_kind
@pytest.mark.parametrize("layer", ["relu2_2", "conv3_2", "pool4"])
@pytest.mark.parametrize(("tile", "shift"), [("none", (0, 0)), (64, (17, -23))])
def test_value_and_gradient_are_those_of_autograd(
    oxford: Weights, kind: str, layer: str, tile: int, shift: tuple[int, int]
) -> None:
    photo = photograph("coffee", *SIZE)
    picture = a_little_dreamed(photo)
    gradient_of, coefficients = gradient_with(oxford, settings_of(kind, layer), photo, [GUIDE], tile)
    found = gradient_of(picture, coefficients, shift)
    value, expected = autograd(oxford, kind, layer, picture, photo, shift, "constant")
    assert sum(found.values.values()) == pytest.approx(value, rel=1e-4)
    assert relative_error(found.tensor * found.divisor, expected) < 2e-4


@pytest.mark.parametrize("kind", ["norm", "caricature 1"])
def test_tiles_of_one_cell_leave_nothing_over(oxford: Weights, kind: str) -> None:
    photo = photograph("coffee", 66, 34)
    found = []
    for tile in ("none", 32):
        gradient_of, coefficients = gradient_with(oxford, settings_of(kind, "pool5"), photo, [], tile)
        gradient = gradient_of(a_little_dreamed(photo), coefficients)
        found.append(gradient.tensor * gradient.divisor)
    assert relative_error(found[1], found[0]) < 2e-4


@every_kind
@pytest.mark.parametrize("tile", ["none", 64])
def test_wrapped_it_is_the_gradient_on_a_torus(oxford: Weights, kind: str, tile: Any) -> None:
    photo = photograph("coffee", *SIZE)
    picture = a_little_dreamed(photo)
    settings = settings_of(kind, "relu3_1", tileable=True)
    gradient_of, coefficients = gradient_with(oxford, settings, photo, [GUIDE], tile)
    found = gradient_of(picture, coefficients, (5, -9))
    _, expected = autograd(oxford, kind, "relu3_1", picture, photo, (5, -9), "circular")
    assert relative_error(found.tensor * found.divisor, expected) < 2e-4


@pytest.mark.slow("half precision")
@every_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_points_the_same_way(oxford: Weights, kind: str, dtype: torch.dtype) -> None:
    photo = photograph("rocket", 96, 112)
    picture = a_little_dreamed(photo)
    found = []
    for each in (torch.float32, dtype):
        gradient_of, coefficients = gradient_with(oxford, settings_of(kind, "relu4_1"), photo, [GUIDE], dtype=each)
        found.append(gradient_of(picture, coefficients, (4, 4)).tensor.flatten())
    assert torch.cosine_similarity(found[0], found[1], dim=0) > 0.97


@every_kind
def test_five_steps_are_those_of_a_plain_loop(oxford: Weights, kind: str) -> None:
    photo = photograph("astronaut", 160, 176)
    plain: dict[str, Any] = {
        "octaves": 1, "iterations": 5, "step": 1.0, "natural": 0.0, "soft_limit": False, "clamp": False, "smooth": 0.0,
        "jitter": 0, "finest": "full",
    }  # fmt: skip
    settings = settings_of(kind, "relu3_1", **plain)
    guides = [GUIDE][: len(settings.guides)]
    network = Vgg19(oxford, ["relu3_1"], CPU, torch.float32)
    found = collected(dream(photo, settings, TiledGradient(network, tile=64), guides=guides))
    expected = photo.clone()
    for _ in range(5):
        _, gradient = autograd(oxford, kind, "relu3_1", expected, photo, (0, 0), "constant")
        gradient = gradient * network.std
        expected = expected + gradient / gradient.std(unbiased=False) / 255
    assert relative_error(found - photo, expected.clamp(0, 1) - photo) < 5e-3


def test_the_guide_is_matched_in_blocks_of_any_size(oxford: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = photograph("coffee", *SIZE)
    found = []
    for cells, products in ((1 << 12, 1 << 22), (7, 100)):
        monkeypatch.setattr(guide_module, "_CELLS_AT_ONCE", cells)
        monkeypatch.setitem(guide_module._PRODUCTS, "cpu", products)
        gradient_of, coefficients = gradient_with(oxford, settings_of("best match", "relu4_1"), photo, [GUIDE])
        found.append(gradient_of(photo, coefficients))
    assert relative_error(found[1].tensor, found[0].tensor) < 1e-4
    assert found[1].objective == pytest.approx(found[0].objective, rel=1e-5)


@pytest.mark.parametrize(("size", "photo", "seen"), [
    (100, (208, 176), (100, 111)), (4000, (208, 176), (144, 160)), ("octave", (208, 176), (144, 160)),
    ("octave", (120, 500), (120, 133)), ("octave", (32, 40), (40, 44)),
])  # fmt: skip
def test_a_guide_is_reduced_and_never_enlarged(size: Any, photo: tuple[int, int], seen: tuple[int, int]) -> None:
    objective = chosen(
        DreamSettings.model_validate({"layers": {}, "guides": ["cat.jpg@relu3_3"], "guide_size": size}), [GUIDE]
    )[0]
    asked: list[tuple[int, ...]] = []

    def features_of(picture: Tensor, layer: str) -> Tensor:
        asked.append(tuple(picture.shape[2:]))
        return picture

    for _ in range(2):
        objective.prepare(torch.zeros(1, 3, *photo), features_of)
    assert asked == [seen], "once for each size"


def test_a_guides_memory_counts(oxford: Weights) -> None:
    photo = photograph("coffee", *SIZE)
    settings = settings_of("best match", "relu2_2")
    with_guide, _ = gradient_with(oxford, settings, photo, [GUIDE], "auto", memory_mb=200)
    without, _ = gradient_with(oxford, settings_of("norm", "relu2_2"), photo, [], "auto", memory_mb=200)
    sides = [gradient_of.tile_px((4000, 6000)) for gradient_of in (with_guide, without)]
    assert sides[0] is not None
    assert sides[1] is not None
    assert sides[0] < sides[1]
    objective = next(iter(chosen(settings, [GUIDE])))
    objective.prepare(photo, with_guide.features)
    spare = 200e6 - objective.held_bytes
    wide = sides[0] + 2 * 32
    assert wide**2 * with_guide.network.bytes_per_pixel < spare


def test_features_are_the_same_in_tiles(oxford: Weights) -> None:
    photo = photograph("coffee", 203, 171)
    network = Vgg19(oxford, ["conv3_3", "pool4"], CPU, torch.float32)
    for layer in ("conv3_3", "pool4"):
        whole, tiled = (TiledGradient(network, tile=tile).features(photo, layer) for tile in ("none", 64))
        assert relative_error(tiled, whole) < 1e-5


def test_objectives_of_different_kinds_add_up(oxford: Weights) -> None:
    photo = photograph("coffee", *SIZE)
    what: dict[str, Any] = {
        "layers": {"relu2_1": 1.0, "relu3_1": -0.5}, "channels": {"conv4_1:9": 2.0}, "caricature": {"pool4": 1.0},
        "guides": ["cat.jpg@relu3_3", "cat.jpg@relu3_3=0.5"], "guide_size": 144,
    }  # fmt: skip
    settings = DreamSettings.model_validate(what)
    gradient_of, coefficients = gradient_with(oxford, settings, photo, [GUIDE, photograph("rocket")])
    picture = a_little_dreamed(photo)
    together = gradient_of(picture, coefficients)
    apart = [gradient_of(picture, {each: coefficient}) for each, coefficient in coefficients.items()]
    total = sum(each.tensor * each.divisor for each in apart)
    assert isinstance(total, torch.Tensor)
    assert relative_error(together.tensor, total) < 1e-5
    assert together.objective == pytest.approx(sum(c * together.values[each] for each, c in coefficients.items()))


# ---- what each does to a picture ----


def quick(what: dict[str, Any], **more: Any) -> DreamSettings:
    return DreamSettings.model_validate({"octaves": 2, "iterations": 6, "jitter": 4, "layers": {}, **what, **more})


def dreamed(weights: Weights, photo: Tensor, settings: DreamSettings, guides: list[Tensor] | None = None) -> Tensor:
    network = Vgg19(weights, layers_of(settings), CPU, torch.float32, settings.pooling)
    return collected(dream(photo, settings, TiledGradient(network, wrap=settings.tileable), guides=guides or []))


def features(weights: Weights, picture: Tensor, layer: str) -> Tensor:
    return TiledGradient(Vgg19(weights, [layer], CPU, torch.float32)).features(picture, layer)


def likeness(weights: Weights, picture: Tensor, guide: Tensor, layer: str) -> float:
    """How much a picture's cells are like the most alike of the guide's, as a mean cosine."""
    own, other = (features(weights, each, layer)[0].flatten(1) for each in (picture, guide))
    return float((F.normalize(own, dim=0).T @ F.normalize(other, dim=0)).amax(1).mean())


@pytest.mark.parametrize("match", ["best", "mean"])
def test_a_guide_makes_the_picture_like_itself_and_not_like_another(oxford: Weights, match: str) -> None:
    photo, other = photograph("coffee"), photograph("rocket")
    settings = quick({"guides": ["cat.jpg@relu4_2"], "guide_size": 144, "guide_match": match})
    result = dreamed(oxford, photo, settings, [GUIDE])
    gains = [
        likeness(oxford, result, guide, "relu4_2") - likeness(oxford, photo, guide, "relu4_2")
        for guide in (GUIDE, other)
    ]
    assert gains[0] > max(0.02, 2 * gains[1]), gains


def test_a_channel_rises_more_than_all_others(oxford: Weights) -> None:
    photo = photograph("astronaut", 112, 128)
    for layer, number in (("conv4_3", 40), ("conv4_3", 200), ("pool4", 77), ("pool4", 130)):
        result = dreamed(oxford, photo, quick({"channels": {f"{layer}:{number}": 1.0}}))
        before, after = (features(oxford, each, layer)[0] for each in (photo, result))
        assert int((after - before).mean((1, 2)).argmax()) == number


def test_a_channel_with_a_negative_weight_falls(oxford: Weights) -> None:
    photo = photograph("astronaut")
    strongest = picked_channels(features(oxford, photo, "relu4_1"), "strongest", 1)[0]
    result = dreamed(oxford, photo, quick({"channels": {f"relu4_1:{strongest}": -1.0}}))
    before, after = (features(oxford, each, "relu4_1")[0, strongest].mean() for each in (photo, result))
    assert after < 0.8 * before


def test_a_caricature_keeps_to_the_photo_where_the_norm_leaves_it(oxford: Weights) -> None:
    photo = photograph("chelsea")
    before = features(oxford, photo, "relu4_2")

    exaggerated, ordinary = (
        features(oxford, dreamed(oxford, photo, quick({kind: {"relu4_2": 1.0}})), "relu4_2")
        for kind in ("caricature", "layers")
    )
    kept = [float(torch.cosine_similarity(before, after).mean()) for after in (exaggerated, ordinary)]
    assert kept[0] > kept[1] + 0.02
    assert (before * exaggerated).sum() / before.square().sum() > 1.3, "the photo's own features have grown"


def test_a_caricature_raises_the_cosine_of_a_blurred_picture_and_the_norm_lowers_it(oxford: Weights) -> None:
    photo = photograph("chelsea")
    before = features(oxford, photo, "relu4_2")
    start = gaussian_blur(photo, 2.0)

    def cosine_after(kind: str) -> float:
        settings = settings_of(kind, "relu4_2")
        gradient_of, coefficients = gradient_with(oxford, settings, photo, [])
        picture = start.clone()
        for _ in range(8):
            gradient = gradient_of(picture, coefficients).tensor
            picture = (picture + gradient / gradient.std() / 255).clamp(0, 1)
        return float(torch.cosine_similarity(before, features(oxford, picture, "relu4_2")).mean())

    at_first = float(torch.cosine_similarity(before, features(oxford, start, "relu4_2")).mean())
    assert cosine_after("caricature 2") > at_first > cosine_after("norm")


def test_a_negative_layer_calms(oxford: Weights) -> None:
    photo = photograph("coffee")
    result = dreamed(oxford, photo, quick({"layers": {"relu3_1": -1.0}}))
    before, after = (features(oxford, each, "relu3_1").norm() for each in (photo, result))
    assert after < 0.9 * before


WHAT: list[dict[str, Any]] = [
    {"guides": ["cat.jpg@relu3_1"], "guide_size": 144},
    {"guides": ["cat.jpg@relu3_1"], "guide_size": "octave"},
    {"channels": {"conv3_1:17": 1.0}},
    {"caricature": {"relu3_1": 1.0}},
    {"layers": {"relu2_1": -1.0}},
    {"layers": {"relu2_1": 1.0}, "tileable": True},
]


def small(weights: Weights, what: dict[str, Any]) -> tuple[Tensor, DreamSettings, Vgg19, list[Tensor]]:
    """A small photograph, quick settings, their network and their guides."""
    settings = quick(what, iterations=2)
    network = Vgg19(weights, layers_of(settings), CPU, torch.float32)
    return photograph("rocket", 96, 130), settings, network, [GUIDE] * len(settings.guides)


@pytest.mark.parametrize("what", WHAT, ids=str)
def test_what_was_not_asked_to_change_does_not_change(oxford: Weights, what: dict[str, Any]) -> None:
    photo, settings, network, guides = small(oxford, what)
    mask = torch.ones(1, 1, 96, 130)
    mask[..., :40] = 0
    gradient_of = TiledGradient(network, wrap=settings.tileable)
    result = collected(dream(photo, settings, gradient_of, mask=mask, guides=guides))
    assert torch.equal(result[..., :40], photo[..., :40])
    assert not torch.equal(result, photo)
    none = settings.model_copy(update={"strength": 0.0})
    assert torch.equal(collected(dream(photo, none, gradient_of, guides=guides)), photo)


@pytest.mark.parametrize("what", WHAT, ids=str)
def test_dreams_that_take_turns_are_those_that_do_not(oxford: Weights, what: dict[str, Any]) -> None:
    photo, settings, network, guides = small(oxford, what)

    def one() -> Any:
        return dream(photo, settings, TiledGradient(network, tile=64, wrap=settings.tileable), guides=guides)

    alone = collected(one())
    assert all(torch.equal(each, alone) for each in taking_turns([one(), one()]))


# ---- seamless ----


def edge(picture: Tensor) -> tuple[float, float]:
    """The mean difference of neighbours over the border, and inside."""
    over = [(picture[:, :, 0] - picture[:, :, -1]).abs().mean(), (picture[..., 0] - picture[..., -1]).abs().mean()]
    within = [picture.diff(dim=dim).abs().mean() for dim in (2, 3)]
    return float(sum(over)), float(sum(within))


@pytest.mark.parametrize("smoothing", [{}, {"laplacian": 3, "smooth": 2.0, "tv": 0.3}, {"keep_colours": True}], ids=str)
@pytest.mark.parametrize("size", [(160, 192), (133, 171)])
def test_a_tileable_dream_has_no_edge(oxford: Weights, smoothing: dict[str, Any], size: tuple[int, int]) -> None:
    photo = photograph("astronaut", *size)
    result = dreamed(oxford, photo, quick({"layers": {"relu3_1": 1.0}}, tileable=True, **smoothing))
    over, within = edge(result)
    assert over < 1.2 * within
    plain_over, plain_within = edge(dreamed(oxford, photo, quick({"layers": {"relu3_1": 1.0}}, **smoothing)))
    assert plain_over > 2 * plain_within, "the photo has an edge of its own, or this proves nothing"


def test_a_rolled_picture_dreams_the_rolled_dream(oxford: Weights) -> None:
    photo = photograph("astronaut", 160, 192)
    settings = quick({"layers": {"relu3_1": 1.0}}, tileable=True, octaves=1, jitter=0, iterations=3)
    rolled = dreamed(oxford, torch.roll(photo, (80, 96), (2, 3)), settings.model_copy(update={"clamp": False}))
    straight = dreamed(oxford, photo, settings)
    over, within = edge(torch.roll(straight, (80, 96), (2, 3)))
    assert over < 3 * within, "what was inside"
    assert rolled.shape == straight.shape


def test_a_second_frame_repeats_without_an_edge_as_the_first_does(oxford: Weights) -> None:
    photo = photograph("astronaut", 112, 144)
    settings = quick({"layers": {"relu3_1": 1.0}}, tileable=True, iterations=1, step=0.1)
    network = Vgg19(oxford, ["relu3_1"], CPU, torch.float32)
    frames: list[Tensor] = []
    for _ in range(4):
        start = frames[-1] - photo if frames else None
        frames.append(collected(dream(photo, settings, TiledGradient(network, wrap=True), start=start)))
    overs = [edge(frame)[0] for frame in frames]
    assert max(overs) < 1.2 * overs[0], overs
    assert (frames[-1] - frames[0]).abs().mean() < 0.01


def test_a_second_frame_repeats_as_the_first_does_where_the_mask_is_gray(oxford: Weights) -> None:
    photo = photograph("astronaut", 112, 144)
    settings = quick({"layers": {"relu3_1": 1.0}}, tileable=True, iterations=1, step=0.1)
    network, gray = Vgg19(oxford, ["relu3_1"], CPU, torch.float32), torch.full((1, 1, 112, 144), 0.3)
    first = collected(dream(photo, settings, TiledGradient(network, wrap=True), mask=gray))
    start = first - photo
    second = collected(dream(photo, settings, TiledGradient(network, wrap=True), mask=gray, start=start))
    border = torch.cat([(second - first)[..., :4], (second - first)[..., -4:]], -1).abs()
    assert border.mean() < 0.01


@pytest.mark.parametrize("way", [{}, {"keep_colours": True}], ids=str)
def test_little_strength_mends_little_of_the_edge(oxford: Weights, way: dict[str, Any]) -> None:
    photo = photograph("astronaut", 112, 144)
    weak = quick({"layers": {"relu3_1": 1.0}}, tileable=True, iterations=1, strength=0.01, **way)
    assert (dreamed(oxford, photo, weak) - photo).abs().max() < 0.03
    mask = torch.full((1, 1, 112, 144), 0.01)
    network = Vgg19(oxford, ["relu3_1"], CPU, torch.float32)
    masked = weak.model_copy(update={"strength": 1.0})
    result = collected(dream(photo, masked, TiledGradient(network, wrap=True), mask=mask))
    assert (result - photo).abs().max() < 0.03


@pytest.mark.parametrize(("before", "after"), [((101, 97), (48, 64)), ((48, 64), (101, 97)), ((96, 64), (48, 32))])
def test_resized_in_a_circle_it_is_the_middle_of_nine(before: tuple[int, int], after: tuple[int, int]) -> None:
    picture = torch.rand(1, 2, *before, generator=torch.Generator().manual_seed(1))
    nine = resize(picture.repeat(1, 1, 3, 3), (3 * after[0], 3 * after[1]))
    expected = nine[:, :, after[0] : 2 * after[0], after[1] : 2 * after[1]]
    torch.testing.assert_close(resize(picture, after, wrap=True), expected, atol=1e-5, rtol=1e-5)


# ---- bad input ----


def test_a_small_guide_is_refused_with_what_to_do(oxford: Weights) -> None:
    settings = quick({"guides": ["tiny.png@pool4"]})
    with pytest.raises(PictureError, match=r"tiny.png: 100×90 px .* pool4, which sees 124 px .* — give a larger guide"):
        chosen(settings, [torch.rand(1, 3, 90, 100)])
    with pytest.raises(PictureError, match="raise --guide-size to 252"):
        chosen(quick({"guides": ["cat.jpg@relu5_4"]}), [torch.rand(1, 3, 300, 300)])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"layers": {"pool4": 0.0}}, "every weight is 0"),
        ({"layers": {}}, "nothing to dream of"),
        ({"channels": {"strongest:8": 0.0}}, "every weight is 0"),
        ({"layers": {"pool4": 0.0}, "channels": ["strongest:3"]}, "every weight is 0"),
        ({"guides": [{"file": "cat.jpg", "layers": {"relu4_2": 0.0}}]}, "every weight is 0"),
        ({"channels": [f"pool4:{number}" for number in ("17", "0017")]}, "pool4:17 is given twice"),
        (
            {"layers": {"pool4": 1.0}, "guides": ["cat.jpg@pool4"]},
            "pool4 cannot both grow and follow the guide cat.jpg — .*: cat.jpg@relu3_1",
        ),
        ({"channels": {"conv4_3:512": 1.0}}, "conv4_3 has no channel 512 — it has 512, from 0 to 511"),
        ({"channels": {"conv9_9:1": 1.0}}, "unknown layer 'conv9_9'"),
        ({"channels": {"17": 1.0}}, "write LAYER:NUMBER"),
        ({"guides": [{"file": "cat.jpg", "wieght": 1}]}, "wieght: unknown key"),
        ({"channels": {"strongest:0": 1.0}}, "'strongest:0' is not allowed — give a count from 1 to 512, such as"),
        ({"channels": {"pool1:weakest:1000": 1.0}}, "give a count from 1 to 64, such as weakest:8"),
        ({"channels": {"pool1:strongest:65": 1.0}}, "give a count from 1 to 64, such as strongest:8"),
        (
            {"channels": {"pool4:3": 2000.0}},
            "--channel pool4:3: 2000.0 is not allowed — allowed: at most 1000 channels, LAYER:N",
        ),
        ({"channels": {"strongest:8": 2000.0}}, "--channel strongest:8: 2000.0 is not allowed"),
        ({"guides": [{"weight": 1}]}, "a guide has no file — write FILE"),
        ({"guides": [""]}, "--guide: a guide has no file — write FILE"),
        ({"guides": ["cat.jpg=nan"]}, "the guide's weight nan is not allowed — give a number from -1000 to 1000"),
        ({"guides": ["cat.jpg@27=much"]}, "the guide's weight 'much' is not allowed"),
        ({"guides": ["cat.jpg@37"]}, "unknown layer '37'"),
    ],
)
def test_bad_settings_are_refused_with_what_to_do(what: dict[str, Any], message: str) -> None:
    from deepdream_core.config import load_config

    with pytest.raises(SettingsError, match=message) as raised:
        load_config(None).dream_settings(None, what)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("words", "file", "weight", "layers"), [
    ("cat.jpg@27", "cat.jpg", 1.0, {"pool4": 1.0}),
    ("cat.jpg@27=-0.5", "cat.jpg", -0.5, {"pool4": 1.0}),
    ("a=1@b.jpg@relu3_3=2", "a=1@b.jpg", 2.0, {"relu3_3": 1.0}),
    ("a=b@relu3_3", "a=b", 1.0, {"relu3_3": 1.0}),
    ("cat@2x.jpg", "cat@2x.jpg", 1.0, {}),
    ("cat@27", "cat@27", 1.0, {}),
    ("cat=far", "cat=far", 1.0, {}),
    ("v1.0=2/cat.jpg", "v1.0=2/cat.jpg", 1.0, {}),
    ("cat=0.5", "cat", 0.5, {}),
])  # fmt: skip
def test_a_guide_in_words(words: str, file: str, weight: float, layers: dict[str, float]) -> None:
    (guide,) = DreamSettings(layers={}, guides=[words]).guides  # type: ignore[list-item]
    assert (guide["file"], guide["weight"], guide["layers"]) == (file, weight, layers)


def test_who_names_what_to_dream_of_replaces_what_was_below() -> None:
    from deepdream_core.config import load_config

    config = load_config(None)
    guided = config.dream_settings(None, {"guides": ["cat.jpg"]})
    assert guided.layers == {}
    assert guided.layers_of(guided.guides[0])
    mixed = config.dream_settings(None, {"guides": ["cat.jpg@relu3_3"], "layers": ["pool4"]})
    assert mixed.layers == {"pool4": 1.0}
    for channels in (["strongest:8"], "strongest:8", "Strongest:8", {"strongest:8": 1.0}):
        assert config.dream_settings(None, {"channels": channels}).layers == config.dream.layers
    assert config.dream_settings(None, {"channels": ["strongest:8"], "guides": ["cat.jpg@pool4"]}).guides
    assert config.dream_settings(None, {"channels": ["conv4_3:strongest:8"]}).layers == {}
    assert config.dream_settings(None, {"step": 1.0}).layers == config.dream.layers


def test_what_to_take_of_a_guide_is_one_layer_or_a_mixture_of_two() -> None:
    assert [guide_layers(figures) for figures in (0, 0.33, 0.67, 1)] == [
        {"relu3_1": 1.0}, {"relu3_3": 1.0}, {"relu4_2": 1.0}, {"pool4": 1.0},
    ]  # fmt: skip
    assert guide_layers(0.5) == pytest.approx({"relu3_3": 0.5, "relu4_2": 0.5})


def test_a_pick_whose_channels_are_all_switched_off_is_refused() -> None:
    engine = Engine(EngineSettings(device="cpu", precision="fp32"))
    planes = photograph("coffee", 120, 140)[0].numpy()
    (strongest,) = engine.picked(planes, quick({"channels": ["relu3_1:strongest:1"]}, finest=100)).channels
    off = quick({"channels": {"relu3_1:strongest:1": 1.0, strongest: 0.0}}, finest=100)
    with pytest.raises(SettingsError, match="nothing to dream of: every weight is 0"):
        engine.picked(planes, off)


def test_a_channel_that_is_named_counts_whatever_is_picked() -> None:
    engine = Engine(EngineSettings(device="cpu", precision="fp32"))
    planes = photograph("coffee", 120, 140)[0].numpy()
    picked = engine.picked(planes, quick({"channels": ["relu3_1:strongest:3"]}, finest=100)).channels
    one = next(iter(picked))
    for channels in ({one: -1.0, "relu3_1:strongest:3": 1.0}, {"relu3_1:strongest:3": 1.0, one: -1.0}):
        assert engine.picked(planes, quick({"channels": channels}, finest=100)).channels == {**picked, one: -1.0}


@pytest.mark.parametrize("which", ["strongest", "weakest", "average"])
def test_channels_are_picked_for_the_photo_and_named(oxford: Weights, which: str) -> None:
    engine = Engine(EngineSettings(device="cpu", precision="fp32"))
    photo = photograph("coffee", 120, 140)
    given = quick({"layers": {"relu3_1": 1.0}, "channels": {f"{which}:3": 1.0}}, finest=100)
    assert given.picks()
    settings = engine.picked(photo[0].numpy(), given)
    assert not settings.picks()
    assert settings.layers == {}
    means = features(oxford, resize(photo, (100, 117)), "relu3_1")[0].mean((1, 2))
    distance = {"strongest": -means, "weakest": means, "average": (means - means.mean()).abs()}[which]
    expected = sorted(distance.argsort()[:3].tolist())
    assert [*settings.channels] == [f"relu3_1:{number}" for number in expected]
    assert engine.picked(photo[0].numpy(), settings) == settings


def test_values_have_names_for_messages(oxford: Weights) -> None:
    photo = photograph("coffee", *SIZE)
    gradient_of, coefficients = gradient_with(oxford, settings_of("channels", "conv3_1"), photo, [])
    assert [each.label for each in coefficients] == ["conv3_1:17,3"]
    assert [*by_layer(gradient_of(photo, coefficients).values)] == ["conv3_1"]
