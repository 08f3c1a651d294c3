"""What to dream of, as scripts say it: guides from layers and files, channels, a caricature, a seamless pattern."""

# mypy: ignore-errors
from __future__ import annotations

import json

from gimp_common import (
    HERE,
    QUICK,
    Gegl,
    Gimp,
    Gio,
    call,
    check,
    compared,
    dream,
    new_image,
    new_layer,
    samples,
    selection,
    whole,
)

TEXTURE = {"layer": "preset", "guide-figures": 0.0, "guide-size": 32, "step": 40.0}
"""At this end of its range a guide of 40 px is large enough."""
SIDE = 40


def main():
    for one in (
        layers,
        file,
        transparent,
        large,
        other_models,
        script_fu,
        last_values,
        gone_since,
        of_a_preset,
        others,
    ):
        with check(one.__name__) as facts:
            one(facts)
    for name, arguments in REFUSED.items():
        with check(name) as facts:
            image = new_image()
            layer = new_layer(image)
            image.clean_all()
            before = samples(layer)
            facts.update(dream(image, layer, **{**TEXTURE, **arguments()}))
            facts["same"] = samples(layer) == before and not image.is_dirty()


def guide(colour="red", *, side=SIDE, alpha=False, base="RGB", precision="U8_NON_LINEAR"):
    """A layer of an image of its own: squares of a colour on white."""
    image = new_image(base, precision, width=side, height=side)
    layer = new_layer(image, alpha=alpha, width=side, height=side, name="cat")
    layer.fill(Gimp.FillType.WHITE)
    Gimp.context_set_foreground(Gegl.Color.new(colour))
    for x in range(0, side, side // 4):
        for y in range(x % 3, side, side // 5):
            image.select_rectangle(Gimp.ChannelOps.REPLACE, x, y, side // 8, side // 10)
            layer.edit_fill(Gimp.FillType.FOREGROUND)
    Gimp.Selection.none(image)
    return layer


def dreamed(**arguments):
    """The layer of a new image, dreamed: status, text, what changed, and its bytes."""
    image = new_image()
    layer = new_layer(image)
    before = samples(layer)
    facts = dream(image, layer, **{**TEXTURE, **arguments})
    return {**facts, **compared(before, samples(layer), selection(image, layer))}, samples(layer)


def layers(facts):
    told, toward_red = dreamed(guide=guide())
    facts.update(told)
    facts["again"] = dreamed(guide=guide())[1] == toward_red
    facts["toward_another"] = dreamed(guide=guide("blue"))[1] != toward_red
    facts["toward_none"] = dreamed()[1] != toward_red
    facts["with_a_layer"] = dreamed(guide=guide(), layer="relu2_1")[1] != toward_red


def saved(layer):
    """The file of a layer's image."""
    file = Gio.File.new_for_path(f"{HERE}/guide.png")
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, layer.get_image(), file, None)
    return file


def file(facts):
    layer = guide()
    told, toward_file = dreamed(**{"guide-file": saved(layer)})
    facts.update(told)
    facts["as_its_layer"] = dreamed(guide=layer)[1] == toward_file
    facts["images"] = len(Gimp.get_images())
    dreamed(**{"guide-file": saved(layer)})
    facts["images_afterwards"] = len(Gimp.get_images()) - 1
    facts["both"] = dreamed(guide=guide("blue"), **{"guide-file": saved(layer)})[1] != toward_file


def transparent(facts):
    """What is transparent counts as gray, whatever colours hide there."""
    pictures = []
    for hidden in ("red", "lime"):
        layer = guide(alpha=True)
        image, buffer = layer.get_image(), layer.get_buffer()
        count = SIDE * SIDE // 2
        colour = {"red": b"\xff\x00\x00\x00", "lime": b"\x00\xff\x00\x00"}[hidden]
        buffer.set(Gegl.Rectangle.new(0, 0, SIDE, SIDE // 2), "R'G'B'A u8", colour * count)
        buffer.flush()
        told, picture = dreamed(guide=layer)
        pictures.append(picture)
        image.delete()
    facts.update(told)
    apart = [abs(one - other) for one, other in zip(*pictures, strict=True)]
    facts["apart"] = sum(apart) / len(apart)


def large(facts):
    """A guide of more than 2 megapixels."""
    told, _picture = dreamed(guide=guide(side=1600))
    facts.update(told)


def other_models(facts):
    facts["status"] = [
        dreamed(guide=guide(base="GRAY"))[0]["status"],
        dreamed(guide=guide(precision="FLOAT_LINEAR", alpha=True))[0]["status"],
        dreamed(guide=_indexed())[0]["status"],
        dreamed(guide=_group())[0]["status"],
        dreamed(guide=_mask())[0]["status"],
    ]


def _indexed():
    layer = guide()
    layer.get_image().convert_indexed(
        Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, ""
    )
    return layer


def _group():
    layer = guide()
    image = layer.get_image()
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(layer, group, 0)
    return group


def _mask():
    layer = guide(alpha=True)
    layer.add_mask(layer.create_mask(Gimp.AddMaskType.COPY))
    return layer.get_mask()


def script_fu(facts):
    layer = guide()
    given = " ".join(f"#:{key} {json.dumps(value)}" for key, value in {**QUICK, **TEXTURE}.items())
    facts["as_python_fu"] = []
    for how, named in (
        (f"#:guide {layer.get_id()}", {"guide": layer}),
        (f'#:guide-file "{saved(layer).get_path()}"', {"guide-file": saved(layer)}),
    ):
        image = new_image()
        own = new_layer(image)
        procedure = Gimp.get_pdb().lookup_procedure("plug-in-script-fu-eval")
        config = procedure.create_config()
        config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
        config.set_property(
            "script",
            f"(plug-in-deepdream #:run-mode RUN-NONINTERACTIVE #:image {image.get_id()} "
            f"#:drawables (vector {own.get_id()}) {given} {how})",
        )
        values = procedure.run(config)
        facts["status"] = values.index(0).value_nick
        facts["as_python_fu"].append(samples(own) == dreamed(**named)[1])


def last_values(facts):
    """GIMP's last values name a guide, and then its image is closed."""
    layer = guide()
    image = new_image()
    own = new_layer(image)
    quick = {"finest": 100000, "octaves": 1, "iterations": 1, "jitter": 0}
    facts["first"] = call("plug-in-deepdream", image, [own], "INTERACTIVE", **{**quick, **TEXTURE, "guide": layer})
    toward = samples(own)
    own.get_buffer().set(whole(own), "R'G'B'A u8", samples(new_layer(image), "R'G'B'A u8"))
    facts["again"] = call("plug-in-deepdream", image, [own], "WITH_LAST_VALS")
    facts["same"] = samples(own) == toward
    layer.get_image().delete()
    facts["without"] = call("plug-in-deepdream", image, [own], "WITH_LAST_VALS")


def gone_since(facts):
    """A guide that is deleted between its choice and the run."""
    image = new_image()
    layer, other = new_layer(image), guide()
    procedure = Gimp.get_pdb().lookup_procedure("plug-in-deepdream")
    config = procedure.create_config()
    config.set_property("guide", other)
    other.get_image().delete()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    values = procedure.run(config)
    facts["status"] = values.index(0).value_nick
    facts["text"] = values.index(1) if values.length() > 1 else None


def of_a_preset(facts):
    """Presets with a guide of their own, a path."""
    layer = guide()
    saved(layer)
    told, toward_own = dreamed(preset="guide")
    facts.update(told)
    facts["as_named"] = toward_own == dreamed(guide=layer)[1]
    facts["another"] = dreamed(preset="lost", layer="relu2_1")[0]["status"]
    facts["lost"] = dreamed(preset="lost")[0]


def others(facts):
    """Each of the others alone, and all of them."""
    plain = dreamed(layer="relu2_1", iterations=2)[1]
    for name, given in {
        "tileable": {"layer": "relu2_1", "tileable": "yes"},
        "channels": {"channels": "conv2_1:17, relu2_1:3=-0.5"},
        "picked": {"layer": "relu2_1", "channels": "strongest:4"},
        "caricature": {"caricature": "relu2_1", "caricature-power": 2.0},
        "all": {"guide": guide(), "channels": "conv2_1:17", "caricature": "relu2_1", "tileable": "yes"},
    }.items():
        told, picture = dreamed(iterations=2, **given)
        facts[name] = [told["status"], told["text"], told["inside"] > 0.9, picture != plain]


def hidden():
    """An image whose layers are all hidden, as a file."""
    layer = guide()
    layer.set_visible(False)
    file = Gio.File.new_for_path(f"{HERE}/hidden.xcf")
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, layer.get_image(), file, None)
    return file


REFUSED = {
    "a guide that is too small": lambda: {"guide": guide(side=16)},
    "a file that is not there": lambda: {"guide-file": Gio.File.new_for_path(f"{HERE}/nowhere.png")},
    "a file that is no picture": lambda: {"guide-file": Gio.File.new_for_path(f"{HERE}/guided.py")},
    "a file that shows nothing": lambda: {"guide-file": hidden()},
    "a channel that the layer does not have": lambda: {"channels": "conv4_3:512"},
    "no name of a channel": lambda: {"channels": "pool4:8=much"},
    "a guide at a layer that grows": lambda: {"guide": guide(), "layer": "relu3_1"},
}
