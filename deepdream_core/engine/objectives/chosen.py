"""From the settings to the objectives of a dream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_core.engine.objectives.caricature import Caricature
from deepdream_core.engine.objectives.channels import Channels
from deepdream_core.engine.objectives.guide import BestMatch, MeanMatch
from deepdream_core.engine.objectives.norm import Norm
from deepdream_core.layers import find_layer
from deepdream_core.objective_values import channel_of, check_guide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from deepdream_core.engine.objectives.objective import Objective
    from deepdream_core.settings import DreamSettings


def chosen(settings: DreamSettings, guides: Sequence[Tensor] = ()) -> list[Objective]:
    """Return the objectives that the settings name, without those of weight 0; their channels must be picked already.

    `guides`: the pictures of `settings.guides`, float32 [1, 3, H, W] in 0…1. Raises `PictureError` for one that is smaller
    than what a layer sees at once.
    """
    found: list[Objective] = [Norm(name, weight) for name, weight in settings.layers.items()]
    found += [Caricature(name, weight, power=settings.caricature_power) for name, weight in settings.caricature.items()]
    by_layer: dict[str, dict[int, float]] = {}
    for name, weight in settings.channels.items():
        layer, number = channel_of(name)
        by_layer.setdefault(layer, {})[number] = weight
    for layer, weights in by_layer.items():
        most = max(map(abs, weights.values()))
        found.append(Channels(layer, {number: weight / (most or 1) for number, weight in weights.items()}, most))
    kind = BestMatch if settings.guide_match == "best" else MeanMatch
    for guide, picture in zip(settings.guides, guides, strict=True):
        for name, weight in settings.layers_of(guide).items():
            check_guide(guide["file"], (picture.shape[3], picture.shape[2]), name, settings.guide_size)
            found.append(kind(name, guide["weight"] * weight, guide=picture, size=settings.guide_size))
    return [each for each in found if each.weight]


def layers_of(settings: DreamSettings) -> list[str]:
    """Return the names of all layers that the settings name, each once, in the network's order."""
    names = {*settings.layers, *settings.caricature, *(channel_of(name)[0] for name in settings.channels)}
    names |= {name for guide in settings.guides for name in settings.layers_of(guide)}
    return sorted(names, key=lambda name: find_layer(name).index)
