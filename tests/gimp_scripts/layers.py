"""Groups, text, vector and link layers, channels, several layers; recipes, and dreaming again."""

# mypy: ignore-errors
from __future__ import annotations

import json

from gimp_common import (
    HERE,
    Gegl,
    Gimp,
    Gio,
    call,
    check,
    dream,
    ellipse,
    new_image,
    new_layer,
    rectangle,
    samples,
)

IN_3_2 = Gimp.MINOR_VERSION >= 2
RECIPE = "deepdream-recipe"


def main():
    for one in (group, group_replaced, child_and_group, text, text_kept, text_masked, several, several_live,
                channel, channel_kept, channel_above, mask_still, recipe_kept, again_above, again_of_its_source,
                again_selected, again_with_a_channel, again_in_place, again_with_other_arguments, again_moved,
                again_elsewhere, again_grown, again_locked, again_with_a_guide, again_without, damaged):  # fmt: skip
        with check(one.__name__) as facts:
            one(facts)
    if IN_3_2:
        for one in (vector, vector_kept, link, link_kept):
            with check(one.__name__) as facts:
                one(facts)
    for name, given in STRENGTHS.items():
        with check(f"strength {name}") as facts:
            strength(facts, **given)


def again(image, layer, **arguments):
    return call("plug-in-deepdream-again", image, [layer], **arguments)


def recipe(layer):
    if RECIPE not in layer.get_parasite_list():
        return None
    return json.loads(bytes(layer.get_parasite(RECIPE).get_data()))


def names(image):
    return [one.get_name() for one in image.get_layers()]


def saved_and_loaded(image):
    """The image as the next GIMP sees it."""
    file = Gio.File.new_for_path(str(HERE / f"saved-{image.get_id()}.xcf"))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
    return Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)


def is_live(layer):
    if hasattr(layer, "is_rasterized") and layer.is_rasterized():
        return False
    kinds = ("is_text_layer", "is_vector_layer", "is_link_layer")
    return any(getattr(layer, kind)() for kind in kinds if hasattr(layer, kind))


def _group(image):
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    return group


def group(facts, output="new-layer"):
    image = new_image()
    own = _group(image)
    new_layer(image, parent=own, width=30, height=20, at=(5, 4))
    new_layer(image, parent=own, width=20, height=20, at=(15, 10))
    own.set_opacity(80)
    ellipse(image, 8, 6, 20, 15)
    before = samples(own)
    facts.update(dream(image, own, output=output))
    new = image.get_layers()[0]
    facts.update(
        names=names(image), is_group=new.is_group(), same=samples(own) == before, dreamed=samples(new) != before
    )
    facts["place"] = [[*list(one.get_offsets())[1:], one.get_width(), one.get_height()] for one in (new, own)]
    facts["opacity"] = new.get_opacity()


def group_replaced(facts):
    group(facts, output="replace")


def child_and_group(facts):
    image = new_image()
    own = _group(image)
    layer = new_layer(image, parent=own)
    before = samples(layer)
    facts.update(dream(image, [own, layer]))
    facts["names"] = names(image)
    facts["changed"] = samples(layer) != before


def _text(image):
    layer = Gimp.TextLayer.new(image, "Dream", Gimp.fonts_get_list("")[0], 24, Gimp.Unit.pixel())
    image.insert_layer(layer, None, 0)
    layer.set_color(Gegl.Color.new("#c08040"))
    return layer


def _vector(image):
    path = Gimp.Path.new(image, "path")
    image.insert_path(path, None, 0)
    path.bezier_stroke_new_ellipse(24, 18, 18, 12, 0)
    layer = Gimp.VectorLayer.new(image, path)
    image.insert_layer(layer, None, 0)
    layer.set_enable_fill(True)
    layer.refresh()
    return layer


def _link(image):
    other = new_image(width=40, height=30)
    new_layer(other, width=40, height=30)
    file = Gio.File.new_for_path(str(HERE / f"linked-{image.get_id()}.png"))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, other, file, None)
    layer = Gimp.LinkLayer.new(image, file)
    image.insert_layer(layer, None, 0)
    return layer


