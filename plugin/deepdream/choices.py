"""The arguments of `plug-in-deepdream` and the settings they stand for; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python. Each number has one value below its useful ones that means
"as the preset says", each choice has the word `preset`, and for a text or a guide that is an empty one. These are the
defaults, so that a script that names only a preset gets that preset.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import what
from facts import Choice, Number, Text
from plugin_errors import PluginError
from words import _

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facts import Facts

AS_PRESET = "preset"
"""The word of a choice that means "as the preset says"."""
SEED_MAX = 2**31 - 1
OUTPUTS = ("replace", "new-layer", "rasterize", "linked-layer")
WHERE = ("output", "gray")
"""The arguments that say where a dream goes, not what it looks like."""
KEPT = ("seed", *WHERE)
"""The arguments that stay when another preset is chosen."""


def as_preset(facts: Facts, preset: str = "") -> dict[str, Any]:
    """Return all arguments with their defaults: everything as the preset says.

    They are in the order of GIMP's procedure, as scripts may give them by position.
    """
    placed = {0: ("preset", preset or facts.default_preset), 9: ("seed", 0), 10: ("output", OUTPUTS[0])}
    placed[23] = ("gray", "no")
    placed.update((place, (name, None)) for place, name in enumerate(what.GUIDES, 14))
    for control in facts.controls:
        default = "" if isinstance(control, Text) else AS_PRESET
        placed[control.place] = (control.name, control.as_preset if isinstance(control, Number) else default)
    return dict(placed[place] for place in sorted(placed))


def settings_of(arguments: Mapping[str, Any], facts: Facts, below: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return all settings for the arguments, as the helper takes them; missing arguments have their defaults.

    `below`: all settings of what takes the place of the preset; None for the preset's.

    A value equal to the preset's keeps the preset's own, even where the argument cannot express it (more iterations than
    its range allows); other values are limited to the setting's range. Raises `PluginError` for an unknown word, and when
    nothing is left to dream of.
    """
    given = _complete(arguments, facts)
    of_preset = _of_preset(given["preset"], facts) if below is None else below
    wanted: dict[str, Any] = {"seed": int(given["seed"])}
    if guides := what.guides(given):
        wanted["guides"] = guides
    for control in facts.controls:
        value, before = given[control.name], of_preset[control.setting]
        if isinstance(control, Text):
            if value and value.strip():
                wanted[control.setting] = what.weights(control.name, value)
        elif isinstance(control, Choice):
            if value != AS_PRESET:
                wanted[control.setting] = control.words[value][0]
        elif not _is_as_preset(control, value) and not _same(value, _shown(control, before)):
            wanted[control.setting] = _setting(control, value, facts.ranges[control.setting])
    return what.overlaid(of_preset, wanted, facts.nothing)


