"""What is dreamed: two runs with equal orders get the same bytes, so that OK can go on from the preview's job."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jobs
    from canvas import Target
    from gi.repository import Gimp
    from growing import Growing


@dataclass(frozen=True)
class Order:
    """The layer by its id, the part of it, its shape and selection, all settings, and a hash of pixels and guides."""

    drawable: int
    part: pixels.Selected
    surface: pixels.Surface
    settings: Mapping[str, Any]
    samples: str

    @classmethod
    def of(
        cls,
        image: Gimp.Image,
        drawable: Gimp.Drawable,
        part: pixels.Selected,
        settings: Mapping[str, Any],
        guides: Sequence[jobs.Guide],
        samples: bytes | bytearray,
    ) -> Order:
        """Return the order for `samples`, which `pixels.read` returned for `part.outer`."""
        digest = hashlib.sha256(samples)
        for guide, *_about in guides:
            digest.update(guide)
        surface = pixels.Surface.of(image, drawable, part)
        return cls(drawable.get_id(), part, surface, settings, digest.hexdigest())


Ordered = Callable[[Mapping[str, Any]], "tuple[Callable[[], Target], dict[str, Any]]"]
"""Returns a function for what OK dreams with these arguments, as that reads the whole selection, and the settings; raises
`PluginError`."""


class Begun(NamedTuple):
    """A preview's job, running or finished, that dreams all of `order` at its real size."""

    job: Growing
    order: Order
