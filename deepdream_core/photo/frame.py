"""One picture's samples, and their conversion to float planes and back that leaves unchanged pixels untouched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from deepdream_core.photo.container import Blocks

_BEYOND = 2  # times white: most of an HDR photograph stays below
_BAND = 1 << 20  # pixels worked on at once, so that memory stays small
WHITE = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0}
"""The sample value of 1.0 of each type on the wire."""
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as picture programs convert to gray


@dataclass(frozen=True)
class Frame:
    """One upright picture: a still, a frame of an animation or a page of a TIFF.

    `samples`: [H, W, C] of uint8, uint16, uint32, float16, float32 or float64 in the file's own encoding; C is 1 gray,
    2 gray and alpha, 3 RGB, 4 RGB and alpha. `white` is the sample value of 1.0. `premultiplied`: the colours are already
    multiplied by alpha. `duration_ms` is for animations, `blocks` for a TIFF's pages. `extra`: a TIFF's samples that are
    neither colour nor transparency, [H, W, N] of the samples' type, never changed; `extra_kinds`: what the file calls
    them.
    """

    samples: NDArray[Any]
    white: float
    premultiplied: bool = False
    duration_ms: float | None = None
    blocks: Blocks | None = None
    extra: NDArray[Any] | None = None
    extra_kinds: tuple[int, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.samples.shape[1], self.samples.shape[0]

    @property
    def gray(self) -> bool:
        """Whether the picture is gray, and stays gray."""
        return bool(self.samples.shape[2] < 3)

    @property
    def alpha(self) -> NDArray[Any] | None:
        """The transparency, [H, W] of the samples' type, or None."""
        return None if self.samples.shape[2] % 2 else self.samples[..., -1]

    @property
    def invisible(self) -> bool:
        """Whether every pixel is transparent."""
        return self.alpha is not None and not self.alpha.any()

    @property
    def beyond(self) -> float | None:
        """The largest value, if most values are far above white, as on another scale; None otherwise."""
        if self.samples.dtype.kind != "f":
            return None
        colours = self.samples[..., : 1 if self.gray else 3]
        lit = colours[(colours > 0) & np.isfinite(colours)]
        return float(lit.max()) if lit.size and (lit > _BEYOND * self.white).mean() > 1 / 2 else None

    @property
    def depth(self) -> str:
        """Bits of a channel in words: `8`, `10`, `12`, `16`, `32` or `float`."""
        return "float" if self.samples.dtype.kind == "f" else str(int(self.white).bit_length())

    def floats(self) -> NDArray[np.float32]:
        """Return the colours as float32 [3, H, W], 1.0 for white; transparent pixels get the colours around them.

        Invisible pixels hold anything, often black. The network must not see an edge that people do not see.
        """
        planes = np.empty((3, *self.samples.shape[:2]), np.float32)
        for channel in range(1 if self.gray else 3):
            planes[channel] = self._plane(channel)
        if self.gray:
            planes[1:] = planes[0]
        alpha = self.alpha
        if alpha is not None and (invisible := alpha == 0).any():
            for channel in range(1 if self.gray else 3):
                spread_into(planes[channel], invisible)
            if self.gray:
                planes[1:] = planes[0]
        return planes

    def with_floats(self, planes: NDArray[np.float32]) -> Frame:
        """Return this frame with other colours: float32 [3, H, W] in 0…1, rounded to the samples' type.

        A sample stays bit for bit if its value is what `floats` returned, or if the pixel is transparent. Alpha never
        changes.
        """
        changed = replace(self, samples=self.samples.copy())
        changed.take_floats(planes)
        return changed

    def take_floats(self, planes: NDArray[np.float32]) -> None:
        """Change this frame's own samples, as `with_floats` does in a copy."""
        rows = max(1, _BAND // max(1, self.samples.shape[1]))
        for top in range(0, self.samples.shape[0], rows):
            band = slice(top, top + rows)
            replace(self, samples=self.samples[band])._write_changed(planes[:, band])

    def _write_changed(self, planes: NDArray[np.float32]) -> None:
        """Write the values that differ from those `floats` returned."""
        alpha = self.alpha
        for channel in range(1 if self.gray else 3):
            before = self._plane(channel)
            if self.gray:
                changed = (planes != before).any(axis=0)
                plane = _luma(planes)
            else:
                plane = planes[channel]
                changed = plane != before
            if alpha is not None:
                changed &= alpha != 0
            np.copyto(self.samples[..., channel], self._rounded(plane), where=changed)

    def visible_brightness(self) -> NDArray[np.float32]:
        """Return the luma as float32 [H, W], 1.0 for white; transparent pixels count as black."""
        planes = [self._plane(channel) for channel in range(1 if self.gray else 3)]
        luma = planes[0] if self.gray else _luma(planes)
        if self.alpha is not None:
            luma = luma * np.multiply(self.alpha, np.float32(1 / self.white), dtype=np.float32)
        return luma

    def _plane(self, channel: int) -> NDArray[np.float32]:
        """Return one channel as float32 [H, W], 1.0 for white, divided by alpha if premultiplied."""
        with np.errstate(invalid="ignore", over="ignore"):  # NaN stays NaN
            plane: NDArray[np.float32] = np.multiply(
                self.samples[..., channel], np.float32(1 / self.white), dtype=np.float32
            )
        alpha = self.alpha
        if self.premultiplied and alpha is not None:
            share = np.multiply(alpha, np.float32(1 / self.white), dtype=np.float32)
            np.divide(plane, share, out=plane, where=share > 0)
        return plane

    def _rounded(self, plane: NDArray[np.float32]) -> NDArray[Any]:
        if self.premultiplied and self.alpha is not None:
            plane = plane * np.multiply(self.alpha, np.float32(1 / self.white), dtype=np.float32)
        if self.samples.dtype.kind == "f":
            if self.white != 1:
                plane = np.multiply(plane, self.white, dtype=np.float64)
            rounded: NDArray[Any] = plane.astype(self.samples.dtype)
            return rounded
        exact = np.float64 if self.white > 1 << 24 else np.float32
        scaled = np.multiply(plane, exact(self.white), dtype=exact)
        np.rint(scaled, out=scaled)
        np.clip(scaled, 0, exact(self.white), out=scaled)
        return scaled.astype(self.samples.dtype)


def with_channels(samples: NDArray[Any]) -> NDArray[Any]:
    """Return decoded samples as [H, W, C], if a library returns a single channel as [H, W]."""
    return samples if samples.ndim == 3 else samples[..., None]


def without_single_channel(samples: NDArray[Any]) -> NDArray[Any]:
    """Return samples for an encoder that wants a single channel as [H, W]."""
    return samples if samples.shape[2] > 1 else samples[..., 0]


def _luma(planes: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    red, green, blue = (part * np.float32(share) for share, part in zip(_LUMA, planes, strict=True))
    total: NDArray[np.float32] = red + green + blue
    return total


def spread_into(plane: NDArray[np.float32], holes: NDArray[np.bool_]) -> None:
    """Fill the holes of a plane, float32 [H, W], in place with the colours around them, the nearest first.

    Pull-push over a pyramid: Gortler et al., "The Lumigraph" (SIGGRAPH 1996), section 3.4. A plane of holes
    alone becomes 0.
    """
    plane[holes] = 0
    height, width = plane.shape
    padding = ((0, height % 2), (0, width % 2))
    weight = _pooled(np.pad(~holes, padding).astype(np.float32))
    coarse = _pooled(np.pad(plane, padding) if height % 2 or width % 2 else plane)
    np.divide(coarse, weight, out=coarse, where=weight > 0)
    coarse = _filled(coarse, np.minimum(weight, 1, out=weight))
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):  # the finest level in place, because it is the largest
        own = plane[row::2, column::2]
        np.copyto(own, coarse[: own.shape[0], : own.shape[1]], where=holes[row::2, column::2])


def _filled(plane: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weighted plane with every gap (weight 0) filled from its coarser versions."""
    height, width = plane.shape
    if height <= 1 and width <= 1:
        return plane
    padding = ((0, height % 2), (0, width % 2))
    coarse_weight = _pooled(np.pad(weight, padding))
    coarse = _pooled(np.pad(plane * weight, padding))
    np.divide(coarse, coarse_weight, out=coarse, where=coarse_weight > 0)
    coarse = _filled(coarse, np.minimum(coarse_weight, 1))
    fine = coarse.repeat(2, 0).repeat(2, 1)[:height, :width]
    return weight * plane + (1 - weight) * fine


def _pooled(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    pooled: NDArray[np.float32] = plane[::2, ::2] + plane[1::2, ::2]
    pooled += plane[::2, 1::2]
    pooled += plane[1::2, 1::2]
    return pooled