def resolved(arguments: Mapping[str, Any], facts: Facts, below: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the arguments with the preset's own values in place of "as the preset says"; only lists, texts, guides stay.

    All values fit the arguments: `full` and `auto` are numbers, and all are within the ranges. `below`: see
    `settings_of`. Raises `PluginError` for an unknown preset.
    """
    given = _complete(arguments, facts)
    settings = _of_preset(given["preset"], facts) if below is None else below
    for control in facts.controls:
        own = settings[control.setting]
        if isinstance(control, Choice):
            if given[control.name] == AS_PRESET and control.kind != "list":
                given[control.name] = next(word for word, (value, _label) in control.words.items() if value == own)
        elif isinstance(control, Number) and _is_as_preset(control, given[control.name]):
            given[control.name] = _shown(control, own)
    return given


def overlaid(arguments: Mapping[str, Any], given: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Return arguments overlaid by others; a preset among these replaces all but the seed and where the dream goes."""
    below = dict(arguments)
    if "preset" in given:
        below = {**as_preset(facts), **{name: arguments[name] for name in KEPT}}
    return {**below, **given}


def with_known_preset(arguments: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the arguments; in place of a preset that was removed they name the default one, with its values."""
    if arguments["preset"] in facts.presets:
        return dict(arguments)
    return overlaid(arguments, {"preset": facts.default_preset}, facts)


def take(
    presets: dict[str, Any], defaults: dict[str, Any], arguments: Mapping[str, Any], facts: Facts
) -> dict[str, Any]:
    """Take other presets and defaults into the facts; return the arguments with what the chosen preset says now.

    Values that differ from what it said before are the user's, and stay.
    """
    chosen = arguments["preset"]
    before = resolved(as_preset(facts, chosen), facts)
    facts.take(presets, defaults)
    given = with_known_preset(arguments, facts)
    if given["preset"] == chosen:
        now = resolved(as_preset(facts, chosen), facts)
        stale = set(touched(before, now)) - set(touched(before, arguments))
        given.update((name, now[name]) for name in stale)
    return given


def redone(
    settings: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any], facts: Facts
) -> dict[str, Any]:
    """Return the settings of an earlier dream with what differs between its arguments and those of now.

    Another preset replaces all of them. Where a part of what to dream of is "as the preset says" now, all of it is the
    preset's again, or the default one's if that was removed. A guide may look different now, so it has no hash.
    """
    changed = {*touched(before, after)} - {*WHERE}
    if "preset" in changed:
        return settings_of(after, facts)
    subjects = {control.name for control in facts.controls if control.setting in facts.nothing} | {*what.GUIDES}
    named = changed | {"seed", "strength"} | (subjects if subjects & changed else set())
    below = {**facts.defaults, **settings}
    if any(_is_unset(after[name]) for name in subjects & changed):
        known = with_known_preset({**as_preset(facts), **after}, facts)
        own = _of_preset(known["preset"], facts)
        below.update((setting, own[setting]) for setting in facts.nothing)
    wanted = {name: value for name, value in after.items() if name in named}
    found = settings_of({"preset": facts.default_preset, **wanted}, facts, below)
    found["guides"] = [{**guide, "sha256": None} for guide in found.get("guides") or []]
    return found


def touched(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the arguments whose values differ, in the order of `after`."""
    return tuple(name for name, value in after.items() if name not in before or not _same(before[name], value))


def _complete(arguments: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    given = {**as_preset(facts), **arguments}
    choices = (control for control in facts.controls if isinstance(control, Choice))
    known = {control.name: (AS_PRESET, *control.words) for control in choices}
    for name, words in {"output": OUTPUTS, "gray": ("no", "yes"), **known}.items():
        if given[name] not in words:
            choose = _("choose one of {names}").format(names=", ".join(words))
            raise PluginError(_("{what} cannot be {name}").format(name=repr(given[name]), what=name), choose, name)
    return given


def _of_preset(name: str, facts: Facts) -> dict[str, Any]:
    if name not in facts.presets:
        choose = _("choose one of {names}").format(names=", ".join(facts.presets))
        raise PluginError(_("there is no preset {name}").format(name=repr(name)), choose, "preset")
    return {**facts.defaults, **facts.presets[name]["settings"]}


def _is_unset(value: Any) -> bool:
    """Return whether a list, a text or a guide leaves it to the preset what to dream of."""
    return value is None or (isinstance(value, str) and value.strip() in ("", AS_PRESET))


def _is_as_preset(number: Number, value: float) -> bool:
    return not value > number.as_preset or value < 0  # NaN too


def _same(left: object, right: object) -> bool:
    if isinstance(left, float) or isinstance(right, float):
        return (
            isinstance(left, (int, float))
            and isinstance(right, (int, float))
            and math.isclose(left, right, rel_tol=1e-9)
        )
    return left == right


def _shown(number: Number, setting: Any) -> int | float:
    """Return the argument's value for a setting: words as their numbers, numbers within the argument's range."""
    value = number.numbers.get(setting, setting) if isinstance(setting, str) else setting
    value = min(max(value, number.as_preset), number.most)
    return int(value) if number.whole else float(value)


def _setting(number: Number, value: float, allowed: Mapping[str, Any]) -> int | float | str:
    """Return the setting for an argument's value, within what the setting takes."""
    for word, meant in number.numbers.items():
        if value == meant:
            return word
    value = min(max(value, allowed.get("minimum", value)), allowed.get("maximum", value))
    return int(value) if number.whole else float(value)
