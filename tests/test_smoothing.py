"""Gradient smoothing and normalisation against straightforward definitions."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.engine import strips
from deepdream_core.engine.smoothing import (
    Normalizer,
    add_total_variation_,
    gaussian_blur,
    normalize_,
    normalize_laplacian_,
    smooth_cascade_,
)


def noise(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(height * 1000 + width))


def blurred_plainly(plane: torch.Tensor, sigma: float) -> torch.Tensor:
    radius = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = torch.outer(kernel, kernel) / kernel.sum() ** 2
    return F.conv2d(F.pad(plane, (radius,) * 4, mode="replicate"), kernel[None, None])


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.2, 6), st.integers(1, 400))
def test_blur_is_a_convolution_however_it_is_cut(height: int, width: int, sigma: float, strip: int) -> None:
    plane = noise(height, width, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(strips._STRIP_PIXELS, "cpu", strip)
        torch.testing.assert_close(gaussian_blur(plane, sigma), blurred_plainly(plane, sigma), atol=1e-5, rtol=1e-4)


def test_the_cascade_is_the_mean_of_three_blurs() -> None:
    gradient = noise(30, 50)
    blurs = [
        torch.cat([blurred_plainly(plane, s) for plane in torch.split(gradient, 1, 1)], 1) for s in (1.0, 2.0, 4.0)
    ]
    expected = torch.stack(blurs).mean(0)
    torch.testing.assert_close(smooth_cascade_(gradient.clone(), 2.0), expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(smooth_cascade_(gradient.clone(), 0.0), gradient)


def test_normalizers() -> None:
    gradient = noise(20, 30) * 7 + 0.5
    assert normalize_(gradient.clone(), "std").std(unbiased=False) == pytest.approx(1, rel=1e-5)
    assert normalize_(gradient.clone(), "mean_abs").abs().mean() == pytest.approx(1, rel=1e-5)
    assert torch.equal(normalize_(gradient.clone(), "none"), gradient)


@pytest.mark.parametrize("normalizer", ["std", "mean_abs"])
def test_a_gradient_of_zero_stays_zero(normalizer: Normalizer) -> None:
    assert torch.equal(normalize_(torch.zeros(1, 3, 8, 8), normalizer), torch.zeros(1, 3, 8, 8))


def test_laplacian_normalisation_lifts_weak_low_frequencies() -> None:
    wave = torch.sin(torch.arange(128) / 128 * 4 * math.pi).expand(1, 3, 128, 128) * 0.01
    gradient = noise(128, 128) + wave
    before = float((gradient * wave).sum() / wave.norm() / gradient.norm())
    lifted = normalize_laplacian_(gradient.clone(), 4)
    after = float((lifted * wave).sum() / wave.norm() / lifted.norm())
    assert after > 3 * before
    assert torch.equal(normalize_laplacian_(gradient.clone(), 0), gradient)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (2, 2), (5, 7)])
def test_laplacian_normalisation_of_small_gradients(size: tuple[int, int]) -> None:
    assert torch.isfinite(normalize_laplacian_(noise(*size), 6)).all()


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 200))
def test_total_variation_is_the_gradient_autograd_finds(height: int, width: int, strip: int) -> None:
    difference = noise(height, width) * 0.1
    x = difference.clone().requires_grad_()
    right, down = F.pad(x[..., 1:] - x[..., :-1], (0, 1)), F.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
    (expected,) = torch.autograd.grad(torch.sqrt(right**2 + down**2 + (1 / 255) ** 2).sum(), x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(strips._STRIP_PIXELS, "cpu", strip)
        found = add_total_variation_(torch.zeros_like(difference), difference, 2.0)
    torch.testing.assert_close(found, -2 * expected, atol=1e-4, rtol=1e-4)
