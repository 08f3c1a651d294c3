"""Makes the documentation's pictures and figures with this program: `python docs/make_pictures.py [NAME ...]`.

`before-after`, `presets`, `layers`, `thumbnails` (of the presets, which travel with the program), `figures` (of
`docs/looks.md`, on stdout), `looks` and `looks-objectives` (presets on all photographs, a quarter of an hour on two cores),
and `what-to-dream-of`. Without a name: all of them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import color, data

from deepdream_core.config import load_config
from deepdream_core.engine.engine import Engine
from deepdream_core.engine.objectives.norm import Norm
from deepdream_core.machine_settings import EngineSettings

if TYPE_CHECKING:
    from deepdream_core.settings import DreamSettings

DOCS = Path(__file__).resolve().parent
THUMBNAILS = DOCS.parent / "deepdream_core" / "thumbnails"
LAYERS = (
    "relu1_2", "relu2_2", "relu3_1", "relu3_3", "relu3_4", "relu4_1",
    "relu4_2", "relu4_3", "pool4", "relu5_1", "relu5_3", "pool5",
)  # fmt: skip
GAP, CAPTION = 8, 26
Planes = NDArray[np.float32]
ENGINE, CONFIG = Engine(EngineSettings()), load_config(Path("/dev/null"))


def poster() -> Image.Image:
    """Draw a flat graphic."""
    picture = Image.new("RGB", (900, 640), (246, 236, 214))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 900, 430), fill=(244, 190, 120))
    draw.ellipse((560, 110, 740, 290), fill=(214, 72, 52))
    draw.polygon([(0, 430), (190, 180), (330, 340), (470, 210), (700, 430)], fill=(58, 92, 120))
    draw.polygon([(300, 430), (600, 260), (900, 430)], fill=(34, 60, 84))
    draw.rectangle((0, 430, 900, 540), fill=(90, 150, 140))
    draw.text((450, 590), "NORTH SHORE", font=ImageFont.load_default(64), fill=(34, 60, 84), anchor="mm")
    return picture


def photographs(short_side: int) -> dict[str, Image.Image]:
    """Return the photographs that looks are judged on, by name."""
    pictures = {
        "portrait": Image.fromarray(data.astronaut()),
        "landscape": Image.open(DOCS / "photos" / "landscape.jpg"),
        "architecture": Image.open(DOCS / "photos" / "pagoda.jpg"),
        "animal": Image.fromarray(data.chelsea()),
        "food": Image.fromarray(data.coffee()),
        "night": Image.fromarray(data.rocket()),
        "graphic": poster(),
        "black and white": Image.fromarray(data.camera()).convert("RGB"),
    }
    return {name: sized(picture, short_side) for name, picture in pictures.items()}


def sized(picture: Image.Image, short_side: int) -> Image.Image:
    """Return the picture with another short side in pixels."""
    factor = short_side / min(picture.size)
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Image.Resampling.LANCZOS)


def planes(picture: Image.Image) -> Planes:
    """Return an RGB picture as float32 [3, H, W] in 0…1."""
    return np.ascontiguousarray(np.asarray(picture, np.float32).transpose(2, 0, 1) / 255)


def dreamed(picture: Image.Image, settings: DreamSettings, *guides: Image.Image) -> Planes:
    """Dream an RGB picture and return the result, float32 [3, H, W]."""
    steps = ENGINE.dream(
        planes(picture), ENGINE.picked(planes(picture), settings), guides=[planes(each) for each in guides]
    )
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: Planes = stop.value
            return result


def image(result: Planes) -> Image.Image:
    """Return float32 [3, H, W] as an RGB picture."""
    return Image.fromarray((result.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8))


def sheet(pictures: list[tuple[str, Image.Image]], columns: int, width: int) -> Image.Image:
    """Lay pictures out in a grid, each `width` wide with its name below, each row as high as its highest picture."""
    draw_rows = []
    for row in (pictures[first : first + columns] for first in range(0, len(pictures), columns)):
        height = max(round(width * picture.height / picture.width) for _, picture in row)
        strip = Image.new("RGB", (columns * (width + GAP) - GAP, height + CAPTION + GAP), "white")
        draw = ImageDraw.Draw(strip)
        for number, (name, picture) in enumerate(row):
            x, own = number * (width + GAP), round(width * picture.height / picture.width)
            strip.paste(picture.resize((width, own), Image.Resampling.LANCZOS), (x, 0))
            draw.text((x + width / 2, height + 3), name, fill="black", font=ImageFont.load_default(16), anchor="ma")
        draw_rows.append(strip)
    page = Image.new("RGB", (draw_rows[0].width, sum(row.height for row in draw_rows)), "white")
    top = 0
    for row in draw_rows:
        page.paste(row, (0, top))
        top += row.height
    return page


def save(picture: Image.Image, path: Path, **options: Any) -> None:
    """Write a picture and say so."""
    path.parent.mkdir(exist_ok=True)
    picture.save(path, **options)
    print(path, flush=True)


def before_after() -> None:
    """Make the first picture of the README."""
    photo = photographs(450)["landscape"]
    shown = [("before", photo)]
    for name in ("classic", "beasts", "architecture"):
        command = "deepdream dream photo.jpg" + f" --preset {name}" * (name != "classic")
        shown.append((command, image(dreamed(photo, CONFIG.dream_settings(name, {})))))
    save(sheet(shown, 2, 600), DOCS / "before-after.jpg", quality=85)


def presets() -> None:
    """Dream one photograph with all presets, and with `classic` otherwise."""
    photo = photographs(300)["landscape"]
    chosen = [(name, CONFIG.dream_settings(name, {})) for name in looks()]
    for words, change in (("--keep-colours", {"keep_colours": True}), ("--pooling average", {"pooling": "average"})):
        chosen.append((f"classic {words}", CONFIG.dream_settings("classic", change)))
    chosen.append(("classic --strength 0.5", CONFIG.dream_settings("classic", {"strength": 0.5})))
    shown = [("the photo", photo)] + [(name, image(dreamed(photo, settings))) for name, settings in chosen]
    save(sheet(shown, 4, 300), DOCS / "presets.jpg", quality=85)


def layers() -> None:
    """Dream one photograph through twelve layers, with both kinds of pooling."""
    photo = sized(Image.fromarray(data.coffee()), 280)
    shown = []
    for name in LAYERS:
        for pooling in ("max", "average"):
            settings = CONFIG.dream_settings(None, {"layers": {name: 1.0}, "pooling": pooling})
            shown.append((f"{name}, {pooling}", image(dreamed(photo, settings))))
    save(sheet(shown, 6, 240), DOCS / "layers.jpg", quality=85)


def what_to_dream_of() -> None:
    """Dream a cup with a guide, exaggerated, calmed, and with chosen channels."""
    cup, cat, portrait = (Image.fromarray(getattr(data, name)()) for name in ("coffee", "chelsea", "astronaut"))
    cup, portrait = sized(cup, 300), sized(portrait, 300).crop((0, 0, 300, 200)).resize((450, 300))
    shown = [("the photo", cup), ("the guide", sized(cat, 300))]
    for figures in (0.33, 0.67, 1.0):
        settings = CONFIG.dream_settings(None, {"guides": ["cat.jpg"], "guide_figures": figures})
        shown.append((f"--guide-figures {figures:g}", image(dreamed(cup, settings, cat))))
    options: list[tuple[str, dict[str, Any]]] = [
        ("--guide-match mean", {"guides": ["cat.jpg"], "guide_match": "mean"}),
        ("--layer pool4=-1", {"layers": {"pool4": -1.0}}),
        ("--channel pool4:80", {"channels": {"pool4:80": 1.0}}),
        ("--channels pool4:weakest:8", {"channels": {"pool4:weakest:8": 1.0}}),
    ]
    for words, what in options:
        settings = CONFIG.dream_settings(None, what)
        shown.append((words, image(dreamed(cup, settings, *[cat] * len(settings.guides)))))
    settings = CONFIG.dream_settings(None, {"caricature": {"relu4_2": 1.0}})
    shown += [("another photo", portrait), ("--caricature relu4_2", image(dreamed(portrait, settings)))]
    settings = CONFIG.dream_settings(None, {"caricature": {"relu3_1": 1.0}})
    shown.append(("--caricature relu3_1", image(dreamed(portrait, settings))))
    save(sheet(shown, 4, 300), DOCS / "what-to-dream-of.jpg", quality=85)


def looks() -> list[str]:
    """Return the presets that are looks; the notebook's loop is for those who know it."""
    return [name for name in CONFIG.presets if name != "made-simple"]


