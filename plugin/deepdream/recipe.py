"""The recipe that a dreamed layer carries, as a parasite that stays in the XCF.

A recipe is JSON. What a later version adds is left alone; what is damaged, too long or of another kind gets one sentence.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import choices
import gi
import kinds
import what
from facts import Choice, Number
from plugin_errors import PluginError
from words import _

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, Gio  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facts import Facts

PARASITE = "deepdream-recipe"
IMAGE_PARASITE = "deepdream-image"
"""Holds a word that no other image has, as tattoos are known in one image alone."""
FORMAT = 1
MOST_BYTES = 1 << 16
_FLAGS = Gimp.PARASITE_PERSISTENT | Gimp.PARASITE_UNDOABLE


@dataclass(frozen=True)
class Recipe:
    """How a layer was dreamed.

    `arguments`: those of `plug-in-deepdream`, without guides. `settings`: all, as the helper used them. `image`: the
    word of the image in which it was dreamed. `source`: tattoo and name of the layer of which this one is a dream, None
    where the dream replaced its own pixels. `guide`: the same of a guide that is a layer, and its image's file, empty for
    the same image; `guide_file`: the URI of one that is a file.
    `opacity`: whether the layer's opacity is the strength. `file`: the name of the file in which a link layer's dream is.
    """

    version: str
    arguments: dict[str, Any]
    settings: dict[str, Any]
    image: str = ""
    source: dict[str, Any] | None = None
    guide: dict[str, Any] | None = None
    guide_file: str = ""
    opacity: bool = False
    file: str = ""
    format: int = field(default=FORMAT)


def of(
    image: Gimp.Image, facts: Facts, arguments: Mapping[str, Any], settings: Mapping[str, Any],
    source: Gimp.Item | None, *, opacity: bool = False, file: str = "",
) -> Recipe:  # fmt: skip
    """Return the recipe of a dream that ran with these; to be called within an undo step, as it marks the image."""
    plain = {name: value for name, value in arguments.items() if name not in what.GUIDES}
    guide, guide_file = (arguments[name] for name in what.GUIDES)
    of_guide = None
    if guide is not None and guide.is_valid():
        home = guide.get_image()
        own = home.get_id() == image.get_id()
        of_guide = {**_named(guide), "file": "" if own else _file_of(home)}
    return Recipe(
        facts.version, plain, dict(settings), _mark(image), None if source is None else _named(source), of_guide,
        guide_file.get_uri() if guide_file else "", opacity, file,
    )  # fmt: skip


def attach(drawable: Gimp.Drawable, recipe: Recipe) -> None:
    """Keep the recipe with a drawable, in place of the one before; a recipe that is too long is not kept."""
    data = json.dumps(asdict(recipe)).encode()  # GIMP's bindings take ASCII alone
    if len(data) <= MOST_BYTES:
        drawable.attach_parasite(Gimp.Parasite.new(PARASITE, _FLAGS, data))
    else:
        drawable.detach_parasite(PARASITE)
        Gimp.message(_("The settings are too long to be kept with the layer."))


def read(item: Gimp.Item, facts: Facts) -> Recipe | None:
    """Return an item's recipe, or None; raises `PluginError` for one that cannot be read."""
    if PARASITE not in item.get_parasite_list():
        return None
    try:
        data = bytes(item.get_parasite(PARASITE).get_data())
        given: Any = json.loads(data, parse_constant=_not_finite) if len(data) <= MOST_BYTES else None
        if isinstance(given, dict) and isinstance(given.get("format"), int) and given["format"] > FORMAT:
            raise PluginError(
                _("A newer DeepDream, {version}, dreamed this layer").format(version=str(given.get("version"))[:40]),
                _("update DeepDream to dream it again"),
                "newer",
            )
        recipe = Recipe(**{name: given[name] for name in Recipe.__dataclass_fields__ if name in given})
        _check(recipe, facts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        raise PluginError(
            _("The recipe of this layer is damaged"), _("dream it with DeepDream… instead"), "recipe"
        ) from None
    return recipe


def _not_finite(_word: str) -> None:
    raise ValueError


def _check(recipe: Recipe, facts: Facts) -> None:
    """Raise `TypeError` or `ValueError` for a part that this version could not have written."""
    words = (recipe.version, recipe.image, recipe.guide_file, recipe.file, recipe.arguments["preset"])
    right = all(isinstance(word, str) for word in words) and isinstance(recipe.settings, dict)
    for item in (recipe.source, recipe.guide):
        right = right and (item is None or (isinstance(item["tattoo"], int) and 0 < item["tattoo"] < 1 << 32))
    for guide in recipe.settings.get("guides") or ():
        right = right and isinstance(guide["file"], str) and "\0" not in guide["file"]
    right = right and all(_can_be(name, value, facts) for name, value in recipe.settings.items())
    json.dumps([recipe.arguments, recipe.settings], allow_nan=False)  # 1e999 is infinite too
    if not right:
        raise TypeError


def _can_be(name: str, value: Any, facts: Facts) -> bool:
    """Return whether a setting can have such a value; one that this version does not know can have any."""
    about = facts.ranges.get(name)
    if about is None:
        return True
    if isinstance(value, str):
        return value in about.get("words", ())
    if {"minimum", "maximum"} & about.keys():
        return _is_number(value)
    return type(value) is type(facts.defaults[name])


def arguments(recipe: Recipe, image: Gimp.Image, facts: Facts) -> dict[str, Any]:
    """Return the arguments of the dream; those that no longer exist are left out, and those of another type too.

    Raises `PluginError` when the guide's layer is not open.
    """
    given = choices.as_preset(facts)
    for name, value in recipe.arguments.items():
        if name in given and name not in what.GUIDES and _fits(name, value, given[name], facts):
            given[name] = value
    if recipe.guide:
        given["guide"] = _guide(recipe, recipe.guide, image)
    if recipe.guide_file:
        given["guide-file"] = Gio.File.new_for_uri(recipe.guide_file)
    return given


def without_guide(recipe: Recipe) -> Recipe:
    """Return the recipe without the layer to dream toward."""
    return replace(recipe, guide=None)


def source_of(recipe: Recipe, image: Gimp.Image) -> Gimp.Layer | None:
    """Return the layer of which this is a dream, None if it was dreamed in place; raises `PluginError` if it is gone."""
    if recipe.source is None:
        return None
    layer = image.get_layer_by_tattoo(recipe.source["tattoo"]) if recipe.image == _mark_of(image) else None
    if layer is None:
        name = str(recipe.source.get("name"))[:100]
        raise PluginError(
            _("The layer {name}, which was dreamed, no longer exists").format(name=repr(name)),
            _("dream another layer with DeepDream…"),
            "gone",
        )
    return layer


def dream_of(image: Gimp.Image, source: Gimp.Item, facts: Facts) -> Gimp.Layer | None:
    """Return the topmost layer that is a dream of this one, or None."""
    tattoo, mark = source.get_tattoo(), _mark_of(image)
    for layer in kinds.layers_in(image.get_layers()):
        try:
            found = read(layer, facts)
        except PluginError:
            continue
        if found and found.source and (found.source["tattoo"], found.image) == (tattoo, mark):
            return layer
    return None


def _fits(name: str, value: Any, default: Any, facts: Facts) -> bool:
    """Return whether GIMP takes a value for an argument, whose range may have been another one."""
    control = next((control for control in facts.controls if control.name == name), None)
    if isinstance(control, Choice):
        return value in (choices.AS_PRESET, *control.words)
    if not isinstance(default, (int, float)):
        return isinstance(value, str)
    least, most = (control.as_preset, control.most) if isinstance(control, Number) else (0, choices.SEED_MAX)
    return _is_number(value) and least <= value <= most and (isinstance(default, float) or value == int(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _guide(recipe: Recipe, about: Mapping[str, Any], image: Gimp.Image) -> Gimp.Drawable:
    file = about.get("file", "")
    if file:
        homes = [one for one in Gimp.get_images() if _file_of(one) == file]
    else:
        homes = [image] if recipe.image == _mark_of(image) else []
    for home in homes:
        found = home.get_layer_by_tattoo(about["tattoo"]) or home.get_channel_by_tattoo(about["tattoo"])
        if found is not None:
            return found
    raise PluginError(
        _("The layer to dream toward, {name}, is not open").format(name=repr(str(about.get("name"))[:100])),
        _("open its image, or choose another one with DeepDream…"),
        "guide",
    )


def _mark_of(image: Gimp.Image) -> str:
    """Return the word that no other image has, "" for an image without one."""
    if IMAGE_PARASITE not in image.get_parasite_list():
        return ""
    return bytes(image.get_parasite(IMAGE_PARASITE).get_data()).decode("ascii", "replace")


def _mark(image: Gimp.Image) -> str:
    """Return the word that no other image has; give the image one if it has none."""
    if not _mark_of(image):
        image.attach_parasite(Gimp.Parasite.new(IMAGE_PARASITE, _FLAGS, os.urandom(16).hex().encode()))
    return _mark_of(image)


def _named(item: Gimp.Item) -> dict[str, Any]:
    return {"tattoo": item.get_tattoo(), "name": item.get_name()[:100]}


def _file_of(image: Gimp.Image) -> str:
    file = image.get_file()
    return str(file.get_uri()) if file else f"image {image.get_id()} of process {os.getppid()}"  # that is GIMP
