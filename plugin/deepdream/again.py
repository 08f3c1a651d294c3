"""Dream again: with the recipe that a dreamed layer carries, onto the same layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apply
import canvas
import choices
import fresh
import gi
import linked
import opacity
import recipe
from plugin_errors import PluginError
from words import _

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from facts import Facts


def run(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    facts: Facts,
) -> Gimp.ValueArray:
    """Run the procedure: show the dialog with the recipe if interactive, then dream with it."""

    def work() -> bool:
        if run_mode == Gimp.RunMode.NONINTERACTIVE:
            fresh.update(facts)
        layer, found = _dreamed(image, drawables, facts)
        source = recipe.source_of(found, image)
        links = bool(source) and linked.is_linked(layer)
        if links:
            linked.check_own(layer, found.file)

        def aimed() -> canvas.Target:
            output = "linked-layer" if links else "rasterize"
            return canvas.Target(image, source or layer, output, layer if source else None)

        target = aimed()
        arguments = _lost_guide(found, image, facts, run_mode)
        if found.opacity and opacity.is_strength(layer):  # GIMP's slider is the strength since then
            arguments["strength"] = layer.get_opacity() / 100
        asked = _given(config, facts) if run_mode == Gimp.RunMode.NONINTERACTIVE else {}
        begun, before = None, arguments
        arguments = choices.overlaid(arguments, asked, facts)

        def ordered(arguments: Mapping[str, Any]) -> tuple[Callable[[], canvas.Target], dict[str, Any]]:
            return aimed, choices.redone(found.settings, before, arguments, facts)

        if run_mode == Gimp.RunMode.INTERACTIVE:
            preset = arguments["preset"]
            if preset not in facts.presets:  # the recipe has all that it said
                arguments["preset"] = facts.default_preset
            before = choices.resolved(arguments, facts, {**facts.defaults, **found.settings})
            _show(config, before)
            if found.guide and before["guide"] is None:
                del before["guide"]  # it is gone, which is a change
            wanted, begun = apply.confirmed(
                procedure, config, [target.drawable], target.part, facts, ordered, where=False
            )
            if not wanted:
                return False
            apply.check_exist(image, [layer, target.drawable])
            arguments = _all(config, facts)
            if arguments["preset"] == before["preset"]:
                arguments["preset"] = before["preset"] = preset
            target = aimed()
        _target, settings = ordered(arguments)
        if links:
            apply.dream_linked([target], arguments, settings, facts, begun)
        else:
            apply.dream([target], arguments, settings, facts, begun)
        if source is None:
            Gimp.message(_("This layer was dreamed in place, so DeepDream dreamed what it shows now."))
        return True

    return apply.answered(procedure, work)


def _dreamed(image: Gimp.Image, drawables: list[Gimp.Drawable], facts: Facts) -> tuple[Gimp.Drawable, recipe.Recipe]:
    """Return the dreamed layer and its recipe, for that layer or for the one that it was dreamed from."""
    if len(drawables) != 1:
        raise PluginError(_("DeepDream dreams one layer again"), _("select one layer"), "drawables")
    layer: Gimp.Drawable | None = drawables[0]
    found = recipe.read(layer, facts)
    if found is None:
        layer = recipe.dream_of(image, drawables[0], facts)
        found = recipe.read(layer, facts) if layer else None
    if layer is None or found is None:
        raise PluginError(
            _("This layer carries no recipe of a dream"), _("choose a dreamed layer, or DeepDream…"), "recipe"
        )
    return layer, found


def _lost_guide(found: recipe.Recipe, image: Gimp.Image, facts: Facts, run_mode: Gimp.RunMode) -> dict[str, Any]:
    """Return the recipe's arguments; in a dialog without a guide that is gone, as another one can be chosen there."""
    try:
        return recipe.arguments(found, image, facts)
    except PluginError as error:
        if run_mode != Gimp.RunMode.INTERACTIVE or error.code != "guide":
            raise
        Gimp.message(str(error))
        return recipe.arguments(recipe.without_guide(found), image, facts)


def _all(config: Gimp.ProcedureConfig, facts: Facts) -> dict[str, Any]:
    return {name: config.get_property(name) for name in choices.as_preset(facts)}


def _given(config: Gimp.ProcedureConfig, facts: Facts) -> dict[str, Any]:
    """Return the arguments that a script gave: those that differ from their defaults."""
    given, defaults = _all(config, facts), choices.as_preset(facts)
    return {name: given[name] for name in choices.touched(defaults, given) if name not in choices.WHERE}


def _show(config: Gimp.ProcedureConfig, arguments: dict[str, Any]) -> None:
    for name, value in arguments.items():
        config.set_property(name, value)
