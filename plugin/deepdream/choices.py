"""The arguments of `plug-in-deepdream` and the settings they stand for; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python. Each number has one value below its useful ones that means
"as the preset says", and each choice has the word `preset`. These are the defaults, so that a script that names only a
preset gets that preset.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from facts import Choice, Number
from plugin_errors import PluginError
from words import _

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facts import Facts

AS_PRESET = "preset"
"""The word of a choice that means "as the preset says"."""
SEED_MAX = 2**31 - 1
OUTPUTS = ("replace", "new-layer")


def as_preset(facts: Facts, preset: str = "") -> dict[str, Any]:
    """Return all arguments with their defaults: everything as the preset says.

    They are in the order of GIMP's procedure, as scripts may give them by position.
    """
    placed = {
        0: ("preset", preset or facts.default_preset),
        9: ("seed", 0),
        10: ("output", OUTPUTS[0]),
    }
    for control in facts.controls:
        placed[control.place] = (control.name, control.as_preset if isinstance(control, Number) else AS_PRESET)
    return dict(placed[place] for place in sorted(placed))


def settings_of(arguments: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Return all settings for the arguments, as the helper takes them; missing arguments have their defaults.

    A value equal to the preset's keeps the preset's own, even where the argument cannot express it (more iterations than
    its range allows); other values are limited to the setting's range. Raises `PluginError` for an unknown word.
    """
    given = _complete(arguments, facts)
    settings = _of_preset(given["preset"], facts)
    for control in facts.controls:
        value, before = given[control.name], settings[control.setting]
        if isinstance(control, Choice):
            if value != AS_PRESET:
                settings[control.setting] = control.words[value][0]
        elif not _is_as_preset(control, value) and not _same(value, _shown(control, before)):
            settings[control.setting] = _setting(control, value, facts.ranges[control.setting])
    settings["seed"] = int(given["seed"])
    return settings


def resolved(arguments: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the arguments with the preset's own values in place of "as the preset says"; lists stay as they are.

    All values fit the arguments: `full` and `auto` are numbers, and all are within the ranges. Raises `PluginError` for an
    unknown preset.
    """
    given = _complete(arguments, facts)
    settings = _of_preset(given["preset"], facts)
    for control in facts.controls:
        own = settings[control.setting]
        if isinstance(control, Choice):
            if given[control.name] == AS_PRESET and control.kind != "list":
                given[control.name] = next(word for word, (value, _label) in control.words.items() if value == own)
        elif _is_as_preset(control, given[control.name]):
            given[control.name] = _shown(control, own)
    return given


def touched(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the arguments whose values differ, in the order of `after`."""
    return tuple(name for name, value in after.items() if name not in before or not _same(before[name], value))


def _complete(arguments: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    given = {**as_preset(facts), **arguments}
    choices = (control for control in facts.controls if isinstance(control, Choice))
    known = {control.name: (AS_PRESET, *control.words) for control in choices}
    for name, words in {"output": OUTPUTS, **known}.items():
        if given[name] not in words:
            choose = _("choose one of {names}").format(names=", ".join(words))
            raise PluginError(_("{what} cannot be {name}").format(name=repr(given[name]), what=name), choose, name)
    return given


def _of_preset(name: str, facts: Facts) -> dict[str, Any]:
    if name not in facts.presets:
        choose = _("choose one of {names}").format(names=", ".join(facts.presets))
        raise PluginError(_("there is no preset {name}").format(name=repr(name)), choose, "preset")
    return {**facts.defaults, **facts.presets[name]["settings"]}


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
