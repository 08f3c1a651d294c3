"""Dreams that the test ends by killing the plug-in: in the second of three layers, and while it dreams again."""

# mypy: ignore-errors
from __future__ import annotations

from gimp_common import call, check, dream, new_image, new_layer, samples

ENDLESS = {"layer": "relu5_4", "iterations": 1000}
LARGE = {"width": 256, "height": 256}


def main():
    with check("several") as facts:
        image = new_image(**LARGE)
        layers = [
            new_layer(image, name="first"),
            *(new_layer(image, name=name, **LARGE) for name in ("second", "third")),
        ]
        image.clean_all()
        before = [samples(layer) for layer in layers]
        # As many steps for all of them: those of the first, which is small, are quick.
        facts.update(dream(image, layers, finest=64, iterations=150, layer="relu5_4"))
        facts["same"] = [samples(layer) for layer in layers] == before
        facts["dirty"] = image.is_dirty()
        facts["works"] = dream(image, layers)["status"]
        facts["last"] = call("plug-in-deepdream-last", image, [layers[0]])["status"]
        facts["last_name"] = image.get_layers()[0].get_name()
    with check("again") as facts:
        image = new_image(**LARGE)
        layer = new_layer(image, **LARGE)
        dream(image, layer, output="new-layer")
        layer.set_name("again")  # only now: the test waits for a job with this name
        new = image.get_layers()[0]
        image.clean_all()
        before = samples(new), samples(layer)
        facts.update(call("plug-in-deepdream-again", image, [new], **ENDLESS))
        facts["same"] = (samples(new), samples(layer)) == before and image.get_layers() == [new, layer]
        facts["dirty"] = image.is_dirty()
        facts["works"] = call("plug-in-deepdream-again", image, [new])["status"]
