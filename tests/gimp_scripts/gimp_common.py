"""What the scripts that run inside GIMP share: images made and looked at, the plug-in called."""

# mypy: ignore-errors
from __future__ import annotations

import array
import contextlib
import json
import math
import os
import random
import time
from pathlib import Path

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Babl, Gegl, Gimp, Gio  # noqa: E402

WIDTH, HEIGHT = 48, 36
QUICK = {"layer": "relu2_1", "finest": 100000, "octaves": 1, "iterations": 1, "step": 40.0, "jitter": 0}
"""What takes a few hundredths of a second and changes nearly every pixel."""
HERE = Path(__file__).resolve().parent


def report(**facts):
    with Path(os.environ["DEEPDREAM_REPORTS"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")


@contextlib.contextmanager
def check(name):
    """Report what is put into the dictionary under a name; a mistake of the script ends that check alone."""
    facts, began = {}, time.monotonic()
    images = {image.get_id() for image in Gimp.get_images()}
    try:
        yield facts
    except Exception as error:
        facts["raised"] = f"{type(error).__name__}: {error}"
    for image in Gimp.get_images():
        if image.get_id() not in images:
            image.delete()
    report(check=name, took_s=time.monotonic() - began, **facts)


def new_image(base="RGB", precision="U8_NON_LINEAR", profile=None, width=WIDTH, height=HEIGHT):
    image = Gimp.Image.new_with_precision(
        width, height, getattr(Gimp.ImageBaseType, base), getattr(Gimp.Precision, precision)
    )
    if profile:
        assert image.set_color_profile(Gimp.ColorProfile.new_from_file(Gio.File.new_for_path(profile)))
    return image


def new_layer(image, *, alpha=True, width=WIDTH, height=HEIGHT, at=(0, 0), parent=None, name="photo"):
    gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
    kind = f"{'GRAY' if gray else 'RGB'}{'A' if alpha else ''}_IMAGE"
    kind = getattr(Gimp.ImageType, kind)
    layer = Gimp.Layer.new(image, name, width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, parent, 0)
    layer.set_offsets(*at)
    paint(layer)
    return layer


def paint(drawable):
    """Fill with something like a picture, in values that no precision but double holds exactly."""
    rnd, samples = random.Random(1), array.array("d")
    width, height = drawable.get_width(), drawable.get_height()
    for y in range(height):
        for x in range(width):
            wave = 0.5 + 0.25 * math.sin(x / 3.1 + y / 7.3)
            samples.extend(min(1.0, max(0.0, wave + rnd.uniform(-0.15, 0.15))) for _ in range(3))
            samples.append(0.3 + 0.7 * rnd.random())
    name = Babl.get_name(Babl.format_with_space("R'G'B'A double", drawable.get_format()))
    buffer = drawable.get_buffer()
    buffer.set(whole(drawable), name, samples.tobytes())
    buffer.flush()


def whole(drawable):
    return Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())


def samples(drawable, name=None):
    """The bytes of all pixels; as GIMP holds them where no format is given."""
    name = name or Babl.get_name(drawable.get_format())
    return bytes(drawable.get_buffer().get(whole(drawable), 1.0, name, Gegl.AbyssPolicy.NONE))


def floats(drawable, name="RGBA float"):
    values = array.array("f")
    values.frombytes(samples(drawable, name))
    return values


def selection(image, drawable):
    """How much each pixel of the drawable is selected, 0…1; what is not on the canvas cannot be selected."""
    pixels = drawable.get_width() * drawable.get_height()
    if Gimp.Selection.is_empty(image):
        return [1.0] * pixels
    _ok, left, top = drawable.get_offsets()
    where = Gegl.Rectangle.new(left, top, drawable.get_width(), drawable.get_height())
    values = array.array("f")
    values.frombytes(image.get_selection().get_buffer().get(where, 1.0, "Y float", Gegl.AbyssPolicy.NONE))
    return list(values)


def compared(before, after, selected):
    """Which share of the selected pixels changed, and how many of those that are not selected at all."""
    size = len(before) // len(selected)
    inside = outside = changed_inside = changed_outside = 0
    for number, weight in enumerate(selected):
        same = before[number * size : number * size + size] == after[number * size : number * size + size]
        if weight > 0:
            inside += 1
            changed_inside += not same
        else:
            outside += 1
            changed_outside += not same
    return {"inside": changed_inside / inside if inside else 0, "outside": changed_outside, "unselected": outside}


def call(name, image, drawables, run_mode="NONINTERACTIVE", **arguments):
    """Call a procedure; return status, text and seconds."""
    procedure = Gimp.get_pdb().lookup_procedure(name)
    config = procedure.create_config()
    for key, value in arguments.items():
        config.set_property(key, value)
    if config.find_property("run-mode"):
        config.set_property("run-mode", getattr(Gimp.RunMode, run_mode))
        config.set_property("image", image)
        config.set_core_object_array("drawables", drawables)
    began = time.monotonic()
    values = procedure.run(config)
    text = values.index(1) if values.length() > 1 else None
    return {"status": values.index(0).value_nick, "text": text, "seconds": time.monotonic() - began}


def dream(image, drawable, **arguments):
    drawables = drawable if isinstance(drawable, list) else [drawable]
    return call("plug-in-deepdream", image, drawables, **{**QUICK, **arguments})


def dreamed(facts, image, layer, **arguments):
    """Dream, and put what changed into the facts."""
    before, selected = samples(layer), selection(image, layer)
    facts.update(dream(image, layer, **arguments))
    facts.update(compared(before, samples(layer), selected))
    return facts


def ellipse(image, x=8, y=6, width=30, height=22, feather=0):
    if feather:
        Gimp.context_set_feather(True)
        Gimp.context_set_feather_radius(feather, feather)
    image.select_ellipse(Gimp.ChannelOps.REPLACE, x, y, width, height)
    Gimp.context_set_feather(False)


def rectangle(image, x=10, y=8, width=20, height=16):
    image.select_rectangle(Gimp.ChannelOps.REPLACE, x, y, width, height)


FACTS_FILE = Path(Gimp.directory(), "plug-ins", "deepdream", "deepdream.json")


@contextlib.contextmanager
def installed(text=None, **other):
    """Let the plug-in have been installed otherwise meanwhile: with other facts, with a damaged file, without (`""`)."""
    right = FACTS_FILE.read_text("utf-8")
    FACTS_FILE.unlink()
    if text is None:
        text = json.dumps({**json.loads(right), **other})
    if text:
        FACTS_FILE.write_text(text, "utf-8")
    try:
        yield
    finally:
        FACTS_FILE.write_text(right, "utf-8")