def _live(facts, make):
    """Refused in place; dreamed above and in place, and the same after saving and loading."""
    image = new_image(width=80, height=60)
    new_layer(image, width=80, height=60)
    layer = make(image)
    before = samples(layer)
    image.clean_all()
    facts["refused"] = dream(image, layer)
    facts["unchanged"] = (samples(layer) == before, is_live(layer), image.is_dirty())
    facts.update(dream(image, layer, output="rasterize"))
    facts["dreamed"], facts["live"] = samples(layer) != before, is_live(layer)
    shown = samples(layer)
    loaded = saved_and_loaded(image).get_layers()[0]
    facts["loaded"] = (samples(loaded) == shown, is_live(loaded), recipe(loaded) is not None)


def _live_kept(facts, make):
    image = new_image(width=80, height=60)
    new_layer(image, width=80, height=60)
    layer = make(image)
    before = samples(layer)
    facts.update(dream(image, layer, output="new-layer"))
    new = image.get_layers()[0]
    facts["same"], facts["live"] = samples(layer) == before, (is_live(new), is_live(layer))
    facts["dreamed"] = samples(new) != before
    facts["aligned"] = list(new.get_offsets()) == list(layer.get_offsets())
    shown = samples(new)
    new, layer = saved_and_loaded(image).get_layers()[:2]
    facts["loaded"] = (samples(new) == shown, is_live(new), samples(layer) == before, is_live(layer))


def text(facts):
    _live(facts, _text)


def text_kept(facts):
    _live_kept(facts, _text)


def vector(facts):
    _live(facts, _vector)


def vector_kept(facts):
    _live_kept(facts, _vector)


def link(facts):
    _live(facts, _link)


def link_kept(facts):
    _live_kept(facts, _link)


def text_masked(facts):
    """The new layer has a mask like the text's."""
    image = new_image(width=80, height=60)
    layer = _text(image)
    layer.add_mask(layer.create_mask(Gimp.AddMaskType.ALPHA))
    facts.update(dream(image, layer, output="new-layer"))
    facts["mask_same"] = samples(image.get_layers()[0].get_mask()) == samples(layer.get_mask())


def several(facts):
    image = new_image()
    layers = [new_layer(image, name=name) for name in "abc"]
    before = [samples(layer) for layer in layers]
    facts.update(dream(image, layers[:2]))
    facts["changed"] = [samples(layer) != old for layer, old in zip(layers, before)]  # noqa: B905 - Python 3.9
    facts["recipes"] = [recipe(layer) is not None for layer in layers]
    facts["above"] = dream(image, [layers[2], layers[0], layers[2]], output="new-layer")["status"]
    facts["names"] = names(image)


def several_live(facts):
    """One of them is a text: all or none."""
    image = new_image(width=80, height=60)
    layer, own = new_layer(image), _text(image)
    before = samples(layer), samples(own)
    facts["refused"] = dream(image, [layer, own])
    facts["same"] = (samples(layer), samples(own)) == before
    facts.update(dream(image, [layer, own], output="rasterize"))
    facts["changed"] = [samples(layer) != before[0], samples(own) != before[1]]


def _channel(image):
    channel = Gimp.Channel.new(image, "channel", 48, 36, 50.0, Gegl.Color.new("black"))
    image.insert_channel(channel, None, 0)
    layer = new_layer(image)
    buffer, from_ = channel.get_buffer(), layer.get_buffer()
    where = Gegl.Rectangle.new(0, 0, 48, 36)
    from_.copy(where, Gegl.AbyssPolicy.NONE, buffer, where)
    buffer.flush()
    return channel


def channel(facts):
    image = new_image()
    own = _channel(image)
    before = samples(own)
    facts.update(dream(image, own, gray="yes"))
    facts["changed"] = samples(own) != before
    facts["recipe"] = recipe(own) is not None
    before = samples(own)
    facts["again"] = again(image, own)
    facts["changed_again"] = samples(own) != before


def channel_kept(facts):
    image = new_image()
    own = _channel(image)
    before = samples(own)
    facts.update(dream(image, own))
    facts["same"] = samples(own) == before
    facts["selection"] = dream(image, image.get_selection(), gray="yes")


def channel_above(facts):
    image = new_image()
    own = _channel(image)
    before = samples(own)
    facts.update(dream(image, own, gray="yes", output="new-layer"))
    facts["names"] = [one.get_name() for one in image.get_channels()]
    facts["same"], facts["dreamed"] = samples(own) == before, samples(image.get_channels()[0]) != before


def mask_still(facts):
    image = new_image()
    layer = new_layer(image)
    layer.add_mask(layer.create_mask(Gimp.AddMaskType.COPY))
    mask = layer.get_mask()
    before = samples(mask)
    facts.update(dream(image, mask))
    facts["changed"], facts["recipe"] = samples(mask) != before, recipe(mask) is not None
    shown = samples(mask)
    loaded = saved_and_loaded(image).get_layers()[0].get_mask()
    facts["loaded"] = samples(loaded) == shown, recipe(loaded) is not None


