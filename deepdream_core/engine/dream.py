"""DeepDream: climb the gradient of a layer's activations, octave by octave.

Mordvintsev, Olah & Tyka, "Inceptionism: Going Deeper into Neural Networks" (Google Research blog, 2015).
"""

from __future__ import annotations

import math
import random
from functools import partial
from typing import TYPE_CHECKING

import torch

from deepdream_core.engine.colour import mix_, mixing, recolour_
from deepdream_core.engine.limit import difference_to, move_
from deepdream_core.engine.progress import Progress
from deepdream_core.engine.pyramid import finest_size, octave_sizes
from deepdream_core.engine.resample import resize
from deepdream_core.engine.smoothing import (
    add_total_variation_,
    normalize_,
    normalize_laplacian_,
    smooth_cascade_,
)
from deepdream_core.errors import NumericError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from torch import Tensor

    from deepdream_core.engine.gradient import PictureGradient, TiledGradient
    from deepdream_core.settings import DreamSettings


KEPT = 0.5
"""Share of the frame before that a frame starts from. More flickers less, but trails behind what moves and lingers after
a cut; at one half an eighth is left after three frames."""


def dream(
    original: Tensor,
    settings: DreamSettings,
    gradient_of: TiledGradient,
    *,
    mask: Tensor | None = None,
    start: Tensor | None = None,
) -> Generator[Progress, None, Tensor]:
    """Dream; yield a `Progress` after every step and return the picture, a new tensor like `original`.

    `original`: float32 [1, 3, H, W], sRGB-encoded RGB, 0…1, finite, on the network's device. `gradient_of` belongs to this
    dream alone. `mask`: float32 [1, 1, H, W] in 0…1, scales every step and the final blend. Where it is 0, and everywhere
    at strength 0, the values returned are the original's to the bit. To cancel, stop iterating; to pause, do not ask for
    the next step.

    `start`: float32 [1, 3, h, w] of any size, finite, on the same device: result − original of the frame before, dreamed
    with the same settings. The share `KEPT` of it lies on the picture in every octave, and steps are shorter by as much:
    what grew there stays, at about the strength of the first frame. None for a single picture, and after a cut.

    Raises `NumericError` when the network returns NaN or infinity, `OutOfMemoryError` when no tile fits the memory.
    """
    if settings.strength == 0:
        return original.clone()
    shifts = random.Random(settings.seed)
    finest = finest_size((original.shape[2], original.shape[3]), settings.finest, upscale=settings.upscale)
    sizes = octave_sizes(finest, settings.octaves, settings.octave_scale)
    areas = [height * width for height, width in sizes]
    coefficients: dict[str, float] = {}
    colours = mixing(settings.natural, keep_colours=settings.keep_colours, std=gradient_of.network.std)
    step = settings.step if start is None else settings.step * (1 - KEPT)
    soft = settings.soft_limit
    difference: Tensor | None = None

    for octave, size in enumerate(sizes, start=1):
        base = resize(original, size)
        image = base.clone()
        if difference is not None:
            move_(image, resize(difference, size), soft=soft)
        kept: Tensor | None = None
        if start is not None:
            kept = resize(start, size)
            if soft:  # it is a plain difference
                kept = difference_to(kept + base, base, soft=True)
            kept = kept * (KEPT / settings.strength)
            move_(image, kept, soft=soft)
        step_map = mask  # the caller's, perhaps another dream's too: not to be written to
        if mask is not None and tuple(mask.shape[2:]) != size:
            step_map = resize(mask, size).clamp_(0, 1)
        difference = None
        within = _within_range(base)
        coefficients = coefficients or balanced(settings.layers, image, gradient_of)

        for iteration in range(1, settings.iterations + 1):
            shift = (
                shifts.randint(-settings.jitter, settings.jitter),
                shifts.randint(-settings.jitter, settings.jitter),
            )
            gradient = gradient_of(image, coefficients, shift)
            _check_finite(gradient, image, octave, iteration)
            _ascend(image, base, within, gradient, step, settings, colours, step_map)
            done = sum(areas[: octave - 1]) + areas[octave - 1] * iteration / settings.iterations
            notes = tuple(gradient_of.notes)
            gradient_of.notes.clear()
            yield Progress(
                octave, len(sizes), size, iteration, settings.iterations, gradient.objective,
                done / sum(areas), gradient_of.tile_px(size), notes,
                partial(_so_far, original, image, base, settings, mask),
            )  # fmt: skip
            del gradient

        difference = difference_to(image, base, soft=soft)
        if kept is not None and octave < len(sizes):
            difference -= kept  # it comes back sharper in the next octave
        del image, base, kept
    assert difference is not None
    return blend(original, difference, settings, mask)


