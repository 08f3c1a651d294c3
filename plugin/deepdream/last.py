"""A finished picture that never reached the canvas, brought from the helper as a new layer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import gi
import link
import pixels
from apply import failed
from facts import Trouble
from words import _

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib  # noqa: E402

if TYPE_CHECKING:
    from facts import Facts

_PLACE = re.compile(r"^(?P<name>.*) \d+×\d+(?P<x>[+-]\d+)(?P<y>[+-]\d+)$")


def run(procedure: Gimp.Procedure, run_mode: Gimp.RunMode, image: Gimp.Image, facts: Facts) -> Gimp.ValueArray:
    """Be the procedure."""
    try:
        found = link.last_result(facts)
        if found is None:
            raise Trouble(_("The helper keeps no finished picture."), _("Pictures are kept for an hour."), "none")
        label, _dtype, (height, width, count), samples, job = found
        _as_layer(image, label, height, width, count, samples)
        job.acknowledge()
    except Trouble as trouble:
        return failed(procedure, str(trouble))
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())


def _as_layer(image: Gimp.Image, label: str, height: int, width: int, count: int, samples: bytearray) -> None:
    """Insert the picture as a new layer on top, where its layer's part lay."""
    place = _PLACE.match(label)
    gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
    kind = Gimp.ImageType.GRAYA_IMAGE if gray else Gimp.ImageType.RGBA_IMAGE
    name = _("DeepDream – {name}").format(name=place["name"] if place else label)
    image.undo_group_start()
    try:
        layer = Gimp.Layer.new(image, name, width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
        image.insert_layer(layer, None, 0)
        if place:
            layer.set_offsets(int(place["x"]), int(place["y"]))
        pixels.fill(layer, samples, count)
    finally:
        image.undo_group_end()
    Gimp.displays_flush()
