"""Makes the sheets of `docs/channels.md`, what each feature channel likes: `python docs/make_channels.py [LAYER ...]`.

Each channel is dreamed alone from the same noise. A convolution's channels are those of its ReLU and of the pool after it,
and grow where those are still 0. All of it takes ten minutes of one core.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from deepdream_core.engine.engine import Engine
from deepdream_core.layers import find_layer
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.noise import natural_noise
from deepdream_core.settings import DreamSettings

SHEETS = Path(__file__).resolve().parent.parent / "deepdream_core" / "channels"
LAYERS = ("conv3_3", "conv4_4", "conv4_2")
DREAMED, SHOWN, CAPTION, GAP, COLUMNS = 64, 56, 12, 3, 16  # px, and tiles in a row
QUALITY = 25


@cache
def engine() -> Engine:
    """Return this process's engine; bfloat16 halves the time."""
    torch.set_num_threads(1)
    return Engine(EngineSettings(device="cpu", precision="bf16"))


def settings_of(layer: str, channel: int) -> DreamSettings:
    """Return how a channel is dreamed: large shifts hide the tile's borders, more colour tells channels apart."""
    deep = int(layer[4]) > 3
    return DreamSettings(
        layers={}, channels={f"{layer}:{channel}": 1.0}, finest=DREAMED, octaves=4 if deep else 3, octave_scale=1.25,
        iterations=4, coarse_boost=3, jitter=DREAMED // 2, natural=0.8, step=7, smooth=0.5,
    )  # fmt: skip


def dreamed(layer: str, channel: int) -> Image.Image:
    """Return the picture of one channel."""
    noise = natural_noise(DREAMED, DREAMED, 0).transpose(2, 0, 1) / np.float32(255)
    steps = engine().dream(np.ascontiguousarray(noise), settings_of(layer, channel))
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            picture = Image.fromarray(np.rint(stop.value.transpose(1, 2, 0) * 255).astype(np.uint8))
            return picture.resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)


def sheet(pictures: list[tuple[int, Image.Image]]) -> Image.Image:
    """Lay pictures out in a grid, each with its number below."""
    rows = -(-len(pictures) // COLUMNS)
    across, down = SHOWN + GAP, SHOWN + CAPTION + GAP
    page = Image.new("RGB", (COLUMNS * across - GAP, rows * down - GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for place, (number, picture) in enumerate(pictures):
        x, y = place % COLUMNS * across, place // COLUMNS * down
        page.paste(picture, (x, y))
        draw.text((x + SHOWN / 2, y + SHOWN - 1), str(number), fill="black", font=font, anchor="ma")
    return page


def make(layer: str) -> None:
    """Dream all channels of a layer and write its sheet."""
    channels = range(find_layer(layer).channels)
    with ProcessPoolExecutor() as pool:
        pictures = list(pool.map(dreamed, [layer] * len(channels), channels, chunksize=8))
    path = SHEETS / f"{layer}.webp"
    path.parent.mkdir(exist_ok=True)
    sheet(list(zip(channels, pictures, strict=True))).save(path, quality=QUALITY, method=6)
    print(path, flush=True)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or LAYERS:
        make(wanted)
