"""Makes the README's pictures with this program: `python docs/make_pictures.py`, some minutes on two cores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from deepdream_core.config import load_config
from deepdream_core.engine.engine import Engine
from deepdream_core.photo import Photo
from deepdream_core.settings import DreamSettings, EngineSettings

DOCS = Path(__file__).resolve().parent
LAYERS = (
    "relu1_2", "relu2_2", "relu3_1", "relu3_2", "relu3_4", "relu4_1",
    "relu4_2", "relu4_3", "pool4", "relu5_1", "relu5_3", "pool5",
)  # fmt: skip
PRESETS = ("classic", "subtle", "eyes", "fur", "texture", "swirls", "monster")
GAP, CAPTION = 8, 26


def dreamed(engine: Engine, picture: Image.Image, settings: DreamSettings) -> Image.Image:
    """Dream an RGB picture and return the result."""
    photo = Photo(np.array(picture.convert("RGB")), None, gray=False, format="PNG", icc=None, exif=None, jpeg={})
    steps = engine.dream(photo.floats(), settings)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return Image.fromarray(photo.with_floats(stop.value).pixels)


def sheet(pictures: list[tuple[str, Image.Image]], columns: int, width: int) -> Image.Image:
    """Lay pictures out in a grid, each `width` wide with its name below."""
    height = round(width * pictures[0][1].height / pictures[0][1].width)
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + CAPTION + GAP) - GAP), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(16)
    for number, (name, picture) in enumerate(pictures):
        x, y = number % columns * (width + GAP), number // columns * (height + CAPTION + GAP)
        page.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (x, y))
        draw.text((x + width / 2, y + height + 3), name, fill="black", font=font, anchor="ma")
    return page


def save(picture: Image.Image, name: str) -> None:
    """Write a picture into docs/ and say so."""
    picture.save(DOCS / name, quality=88)
    print(DOCS / name, flush=True)


def main() -> None:
    """Make all of them."""
    engine, config = Engine(EngineSettings()), load_config()
    cat, coffee = Image.fromarray(data.chelsea()), Image.fromarray(data.coffee())
    before_after = [("before", cat), ("after: deepdream dream cat.jpg", dreamed(engine, cat, config.dream))]
    save(sheet(before_after, 2, 451), "before-after.jpg")
    small = coffee.resize((420, 280), Image.Resampling.LANCZOS)
    shown = [("the photo", small)]
    for name in PRESETS:
        shown.append((name, dreamed(engine, small, config.dream_settings(name, {}))))
    save(sheet(shown, 4, 300), "presets.jpg")
    by_layer = [(name, dreamed(engine, small, DreamSettings(layers={name: 1.0}))) for name in LAYERS]
    save(sheet(by_layer, 4, 300), "layers.jpg")


if __name__ == "__main__":
    main()
