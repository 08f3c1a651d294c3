"""Natural colours, colours that stay, and values that are not cut off."""

from __future__ import annotations

import pytest
import torch
from conftest import PHOTOGRAPHS, photograph
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.engine import strips
from deepdream_core.engine.colour import mix_, mixing, recolour_
from deepdream_core.engine.limit import difference_to, move_

STD = torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1)
LUCID = torch.tensor(((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03)))


def noise(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(height * width))


def luma(picture: torch.Tensor) -> torch.Tensor:
    return (picture * torch.tensor((0.3, 0.59, 0.11)).view(1, 3, 1, 1)).sum(1, keepdim=True)


def test_without_natural_colours_a_step_is_the_gradient_of_the_picture_to_the_bit() -> None:
    gradient = noise(20, 31)
    assert torch.equal(mix_(gradient.clone(), mixing(0.0, keep_colours=False, std=STD)), gradient * STD)


def test_natural_colours_are_a_climb_in_decorrelated_ones() -> None:
    """With colours C z, the gradient by z is Cᵀ g, and a move along it there is one by C Cᵀ g of the colours."""
    gradient = noise(20, 31)
    root = LUCID / torch.linalg.vector_norm(LUCID, dim=0).max()
    whole = torch.einsum("ij,kj,bkhw->bihw", root, root, gradient * STD)
    for natural in (1.0, 0.8):
        mixed = mix_(gradient.clone(), mixing(natural, keep_colours=False, std=STD))
        torch.testing.assert_close(mixed, natural * whole + (1 - natural) * gradient * STD, atol=1e-6, rtol=1e-5)


def test_gray_keeps_its_strength_and_colours_lose_theirs() -> None:
    strengths = torch.linalg.eigvalsh(mixing(1.0, keep_colours=False, std=torch.ones(1, 3, 1, 1)))
    assert strengths.tolist() == pytest.approx([1 / 56, 1 / 13, 1], rel=0.1)


def test_colours_that_stay_let_all_channels_move_alike() -> None:
    gradient = noise(9, 8)
    mixed = mix_(gradient.clone(), mixing(0.3, keep_colours=True, std=STD))
    torch.testing.assert_close(mixed, (gradient * STD).mean(1, keepdim=True).expand(-1, 3, -1, -1))