def recipe_kept(facts):
    image = new_image()
    layer = new_layer(image)
    facts.update(dream(image, layer, output="new-layer", seed=7, channels="strongest:2"))
    facts["names"] = names(image)
    facts["recipe"] = recipe(saved_and_loaded(image).get_layers()[0])
    facts["tattoo"] = layer.get_tattoo()


def _dreamed(image, **arguments):
    layer = new_layer(image, name="photo")
    assert dream(image, layer, **{"output": "new-layer", "seed": 7, "jitter": 4, **arguments})["status"] == "success"
    return layer, image.get_layers()[0]


def again_above(facts):
    """The same dream, then another after saving and loading."""
    image = new_image()
    layer, new = _dreamed(image)
    before, shown = samples(layer), samples(new)
    new.set_name("my dream")
    facts.update(again(image, new))
    facts["same"] = (samples(layer) == before, samples(new) == shown, names(image))
    image = saved_and_loaded(image)
    new = image.get_layers()[0]
    facts["loaded"] = again(image, new)
    facts["loaded_same"] = (samples(new) == shown, names(image))
    facts["another"] = again(image, new, seed=8)
    facts["another_same"] = samples(new) == shown
    facts["seed"] = (recipe(new)["arguments"]["seed"], recipe(new)["settings"]["seed"])
    facts["back"] = again(image, new, seed=7)
    facts["back_same"] = samples(new) == shown


def again_of_its_source(facts):
    """The source is painted on, and dreamed again by choosing it."""
    image = new_image()
    layer, new = _dreamed(image)
    shown = samples(new)
    layer.invert(False)
    before = samples(layer)
    facts.update(again(image, layer))
    facts["source_same"], facts["changed"], facts["names"] = (
        samples(layer) == before,
        samples(new) != shown,
        names(image),
    )
    fresh = new_layer(image)
    fresh.invert(False)
    dream(image, fresh, seed=7, jitter=4)
    facts["as_fresh"] = samples(fresh) == samples(new)


def again_selected(facts):
    """What is not selected now shows the source, and the selection stays."""
    image = new_image()
    _layer, new = _dreamed(image)
    ellipse(image, feather=4)
    selected = samples(image.get_selection())
    facts.update(again(image, new))
    facts["selection_same"] = samples(image.get_selection()) == selected
    facts["channels"] = len(image.get_channels())
    fresh = new_layer(image)
    dream(image, fresh, seed=7, jitter=4)
    facts["as_fresh"] = samples(fresh) == samples(new)


def again_with_a_channel(facts):
    """What is chosen in the dialogs of layers and channels stays, where the image has a channel already."""
    image = new_image()
    _layer, new = _dreamed(image)
    ellipse(image)
    saved = Gimp.Selection.save(image)
    facts["chosen"] = []
    for chosen in ([new], [saved]):
        (image.set_selected_channels if chosen == [saved] else image.set_selected_layers)(chosen)
        selected = samples(image.get_selection())
        facts.update(again(image, new))
        facts["chosen"].append([*image.get_selected_layers(), *image.get_selected_channels()] == chosen)
        facts["same"] = (samples(image.get_selection()) == selected, image.get_channels() == [saved])


def again_in_place(facts):
    image = new_image()
    layer = new_layer(image)
    dream(image, layer, seed=3)
    shown = samples(layer)
    facts.update(again(image, layer))
    facts["changed"] = samples(layer) != shown
    facts["names"] = names(image)


def again_with_other_arguments(facts):
    image = new_image()
    _layer, new = _dreamed(image)
    facts.update(again(image, new, preset="fur", finest=40, octaves=1, iterations=1))
    facts["arguments"], facts["opacity"] = recipe(new)["arguments"], new.get_opacity()


def again_moved(facts):
    image = new_image()
    layer, new = _dreamed(image)
    new.set_offsets(5, 5)
    shown = samples(new)
    facts["moved"] = again(image, new)
    new.set_offsets(0, 0)
    image.remove_layer(layer)
    facts["gone"] = again(image, new)
    facts["same"] = samples(new) == shown


