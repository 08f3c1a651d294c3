"""A part of a layer that is dreamed by itself as it would be in the whole; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python. The sizes of octaves come from the engine's own module.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import what
from sight import Box

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepdream_core.engine import pyramid
else:  # the copy beside this file
    from engine import pyramid

LARGE_PX = 2_000_000
"""A whole that is dreamed at fewer pixels is soon there, and exact."""
MARGIN_PX = 128
"""What is dreamed around the part, in pixels at the finest octave."""
SHARE = 4
"""A part is worth a job of its own when it is at most one in so many of the whole."""


def apart(size: tuple[int, int], settings: Mapping[str, Any], seen: Box) -> tuple[Box, dict[str, Any]] | None:
    """Return the part to dream, whole pixels around `seen`, and its settings; None where only the whole gives that dream.

    `size`: height and width of the whole. The part gets the whole's octaves and its pattern size. A part cannot have a
    repeating edge, or channels that are picked for the whole.
    """
    height, width = size
    finest = pyramid.finest_size(size, settings["finest"], upscale=settings["upscale"])
    scale = finest[0] / height
    squeezed = not math.isclose(scale, finest[1] / width, rel_tol=0.05)
    if settings["tileable"] or what.picks(settings) or squeezed or scale > 1 or finest[0] * finest[1] < LARGE_PX:
        return None
    octaves = len(pyramid.octave_sizes(finest, settings["octaves"], settings["octave_scale"]))
    least = (pyramid.SMALLEST_SIDE + 1) * settings["octave_scale"] ** (octaves - 1) / scale
    x, across = _grown(seen.x, seen.width, MARGIN_PX / scale, least, width)
    y, down = _grown(seen.y, seen.height, MARGIN_PX / scale, least, height)
    if across * down * SHARE > width * height:
        return None
    short = max(1, round(min(across, down) * scale))
    return Box(x, y, across, down), {**settings, "finest": short, "octaves": octaves}


def _grown(begin: float, length: float, margin: float, least: float, limit: int) -> tuple[int, int]:
    """Return begin and length of a side with margins, at least `least` long, within the limit."""
    wanted = min(limit, math.ceil(max(length + 2 * margin, least)))
    first = round(begin + length / 2 - wanted / 2)
    return min(max(0, first), limit - wanted), wanted
