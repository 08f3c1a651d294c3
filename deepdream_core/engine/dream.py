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
from deepdream_core.engine.objectives.chosen import chosen
from deepdream_core.engine.progress import Progress
from deepdream_core.engine.pyramid import finest_size, octave_sizes
from deepdream_core.engine.resample import resize
from deepdream_core.engine.seamless import periodic
from deepdream_core.engine.smoothing import (
    add_total_variation_,
    normalize_,
    normalize_laplacian_,
    smooth_cascade_,
)
from deepdream_core.errors import NumericError

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Sequence

    from torch import Tensor

    from deepdream_core.engine.gradient import PictureGradient, TiledGradient
    from deepdream_core.engine.objectives.objective import Objective
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
    guides: Sequence[Tensor] = (),
) -> Generator[Progress, None, Tensor]:
    """Dream; yield a `Progress` after every step and return the picture, a new tensor like `original`.

    `original`: float32 [1, 3, H, W], sRGB-encoded RGB, 0…1, finite, on the network's device. `gradient_of` belongs to this
    dream alone. `mask`: float32 [1, 1, H, W] in 0…1, scales every step and the final blend. Where it is 0, and everywhere
    at strength 0, the values returned are the original's to the bit. To cancel, stop iterating; to pause, do not ask for
    the next step.

    `start`: float32 [1, 3, h, w] of any size, finite, on the same device: result − original of the frame before, dreamed
    with the same settings. The share `KEPT` of it lies on the picture in every octave, and steps are shorter by as much:
    what grew there stays, at about the strength of the first frame. None for a single picture, and after a cut.

    `guides`: the pictures of `settings.guides`, in their order, float32 [1, 3, h, w], sRGB-encoded RGB, 0…1, on the same
    device.

    Raises `NumericError` when the network returns NaN or infinity, `OutOfMemoryError` when no tile fits the memory.
    """
    if settings.strength == 0:
        return original.clone()
    shifts = random.Random(settings.seed)
    finest = finest_size((original.shape[2], original.shape[3]), settings.finest, upscale=settings.upscale)
    wrap = settings.tileable
    sizes = octave_sizes(finest, settings.octaves, settings.octave_scale, gradient_of.stride if wrap else 1)
    iterations = [round(settings.iterations * factor) for factor in _boosts(settings.coarse_boost, len(sizes))]
    work = [height * width * steps for (height, width), steps in zip(sizes, iterations, strict=True)]
    objectives = chosen(settings, guides)
    coefficients: dict[Objective, float] = {}
    photo = periodic(original) if wrap else original
    if start is not None and wrap:  # it holds how the frame before was made periodic; that is not to be added again
        size = (start.shape[2], start.shape[3])
        start = start - resize(_added_to_repeat(original, photo, settings, mask), size, wrap=True)
    colours = mixing(settings.natural, keep_colours=settings.keep_colours, std=gradient_of.network.std)
    step = settings.step if start is None else settings.step * (1 - KEPT)
    soft = settings.soft_limit
    difference: Tensor | None = None

    for octave, size in enumerate(sizes, start=1):
        base = resize(photo, size, wrap=wrap)
        image = base.clone()
        if difference is not None:
            move_(image, resize(difference, size, wrap=wrap), soft=soft)
        kept: Tensor | None = None
        if start is not None:
            kept = resize(start, size, wrap=wrap)
            if soft:  # it is a plain difference
                kept = difference_to(kept + base, base, soft=True)
            kept = kept * (KEPT / settings.strength)
            move_(image, kept, soft=soft)
        step_map = mask  # the caller's, perhaps another dream's too: not to be written to
        if mask is not None and tuple(mask.shape[2:]) != size:
            step_map = resize(mask, size).clamp_(0, 1)
        difference = None
        within = _within_range(base)
        gradient_of.prepare(base, objectives)
        coefficients = coefficients or balanced(objectives, image, gradient_of)

        for iteration in range(1, iterations[octave - 1] + 1):
            shift = (
                shifts.randint(-settings.jitter, settings.jitter),
                shifts.randint(-settings.jitter, settings.jitter),
            )
            gradient = gradient_of(image, coefficients, shift)
            _check_finite(gradient, image, octave, iteration)
            _ascend(image, base, within, gradient, step, settings, colours, step_map)
            done = sum(work[: octave - 1]) + work[octave - 1] * iteration / iterations[octave - 1]
            notes = tuple(gradient_of.notes)
            gradient_of.notes.clear()
            yield Progress(
                octave, len(sizes), size, iteration, iterations[octave - 1], gradient.objective,
                done / sum(work), gradient_of.tile_px(size), notes,
                partial(_so_far, original, photo, image, base, settings, mask),
            )  # fmt: skip
            del gradient

        difference = difference_to(image, base, soft=soft)
        if kept is not None and octave < len(sizes):
            difference -= kept  # it comes back sharper in the next octave
        del image, base, kept
    assert difference is not None
    return blend(original, photo, difference, settings, mask)


