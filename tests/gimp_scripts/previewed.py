"""Layers of many kinds in the dialog, opened by a script: once for Cancel, once for OK.

Before, each is dreamed without the dialog. What a person sees then is written beside this file, as RGBA in 8 bits.
"""

# mypy: ignore-errors
from __future__ import annotations

import random
import time
from pathlib import Path

from gimp_common import (
    HERE,
    QUICK,
    Gegl,
    Gimp,
    call,
    dream,
    ellipse,
    new_image,
    new_layer,
    paint,
    report,
    samples,
)

LAST = Path(Gimp.directory(), "plug-in-settings", "GimpProcedureConfigRun-plug-in-deepdream.last")
RGBA = "R'G'B'A u8"


def gray():
    image = new_image("GRAY")
    return image, new_layer(image, alpha=False)


def colour(precision="U8_NON_LINEAR", **how):
    image = new_image(precision=precision, **{key: how[key] for key in how if key != "at"})
    return image, new_layer(image, alpha=False, **how)


def hole():
    image, layer = colour()
    layer.add_alpha()
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 10, 8, 20, 16)
    layer.edit_clear()
    Gimp.Selection.none(image)
    return image, layer


def mask():
    image, layer = colour()
    own = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(own)
    paint(own)
    layer.set_edit_mask(True)
    return image, own


def channel():
    image, layer = colour()
    own = Gimp.Channel.new(image, "channel", layer.get_width(), layer.get_height(), 100.0, Gegl.Color.new("red"))
    image.insert_channel(own, None, 0)
    paint(own)
    return image, own


def wide():
    image = new_image(width=4000, height=300)
    layer = Gimp.Layer.new(image, "wide", 4000, 300, Gimp.ImageType.RGB_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, None, 0)
    rnd = random.Random(1)
    row = bytes(rnd.randrange(64, 192) for _ in range(3 * 5000))
    buffer = layer.get_buffer()
    pixels = b"".join(row[3 * at : 3 * at + 12000] for at in (rnd.randrange(1000) for _ in range(300)))
    buffer.set(Gegl.Rectangle.new(0, 0, 4000, 300), "R'G'B' u8", pixels)
    buffer.flush()
    return image, layer


def selected():
    image, layer = colour()
    ellipse(image)
    return image, layer


ABOVE = {"preset": "neon", "output": "new-layer", "strength": 0.4}
CASES = {
    "gray": (gray, {}),
    "hole": (hole, {}),
    "mask": (mask, {}),
    "channel": (channel, {"gray": "yes"}),
    "one pixel": (lambda: colour(width=1, height=1), {}),
    "wide": (wide, {}),
    "ellipse": (selected, {}),
    "partly outside": (lambda: colour(at=(-20, 9)), {}),
    "16 bit": (lambda: colour("U16_NON_LINEAR"), {}),
    "float": (lambda: colour("FLOAT_LINEAR"), {}),
    "opacity": (lambda: colour(width=160, height=120), ABOVE),
    "opacity, 16 bit": (lambda: colour("U16_NON_LINEAR", width=160, height=120), ABOVE),
}


def shown(image, drawable):
    """What one sees of a drawable: its pixels, or those of all layers upon one another."""
    if len(image.get_layers()) > 1:
        copy = image.duplicate()
        pixels = samples(copy.flatten(), RGBA)
        copy.delete()
        return pixels
    return samples(drawable, RGBA)


def wait_for(file):
    while not (HERE / file).exists():
        time.sleep(0.05)


def main(*names):
    LAST.parent.mkdir(exist_ok=True)
    for name in names:
        wait_for(f"{name}.begin")  # until the test has looked at what was dreamed in the case before
        make, arguments = CASES[name]
        image, drawable = make()
        result = dream(image, drawable, **arguments)
        (HERE / f"{name}.wanted").write_bytes(shown(image, drawable))
        image.delete()
        image, drawable = make()
        values = {**QUICK, **{key: value for key, value in arguments.items() if key != "gray"}}
        said = "".join(f"({key} {value!r})\n".replace("'", '"') for key, value in values.items())
        LAST.write_text(f"# settings\n\n{said}\n# end of settings\n")
        if not Gimp.Selection.is_empty(image):
            (HERE / f"{name}.selection").write_bytes(samples(image.get_selection(), "Y u8"))
        display = Gimp.Display.new(image)
        drawable.set_lock_content(False)  # GIMP 3.0.4 locks a channel that is selected in the first image it shows
        _touches, *where = drawable.mask_intersect()
        report(begins=name, result=result, size=[drawable.get_width(), drawable.get_height()], inner=where)
        before = shown(image, drawable)
        status = call("plug-in-deepdream", image, [drawable], "INTERACTIVE")["status"]
        report(cancelled=name, status=status, same=shown(image, drawable) == before)
        wait_for(f"{name}.go")
        result = call("plug-in-deepdream", image, [drawable], "INTERACTIVE")
        (HERE / f"{name}.got").write_bytes(shown(image, drawable))
        report(done=name, result=result, layers=[one.get_opacity() for one in image.get_layers()])
        display.delete()
