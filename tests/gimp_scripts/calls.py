"""Called from scripts in every way; what is refused; what is wrong with the helper or the installation."""

# mypy: ignore-errors
from __future__ import annotations

import os

from gimp_common import (
    HERE,
    QUICK,
    Gegl,
    Gimp,
    call,
    check,
    compared,
    dream,
    installed,
    new_image,
    new_layer,
    rectangle,
    samples,
    selection,
)


def main():
    for one in (
        last_result,
        python_fu,
        script_fu,
        by_their_places,
        the_seed_repeats,
        last_values,
        without_a_display,
        checked,
    ):
        with check(one.__name__) as facts:
            one(facts)
    for name, prepare in REFUSED.items():
        with check(name) as facts:
            image = new_image()
            layer = new_layer(image)
            drawables = prepare(image, layer)
            before = samples(layer)
            image.clean_all()
            facts.update(dream(image, drawables))
            facts["same"] = samples(layer) == before and not image.is_dirty()
    for name, facts_told in WRONG.items():
        with check(name) as facts:
            image = new_image()
            layer = new_layer(image)
            image.clean_all()
            before = samples(layer)
            with installed(**facts_told):
                facts.update(dream(image, layer))
            facts["same"] = samples(layer) == before and not image.is_dirty()
    for name, facts_told in WRONG_CHECKED.items():
        with check(name) as facts, installed(**facts_told):
            facts.update(call("plug-in-deepdream-check", None, []))


BEFORE = {"preset": "fur", "layer": "relu3_1", "finest": 40, "octaves": 2, "iterations": 2, "step": 3.5, "smooth": 0.5,
          "jitter": 4, "strength": 0.75, "seed": 11, "output": "new-layer"}  # fmt: skip
"""The arguments of the first version, in their order."""
ALL = {**BEFORE, "step": 7.5, "natural": 0.5, "pooling": "average", "keep-colours": "yes"}


def python_fu(facts):
    image = new_image()
    layer = new_layer(image)
    before = samples(layer)
    facts.update(dream(image, layer, **ALL))
    facts["names"] = [one.get_name() for one in image.get_layers()]
    facts.update(compared(before, samples(image.get_layers()[0]), selection(image, layer)))


def script_fu(facts):
    image = new_image()
    layer = new_layer(image)
    before = samples(layer)
    given = " ".join(f"#:{key} {_in_scheme(value)}" for key, value in ALL.items())
    _script(facts, f"(plug-in-deepdream #:run-mode RUN-NONINTERACTIVE #:image {image.get_id()} "
                   f"#:drawables (vector {layer.get_id()}) {given})")  # fmt: skip
    facts["names"] = [one.get_name() for one in image.get_layers()]
    facts.update(compared(before, samples(image.get_layers()[0]), selection(image, layer)))
    again = new_layer(image)
    dream(image, again, **{**ALL, "output": "replace"})
    facts["as_python_fu"] = samples(again) == samples(image.get_layers()[1])


def by_their_places(facts):
    """A script that was written for the first version and names no argument."""
    image = new_image()
    layer = new_layer(image)
    given = " ".join(_in_scheme(value) for value in BEFORE.values())
    _script(facts, f"(plug-in-deepdream RUN-NONINTERACTIVE {image.get_id()} (vector {layer.get_id()}) {given})")
    again = new_layer(image)
    dream(image, again, **{**BEFORE, "output": "replace"})
    facts["as_named"] = samples(again) == samples(image.get_layers()[1]) != samples(layer)


def _in_scheme(value):
    return f'"{value}"' if isinstance(value, str) else str(value)


def _script(facts, script):
    procedure = Gimp.get_pdb().lookup_procedure("plug-in-script-fu-eval")
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("script", script)
    values = procedure.run(config)
    facts["status"] = values.index(0).value_nick
    facts["text"] = values.index(1) if values.length() > 1 else None


def the_seed_repeats(facts):
    image = new_image()
    pictures = []
    for seed in (1, 1, 2):
        layer = new_layer(image)
        dream(image, layer, jitter=8, seed=seed)
        pictures.append(samples(layer))
    facts["again"], facts["another"] = pictures[0] == pictures[1], pictures[0] != pictures[2]


