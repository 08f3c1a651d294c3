"""Looks that differ in the values of a few settings: `--vary step=1..4 --vary pooling=max,average`."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_core.declaration import kinds_of, number_or_text
from deepdream_core.errors import SettingsError
from deepdream_core.looks.choice import MOST, PRESET, Choice, Look, Section, of_preset, option
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_core.settings import Config

_STEPS = 4
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_RANGE = re.compile(r"(?P<low>[^/]+?)\.\.(?P<high>[^/]+?)(?:/(?P<count>\d{1,6}))?")

Value = bool | int | float | str


@dataclass(frozen=True)
class Axis:
    """A setting and its values."""

    key: str
    values: tuple[Value, ...]


def of_variations(config: Config, preset: str | None, given: Sequence[str], side: int) -> Choice:
    """Return every combination of the values given as `KEY=LOW..HIGH`, `KEY=LOW..HIGH/COUNT` or `KEY=a,b,c`.

    The last two settings are the rows and columns of a table; more make a table for each of their values. Raises
    `SettingsError` for an unknown key, a value that is not allowed, values that look alike in a picture with a short side
    of `side` px, or more than `MOST` looks.
    """
    axes = [_axis(text) for text in given]
    for axis in axes:
        _check_seen(axis, side)
    for number, axis in enumerate(axes):
        if axis.key in (other.key for other in axes[:number]):
            raise SettingsError(f"--vary {axis.key}: is given twice", "give all its values at once")
    if (count := math.prod(len(axis.values) for axis in axes)) > MOST:
        raise SettingsError(f"--vary: {count} looks, and {MOST} are the most", "give fewer values")
    base = () if preset is None else option("preset", preset)
    above, table = axes[:-2], axes[-2:]
    sections = []
    for over in itertools.product(*(axis.values for axis in above)):
        fixed = dict(zip((axis.key for axis in above), over, strict=True))
        looks = []
        for values in itertools.product(*(axis.values for axis in table)):
            varied = dict(zip((axis.key for axis in table), values, strict=True))
            settings = config.dream_settings(preset or PRESET, {**fixed, **varied}, "--vary {}".format)
            options = [word for key, value in {**fixed, **varied}.items() for word in option(key, value)]
            looks.append(Look(_named({**fixed, **varied}), "", settings, (*base, *options)))
        sections.append(Section(_named(fixed), tuple(looks), len(table[1].values) if len(table) > 1 else None))
    keys = [axis.key for axis in axes]
    title = f"{' and '.join(key.replace('_', ' ') for key in keys)}, as {preset or PRESET}"
    return Choice(f".looks-{'-'.join(keys)}{of_preset(preset)}", title, tuple(sections))


def _check_seen(axis: Axis, side: int) -> None:
    if axis.key == "upscale":
        raise SettingsError("--vary upscale: cannot be seen in small pictures", "vary another setting")
    alike = [value for value in axis.values if value == "full" or (isinstance(value, (int, float)) and value >= side)]
    if axis.key == "finest" and len(alike) > 1:
        raise SettingsError(
            f"--vary finest: {' and '.join(map(str, alike))} are the same in a picture of {side} px",
            "give smaller values, or a larger --side",
        )


def _named(values: dict[str, Value]) -> str:
    return " · ".join(f"{key.replace('_', ' ')} {_shown(value)}" for key, value in values.items())


def _shown(value: Value) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _axis(text: str) -> Axis:
    name, _, values = text.partition("=")
    key = name.strip().replace("-", "_")
    key = "layers" if key == "layer" else key
    if not key:
        raise SettingsError(f"--vary {text}: no setting is named", "write KEY=VALUES, as step=1..4")
    if not values.strip() and key in DreamSettings.model_fields:
        raise SettingsError(f"--vary {text}: no values", f"write {key}=LOW..HIGH, or values with commas between")
    kinds = kinds_of(DreamSettings, key)
    if (found := _RANGE.fullmatch(values.strip())) and kinds & {"integer", "number"}:
        return Axis(key, _spread(key, found["low"], found["high"], found["count"], whole="number" not in kinds))
    return Axis(key, tuple(dict.fromkeys(_value(part.strip()) for part in values.split(","))))


def _value(text: str) -> Value:
    return _WORDS.get(text.lower(), number_or_text(text))


def _spread(key: str, low: str, high: str, count: str | None, *, whole: bool) -> tuple[Value, ...]:
    """Return evenly spaced values, both ends among them; whole numbers each once."""
    ends = [_value(low.strip()), _value(high.strip())]
    numbers = [float(end) for end in ends if type(end) in (int, float)]
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)):
        raise SettingsError(f"--vary {key}={low}..{high}: not two numbers", f"write {key}=LOW..HIGH")
    first, last = numbers
    steps = _STEPS if count is None else int(count)
    if not 2 <= steps <= MOST:
        raise SettingsError(f"--vary {key}: {steps} values are not allowed", f"allowed: from 2 to {MOST}")
    between = [first + (last - first) * number / (steps - 1) for number in range(1, steps - 1)]
    if whole and all(isinstance(end, int) for end in ends):
        return tuple(dict.fromkeys([ends[0], *map(round, between), ends[1]]))
    return tuple(dict.fromkeys([ends[0], *(float(f"{value:.4g}") for value in between), ends[1]]))
