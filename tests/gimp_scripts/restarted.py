"""Dreams that one GIMP saves, and that the next one dreams again."""

# mypy: ignore-errors
from __future__ import annotations

from gimp_common import HERE, Gimp, Gio, call, check, dream, new_image, new_layer, samples

FILE = HERE / "restarted.xcf"


def main(again):
    with check("restarted") as facts:
        if again:
            image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(str(FILE)))
        else:
            image = new_image()
            dream(image, new_layer(image), output="new-layer", seed=5, jitter=4, channels="strongest:3")
        layer = image.get_layers()[0]
        facts["names"] = [one.get_name() for one in image.get_layers()]
        facts["before"] = samples(layer).hex()
        facts.update(call("plug-in-deepdream-again", image, [layer]))
        facts["after"] = samples(layer).hex()
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(str(FILE)), None)