def balanced(layers: Mapping[str, float], image: Tensor, gradient_of: TiledGradient) -> dict[str, float]:
    """Return the coefficients that give each layer an influence in proportion to its weight.

    Activations, and what reaches the picture of their gradients, differ by orders of magnitude between layers. So each
    layer's gradient is measured once, at the first octave, and equal weights then move the picture equally.
    """
    if len(layers) == 1:
        return dict.fromkeys(layers, 1.0)
    pulls: dict[str, float] = {}
    for name in layers:
        alone = gradient_of(image, {other: float(other == name) for other in layers})
        pulls[name] = float(torch.linalg.vector_norm(alone.tensor)) * alone.objective
    strongest = max(pulls.values())
    return {name: weight * strongest / (pulls[name] or strongest or 1.0) for name, weight in layers.items()}


def blend(original: Tensor, difference: Tensor, settings: DreamSettings, mask: Tensor | None) -> Tensor:
    """Return the original moved by strength · mask · difference, at its own size, within the visible range.

    `difference` may have another size. Values of the original beyond 0…1 are not cut. Where the weight is 0 the original
    comes back to the bit.
    """
    size = (original.shape[2], original.shape[3])
    result = original.clone()
    for channel in range(original.shape[1]):
        before, after = original[:, channel : channel + 1], result[:, channel : channel + 1]
        change = resize(difference[:, channel : channel + 1], size) * settings.strength
        if mask is not None:
            change *= mask
        move_(after, change, soft=settings.soft_limit)
        if not settings.keep_colours:
            _clamp_(after, before, *_within_range(before))
    if settings.keep_colours:
        recolour_(result, original, limit=True, soft=settings.soft_limit)
    if mask is not None:
        for after, before in zip(result[0], original[0], strict=True):
            after.copy_(torch.where(mask[0, 0] == 0, before, after))
    return result


def _so_far(original: Tensor, image: Tensor, base: Tensor, settings: DreamSettings, mask: Tensor | None) -> Tensor:
    return blend(original, difference_to(image.clone(), base, soft=settings.soft_limit), settings, mask)


def _ascend(
    image: Tensor,
    base: Tensor,
    within: list[bool],
    gradient: PictureGradient,
    step: float,
    settings: DreamSettings,
    colours: Tensor,
    step_map: Tensor | None,
) -> None:
    """Move `image` one step of `step` / 255 up the gradient, in place.

    The gradient is that of the normalised input; `colours`, float32 [3, 3], makes it a move of the picture.
    """
    direction = mix_(gradient.tensor, colours)
    smooth_cascade_(direction, settings.smooth)
    normalize_laplacian_(direction, settings.laplacian)
    normalize_(direction, settings.normalize)
    if settings.tv:
        add_total_variation_(direction, image - base, settings.tv)
    if step_map is not None:
        direction *= step_map
    move_(image, direction, soft=settings.soft_limit, scale=step / 255)
    if settings.keep_colours:
        recolour_(image, base, limit=settings.clamp, soft=settings.soft_limit)
    elif settings.clamp:
        for channel, inside in enumerate(within):
            _clamp_(image[:, channel], base[:, channel], inside)


def _within_range(original: Tensor) -> list[bool]:
    """Say for each channel of [1, C, H, W] whether all its values lie within 0…1."""
    low, high = original.amin((0, 2, 3)), original.amax((0, 2, 3))
    return [bool(inside) for inside in ((low >= 0) & (high <= 1)).tolist()]


def _clamp_(values: Tensor, original: Tensor, inside: bool) -> None:
    """Limit values to 0…1, or to the original where that lies beyond; `inside`: it lies beyond nowhere."""
    if inside:
        values.clamp_(0, 1)
    else:
        torch.clamp(values, original.clamp(max=0), original.clamp(min=1), out=values)


def _check_finite(gradient: PictureGradient, image: Tensor, octave: int, iteration: int) -> None:
    """Raise `NumericError` for NaN or infinity; the picture is looked at too, since a ReLU may turn NaN into 0."""
    bad = [name for name, energy in gradient.energies.items() if not math.isfinite(energy)]
    norms = torch.stack([torch.linalg.vector_norm(tensor) for tensor in (gradient.tensor, image)])
    if not bad and bool(norms.isfinite().all()):
        return
    where = ", ".join(bad or gradient.energies)
    raise NumericError(
        f"the network returned NaN or infinity at {where}, octave {octave}, iteration {iteration}",
        "use --precision fp32, a smaller --step, or other --weights",
    )