def thumbnails() -> None:
    """Make the small pictures of the presets that have none yet; delete what is to be made again."""
    photo = photographs(300)["landscape"]
    middle = (60, 40, 345, 230)
    save(photo.crop(middle), THUMBNAILS / "photograph.jpg", quality=90)  # for a user's own presets
    for name in CONFIG.presets:
        if (THUMBNAILS / f"{name}.png").exists():
            continue
        smaller = {"finest": 200} if name == "made-simple" else {}  # its 500 steps at 500 px take a quarter of an hour
        dream = image(dreamed(photo, CONFIG.dream_settings(name, smaller))).crop(middle)
        small = dream.resize((120, 80), Image.Resampling.LANCZOS)
        save(small.quantize(256, dither=Image.Dither.NONE), THUMBNAILS / f"{name}.png", optimize=True)


def figures() -> None:
    """Print what `classic` does to each photograph, beside `neon`, which it was before."""
    before = CONFIG.dream_settings("neon", {})
    judge = ENGINE.gradient_of(before)
    print("| photograph | neon % | a\\*b\\* distance | L\\* spread | objective | time |\n|---|---|---|---|---|---|")
    for kind, photo in photographs(300).items():
        reference, ours = (measured(photo, settings, judge) for settings in (before, CONFIG.dream))
        arrows = [f"{a:.2f} → {b:.2f}" for a, b in zip(reference[:3], ours[:3], strict=True)]
        ratios = [f"× {b / a:.2f}" for a, b in zip(reference[3:], ours[3:], strict=True)]
        print(f"| {kind} | {' | '.join(arrows + ratios)} |", flush=True)


