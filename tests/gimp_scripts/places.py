"""Selections, offsets, groups, masks, profiles, filters, and where the dream goes."""

# mypy: ignore-errors
from __future__ import annotations

import sys

from gimp_common import (
    FACTS_FILE,
    HERE,
    Gimp,
    check,
    compared,
    dream,
    dreamed,
    ellipse,
    floats,
    new_image,
    new_layer,
    rectangle,
    samples,
    selection,
    whole,
)


def main():
    for name, selecting, layout in SELECTIONS:
        with check(name) as facts:
            image = new_image()
            layer = new_layer(image, **layout)
            selecting(image)
            dreamed(facts, image, layer)
    for one in (feather, again_and_again, context, child, mask, hdr, profile, above, above_in_a_group, above_masked,
                filters, filters_above, above_with_strength_0, mask_at_the_edge):  # fmt: skip
        with check(one.__name__) as facts:
            one(facts)


def nothing(image):
    pass


SELECTIONS = (
    ("nothing selected", nothing, {}),
    ("a rectangle", rectangle, {}),
    ("an ellipse", ellipse, {}),
    ("a feathered ellipse", lambda image: ellipse(image, feather=6), {}),
    ("a selection that reaches over the canvas", lambda image: rectangle(image, -9, -9, 30, 25), {}),
    ("a larger layer, moved", nothing, {"width": 70, "height": 60, "at": (-13, -7)}),
    ("a larger layer, moved, with an ellipse", ellipse, {"width": 70, "height": 60, "at": (-13, -7)}),
    ("a smaller layer, moved", nothing, {"width": 25, "height": 20, "at": (11, 9)}),
    ("a smaller layer, moved, with an ellipse", ellipse, {"width": 25, "height": 20, "at": (11, 9)}),
    ("a layer half off the canvas, with a rectangle", lambda image: rectangle(image, 30, 20, 18, 16), {"at": (28, 17)}),
)


