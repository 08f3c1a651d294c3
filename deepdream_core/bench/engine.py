"""`deepdream bench`: measures this machine's engine beside the loops it is compared with, in one run."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from deepdream_core import __version__
from deepdream_core.bench import objectives
from deepdream_core.bench.timing import fastest, in_words
from deepdream_core.engine.convolution import deterministic_convolutions
from deepdream_core.engine.device import peak_bytes
from deepdream_core.engine.dream import dream
from deepdream_core.engine.objectives.norm import Norm
from deepdream_core.engine.pyramid import finest_size, octave_sizes
from deepdream_core.errors import SettingsError
from deepdream_core.settings import DreamSettings
from deepdream_core.work.replay import open_engine
from deepdream_core.work.report import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from deepdream_core.engine.engine import Engine
    from deepdream_core.engine.gradient import TiledGradient
    from deepdream_core.engine.vgg19 import Vgg19
    from deepdream_core.machine_settings import EngineSettings

SIDES = (512, 1024)
PHOTOS = {"1 megapixel": (816, 1224), "12 megapixels": (2828, 4243), "24 megapixels": (4000, 6000)}

PLAIN = DreamSettings(natural=0.0, soft_limit=False, octave_scale=1.4, step=1.5, smooth=0.5, jitter=32)
"""The preset `neon`: `classic` as it was before it kept a photograph's colours."""


@dataclass(frozen=True)
class Measured:
    """The fastest seconds on a square picture of `side_px`: a gradient through pool4, and its comparisons.

    `gradient_s`: ours. `step_s`: a complete step of `classic`, with smoothing, normalising and progress.
    `plain_step_s`: the same without natural colours and soft limit, as in the preset `neon`.
    `convolutions_s`: the network's convolutions, forward and back, and nothing else. `plain_s`: the notebook's loop.
    """

    side_px: int
    gradient_s: float
    step_s: float
    plain_step_s: float
    convolutions_s: float
    plain_s: float


def print_table(machine: EngineSettings, repeats: int, sides: Sequence[int] = SIDES, *, as_json: bool = False) -> None:
    """Print the times of one gradient and one step, their comparisons, and estimates for complete dreams."""
    engine = open_engine(machine)
    settings = DreamSettings()
    gradient_of = engine.gradient_of(settings)
    about = {
        "deepdream": __version__, "torch": torch.__version__, "python": sys.version.split()[0],
        "device": str(engine.device), "name": engine.device_name, "precision": engine.precision,
        "weights": engine.weights.name,
    }  # fmt: skip
    rows = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        for side in sides:
            task = bar.add_task(f"measuring {side}×{side}")
            rows.append(_measured(engine, gradient_of, side, repeats))
            bar.remove_task(task)
        task = bar.add_task(f"measuring objectives at {sides[0]}×{sides[0]}")
        kinds = objectives.measured(engine, sides[0], repeats)
    ways = {
        "800": (settings, rows[-1].step_s),
        "full": (settings.model_copy(update={"finest": "full"}), rows[-1].step_s),
        "neon": (PLAIN, rows[-1].plain_step_s),
    }
    estimates = {
        name: {
            way: _estimate(size, chosen, gradient_of, seconds / rows[-1].side_px ** 2)
            for way, (chosen, seconds) in ways.items()
        }
        for name, size in PHOTOS.items()
    }
    if as_json:
        measured = [asdict(row) for row in rows]
        print(json.dumps({**about, "measured": measured, "estimated_s": estimates, "objectives_s": kinds}))
        return
    console = Console()
    console.print(
        f"deepdream {__version__}, torch {torch.__version__.partition('+')[0]}, Python {about['python']}, "
        f"{engine.device} ({engine.device_name}), {engine.precision}, weights {engine.weights.name}"
    )
    heads = ("gradient, pool4", "deepdream", "convolutions", "plain loop", "speed-up", "step", "neon step")
    table = Table(*heads, box=SIMPLE, padding=0, pad_edge=False)
    for row in rows:
        table.add_row(
            f"{row.side_px}×{row.side_px}",
            in_words(row.gradient_s),
            in_words(row.convolutions_s),
            in_words(row.plain_s),
            f"{row.plain_s / row.gradient_s:.2f}×",
            in_words(row.step_s),
            in_words(row.plain_step_s),
        )
    console.print(table)
    console.print(objectives.table(kinds, sides[0]))
    whole = Table("whole dream (estimated)", "classic", "finest full", "neon", "tile at full size")
    for name, size in PHOTOS.items():
        tile = gradient_of.tile_px(size)
        times = map(clock, estimates[name].values())
        whole.add_row(name, *times, "whole picture" if tile is None else f"{tile} px")
    console.print(whole)


