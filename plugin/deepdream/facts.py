"""What the plug-in was told when it was installed: `deepdream.json`, and how troubles are told.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from words import _

if TYPE_CHECKING:
    import os

FILE = "deepdream.json"
AGAIN = _("run `python3 install gimp` in DeepDream's folder, then start GIMP again")


class Trouble(Exception):  # noqa: N818 - it is told to people, and is no fault of the program
    """What a person is to be told: `what` happened, the `next_step`, and a `code` for programs."""

    def __init__(self, what: str, next_step: str = "", code: str = "internal") -> None:
        super().__init__(what, next_step, code)
        self.what = what
        self.next_step = next_step
        self.code = code

    def __str__(self) -> str:
        """Return both as sentences on one line, with control characters escaped."""
        text = " ".join(_sentence(part) for part in (self.what, self.next_step) if part.strip())
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def _sentence(text: str) -> str:
    text = text.strip()
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


@dataclass(frozen=True)
class _Control:
    """A setting that is an argument and a row. While the switch `unless` is on it does nothing."""

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
    the dialog's order. `ranges` has for each setting `description`, `words`, and what there is of `minimum`, `maximum`,
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
        """The preset that stands first in a dialog nobody has used yet."""
        return "classic" if "classic" in self.presets else next(iter(self.presets))

    def by_family(self) -> list[str]:
        """Return the presets' names, each family's together; families come as in config.yaml, those of none last."""
        families = {name: about.get("family") for name, about in self.presets.items()}
        order = list(dict.fromkeys(families.values()))
        return sorted(families, key=lambda name: (families[name] is None, order.index(families[name])))


def load(path: str | os.PathLike[str] | None = None) -> Facts:
    """Return the facts that lie beside this file, or at `path`; raises `Trouble` when they are missing or damaged."""
    file = Path(path) if path else Path(__file__).resolve().parent / FILE
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        facts = Facts(
            version=told["version"], protocol=told["protocol"], endpoint=Path(told["endpoint"]), state=Path(told["state"]),
            command=tuple(told["command"]), presets=told["presets"], defaults=told["defaults"],
            controls=tuple(map(_control, told["controls"])), ranges=told["ranges"],
            service=told.get("service"),
        )  # fmt: skip
        if not facts.presets or not facts.command:
            raise ValueError("no presets, or no command")
    except OSError as error:
        what = _("{file} cannot be read: {why}").format(file=file, why=error.strerror or error)
        raise Trouble(what, AGAIN, "not_installed") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Trouble(_("{file} is damaged").format(file=file), AGAIN, "not_installed") from None
    return facts