def _boosts(most: float, octaves: int) -> list[float]:
    """Return the factors of the octaves' iterations: `most` for the coarsest, falling evenly to 1 for the finest."""
    return [1 + (most - 1) * left / max(1, octaves - 1) for left in reversed(range(octaves))]


def balanced(objectives: Collection[Objective], image: Tensor, gradient_of: TiledGradient) -> dict[Objective, float]:
    """Return the coefficients that give each objective an influence in proportion to its weight.

    Activations, and what reaches the picture of their gradients, differ by orders of magnitude between layers. So each
    objective's gradient is measured once, at the first octave, and equal weights then move the picture equally.
    """
    if len(objectives) == 1:
        return {each: math.copysign(1.0, each.weight) for each in objectives}
    pulls: dict[Objective, float] = {}
    for each in objectives:
        alone = gradient_of(image, {each: 1.0})
        pulls[each] = float(torch.linalg.vector_norm(alone.tensor)) * alone.divisor
    strongest = max(pulls.values())
    return {each: each.weight * strongest / (pulls[each] or strongest or 1.0) for each in objectives}


def blend(original: Tensor, photo: Tensor, difference: Tensor, settings: DreamSettings, mask: Tensor | None) -> Tensor:
    """Return the original moved by strength · mask · difference, at its own size, within the visible range.

    `photo` is what was dreamed on: the original itself, or made to repeat, which counts by strength · mask too.
    `difference` may have another size. Values of the original beyond 0…1 are not cut. Where the weight is 0 the original
    comes back to the bit.
    """
    size = (original.shape[2], original.shape[3])
    target = original
    if photo is not original:
        target = original + _added_to_repeat(original, photo, settings, mask)
    result = target.clone()
    for channel in range(original.shape[1]):
        before, after = original[:, channel : channel + 1], result[:, channel : channel + 1]
        change = resize(difference[:, channel : channel + 1], size, wrap=settings.tileable) * settings.strength
        if mask is not None:
            change *= mask
        move_(after, change, soft=settings.soft_limit)
        if not settings.keep_colours:
            _clamp_(after, before, *_within_range(before))
    if settings.keep_colours:
        recolour_(result, target, limit=True, soft=settings.soft_limit)
    if mask is not None:
        for after, before in zip(result[0], original[0], strict=True):
            after.copy_(torch.where(mask[0, 0] == 0, before, after))
    return result


def _added_to_repeat(original: Tensor, photo: Tensor, settings: DreamSettings, mask: Tensor | None) -> Tensor:
    """Return what the result gets of the difference between the photo that repeats and the original."""
    return (photo - original) * (settings.strength if mask is None else mask * settings.strength)


def _so_far(
    original: Tensor, photo: Tensor, image: Tensor, base: Tensor, settings: DreamSettings, mask: Tensor | None
) -> Tensor:
    return blend(original, photo, difference_to(image.clone(), base, soft=settings.soft_limit), settings, mask)


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
    smooth_cascade_(direction, settings.smooth, wrap=settings.tileable)
    normalize_laplacian_(direction, settings.laplacian, wrap=settings.tileable)
    normalize_(direction, settings.normalize)
    if settings.tv:
        add_total_variation_(direction, image - base, settings.tv, wrap=settings.tileable)
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
    bad = [each.label for each, value in gradient.values.items() if not math.isfinite(value)]
    norms = torch.stack([torch.linalg.vector_norm(tensor) for tensor in (gradient.tensor, image)])
    if not bad and bool(norms.isfinite().all()):
        return
    where = ", ".join(bad or [each.label for each in gradient.values])
    raise NumericError(
        f"the network returned NaN or infinity at {where}, octave {octave}, iteration {iteration}",
        "use --precision fp32, a smaller --step, or other --weights",
    )