def again_elsewhere(facts):
    """A dream that was copied into another image, whose layers have the same tattoos."""
    image, other = new_image(), new_image()
    layer, new = _dreamed(image)
    fresh = [new_layer(other, name=name) for name in ("one", "two", "three")]
    facts["tattoo"] = layer.get_tattoo() in [one.get_tattoo() for one in fresh]
    copy = Gimp.Layer.new_from_drawable(new, other)
    other.insert_layer(copy, None, 0)
    shown = samples(copy)
    facts.update(again(other, copy))
    facts["below"] = again(other, fresh[0])["text"]
    facts["same"] = samples(copy) == shown
    loaded = saved_and_loaded(image)
    facts["loaded"] = again(loaded, loaded.get_layers()[0])["status"]
    twin = image.duplicate()
    facts["duplicated"] = again(twin, twin.get_layers()[0])["status"]


def again_grown(facts):
    """The source has another size since, and the dream another kind of pixels."""
    image = new_image()
    layer, new = _dreamed(image)
    before = new.get_width(), new.get_height()
    layer.resize(layer.get_width() + 9, layer.get_height() + 5, 4, 2)
    layer.set_opacity(100)
    facts.update(again(image, new))
    facts["grown"] = [new.get_width() - before[0], new.get_height() - before[1], *list(new.get_offsets())[-2:]]
    fresh = layer.copy()
    image.insert_layer(fresh, None, 0)
    dream(image, fresh, seed=7, jitter=4)
    facts["as_fresh"] = samples(fresh) == samples(new)
    image = new_image()
    layer = new_layer(image, alpha=False)
    dream(image, layer, output="new-layer", seed=7, jitter=4)
    new = image.get_layers()[0]
    shown = samples(new)
    new.add_alpha()
    facts["with_alpha"] = again(image, new)["status"]
    new.flatten()
    facts["as_before"] = samples(new) == shown


def again_locked(facts):
    """The source is locked, and does not change."""
    image = new_image()
    layer, _new = _dreamed(image)
    layer.set_lock_content(True)
    facts.update(again(image, layer, seed=8))
    facts["names"] = names(image)


def again_with_a_guide(facts):
    image = new_image()
    guide = new_layer(image, name="guide", width=120, height=110)
    guide.invert(False)
    _layer, new = _dreamed(image, guide=guide, layer="preset")
    shown = samples(new)
    facts.update(again(image, new))
    facts["same"] = samples(new) == shown
    image = saved_and_loaded(image)
    new = image.get_layers()[0]
    facts["loaded"] = again(image, new)
    facts["loaded_same"] = samples(new) == shown
    image.remove_layer(image.get_layers()[2])
    facts["gone"] = again(image, new)


def again_without(facts):
    image = new_image()
    facts.update(again(image, new_layer(image)))
    facts["two"] = call("plug-in-deepdream-again", image, [new_layer(image), new_layer(image)])


def _given(settings=None, **more):
    """The recipe of a dream, with something else in it."""
    recipe = {"version": "1", "arguments": {"preset": "fur"}, "settings": settings or {}, "format": 1, **more}
    return json.dumps(recipe).encode()


DAMAGED = {
    "nothing": b" ",
    "no JSON": b"\x01{",
    "another": b"[1]",
    "half": b'{"version": "1", "arguments": {"preset": 3}, "settings": {}, "format": 1}',
    "wrong source": b'{"version": "1", "arguments": {"preset": "fur"}, "settings": {}, "source": 5}',
    "deep": b"[" * 60000,
    "long": b" " * 70000,
    "large tattoo": _given(source={"tattoo": 2**40, "name": "photo"}),
    "no tattoo": _given(source={"name": "photo"}),
    "tattoo in a guide": _given(guide={"tattoo": -1, "name": "photo"}),
    "not a number": _given(settings={"seed": float("nan")}),
    "infinite": _given(settings={"strength": float("inf")}),
    "larger than any": _given(settings={"strength": 1}).replace(b'"strength": 1', b'"strength": 1e999'),
    "words": _given(settings={"finest": "wide"}),
    "an unknown word": _given(settings={"pooling": "median"}),
    "a word for a number": _given(settings={"octaves": "many"}),
    "no number": _given(settings={"step": None}),
    "no switch": _given(settings={"soft_limit": "no"}),
    "no layers": _given(settings={"layers": ["pool4"]}),
    "guides that are none": _given(settings={"guides": [5]}),
    "a guide without a file": _given(settings={"guides": [{"weight": 1}]}),
    "a guide of two lines": _given(settings={"guides": [{"file": "a\0b"}]}),
    "newer": b'{"version": "9.9", "format": 2, "how": "otherwise"}',
}