def last_values(facts):
    image = new_image()
    layer = new_layer(image)
    given = {**QUICK, "preset": "eyes", "output": "new-layer"}
    facts["first"] = call("plug-in-deepdream", image, [layer], "INTERACTIVE", **given)["status"]
    image.remove_layer(image.get_layers()[0])
    facts.update(call("plug-in-deepdream", image, [layer], "WITH_LAST_VALS"))
    facts["names"] = [one.get_name() for one in image.get_layers()]


def without_a_display(facts):
    """The dialog's run mode, where there is nobody to ask, takes the arguments as they are (the last ones)."""
    image = new_image()
    layer = new_layer(image)
    facts.update(call("plug-in-deepdream", image, [layer], "INTERACTIVE"))
    facts["display"] = os.environ.get("DISPLAY")
    facts["names"] = [one.get_name() for one in image.get_layers()]


def last_result(facts):
    image = new_image()
    layer = new_layer(image)
    facts["calls"] = [call("plug-in-deepdream-last", image, [layer]) for _ in range(3)]
    facts["layers"] = [
        [one.get_name(), *list(one.get_offsets())[-2:], one.get_width(), one.get_height()] for one in image.get_layers()
    ]
    facts["samples"] = [list(samples(one, "R'G'B'A u8")) for one in image.get_layers()[:2]]


def checked(facts):
    facts.update(call("plug-in-deepdream-check", new_image(), []))


def _channel(image, layer):
    channel = Gimp.Channel.new(image, "channel", 48, 36, 50.0, Gegl.Color.new("black"))
    image.insert_channel(channel, None, 0)
    return [channel]


def _indexed(image, layer):
    image.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, "")
    return [layer]


def _locked(image, layer):
    layer.set_lock_content(True)
    return [layer]


def _one_locked(image, layer):
    other = new_layer(image, name="sky")
    other.set_lock_content(True)
    return [layer, other]


def _in_locked_group(image, layer):
    group = Gimp.GroupLayer.new(image, "things")
    image.insert_layer(group, None, 0)
    inner = new_layer(image, parent=group, name="tree")
    group.set_lock_content(True)
    return [inner]


def _locked_mask(image, layer):
    """GIMP locks a mask with its layer."""
    layer.add_mask(layer.create_mask(Gimp.AddMaskType.COPY))
    layer.set_lock_content(True)
    return [layer.get_mask()]


def _missed(image, layer):
    layer.set_offsets(30, 0)
    rectangle(image, 2, 2, 10, 10)
    return [layer]


REFUSED = {
    "a channel": _channel,
    "the selection itself": lambda image, layer: [image.get_selection()],
    "an indexed image": _indexed,
    "a locked layer": _locked,
    "one of several layers locked": _one_locked,
    "a layer in a locked group": _in_locked_group,
    "the mask of a locked layer": _locked_mask,
    "no layer": lambda image, layer: [],
    "a selection beside the layer": _missed,
}

NOWHERE = f"{HERE}/nowhere/run/endpoint.json"
FAILING = [
    "/bin/sh",
    "-c",
    "echo 'first line'; echo 'error: the weights are missing — run deepdream weights' >&2; exit 3",
]
MISSING = ["/nowhere/bin/python", "-m", "deepdream_core", "helper", "--on-demand"]
WRONG = {
    "no helper, its program missing": {"endpoint": NOWHERE, "command": MISSING},
    "no helper, its program failing": {"endpoint": NOWHERE, "command": FAILING},
    "a helper of an older version": {"version": "99.1.2"},
    "a helper of a newer version": {"version": "0.0.1"},
    "a squatter that answers": {"endpoint": f"{HERE}/answering/endpoint.json", "command": MISSING},
    "a squatter that keeps silent": {"endpoint": f"{HERE}/silent/endpoint.json", "command": FAILING},
    "deepdream.json missing": {"text": ""},
    "deepdream.json damaged": {"text": '{"version": "0.1.0", "prese'},
}
WRONG_CHECKED = {
    "checked without a helper": {"endpoint": NOWHERE, "command": MISSING},
    "checked without deepdream.json": {"text": ""},
}
