"""What the installer wrote for the plug-in: the content of `deepdream.json`.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import facts_check
from plugin_errors import REINSTALL, PluginError
from words import _

if TYPE_CHECKING:
    import os

FOLDER = Path(__file__).resolve().parent
FILE = "deepdream.json"


@dataclass(frozen=True)
class _Control:
    """A setting that is an argument and a row of the dialog below the heading `group`, `folded` among the advanced ones.

    It has no effect while the switch `unless` is on, or the setting `needs` is empty.
    """

    name: str
    setting: str
    group: str
    place: int
    label: str
    description: str
    unless: str
    needs: str
    folded: bool


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


@dataclass(frozen=True)
class Text(_Control):
    """A setting of names, each with a weight, in words such as `pool4:8, pool4:9=0.5`."""


def _control(given: dict[str, Any]) -> Number | Choice | Text:
    if "words" in given:
        return Choice(**{**given, "words": {word: (value, label) for word, (value, label) in given["words"].items()}})
    about = {key: value for key, value in given.items() if key != "kind"}
    if given["kind"] == "text":
        return Text(**about)
    kind = int if given["kind"] == "whole" else float
    for key in ("as_preset", "lowest", "most", "right", "arrow"):
        about[key] = kind(about[key])
    return Number(**about, whole=kind is int)


@dataclass(frozen=True)
class Facts:
    """The content of `deepdream.json`, as `deepdream_core/plugin_facts.py` makes it.

    `endpoint` is the helper's endpoint file, `state` the folder of its logs, `command` what starts it, `service` host, port
    and token of the helper as a service where one is installed. `presets` has for each name `description`, all `settings`,
    perhaps `family`, and `pictured`, whether its thumbnail shows these settings; `defaults` are all settings without a
    preset. `nothing` are the settings that say what to dream of, each empty. `controls` are the settings that are
    arguments, in the dialog's order. `ranges` has for each setting `description`, `words`, and where they exist `minimum`,
    `maximum`, `above` and `below`.
    """

    version: str
    endpoint: Path
    state: Path
    command: tuple[str, ...]
    presets: dict[str, dict[str, Any]]
    defaults: dict[str, Any]
    nothing: dict[str, Any]
    controls: tuple[Number | Choice | Text, ...]
    ranges: dict[str, dict[str, Any]]
    service: dict[str, Any] | None = None

    @property
    def default_preset(self) -> str:
        """The preset of a dialog that was never used before."""
        return "classic" if "classic" in self.presets else next(iter(self.presets))

    def families(self) -> dict[str, list[str]]:
        """Return the presets' names by family, as config.yaml has them; those of none come last, as ""."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.presets, key=lambda name: not self.presets[name].get("family")):
            found.setdefault(self.presets[name].get("family") or "", []).append(name)
        return found

    def take(self, presets: dict[str, dict[str, Any]], defaults: dict[str, Any]) -> None:
        """Replace all presets and defaults, for everybody who holds these facts."""
        for own, new in ((self.presets, presets), (self.defaults, defaults)):
            own.clear()
            own.update(new)


def load(path: str | os.PathLike[str] | None = None) -> Facts:
    """Return the facts in `path`, or in the file beside this one; raises `PluginError` for a missing or damaged file."""
    file = Path(path) if path else FOLDER / FILE
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        facts_check.check(given)
        facts = Facts(
            version=given["version"], endpoint=Path(given["endpoint"]), state=Path(given["state"]),
            command=tuple(given["command"]), presets=given["presets"],
            defaults=given["defaults"], nothing=given["nothing"], controls=tuple(map(_control, given["controls"])),
            ranges=given["ranges"], service=given.get("service"),
        )  # fmt: skip
    except OSError as error:
        what = _("{file} cannot be read: {why}").format(file=file, why=error.strerror or error)
        raise PluginError(what, REINSTALL, "not_installed") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise PluginError(_("{file} is damaged").format(file=file), REINSTALL, "not_installed") from None
    return facts