def feather(facts):
    """With the whole layer sent either way, the dream is the same, and the selection alone decides how much of it shows."""
    image = new_image(precision="FLOAT_LINEAR")
    layer, again = new_layer(image), new_layer(image)
    old = floats(layer)
    facts.update(dream(image, layer))
    new = floats(layer)
    ellipse(image, feather=6)
    weights = selection(image, again)
    facts["status"] = dream(image, again)["status"]
    mixed = floats(again)
    # Colours count by their alpha; the dream leaves that alone.
    wanted = [old[i] + weights[i // 4] * (new[i] - old[i]) for i in range(len(old))]
    facts["partly"] = sum(0.1 < weight < 0.9 for weight in weights)
    facts["off"] = max(abs(a - b) for a, b in zip(mixed, wanted))  # noqa: B905 - Python 3.9


def again_and_again(facts):
    """The same pixels and settings, each time by a plug-in's process of its own."""
    image = new_image(precision="FLOAT_LINEAR")
    dreams = set()
    for _number in range(12):
        layer = new_layer(image)
        facts["status"] = dream(image, layer)["status"]
        dreams.add(samples(layer))
    facts["different"] = len(dreams)


def context(facts):
    image = new_image(width=600, height=400)
    layer = new_layer(image, width=600, height=400, name="large")
    rectangle(image, 300, 200, 20, 10)
    dreamed(facts, image, layer)


def child(facts):
    image = new_image()
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    layer = new_layer(image, parent=group, at=(3, 2))
    rectangle(image)
    dreamed(facts, image, layer)


def mask(facts):
    image = new_image()
    layer = new_layer(image)
    own = layer.create_mask(Gimp.AddMaskType.COPY)
    layer.add_mask(own)
    own = layer.get_mask()
    rectangle(image)
    before = samples(layer)
    dreamed(facts, image, own)
    facts["layer_same"] = samples(layer) == before


def hdr(facts):
    """Values beyond black and white, which no 8-bit way would keep."""
    image = new_image(precision="FLOAT_LINEAR")
    layer = new_layer(image)
    wide = floats(layer)
    for number in range(0, len(wide), 4):
        wide[number], wide[number + 1] = wide[number] * 6, wide[number + 1] - 0.4
    buffer = layer.get_buffer()
    buffer.set(whole(layer), "RGBA float", wide.tobytes())
    buffer.flush()
    ellipse(image)
    dreamed(facts, image, layer)
    facts["largest"] = max(floats(layer))


def profile(facts):
    file = str(HERE / "p3.icc")
    image, plain = new_image(profile=file), new_image()
    layer, like = new_layer(image), new_layer(plain)
    facts["alike_before"] = samples(layer) == samples(like)
    before = image.get_color_profile().get_icc_profile()
    for one in (image, plain):
        rectangle(one, 0, 0, 24, 36)
    shown = samples(layer, "R'G'B'A float")
    dreamed(facts, image, layer)
    facts["shown"] = compared(shown, samples(layer, "R'G'B'A float"), selection(image, layer))
    facts["kept"] = bytes(image.get_color_profile().get_icc_profile()) == bytes(before)
    dream(plain, like)
    facts["alike_after"] = samples(layer) == samples(like)


def _above(facts, image, layer, parent=None):
    before, selected = samples(layer), selection(image, layer)
    facts.update(dream(image, layer, preset="eyes", output="new-layer"))
    facts["layer_same"] = samples(layer) == before
    layers = parent.get_children() if parent else image.get_layers()
    new = layers[layers.index(layer) - 1]
    facts["names"] = [one.get_name() for one in layers]
    facts["aligned"] = list(new.get_offsets()) == list(layer.get_offsets()) and new.get_width() == layer.get_width()
    facts.update(compared(before, samples(new), selected))
    return new


def above(facts):
    image = new_image()
    new_layer(image, name="below")
    layer = new_layer(image, width=60, height=50, at=(-5, 3))
    new_layer(image, name="top")
    ellipse(image)
    _above(facts, image, layer)


def above_in_a_group(facts):
    image = new_image()
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    layer = new_layer(image, parent=group, at=(3, 2))
    _above(facts, image, layer, group)


def above_masked(facts):
    """Of a mask: a copy of its layer with a dreamed mask."""
    image = new_image()
    layer = new_layer(image)
    layer.add_mask(layer.create_mask(Gimp.AddMaskType.COPY))
    before = samples(layer.get_mask())
    facts.update(dream(image, layer.get_mask(), preset="eyes", output="new-layer"))
    new = image.get_layers()[0]
    facts["names"] = [one.get_name() for one in image.get_layers()]
    facts["mask_same"] = samples(layer.get_mask()) == before
    facts["layer_same"] = samples(new) == samples(layer)
    facts.update(compared(before, samples(new.get_mask()), [1.0] * len(before)))


def _filtered(image):
    layer = new_layer(image)
    inverted = Gimp.DrawableFilter.new(layer, "gegl:invert-gamma", "inverted")
    layer.append_filter(inverted)
    inverted.update()
    return layer


def filters(facts):
    image = new_image()
    layer = _filtered(image)
    dreamed(facts, image, layer)
    facts["filters"] = len(layer.get_filters())


def filters_above(facts):
    image = new_image()
    layer = _filtered(image)
    new = _above(facts, image, layer)
    facts["filters"], facts["new_filters"] = len(layer.get_filters()), len(new.get_filters())


def above_with_strength_0(facts):
    """Strength 0 onto a new layer: a copy, to the byte."""
    image = new_image(precision="DOUBLE_LINEAR")
    layer = new_layer(image)
    facts.update(dream(image, layer, strength=0.0, output="new-layer"))
    facts["names"] = [one.get_name() for one in image.get_layers()]
    facts["layer_same"] = samples(image.get_layers()[0]) == samples(layer)


def mask_at_the_edge(facts):
    """What the preview reads of a selection, for parts of a layer that reach over the canvas on each side."""
    sys.path.insert(0, str(FACTS_FILE.parent))
    import pixels

    image = new_image(width=60, height=40)
    layer = new_layer(image, width=100, height=80, at=(-20, -10))
    rectangle(image, 0, 0, 24, 16)
    facts["off"] = []
    for x, y, width, height in ((0, 0, 100, 80), (4, 2, 40, 40), (10, 0, 90, 30), (20, 10, 60, 40), (90, 60, 10, 20)):
        for scale in (1, 2):
            where = pixels.Region(x, y, width, height)
            mask = pixels.read_selection(layer, where, width // scale, height // scale)
            wanted = [
                255 * (20 <= x + across < 44 and 10 <= y + down < 26)
                for down in range(0, height, scale)
                for across in range(0, width, scale)
            ]
            facts["off"].append(max(abs(a - b) for a, b in zip(mask, wanted)))  # noqa: B905 - Python 3.9
