"""Which layers, masks and channels can be dreamed, and where the dream of each may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gi
from plugin_errors import PluginError
from words import _

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def layers_in(layers: Sequence[Gimp.Layer]) -> Iterator[Gimp.Layer]:
    """Yield layers and all that are in them, as GIMP's dialog lists them."""
    for layer in layers:
        yield layer
        if layer.is_group():
            yield from layers_in(layer.get_children())


def layer_of(drawable: Gimp.Drawable) -> Gimp.Drawable:
    """Return the layer of a mask, or the drawable itself."""
    return Gimp.Layer.from_mask(drawable) if drawable.is_layer_mask() else drawable


def is_bare_channel(drawable: Gimp.Drawable) -> bool:
    """Return whether it is a channel that is no layer's mask."""
    return bool(drawable.is_channel() and not drawable.is_layer_mask())


def is_live(drawable: Gimp.Drawable) -> bool:
    """Return whether GIMP draws it from a text, a path or a file, which a change of its pixels would cut off."""
    rasterized = getattr(drawable, "is_rasterized", None)  # GIMP 3.2; in 3.0 a painted text layer is no text layer
    if rasterized and rasterized():
        return False
    asked = (getattr(drawable, f"is_{kind}_layer", None) for kind in ("text", "vector", "link"))
    return any(is_one and is_one() for is_one in asked)


def outputs(drawables: Sequence[Gimp.Drawable]) -> dict[str, str]:
    """Return where the dreams of these may go: the words of `output`, the default first, with labels."""
    linked = {"linked-layer": _("Linked layer above")} if can_be_linked(drawables) else {}
    if any(map(is_live, drawables)):
        return {"new-layer": _("New layer above, a plain one"), "rasterize": _("Rasterize and replace"), **linked}
    if all(drawable.is_group() for drawable in drawables):
        return {"new-layer": _("New layer above"), **linked}
    above = _("New channel above") if all(map(is_bare_channel, drawables)) else _("New layer above")
    return {"replace": _("Replace"), "new-layer": above, **linked}


def can_be_linked(drawables: Sequence[Gimp.Drawable]) -> bool:
    """Return whether their dreams can be link layers, which came with GIMP 3.2."""
    return hasattr(Gimp, "LinkLayer") and all(drawable.is_layer() for drawable in drawables)


def checked(drawables: Sequence[Gimp.Drawable]) -> list[Gimp.Drawable]:
    """Return what to dream, each once; raises `PluginError` for what cannot be, as scripts bypass the greyed menu."""
    if not drawables:
        raise PluginError(_("No layer is selected"), _("select one or more layers"), "drawables")
    once = list({drawable.get_id(): drawable for drawable in drawables}.values())
    for drawable in once:
        if drawable.is_selection():
            raise _not_channels()
        if drawable.is_indexed():
            raise PluginError(_("The image has indexed colours"), _("choose Image ▸ Mode ▸ RGB"), "indexed")
        item: Gimp.Item | None = layer_of(drawable)
        while item is not None:
            if item.get_lock_content():
                locked = _("The pixels of “{name}” are locked").format(name=item.get_name())
                raise PluginError(locked, _("unlock them in the Layers dialog"), "locked")
            item = item.get_parent()
    return once


def check_arguments(drawables: Sequence[Gimp.Drawable], arguments: Mapping[str, str]) -> None:
    """Raise `PluginError` for a channel that nobody asked to be dreamed, and for a text that would be lost by `replace`."""
    if arguments["gray"] != "yes" and any(map(is_bare_channel, drawables)):
        raise _not_channels()
    if arguments["output"] == "linked-layer" and not can_be_linked(drawables):
        raise PluginError(
            _("Linked layers need GIMP 3.2, and a layer to dream"), _("choose the output new-layer"), "link"
        )
    if arguments["output"] == "replace" and any(map(is_live, drawables)):
        raise PluginError(
            _("Replacing the pixels of a text, vector or link layer would rasterize it"),
            _("choose the output new-layer to keep it, or rasterize"),
            "live",
        )


def is_replaced(drawable: Gimp.Drawable, output: str) -> bool:
    """Return whether the dream replaces its pixels; a group has none, so its dream is a new layer."""
    return output not in ("new-layer", "linked-layer") and not drawable.is_group()


def _not_channels() -> PluginError:
    return PluginError(_("DeepDream works on layers, not on channels"), _("select a layer"), "channel")
