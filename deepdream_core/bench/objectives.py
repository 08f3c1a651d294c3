"""What each objective's gradient costs against the norm's, at the same layer of the same picture."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from rich.box import SIMPLE
from rich.table import Table

from deepdream_core.bench.timing import fastest, in_words
from deepdream_core.engine.objectives.chosen import chosen
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.engine.engine import Engine

LAYERS = ("relu3_3", "relu4_2", "pool4")
GUIDE = (224, 300)
"""The size of the guide that is measured, about that of a photograph at `guide_size: 224`."""


def measured(engine: Engine, side: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return the fastest seconds of each objective's gradient on a square picture, by layer."""
    noise = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, side, side, generator=noise).to(engine.device)
    guide = torch.rand(1, 3, *GUIDE, generator=noise).to(engine.device)
    found: dict[str, dict[str, float]] = {}
    for layer in LAYERS:
        calls: dict[str, Callable[[], object]] = {}
        for kind, what in _kinds(layer).items():
            settings = DreamSettings.model_validate({"layers": {}, **what})
            gradient_of = engine.gradient_of(settings)
            objectives = chosen(settings, [guide] * len(settings.guides))
            gradient_of.prepare(picture, objectives)
            calls[kind] = partial(gradient_of, picture, {each: each.weight for each in objectives})
        found[layer] = dict(zip(calls, fastest([*calls.values()], repeats, engine.device), strict=True))
    return found


def _kinds(layer: str) -> dict[str, dict[str, Any]]:
    return {
        "norm": {"layers": {layer: 1.0}},
        "guide": {"guides": [f"noise@{layer}"]},
        "guide, mean": {"guides": [f"noise@{layer}"], "guide_match": "mean"},
        "channels": {"channels": {f"{layer}:0": 1.0}},
        "caricature": {"caricature": {layer: 1.0}},
    }


def table(found: dict[str, dict[str, float]], side: int) -> Table:
    """Return the times as a table: the norm's, and how many times as long the others take."""
    kinds = next(iter(found.values()))
    rows = Table(f"gradient, {side}×{side}", *kinds, box=SIMPLE, padding=0, pad_edge=False)
    for layer, times in found.items():
        others = [f"{seconds / times['norm']:.2f}×" for kind, seconds in times.items() if kind != "norm"]
        rows.add_row(layer, in_words(times["norm"]), *others)
    return rows
