"""Last result: fetches a finished picture that never reached the canvas from the helper, as a new layer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import canvas
import gi
import jobs
import pixels
from apply import answered
from plugin_errors import PluginError
from words import _

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp  # noqa: E402

if TYPE_CHECKING:
    from facts import Facts

_PLACE = re.compile(
    r"^(?P<name>.*?) \d+×\d+(?P<x>[+-]\d+)(?P<y>[+-]\d+)(?: (?P<w>\d+)×(?P<h>\d+)(?P<left>[+-]\d+)(?P<top>[+-]\d+))?$"
)


def run(procedure: Gimp.Procedure, image: Gimp.Image, facts: Facts) -> Gimp.ValueArray:
    """Run the procedure."""

    def work() -> bool:
        found = jobs.last_result(facts)
        if found is None:
            raise PluginError(_("The helper keeps no finished picture."), _("Pictures are kept for an hour."), "none")
        label, (height, width, count), samples, acknowledge = found
        if image.get_base_type() != Gimp.ImageBaseType.RGB and (
            count > 2 or image.get_base_type() == Gimp.ImageBaseType.INDEXED
        ):
            raise PluginError(
                _("The dream has colours, and this image cannot hold them"), _("open an RGB image"), "gray"
            )
        _as_layer(image, label, height, width, count, samples)
        acknowledge()
        return True

    return answered(procedure, work)


def _as_layer(image: Gimp.Image, label: str, height: int, width: int, count: int, samples: bytearray) -> None:
    """Insert the selected part of the picture as a new layer on top, at its old place."""
    place = _PLACE.match(label)
    left, top = (int(place["x"]), int(place["y"])) if place else (0, 0)
    if place and place["w"]:
        x, y = int(place["left"]) - left, int(place["top"]) - top
        part = pixels.Region(x, y, int(place["w"]), int(place["h"]))
        if x >= 0 and y >= 0 and x + part.width <= width and y + part.height <= height:
            samples, width, height = pixels.cut(samples, width, part, count), part.width, part.height
            left, top = left + x, top + y
    gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
    kind = Gimp.ImageType.GRAYA_IMAGE if gray else Gimp.ImageType.RGBA_IMAGE
    name = _("DeepDream – {name}").format(name=place["name"] if place else label)
    with canvas.one_step(image):
        layer = Gimp.Layer.new(image, name, width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
        image.insert_layer(layer, None, 0)
        layer.set_offsets(left, top)
        pixels.fill(layer, samples, count)
    Gimp.displays_flush()
