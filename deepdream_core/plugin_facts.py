"""The facts that the GIMP plug-in gets when it is installed: where the helper is, how to start it, presets, controls.

`python -m deepdream_core.plugin_facts` prints it as JSON, which `python3 install gimp` writes as `deepdream.json` beside
the plug-in: GIMP's Python has neither this package nor pydantic, and a sandboxed GIMP sees other folders than the helper.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from deepdream_core import __version__
from deepdream_core.config import builtin_config_path, config_of, load_config
from deepdream_core.declaration import Control, Flag, Group, declared, kinds_of, schemas_of, words_of
from deepdream_core.errors import DeepDreamError
from deepdream_core.link import service_endpoint, user_folders, wire
from deepdream_core.settings import NOTHING, DreamSettings

if TYPE_CHECKING:
    from deepdream_core.settings import Config

THUMBNAIL_PX = 300
"""Short side of the photograph from which the thumbnails were made."""
_SWITCH = {"no": (False, "no"), "yes": (True, "yes")}
_BOUNDS = {"minimum": "minimum", "maximum": "maximum", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}


def plugin_facts(config: Config) -> dict[str, Any]:
    """Return the content of `deepdream.json`, which is secret: its reader can use the helper.

    Raises `WireError` for a user without folders, and for a damaged service file.
    """
    return {
        "version": __version__,
        "protocol": wire.PROTOCOL,
        "endpoint": str(user_folders.endpoint_path()),
        "state": str(user_folders.state_folder()),
        "service": _service(),
        "command": helper_command(),
        **preset_facts(config),
        "nothing": NOTHING,
        "controls": controls(),
        "ranges": ranges(),
    }


def preset_facts(config: Config) -> dict[str, Any]:
    """Return `presets`, those of the user's own config.yaml included, and `defaults`: all settings without a preset.

    Each preset has `description`, `family`, all `settings`, and `pictured`: whether the thumbnail that DeepDream comes with
    shows these settings.
    """
    presets = {}
    for name, preset in config.presets.items():
        settings = config.dream_settings(name, {}).model_dump()
        presets[name] = {
            "description": preset.description, "family": preset.family, "settings": settings,
            "pictured": _on_a_thumbnail(settings) == _thumbnails().get(name),
        }  # fmt: skip
    return {"presets": presets, "defaults": config.dream.model_dump()}


@cache
def _thumbnails() -> dict[str, dict[str, Any]]:
    """Return the settings of the thumbnails that DeepDream comes with, by preset."""
    builtin = config_of(b"", builtin_config_path())
    return {name: _on_a_thumbnail(builtin.dream_settings(name, {}).model_dump()) for name in builtin.presets}


def _on_a_thumbnail(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without differences that a picture as small as a thumbnail's does not show."""
    finest = settings["finest"]
    return {**settings, "finest": THUMBNAIL_PX if finest == "full" else min(finest, THUMBNAIL_PX)}


def _service() -> dict[str, Any] | None:
    """Return host, port and token of the background service, None where it is not installed."""
    endpoint = service_endpoint.read_service(service_endpoint.service_path())
    return None if endpoint is None else service_endpoint.words_of(endpoint)


def helper_command() -> list[str]:
    """Return the command that starts the helper from anywhere; -I keeps it from importing modules found there."""
    return [os.path.abspath(sys.executable), "-I", "-m", "deepdream_core", "helper", "--on-demand"]  # noqa: PTH100 - links kept


def ranges() -> dict[str, dict[str, Any]]:
    """Return for each setting its `description`, `words` such as auto, and `minimum`, `maximum`, `above`, `below`."""
    found = {}
    for name, field in DreamSettings.model_fields.items():
        parts = schemas_of(DreamSettings)[name]
        bounds = {word: part[bound] for part in parts for bound, word in _BOUNDS.items() if bound in part}
        found[name] = {"description": field.description, "words": words_of(DreamSettings, name), **bounds}
    return found


def controls() -> list[dict[str, Any]]:
    """Return what the plug-in shows of each setting that has a `Control`, in the settings' order.

    Each number's `as_preset` lies below its `lowest` and means "as the preset says". A list has a choice of its words, for
    a list with that word alone, and of `off` if it is empty by default; a list without known words is a text.
    """
    found = []
    for key, field in DreamSettings.model_fields.items():
        control = declared(DreamSettings, key, Control)
        if control is None:
            continue
        shown: dict[str, Any] = {
            "name": control.argument or key.replace("_", "-"), "setting": key, "place": control.place,
            "group": _group(key, control),
            "label": control.label, "description": control.description or field.description,
            "unless": control.unless.replace("_", "-"), "needs": control.needs, "folded": control.folded,
        }  # fmt: skip
        kinds = kinds_of(DreamSettings, key)
        if "boolean" in kinds:
            shown |= {"kind": "switch", "words": _SWITCH}
        elif kinds & {"array", "object"} and not _completions(key):
            shown |= {"kind": "text"}
        elif kinds & {"array", "object"}:
            values = {word: {word: 1.0} if "object" in kinds else [word] for word in _completions(key)}
            off = {} if field.default else {"off": field.default}
            shown |= {"kind": "list", "words": _labelled(off | values, control)}
        elif kinds & {"integer", "number"}:
            shown |= _number(key, control, whole="integer" in kinds)
        else:
            shown |= {
                "kind": "choice",
                "words": _labelled({word: word for word in words_of(DreamSettings, key)}, control),
            }
        found.append(shown)
    return found


def _group(key: str, control: Control) -> str:
    """Return the heading of a control's row: what to dream of has one of its own."""
    if key in NOTHING or control.needs in NOTHING:
        return "What to dream of"
    group = declared(DreamSettings, key, Group)
    assert group is not None
    return str(group)


def _completions(key: str) -> list[str]:
    """Return the words that a list can hold."""
    flag = declared(DreamSettings, key, Flag)
    words = flag.completions if flag else words_of(DreamSettings, key)
    return [word if isinstance(word, str) else word[0] for word in words]


def _labelled(values: dict[str, Any], control: Control) -> dict[str, tuple[Any, str]]:
    return {word: (value, control.words.get(word, word)) for word, value in values.items()}


def _number(key: str, control: Control, *, whole: bool) -> dict[str, Any]:
    lowest = min([ranges()[key].get("minimum", control.arrow / 10), *control.numbers.values()])
    return {
        "kind": "whole" if whole else "number", "lowest": lowest, "as_preset": 0 if lowest > 0 else -1,
        "most": control.most, "right": control.right or control.most, "arrow": control.arrow, "bend": control.bend,
        "numbers": dict(control.numbers),
    }  # fmt: skip


def main() -> int:
    """Print the facts; return 0, or the error's exit code when config.yaml is wrong, printed in one line on stderr."""
    try:
        print(json.dumps(plugin_facts(load_config()), indent=1))  # ASCII, whatever the terminal's encoding
    except (DeepDreamError, wire.WireError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
