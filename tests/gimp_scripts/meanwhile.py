"""What a person does while a layer is dreamed: the plug-in of this test does it, when it begins to wait for a dream."""

# mypy: ignore-errors
from __future__ import annotations

import os
from pathlib import Path

from gimp_common import Gimp, call, check, dream, ellipse, new_layer, samples
from linking import files, saved, shown_off

ORDER = Path(os.environ["DEEPDREAM_REPORTS"]).with_name("meanwhile")
IMAGE = "image = Gimp.Image.get_by_id({image}); layer = Gimp.Item.get_by_id({layer}); "


def main():
    for one in (
        (deleted, deleted_linked, selected, resized, source_deleted) if hasattr(Gimp, "LinkLayer") else (deleted,)
    ):
        with check(one.__name__) as facts:
            one(facts)


def meanwhile(script, image, layer):
    ORDER.write_text(IMAGE.format(image=image.get_id(), layer=layer.get_id()) + script)


def deleted(facts, output="replace"):
    """Of two layers the second is deleted while the first is dreamed."""
    image, first, folder = saved(f"deleted-{output}")
    second = new_layer(image, alpha=False, name="second")
    before = samples(first)
    meanwhile("image.remove_layer(layer)", image, second)
    facts.update(dream(image, [first, second], output=output))
    facts["same"], facts["files"] = samples(first) == before, files(folder)
    facts["layers"] = [one.get_name() for one in image.get_layers()]


def deleted_linked(facts):
    deleted(facts, "linked-layer")


def selected(facts):
    """Something else is selected while a linked dream grows."""
    image, layer, _folder = saved("selected-meanwhile")
    ellipse(image, feather=6)
    meanwhile("image.select_rectangle(Gimp.ChannelOps.REPLACE, 1, 2, 3, 4)", image, layer)
    facts.update(dream(image, layer, output="linked-layer"))
    facts["selection"] = list(Gimp.Selection.bounds(image))[2:]
    ellipse(image, feather=6)
    fresh = new_layer(image, alpha=False, at=(2, 1))
    dream(image, fresh)
    facts["off"] = shown_off(image.get_layers()[1], fresh)


def resized(facts, script="layer.resize(60, 50, 0, 0)"):
    """What is dreamed gets another size while a linked dream grows."""
    image, _layer, folder = saved(f"meanwhile-{script[:12]}", width=256, height=256)
    layer = new_layer(image, alpha=False, width=256, height=256, name="growing")
    ellipse(image)
    meanwhile(script, image, layer)
    facts.update(dream(image, layer, output="linked-layer", octaves=3))
    facts["files"] = files(folder)
    facts["last"] = call("plug-in-deepdream-last", image, [image.get_layers()[0]])["status"]


def source_deleted(facts):
    resized(facts, "image.remove_layer(layer)")
