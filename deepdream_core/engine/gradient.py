"""The objective and its gradient for a whole picture: rolled, cut into tiles, put together again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

import torch

from deepdream_core.engine.device import free_bytes, is_out_of_memory, release_unused, tile_bytes
from deepdream_core.engine.loss_scale import LossScale
from deepdream_core.engine.tiles import Span, Tile, halo_px, round_up, tile_grid, wrapped
from deepdream_core.errors import OutOfMemoryError
from deepdream_core.layers import find_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from torch import Tensor

    from deepdream_core.engine.objectives.objective import Objective
    from deepdream_core.engine.pyramid import Size
    from deepdream_core.engine.vgg19 import Vgg19
    from deepdream_core.layers import Layer

T = TypeVar("T")

SMALLEST_TILE_PX = 64
TILE_STEP_PX = 128
"""Automatic tile sizes are multiples of this, so that small changes of free memory choose the same tile."""


@dataclass(frozen=True)
class PictureGradient:
    """The objective L at a picture, each objective's e, and ∂L/∂(normalised input), float32 [1, 3, H, W].

    L is E = Σ c e, or sqrt(2 E) where all objectives are `rooted` and grow. `divisor` is what ∂E/∂(normalised input) was
    divided by.
    """

    objective: float
    values: Mapping[Objective, float]
    tensor: Tensor
    divisor: float


class TiledGradient:
    """Computes the `PictureGradient`s of one dream, in tiles where the picture does not fit into memory whole.

    Dreams may share a network, not this: tiles made smaller, notes and the loss scale are one dream's own.

    `tile`: a core's width in pixels, `none` for no tiles, or `auto` for the largest that fits `memory_mb` (`auto`: the
    device's free memory). When memory runs out all the same, the tile shrinks, `notes` gets a line, and the gradient is
    computed again from the start; it stays small from then on.

    The same tiles give the same bytes. Two `auto`s look at the memory for each gradient, and what a paused dream holds
    is not free: beside it, tiles may come out smaller and the last bits with them. On a CPU that takes less free memory
    than 5/3 of `CPU_TILE_BYTES`. A number or `none` as `tile`, or a number as `memory_mb`, stays what it is, short of a
    shortage that `notes` tell of. On CUDA such a shortage has an aftermath: cuDNN goes on in the way that fitted, so that
    until the process ends pictures of the same size may come out otherwise in their last bits.
    """

    def __init__(
        self,
        network: Vgg19,
        *,
        tile: int | Literal["auto", "none"] = "auto",
        memory_mb: int | Literal["auto"] = "auto",
        wrap: bool = False,
    ) -> None:
        self.network = network
        self.stride = max(layer.stride for layer in network.targets)
        self.wrap = wrap
        self._photo: Tensor | None = None
        self._held_bytes, self._bytes_per_pixel = 0, 0.0
        self.notes: list[str] = []
        self._tile, self._memory_mb = tile, memory_mb
        self._halo = halo_px(network.targets)
        self._ceiling: int | None = None
        self._loss_scale = LossScale()

    def prepare(self, photo: Tensor, objectives: Collection[Objective]) -> None:
        """Get ready for an octave whose photograph is float32 [1, 3, H, W]; it must stay as it is."""
        for objective in objectives:
            objective.prepare(photo, self.features)
        self._photo = photo if any(objective.compares for objective in objectives) else None
        self._held_bytes = sum(objective.held_bytes for objective in objectives)
        crowded = {each.layer for each in objectives if sum(each.layer == other.layer for other in objectives) > 1}
        another_seed = sum(layer.channels * self.network.dtype.itemsize / layer.stride**2 for layer in crowded)
        self._held_bytes += max((objective.working_bytes for objective in objectives), default=0)
        self._bytes_per_pixel = another_seed + sum(
            objective.bytes_per_cell / objective.layer.stride**2 for objective in objectives
        )

    def features(self, picture: Tensor, layer: str) -> Tensor:
        """Return the activations of `picture`, float32 [1, 3, H, W] in 0…1, at a layer: [1, C, h, w].

        Raises `OutOfMemoryError` as the gradient does.
        """
        return self._fitted((picture.shape[2], picture.shape[3]), partial(self._features, picture, find_layer(layer)))

    def __call__(
        self, picture: Tensor, coefficients: Mapping[Objective, float], shift: Size = (0, 0)
    ) -> PictureGradient:
        """Return the gradient at `picture`, float32 [1, 3, H, W] in 0…1, rolled by `shift` (rows, columns) pixels.

        The roll is undone in the result. Raises `OutOfMemoryError` when even the smallest tile does not fit.
        """
        return self._fitted((picture.shape[2], picture.shape[3]), partial(self._gradient, picture, coefficients, shift))

    def tile_px(self, size: Size) -> int | None:
        """Return the core width for a picture of this size, or None when it needs no tiles."""
        if isinstance(self._tile, int):
            chosen: int | None = round_up(self._tile, self.stride)
        elif self._tile == "none":
            chosen = None
        else:
            free = tile_bytes(self.network.device, self._memory_mb) - self._held_bytes
            pixels = max(0, free) / (self.network.bytes_per_pixel + self._bytes_per_pixel)
            pixels = min(pixels, self.network.most_pixels or pixels)
            around = 2 * self._halo if self.wrap else 0
            if (size[0] + around) * (size[1] + around) <= pixels:
                chosen = None
            else:
                core = int(math.sqrt(pixels)) - 2 * self._halo
                chosen = max(TILE_STEP_PX, core // TILE_STEP_PX * TILE_STEP_PX)
        if self._ceiling is not None:
            chosen = self._ceiling if chosen is None else min(chosen, self._ceiling)
        return None if chosen is None or chosen >= max(size) else chosen

    def pixels_computed(self, size: Size) -> int:
        """Return how many pixels the network sees for one gradient of a picture of this size, the tiles' halos included."""
        tiles = tile_grid(size, self.tile_px(size), self.stride, self._halo, wrap=self.wrap)
        return sum(tile.crop[0].length * tile.crop[1].length for tile in tiles)

    def _shrink(self, size: Size, tile_px: int | None) -> int:
        smallest = max(SMALLEST_TILE_PX, self.stride)
        now = max(size) if tile_px is None else tile_px
        release_unused(self.network.device)
        if now <= smallest:
            edge = smallest + 2 * self._halo
            needed = edge**2 * self.network.bytes_per_pixel / 1e6
            free = free_bytes(self.network.device) / 1e6
            raise OutOfMemoryError(
                f"out of memory on {self.network.device}: a picture of {size[1]}×{size[0]} with the smallest tile "
                f"({edge}×{edge} pixels with its surroundings, about {needed:.0f} MB) does not fit, {free:.0f} MB are free",
                "close other programs, choose a shallower layer, or a smaller --finest",
            )
        self._ceiling = max(smallest, round_up(now // 2, self.stride))
        self.notes.append(f"out of memory: tile reduced from {tile_px or 'whole picture'} to {self._ceiling} px")
        return self._ceiling

    def _fitted(self, size: Size, compute: Callable[[int | None], T]) -> T:
        """Return what `compute` makes of a picture of this size with the largest tile that fits."""
        tile_px = self.tile_px(size)
        while True:
            try:
                return compute(tile_px)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            tile_px = self._shrink(size, tile_px)

    def _features(self, picture: Tensor, layer: Layer, tile_px: int | None) -> Tensor:
        height, width = picture.shape[2:]
        size = (1, layer.channels, height // layer.stride, width // layer.stride)
        whole = torch.empty(size, dtype=self.network.dtype, device=picture.device, memory_format=self.network.layout)
        for tile in tile_grid((height, width), tile_px, self.stride, self._halo):
            window = tile.own_cells(layer.stride)
            own = self.network.features(take_rolled(picture, tile.crop, (0, 0)), {layer.name: window})[layer.name]
            rows, columns = (slice(core.start // layer.stride, core.stop // layer.stride) for core in tile.core)
            whole[:, :, rows, columns] = own
        return whole

    def _gradient(
        self, picture: Tensor, coefficients: Mapping[Objective, float], shift: Size, tile_px: int | None
    ) -> PictureGradient:
        height, width = picture.shape[2:]
        total = torch.zeros_like(picture)
        sums = dict.fromkeys(coefficients, 0.0)
        for tile in tile_grid((height, width), tile_px, self.stride, self._halo, wrap=self.wrap):
            windows = {layer.name: tile.own_cells(layer.stride) for layer in self.network.targets}
            crop = take_rolled(picture, tile.crop, shift)
            photo = None if self._photo is None else take_rolled(self._photo, tile.crop, shift)
            values, gradient = self.network.value_and_gradient(crop, coefficients, windows, self._loss_scale, photo)
            add_rolled(total, gradient, tile, shift)
            for each, share in values.items():
                sums[each] += share
        value, divisor = sum(coefficients[each] * share for each, share in sums.items()), 1.0
        if all(each.rooted and coefficient >= 0 for each, coefficient in coefficients.items()):
            value = divisor = math.sqrt(2 * value)
        if divisor > 0 and math.isfinite(divisor):
            total.div_(divisor)
        return PictureGradient(value, sums, total, divisor)


def take_rolled(picture: Tensor, area: tuple[Span, Span], shift: Size) -> Tensor:
    """Return `torch.roll(picture, shift, (2, 3))` inside `area`, without rolling what is not needed."""
    height, width = picture.shape[2:]
    rows = [
        torch.cat([picture[:, :, y.indices, x.indices] for x, _ in wrapped(area[1], shift[1], width)], dim=3)
        for y, _ in wrapped(area[0], shift[0], height)
    ]
    return torch.cat(rows, dim=2)


def add_rolled(total: Tensor, part: Tensor, tile: Tile, shift: Size) -> None:
    """Add `part`, the crop of `tile` from a picture rolled by `shift`, to `total` where it came from."""
    height, width = total.shape[2:]
    for y, part_y in wrapped(tile.crop[0], shift[0], height):
        for x, part_x in wrapped(tile.crop[1], shift[1], width):
            total[:, :, y.indices, x.indices].add_(part[:, :, part_y.indices, part_x.indices])
