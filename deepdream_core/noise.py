"""Noise to dream from: as coloured, and as strong at each size of detail, as photographs are on average."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLOUR_SQRT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""Square root of the covariance of ImageNet's colours, rows R, G, B; columns about gray, blue to yellow, green to magenta.

`color_correlation_svd_sqrt` of Lucid (Olah et al., 2017), `lucid/optvis/param/color.py`.
"""
_MEAN = (0.485, 0.456, 0.406)
"""ImageNet's mean colour, R, G, B."""
_CONTRAST = 0.5
"""Contrast relative to a photograph's, chosen by eye: more leaves clouds under the dream, less leaves gray in it."""


def natural_noise(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """Return noise, uint8 [height, width, 3] of sRGB-encoded RGB, that repeats without an edge.

    The amplitude of each frequency is as 1/f, as it is in photographs (Field, "Relations between the statistics of natural
    images", 1987); colours are correlated as theirs are. The same size and seed give the same bytes.
    """
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]).astype(np.float32)
    frequency[0, 0] = np.inf  # the mean is given
    planes = []
    for _ in COLOUR_SQRT:
        spectrum = np.fft.rfft2(random.standard_normal((height, width), np.float32))
        spectrum /= frequency
        plane = np.fft.irfft2(spectrum, (height, width)).astype(np.float32, copy=False)
        planes.append(plane / max(float(plane.std()), 1e-12))
    noise = np.empty((height, width, 3), np.uint8)
    for channel, (mean, shares) in enumerate(zip(_MEAN, COLOUR_SQRT, strict=True)):
        value = sum(np.float32(_CONTRAST * share) * plane for share, plane in zip(shares, planes, strict=True))
        noise[..., channel] = np.rint(np.clip((value + np.float32(mean)) * 255, 0, 255))
    return noise