@pytest.mark.parametrize("rows", [1, 7])
def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    gradient, picture, original = noise(40, 30), photograph("coffee", 40, 30), photograph("astronaut", 40, 30)
    matrix = mixing(0.9, keep_colours=False, std=STD)

    def results() -> list[torch.Tensor]:
        moved = move_(picture.clone(), gradient, soft=True, scale=0.1)
        return [
            mix_(gradient.clone(), matrix),
            *(recolour_(picture.clone(), original, limit=True, soft=soft) for soft in (False, True)),
            moved,
            difference_to(moved.clone(), picture, soft=True),
        ]

    whole = results()
    monkeypatch.setitem(strips._STRIP_PIXELS, "cpu", rows * 30)
    for parts, expected in zip(results(), whole, strict=True):
        torch.testing.assert_close(parts, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
def test_hue_and_chroma_stay_where_lightness_allows_it(photo: str) -> None:
    original = photograph(photo, 60, 80)
    dreamed = (original + 0.3 * noise(60, 80)).clamp(0, 1)
    result = recolour_(dreamed.clone(), original, limit=True, soft=False)
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    torch.testing.assert_close(luma(result), luma(dreamed), atol=1e-5, rtol=0)
    before, after = original - luma(original), result - luma(result)
    allowed = ((before + luma(dreamed) >= 0) & (before + luma(dreamed) <= 1)).all(1, keepdim=True)
    assert allowed.float().mean() > 0.3
    assert (after - before).abs()[allowed.expand_as(after)].max() < 1 / 255
    coloured = torch.linalg.vector_norm(before, dim=1) > 0.05
    alike = torch.nn.functional.cosine_similarity(after, before, dim=1)[
        coloured & (torch.linalg.vector_norm(after, dim=1) > 0.01)
    ]
    assert alike.min() > 0.999, "where there is no room for the chroma it gets less, and the hue stays"


def test_a_gray_picture_stays_gray_and_values_beyond_stay_in_their_range() -> None:
    gray = photograph("coffee", 40, 40)[:, :1].expand(-1, 3, -1, -1)
    result = recolour_((gray + 0.2 * noise(40, 40)).clamp(0, 1), gray, limit=True, soft=False)
    assert (result.amax(1) - result.amin(1)).max() < 1e-6
    wide = photograph("coffee", 40, 40) * 3 - 1
    same = recolour_(wide.clone(), wide, limit=True, soft=False)
    torch.testing.assert_close(same, wide, atol=1e-5, rtol=1e-5)
    moved = recolour_(wide + 0.5 * noise(40, 40), wide, limit=True, soft=False)
    assert bool(((moved >= wide.clamp(max=0)) & (moved <= wide.clamp(min=1))).all())


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
def test_where_colours_stay_the_soft_limit_holds_too(photo: str) -> None:
    original = photograph(photo, 60, 80)
    dreamed = move_(original.clone(), noise(60, 80), soft=True, scale=0.3)
    hard, soft = (recolour_(dreamed.clone(), original, limit=True, soft=soft) for soft in (False, True))
    before, *results = ((picture * 255).round() for picture in (original, hard, soft))
    inside = (before > 0) & (before < 255)
    assert [int((inside & ((after <= 0) | (after >= 255))).sum()) > 0 for after in results] == [True, False]
    torch.testing.assert_close(luma(soft), luma(hard), atol=1 / 255, rtol=0)
    torch.testing.assert_close(
        recolour_(original.clone(), original, limit=True, soft=True), original, atol=1e-6, rtol=0
    )


@given(st.floats(0.0, 1.0), st.floats(-0.6, 0.6))
def test_a_soft_move_follows_its_curve_and_can_be_taken_back(value: float, by: float) -> None:
    start = torch.full((1, 3, 1, 1), value)
    there = move_(start.clone(), torch.full_like(start, by), soft=True)
    rising, size = (value if by > 0 else 1 - value), abs(by)
    on_curve = torch.tensor((rising + 0.03) / 1.03, dtype=torch.float64)
    moved = float(torch.sigmoid(torch.logit(on_curve) + 4 * size)) * 1.03 - 0.03
    assert float(there[0, 0]) == pytest.approx(moved if by > 0 else 1 - moved, abs=1e-5)
    assert -1e-6 < float(there.min()) <= float(there.max()) < 1 + 1e-6
    if abs(by) > 0.01 and rising < 0.9 and moved < 0.995:
        assert float(difference_to(there.clone(), start, soft=True)[0, 0]) == pytest.approx(by, abs=1e-3)


def test_a_soft_move_cuts_nothing_off_and_leaves_what_it_does_not_move() -> None:
    gray = torch.full((1, 3, 4, 4), 0.5)
    step = torch.full_like(gray, 0.01)
    torch.testing.assert_close(move_(gray.clone(), step, soft=True), gray + step, atol=1e-3, rtol=0)
    picture = photograph("rocket", 30, 40) * 3 - 1
    picture[0, 0, 0, :3] = torch.tensor([-0.0, 1e-42, 1.0])
    assert torch.equal(move_(picture.clone(), torch.zeros_like(picture), soft=True), picture)
    far = move_(picture.clone(), 1e9 * noise(30, 40), soft=True)
    assert bool(((far >= picture.clamp(max=0) - 1e-6) & (far <= picture.clamp(min=1) + 1e-6)).all())
    shadows = torch.linspace(1e-4, 0.1, 100).expand(1, 3, 1, 100)
    darker = move_(shadows.clone(), torch.full_like(shadows, -0.5), soft=True)
    assert bool((darker > 0).all())
    assert bool((darker.diff(dim=3) > 0).all()), "what was apart stays apart"


def test_pure_black_and_white_dream_too_and_evenly_with_what_is_near_them() -> None:
    sky = torch.tensor([250, 252, 253, 254, 255]).view(1, 1, 1, 5).expand(1, 3, 1, 5) / 255
    darker = move_(sky.clone(), torch.full_like(sky, -0.2), soft=True)
    assert bool((darker < sky - 0.02).all())
    assert float(darker.max() - darker.min()) < 2.5 * float(sky.max() - sky.min()), "no speckle in a blown sky"
    mirrored = move_(1 - sky, torch.full_like(sky, 0.2), soft=True)
    torch.testing.assert_close(mirrored, 1 - darker, atol=1e-5, rtol=0)
