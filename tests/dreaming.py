"""Ways to dream, and to compute a gradient otherwise, that several tests compare with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.nn.functional as F

from deepdream_core.config import load_config
from deepdream_core.engine.engine import Engine
from deepdream_core.photo.frame import Frame
from deepdream_core.settings import EngineSettings

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

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


def by_autograd(
    weights: Weights,
    network: Vgg19,
    picture: Tensor,
    coefficients: dict[str, float],
    dtype: torch.dtype = torch.float32,
) -> tuple[dict[str, float], Tensor]:
    """Energies and gradient by plain modules and autograd, in the layout the engine uses so that rounding is the same."""
    x = (
        ((picture - network.mean) / network.std)
        .to(dtype)
        .contiguous(memory_format=torch.channels_last)
        .requires_grad_()
    )
    hidden, loss, energies = x, torch.zeros((), dtype=dtype, device=x.device), {}
    for layer in network.chain:
        if layer.kind == "conv":
            weight, bias = weights.convolutions[layer.name]
            weight = weight.to(x.device, dtype, memory_format=torch.channels_last)
            hidden = F.conv2d(hidden, weight, bias.to(x.device, dtype), padding=1)
        elif layer.kind == "relu":
            hidden = F.relu(hidden)
        else:
            hidden = F.max_pool2d(hidden, 2) if network.pooling == "max" else 2 * F.avg_pool2d(hidden, 2)
        if layer in network.targets:
            energies[layer.name] = float(hidden.detach().double().square().sum())
            loss = loss + coefficients[layer.name] * hidden.square().sum() / 2
    (gradient,) = torch.autograd.grad(loss, x)
    return energies, gradient


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