def looks_sheet() -> None:
    """Dream all photographs with the presets that make a layer grow."""
    by_photographs([name for name in looks() if name not in other_objectives()], "looks.jpg")


def objectives_sheet() -> None:
    """Dream all photographs with the presets that have another objective."""
    by_photographs(other_objectives(), "looks-objectives.jpg")


def other_objectives() -> list[str]:
    """Return the presets with channels, a caricature or a layer that shrinks."""
    return [
        name
        for name in looks()
        if (settings := CONFIG.dream_settings(name, {})).channels
        or settings.caricature
        or min(settings.layers.values()) < 0
    ]


def by_photographs(names: list[str], file: str) -> None:
    """Dream all photographs with some presets, each preset a row."""
    photos = photographs(300)
    shown = list(photos.items())
    for name in names:
        settings = CONFIG.dream_settings(name, {})
        shown += [(name, image(dreamed(photo, settings))) for photo in photos.values()]
        print(name, flush=True)
    save(sheet(shown, len(photos), 200), DOCS / file, quality=82)


def measured(photo: Image.Image, settings: DreamSettings, judge: Any) -> tuple[float, float, float, float, float]:
    """Return neon in percent of the pixels, mean a*b* distance, spread of L*, objective, and seconds of a dream.

    Neon is a pixel whose a*b* moved by more than 25 and whose chroma rose by more than 15.
    """
    import torch

    began = time.perf_counter()
    result = dreamed(photo, settings)
    seconds = time.perf_counter() - began
    before, after = (color.rgb2lab(p.transpose(1, 2, 0).astype(np.float64)) for p in (planes(photo), result))
    moved = np.hypot(*np.moveaxis(after - before, -1, 0)[1:])
    chroma = np.hypot(*np.moveaxis(after, -1, 0)[1:]) - np.hypot(*np.moveaxis(before, -1, 0)[1:])
    neon = 100 * float(((moved > 25) & (chroma > 15)).mean())
    objective = judge(torch.from_numpy(result)[None].to(ENGINE.device), {Norm("pool4"): 1.0}).objective
    return neon, float(moved.mean()), float((after - before)[..., 0].std()), objective, seconds


MAKERS = {
    "before-after": before_after, "presets": presets, "layers": layers, "thumbnails": thumbnails,
    "figures": figures, "looks": looks_sheet, "looks-objectives": objectives_sheet, "what-to-dream-of": what_to_dream_of,
}  # fmt: skip


if __name__ == "__main__":
    for wanted in sys.argv[1:] or MAKERS:
        MAKERS[wanted]()
