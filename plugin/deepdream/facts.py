"""What the installer wrote for the plug-in: the content of `deepdream.json`.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugin_errors import REINSTALL, PluginError
from words import _

if TYPE_CHECKING:
    import os

FILE = "deepdream.json"


@dataclass(frozen=True)
class _Control:
    """A setting that is an argument and a row of the dialog. While the switch `unless` is on it has no effect."""

    name: str
    setting: str
    place: int
    label: str
    description: str
    unless: str


@dataclass(frozen=True)
class Number(_Control):
    """A setting that is a number: an argument from `as_preset`, which means "as the preset says", to `most`.

    A slider goes from `lowest` to `right`, bent by `bend`; an arrow key moves by `arrow`. `numbers` stand for the setting's
    words, as 0 for auto.
    """

    whole: bool
    as_preset: float
    lowest: float
    most: float
    right: float
    arrow: float
    bend: float
    numbers: dict[str, int]


@dataclass(frozen=True)
class Choice(_Control):
    """A setting with words to choose from: for each of them the setting's value and a label.

    `kind`: `choice`; `switch`, of no and yes; or `list`, of which a preset may hold several words at once.
    """

    kind: str
    words: dict[str, tuple[Any, str]]


def _control(given: dict[str, Any]) -> Number | Choice:
    if "words" in given:
        return Choice(**{**given, "words": {word: (value, label) for word, (value, label) in given["words"].items()}})
    about = {key: value for key, value in given.items() if key != "kind"}
    kind = int if given["kind"] == "whole" else float
    for key in ("as_preset", "lowest", "most", "right", "arrow"):
        about[key] = kind(about[key])
    return Number(**about, whole=kind is int)


@dataclass(frozen=True)
class Facts:
    """The content of `deepdream.json`, as `deepdream_core/plugin_facts.py` makes it.

    `endpoint` is the helper's endpoint file, `state` the folder of its logs, `command` what starts it, `service` host, port
    and token of the helper as a service where one is installed. `presets` has for each name `description`, all `settings`
    and perhaps `family`; `defaults` are all settings without a preset. `controls` are the settings that are arguments, in
    the dialog's order. `ranges` has for each setting `description`, `words`, and where they exist `minimum`, `maximum`,
    `above` and `below`.
    """

    version: str
    protocol: int
    endpoint: Path
    state: Path
    command: tuple[str, ...]
    presets: dict[str, dict[str, Any]]
    defaults: dict[str, Any]
    controls: tuple[Number | Choice, ...]
    ranges: dict[str, dict[str, Any]]
    service: dict[str, Any] | None = None

    @property
    def default_preset(self) -> str:
        """The preset of a dialog that was never used before."""
        return "classic" if "classic" in self.presets else next(iter(self.presets))

    def by_family(self) -> list[str]:
        """Return the presets' names, each family's together; families come as in config.yaml, those of none last."""
        families = {name: about.get("family") for name, about in self.presets.items()}
        order = list(dict.fromkeys(families.values()))
        return sorted(families, key=lambda name: (families[name] is None, order.index(families[name])))


def load(path: str | os.PathLike[str] | None = None) -> Facts:
    """Return the facts in `path`, or in the file beside this one; raises `PluginError` for a missing or damaged file."""
    file = Path(path) if path else Path(__file__).resolve().parent / FILE
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        facts = Facts(
            version=given["version"], protocol=given["protocol"], endpoint=Path(given["endpoint"]),
            state=Path(given["state"]), command=tuple(given["command"]), presets=given["presets"],
            defaults=given["defaults"], controls=tuple(map(_control, given["controls"])), ranges=given["ranges"],
            service=given.get("service"),
        )  # fmt: skip
        if not facts.presets or not facts.command:
            raise ValueError("no presets, or no command")
    except OSError as error:
        what = _("{file} cannot be read: {why}").format(file=file, why=error.strerror or error)
        raise PluginError(what, REINSTALL, "not_installed") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PluginError(_("{file} is damaged").format(file=file), REINSTALL, "not_installed") from None
    return facts
