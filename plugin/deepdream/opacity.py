"""Where a new layer's opacity is the same thing as the strength of its dream, so that GIMP's slider changes it later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gi
import pixels

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

    from canvas import Target

_INTEGERS = ("u8", "u15", "u16", "u32")
_SHORTEST, _THIN = 120, 25
"""The engine enlarges pictures with a shorter side, and treats thinner ones in its own way (`engine/pyramid.py`)."""


def ordered(target: Target, settings: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the settings to dream with, and whether the layer's opacity is then to be the strength."""
    carries = carries_strength(target, settings)
    return ({**settings, "strength": 1.0} if carries else settings), carries


def carries_strength(target: Target, settings: Mapping[str, Any]) -> bool:
    """Return whether a dream at strength 1 over its source, at this opacity, is the dream at this strength.

    The engine moves the picture by strength · difference (`engine/dream.py`). That is linear where nothing bends or cuts it
    afterwards: no soft limit, no colours kept, and a difference that was found at the picture's own size, within its range.
    And the layers must show just that: both opaque, in the mode normal, with a selection that is hard. An earlier dream in
    another mode has an opacity that is a person's.
    """
    if target.replaces or target.links or not settings["strength"] or not target.drawable.is_layer():
        return False
    if target.onto is not None and not is_strength(target.onto):
        return False
    height, width, _count = target.shape
    short, finest = min(height, width), settings["finest"]
    straight = not (settings["soft_limit"] or settings["keep_colours"] or settings["tileable"] or settings["upscale"])
    own_size = (finest == "full" or finest >= short) and short >= _SHORTEST and max(height, width) < _THIN * short
    return straight and settings["clamp"] and own_size and _covers(target)


def _covers(target: Target) -> bool:
    layer = target.drawable
    if (
        layer.get_opacity() < 100
        or layer.get_mode() != Gimp.LayerMode.NORMAL
        or not layer.get_visible()
        or layer.get_mask()
        or layer.get_filters()
        or pixels.sample_of(layer) not in _INTEGERS
    ):
        return False
    return pixels.is_opaque(layer) and pixels.is_hard(target.image, layer, target.part)


def is_strength(layer: Gimp.Layer) -> bool:
    """Return whether the opacity of a dream over its source can be the strength, in the layer's mode."""
    return bool(layer.get_mode() == Gimp.LayerMode.NORMAL)


def carry(layer: Gimp.Layer, strength: float) -> None:
    """Let a layer's opacity be the strength, blended in the picture's own values as the engine does."""
    layer.set_composite_space(Gimp.LayerColorSpace.RGB_NON_LINEAR)
    layer.set_opacity(100 * strength)
