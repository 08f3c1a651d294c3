"""What client and helper say, in the user's language, and with advice for GIMP in place of the command line's.

They say everything in English. `sentences.py` has their sentences as templates; one that fits is translated, and so is
what was put into it. Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from sentences import SENTENCES
from words import _, decimal_point, sentence

if TYPE_CHECKING:
    from facts import Facts

_RESTART = _("set {key} in config.yaml to {words}, then stop the helper; it starts again by itself")

IN_GIMP = {
    "start one with `deepdream helper`": _("try again; the helper then starts"),
    "use --device auto or cpu": _RESTART.format(key="engine.device", words="auto, cpu"),
    "use --device auto or cpu, or check the driver: nvidia-smi": _RESTART.format(
        key="engine.device", words="auto, cpu"
    ),
    "use auto, cpu, cuda, cuda:N or mps": _RESTART.format(key="engine.device", words="auto, cpu, cuda, cuda:N, mps"),
    "use --precision auto or fp32": _RESTART.format(key="engine.precision", words="auto, fp32"),
    "use --precision fp32, a smaller --step, or other --weights": _(
        "choose a smaller step, or set engine.precision in config.yaml to fp32"
    ),
    "use oxford, torchvision or the path of a .pth or .safetensors": _RESTART.format(
        key="engine.weights", words="oxford, torchvision, *.pth, *.safetensors"
    ),
    "give a readable config.yaml with --config": _("make the file readable, or remove it"),
    "raise --guide-size to {sees}, or name an earlier layer": _(
        "set the guide's size to {sees} or more, or choose an earlier layer of the network"
    ),
    "close other programs, choose a shallower layer, or a smaller --finest": _(
        "select a smaller part, choose a smaller pattern size or an earlier layer, or close other programs"
    ),
    "remove it from the layers, or name another layer: {guide2}@{other}": _("choose another layer of the network"),
}
"""What to do in GIMP where the advice fits only the command line."""

_KEY = re.compile(r"settings\.(\w+)(?:\.[\w:.]+)?: (.+)", re.DOTALL)
_PATH = re.compile(r"([^\s:]\S*): (.+)", re.DOTALL)
_HOLE = re.compile(r"\{(\w+)\}")


def translated(text: str, facts: Facts | None = None) -> str:
    """Return a sentence in the user's language, unchanged if it is unknown; settings by their labels in the dialog."""
    if facts and (found := _KEY.fullmatch(text)):
        labels = {control.setting: _(control.label).replace("_", "") for control in facts.controls}
        return f"{labels.get(found[1], found[1])}: {translated(found[2])}"
    for template, pattern in _patterns():
        if fitting := pattern.fullmatch(text):
            parts = {name: translated(part) for name, part in fitting.groupdict().items()}
            return IN_GIMP.get(template, sentence(template)).format(**parts)
    if found := _PATH.fullmatch(text):
        return f"{found[1]}: {translated(found[2])}"
    return text.replace(".", decimal_point()) if re.fullmatch(r"-?\d+\.\d+", text) else text


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return each template and what fits it; those with the most text of their own come first."""
    by_length = sorted(SENTENCES, key=lambda template: -len(_HOLE.sub("", template)))
    return [(template, _pattern(template)) for template in by_length]


def _pattern(template: str) -> re.Pattern[str]:
    pieces = _HOLE.split(template)
    named = (f"(?P<{piece}>.*?)" if place % 2 else re.escape(piece.format()) for place, piece in enumerate(pieces))
    return re.compile("".join(named), re.DOTALL)