def damaged(facts):
    image = new_image()
    layer = new_layer(image)
    before = samples(layer)
    facts["texts"] = {}
    for name, data in DAMAGED.items():
        layer.attach_parasite(Gimp.Parasite.new(RECIPE, Gimp.PARASITE_PERSISTENT, data))
        facts["texts"][name] = again(image, layer)["text"]
        facts["kept"] = bytes(layer.get_parasite(RECIPE).get_data()) == data and facts.get("kept", True)
    facts["same"] = samples(layer) == before
    facts.update(dream(image, layer))
    facts["mended"] = again(image, layer)["status"]
    facts["odd"] = {}
    used = recipe(layer)["settings"]
    for name, data in {
        "settings that are missing": _given(),
        "a preset that is gone": _given(settings=used, arguments={"preset": "mine", "seed": 3}),
        "arguments of other kinds": _given(settings=used, arguments={
            "preset": "fur", "iterations": 1.5, "octaves": 2**40, "pooling": "no such word", "seed": -5, "channels": 7}),
    }.items():  # fmt: skip
        layer.attach_parasite(Gimp.Parasite.new(RECIPE, Gimp.PARASITE_PERSISTENT, data))
        facts["odd"][name] = again(image, layer, iterations=1, finest=64, octaves=1)["status"]


STRAIGHT = {"preset": "neon", "layer": "relu2_1", "finest": 100000, "octaves": 1, "iterations": 3, "step": 20.0,
            "jitter": 0}  # fmt: skip
"""A dream without a soft limit, at the layer's own size."""
STRENGTHS = {
    "straight": {"precision": "U8_NON_LINEAR"},
    "straight gray": {"precision": "U8_NON_LINEAR", "base": "GRAY"},
    "straight 16 bit linear": {"precision": "U16_LINEAR"},
    "straight, a rectangle": {"selecting": rectangle},
    "soft": {"preset": "classic"},
    "smaller": {"finest": 64},
    "feathered": {"selecting": lambda image: ellipse(image, 30, 30, 60, 60, feather=9)},
    "transparent": {"alpha": True},
    "multiply": {"mode": Gimp.LayerMode.MULTIPLY},
    "colours kept": {"**": {"keep-colours": "yes"}},
    "a seamless pattern": {"tileable": "yes"},
    "floats": {"precision": "FLOAT_NON_LINEAR"},
}


def strength(facts, precision="U8_NON_LINEAR", base="RGB", selecting=None, alpha=False, mode=None, **arguments):
    """Half the strength as a new layer and in place: what the images show."""
    arguments.update(arguments.pop("**", {}))
    shown = []
    for output in ("new-layer", "replace"):
        image = new_image(base, precision, width=150, height=130)
        layer = new_layer(image, alpha=alpha, width=150, height=130)
        if mode is not None:
            layer.set_mode(mode)
        if selecting:
            selecting(image)
        facts[output] = dream(image, layer, **{**STRAIGHT, **arguments, "output": output, "strength": 0.4})["status"]
        if output == "new-layer":
            new = image.get_layers()[0]
            original = samples(layer, "R'G'B'A u8")
            facts["opacity"], facts["recipe"] = new.get_opacity(), recipe(new)["opacity"]
            facts["at"] = recipe(new)["settings"]["strength"]
        Gimp.Selection.none(image)
        shown.append(samples(Gimp.Layer.new_from_visible(image, image, "shown"), "R'G'B'A u8"))
        if output == "new-layer" and facts["recipe"]:
            new.set_opacity(25)
            facts["again"] = again(image, new)["status"]
            facts["again_at"] = (new.get_opacity(), recipe(new)["settings"]["strength"])
            facts["again_whole"] = again(image, new, **{"keep-colours": "yes"})["status"]
            facts["whole"] = (new.get_opacity(), recipe(new)["opacity"])
            again(image, new, **{"keep-colours": "no"})
            new.set_mode(Gimp.LayerMode.OVERLAY)
            new.set_opacity(35)
            facts["overlaid"] = again(image, new)["status"], new.get_opacity(), recipe(new)["opacity"]
            facts["overlaid_whole"] = again(image, new, **{"keep-colours": "yes"})["status"], new.get_opacity()
    facts["apart"] = max(abs(a - b) for a, b in zip(*shown))  # noqa: B905 - Python 3.9
    facts["changed"] = sum(a != b for a, b in zip(shown[0], original))  # noqa: B905