def _measured(engine: Engine, gradient_of: TiledGradient, side: int, repeats: int) -> Measured:
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(engine.device)
    one_size = {"finest": "full", "octaves": 1, "iterations": repeats + 1}
    steps, plain_steps = (
        dream(picture, settings.model_copy(update=one_size), engine.gradient_of(settings))
        for settings in (DreamSettings(), PLAIN)
    )
    calls: list[Callable[[], object]] = [
        partial(gradient_of, picture, {Norm("pool4"): 1.0}),
        partial(next, steps),
        partial(next, plain_steps),
        _plain_loop(engine, picture),
    ]
    gradient_s, step_s, plain_step_s, plain_s = fastest(calls, repeats, engine.device)
    convolutions_s = _bare_convolutions(gradient_of.network, side, repeats)
    return Measured(side, gradient_s, step_s, plain_step_s, convolutions_s, plain_s)


def _estimate(size: tuple[int, int], settings: DreamSettings, gradient_of: TiledGradient, per_pixel: float) -> float:
    """Estimate a dream's seconds from the time per pixel, including the tiles' halos."""
    sizes = octave_sizes(finest_size(size, settings.finest), settings.octaves, settings.octave_scale)
    return sum(gradient_of.pixels_computed(octave) * per_pixel * settings.iterations for octave in sizes)


def _plain_loop(engine: Engine, picture: Tensor) -> Callable[[], object]:
    """Return one step of the notebook: torchvision's model, float32, default layout, autograd, all 28 layers' weights."""
    from torchvision.models import vgg19

    with torch.device(engine.device):
        model = vgg19(weights=None).features[:28].eval()

    def step() -> Tensor:
        image = picture.detach().clone().requires_grad_()
        model.zero_grad()
        model(image).norm().backward()
        assert image.grad is not None
        return image.grad

    return step


def _bare_convolutions(network: Vgg19, side: int, repeats: int) -> float:
    """Return the summed seconds of the chain's convolutions, forward and backward to the input, and nothing else."""
    total = 0.0
    for layer in network.chain:
        if layer.kind != "conv":
            continue
        shape = (1, network.channels_into(layer), side // layer.stride, side // layer.stride)
        x = torch.rand(shape, device=network.device).to(network.dtype, memory_format=network.layout)
        with torch.no_grad(), deterministic_convolutions():
            y = network.convolve(layer, x, relu=False)
            calls = [partial(network.convolve, layer, x, relu=False), partial(network.convolve_back, layer, y)]
            total += sum(fastest(calls, repeats, network.device))
    return total


def print_memory(machine: EngineSettings, size: str) -> None:
    """Dream one step at full size of a picture of `size` (`6000x4000`) and print the process's peak memory."""
    width, _, height = size.lower().partition("x")
    numbers = [int(side) if side.isascii() and side.isdigit() and len(side) < 10 else 0 for side in (width, height)]
    if not 0 < numbers[0] * numbers[1] <= machine.max_megapixels * 1e6:
        limit = f"up to {machine.max_megapixels:g} megapixels"
        raise SettingsError(f"--memory {size[:40]!r} is not allowed", f"write WIDTHxHEIGHT {limit}, such as 6000x4000")
    settings = DreamSettings(finest="full", octaves=1, iterations=1)
    pixels = np.random.default_rng(0).integers(0, 256, (int(height), int(width), 3), dtype=np.uint8)
    started = time.perf_counter()
    with PeakMemory() as peak:
        from deepdream_core.photo import Frame

        photo = Frame(pixels, 255.0)
        engine = open_engine(machine)
        steps = engine.dream(photo.floats(), settings)
        try:
            while True:
                next(steps)
        except StopIteration as stop:
            photo.with_floats(stop.value)
    took = clock(time.perf_counter() - started)
    where = f"{engine.device} ({engine.device_name}), {engine.precision}"
    on_device = peak_bytes(engine.device)
    more = "" if on_device is None else f" and {on_device / 1e9:.2f} GB on the device"
    Console().print(
        f"{width}×{height}, one step at full size: peak {peak.bytes / 1e9:.2f} GB resident{more}, {took}, {where}"
    )


class PeakMemory:
    """The largest resident memory of this process inside a `with` block, in bytes, sampled 50 times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self.bytes = max(self.bytes, process.memory_info().rss)
            if self._stop.wait(0.02):
                return
