"""Ways to dream, and to compute a gradient otherwise, that several tests compare with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.nn.functional as F

from deepdream_core.config import load_config
from deepdream_core.engine.engine import Engine
from deepdream_core.engine.objectives.norm import Norm
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.photo.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from deepdream_core.engine.objectives.objective import Objective
    from deepdream_core.engine.vgg19 import Vgg19
    from deepdream_core.engine.weights import Weights

T = TypeVar("T")
R = TypeVar("R")
WHITE = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0}


def collected(steps: Generator[T, None, R], seen: list[T] | None = None) -> R:
    """Run a generator to its end, keep what it yields, return what it returns."""
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            result: R = stop.value
            return result
        if seen is not None:
            seen.append(step)


def taking_turns(dreams: list[Generator[T, None, R]]) -> list[R]:
    """Take one step of each in turn, each joining a turn after the one before it; return what they return."""
    results: dict[int, R] = {}
    waiting = list(enumerate(dreams))
    running: list[tuple[int, Generator[T, None, R]]] = []
    while waiting or running:
        running += [waiting.pop(0)] if waiting else []
        for number, steps in list(running):
            try:
                next(steps)
            except StopIteration as stop:
                results[number] = stop.value
                running.remove((number, steps))
    return [results[number] for number in range(len(dreams))]


def overflowing(weights: Weights) -> Weights:
    """Weights with which the third block's activations are infinite."""
    changed = dict(weights.convolutions)
    weight, bias = changed["conv2_2"]
    changed["conv2_2"] = (weight * 1e30, bias)
    weight, bias = changed["conv3_1"]
    changed["conv3_1"] = (weight * 1e30, bias)
    return type(weights)("overflowing", "", weights.mean, weights.std, changed)


def norms(coefficients: dict[str, float]) -> dict[Objective, float]:
    """The norm of each layer, with its coefficient."""
    return {Norm(layer): coefficient for layer, coefficient in coefficients.items()}


def by_layer(values: Mapping[Objective, float]) -> dict[str, float]:
    """The values of one objective at each layer."""
    return {objective.layer.name: value for objective, value in values.items()}


def by_autograd(
    weights: Weights,
    network: Vgg19,
    picture: Tensor,
    coefficients: dict[str, float],
    dtype: torch.dtype = torch.float32,
) -> tuple[dict[str, float], Tensor]:
    """Each layer's ½ Σ a² and the gradient by plain modules and autograd."""
    x = normalised(picture, network, dtype)
    activations = plainly(weights, network, x)
    energies = {name: float(map.detach().double().square().sum()) / 2 for name, map in activations.items()}
    loss = sum(coefficients[name] * map.square().sum() / 2 for name, map in activations.items())
    assert isinstance(loss, torch.Tensor)
    (gradient,) = torch.autograd.grad(loss, x)
    return energies, gradient


def normalised(picture: Tensor, network: Vgg19, dtype: torch.dtype = torch.float32) -> Tensor:
    """The network's input, in the engine's layout, so that rounding is the same; autograd follows it."""
    x = ((picture - network.mean) / network.std).to(dtype)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def plainly(weights: Weights, network: Vgg19, x: Tensor, padding: str = "constant") -> dict[str, Tensor]:
    """The activations of the network's targets by plain modules; `padding` may be `circular`."""
    hidden, activations = x, {}
    for layer in network.chain:
        if layer.kind == "conv":
            weight, bias = weights.convolutions[layer.name]
            weight = weight.to(x.device, x.dtype, memory_format=torch.channels_last)
            bias = bias.to(x.device, x.dtype)
            if padding == "constant":
                hidden = F.conv2d(hidden, weight, bias, padding=1)
            else:
                hidden = F.conv2d(F.pad(hidden, (1, 1, 1, 1), mode=padding), weight, bias)
        elif layer.kind == "relu":
            hidden = F.relu(hidden)
        else:
            hidden = F.max_pool2d(hidden, 2) if network.pooling == "max" else 2 * F.avg_pool2d(hidden, 2)
        if layer in network.targets:
            activations[layer.name] = hidden
    return activations


def in_this_process(
    samples: NDArray[Any],
    given: dict[str, Any],
    mask: NDArray[np.float32] | None = None,
    start: NDArray[np.float32] | None = None,
    device: str = "cpu",
) -> bytes:
    """What the engine makes of a picture without any helper."""
    settings = load_config(Path(os.devnull)).dream_settings(None, given)
    frame = Frame(samples, WHITE[samples.dtype.name])
    steps = Engine(EngineSettings(device=device)).dream(frame.floats(), settings, mask, start)
    return frame.with_floats(collected(steps)).samples.tobytes()
