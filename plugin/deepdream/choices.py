"""The arguments of `plug-in-deepdream` and the settings they stand for; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python. Each number has one value below its useful ones that means
"as the preset says", and so does each choice's word `preset`. These are the defaults, so that a script which names only a
preset gets that preset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facts import Trouble
from words import _

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facts import Facts

AS_PRESET = "preset"
"""The word of a choice that means: what the preset says."""
FULL, AUTO = 100_000, 0
"""`finest` for the layer's own size, `octaves` for as many as fit."""


@dataclass(frozen=True)
class Number:
    """A number among the arguments: its range, and the value that means "as the preset says" (and all below it)."""

    name: str
    low: float
    high: float
    as_preset: float
    whole: bool = True


NUMBERS = (
    Number("finest", 0, FULL, 0),
    Number("octaves", -1, 40, -1),
    Number("iterations", 0, 1000, 0),
    Number("step", 0.0, 100.0, 0.0, whole=False),
    Number("smooth", -1.0, 20.0, -1.0, whole=False),
    Number("jitter", -1, 512, -1),
    Number("strength", -1.0, 1.0, -1.0, whole=False),
    Number("natural", -1.0, 1.0, -1.0, whole=False),
)
CHOICES: dict[str, tuple[str, dict[str, Any]]] = {
    "pooling": ("pooling", {"max": "max", "average": "average"}),
    "keep-colours": ("keep_colours", {"no": False, "yes": True}),
}
"""Choices among the arguments: the setting, and for each word but `preset` the setting's value."""
EARLIER: dict[str, Any] = {"natural": 0.0, "pooling": "max", "keep_colours": False, "soft_limit": False}
"""What a `deepdream.json` means that is older than these settings: what was done before them."""
SEED_MAX = 2**31 - 1
OUTPUTS = ("replace", "new-layer")
_WORDS = {"finest": {"full": FULL}, "octaves": {"auto": AUTO}}


def as_preset(preset: str = "classic") -> dict[str, Any]:
    """Return all arguments with their defaults: everything as the preset says.

    The order is that in which GIMP is told of them: scripts may give them by their places, so that new ones come last.
    """
    numbers = {number.name: number.as_preset for number in NUMBERS}
    later = {"natural": numbers.pop("natural"), **dict.fromkeys(CHOICES, AS_PRESET)}
    return {"preset": preset, "layer": AS_PRESET, **numbers, "seed": 0, "output": OUTPUTS[0], **later}


ARGUMENTS = tuple(as_preset())
"""The names of all arguments, in order."""


def settings_of(arguments: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Return all settings, as the helper takes them, that the arguments stand for; those left out have their defaults.

    A value that the preset has too leaves the preset's own, even where the argument cannot say it (more iterations than
    its range has); others are brought into the range that the setting takes. Raises `Trouble` for an unknown word.
    """
    given = _complete(arguments, facts)
    settings = _of_preset(given["preset"], facts)
    for number in NUMBERS:
        value = given[number.name]
        if not _is_as_preset(number, value) and not _same(value, _shown(number, settings[number.name])):
            settings[number.name] = _setting(number, value, facts.ranges.get(number.name, {}))
    for name, (setting, words) in CHOICES.items():
        if given[name] != AS_PRESET:
            settings[setting] = words[given[name]]
    layer = given["layer"]
    if layer != AS_PRESET:
        if layer not in facts.layers:
            choose = _("choose one from {first} to {last}").format(first=facts.layers[0], last=facts.layers[-1])
            raise Trouble(_("there is no layer {name}").format(name=repr(layer)), choose, "layer")
        settings["layers"] = {layer: 1.0}
    settings["seed"] = int(given["seed"])
    return settings


def resolved(arguments: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the arguments with the preset's own value wherever they say "as the preset says"; the layer stays.

    The values are fit for the arguments: `full` and `auto` are their numbers, and all are within the ranges. Raises
    `Trouble` for an unknown preset.
    """
    given = _complete(arguments, facts)
    settings = _of_preset(given["preset"], facts)
    for number in NUMBERS:
        if _is_as_preset(number, given[number.name]):
            given[number.name] = _shown(number, settings[number.name])
    for name, (setting, words) in CHOICES.items():
        if given[name] == AS_PRESET:
            given[name] = next(word for word, value in words.items() if value == settings[setting])
    return given


def touched(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the arguments whose values differ, in the order of `after`."""
    return tuple(name for name, value in after.items() if name not in before or not _same(before[name], value))


def _complete(arguments: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    given = {**as_preset(facts.default_preset), **arguments}
    known = {name: (AS_PRESET, *words) for name, (_setting, words) in CHOICES.items()}
    for name, words in {"output": OUTPUTS, **known}.items():
        if given[name] not in words:
            choose = _("choose one of {names}").format(names=", ".join(words))
            raise Trouble(_("there is no {name} for {what}").format(name=repr(given[name]), what=name), choose, name)
    return given


def _of_preset(name: str, facts: Facts) -> dict[str, Any]:
    if name not in facts.presets:
        choose = _("choose one of {names}").format(names=", ".join(facts.presets))
        raise Trouble(_("there is no preset {name}").format(name=repr(name)), choose, "preset")
    return {**EARLIER, **facts.defaults, **facts.presets[name]["settings"]}


def _is_as_preset(number: Number, value: float) -> bool:
    return not value > number.as_preset or value < 0  # NaN too


def _same(one: object, other: object) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return (
            isinstance(one, (int, float)) and isinstance(other, (int, float)) and math.isclose(one, other, rel_tol=1e-9)
        )
    return one == other


def _shown(number: Number, setting: Any) -> int | float:
    """Return the argument's value for a setting: words as their numbers, numbers within the argument's range."""
    value = _WORDS.get(number.name, {}).get(setting, setting) if isinstance(setting, str) else setting
    value = min(max(value, number.low), number.high)
    return int(value) if number.whole else float(value)


def _setting(number: Number, value: float, allowed: Mapping[str, Any]) -> int | float | str:
    """Return the setting for an argument's value, within what the setting takes."""
    for word, meant in _WORDS.get(number.name, {}).items():
        if value == meant:
            return word
    value = min(max(value, allowed.get("minimum", value)), allowed.get("maximum", value))
    return int(value) if number.whole else float(value)
