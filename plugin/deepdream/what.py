"""What to dream of: layers, guides, channels or a caricature; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from plugin_errors import PluginError
from words import _

if TYPE_CHECKING:
    from collections.abc import Mapping

GUIDES = ("guide", "guide-file")
"""The arguments that name a guide: a drawable of any open image (14th), a file (15th)."""
NONE = "none"
"""The text for a setting without any names."""
_DECIMAL_COMMA = re.compile(r"(=\s*-?\d+),(\d+)(?=\s*(?:,|$))")
"""`=0,5`: no name is a number alone, so this comma cannot stand between names."""
_PICKS = ("strongest", "weakest", "average")


def overlaid(below: Mapping[str, Any], given: Mapping[str, Any], nothing: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings overlaid by others. What to dream of is one thing: who names a part of it replaces all of it.

    Only channels that are to be picked from layers leave the layers as they are, and a part that is empty removes that part
    alone. Follows `deepdream_core.settings.overlaid`. Raises `PluginError` when nothing is left.
    """
    named = {key: given[key] for key in nothing if given.get(key)}
    kept = dict(below)
    if named:
        to_pick_from = {"layers"} if picks(named) else set()
        kept.update((key, empty) for key, empty in nothing.items() if key not in to_pick_from)
    kept.update(given)
    if not any(kept[key] for key in nothing):
        raise PluginError(_("Nothing is left to dream of"), _("choose a layer, a guide or a caricature"), "nothing")
    return kept


def picks(settings: Mapping[str, Any]) -> bool:
    """Return whether channels are to be picked for the picture, as by `strongest:8`."""
    return any(name.split(":")[0].strip().lower() in _PICKS for name in settings.get("channels", ()))


def guides(arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the guides that the arguments name, as the setting has them."""
    drawable, file = (arguments[name] for name in GUIDES)
    names = [drawable.get_name()] if drawable else []
    names += [file.get_parse_name()] if file else []
    return [{"file": name or "?", "weight": 1.0, "layers": {}, "sha256": None} for name in names]


def weights(name: str, text: str) -> dict[str, float]:
    """Return names with weights from words such as `pool4:8, pool4:9=0.5`; raises `PluginError` naming the argument."""
    found: dict[str, float] = {}
    text = _DECIMAL_COMMA.sub(r"\1.\2", text)
    for word in [] if text.strip().lower() == NONE else text.split(","):
        key, equals, weight = (part.strip() for part in word.partition("="))
        try:
            value = float(weight) if equals else 1.0
        except ValueError:
            value = math.nan
        if not key or key in found or not math.isfinite(value):
            what = _("{what} cannot be {name}").format(what=name, name=repr(word.strip()))
            raise PluginError(
                what, _("write names once each, with a weight if it is not 1: pool4:8, pool4:9=0.5"), name
            )
        found[key] = value
    return found
