"""The facts that the GIMP plug-in gets when it is installed: where the helper is, how to start it, presets, controls.

`python -m deepdream_core.plugin_facts` prints it as JSON, which `python3 install gimp` writes as `deepdream.json` beside
the plug-in: GIMP's Python has neither this package nor pydantic, and a sandboxed GIMP sees other folders than the helper.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from deepdream_core import __version__
from deepdream_core.config import load_config
from deepdream_core.declaration import Control, Flag, declared, kinds_of, schemas_of, words_of
from deepdream_core.errors import DeepDreamError
from deepdream_core.link import service_endpoint, user_folders, wire
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    from deepdream_core.settings import Config

_SWITCH = {"no": (False, "no"), "yes": (True, "yes")}
_BOUNDS = {"minimum": "minimum", "maximum": "maximum", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}


def plugin_facts(config: Config) -> dict[str, Any]:
    """Return the content of `deepdream.json`, which is secret: its reader can use the helper.

    Raises `WireError` for a user without folders, and for a damaged service file. Presets come with all their
    settings, those of the user's own config.yaml included.
    """
    presets = {
        name: {
            "description": preset.description,
            "family": preset.family,
            "settings": config.dream_settings(name, {}).model_dump(),
        }
        for name, preset in config.presets.items()
    }
    return {
        "version": __version__,
        "protocol": wire.PROTOCOL,
        "endpoint": str(user_folders.endpoint_path()),
        "state": str(user_folders.state_folder()),
        "service": _service(),
        "command": helper_command(),
        "presets": presets,
        "defaults": config.dream.model_dump(),
        "controls": controls(),
        "ranges": ranges(),
    }


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
    a list with that word alone.
    """
    found = []
    for key, field in DreamSettings.model_fields.items():
        control = declared(DreamSettings, key, Control)
        if control is None:
            continue
        shown: dict[str, Any] = {
            "name": control.argument or key.replace("_", "-"), "setting": key, "place": control.place,
            "label": control.label, "description": control.description or field.description,
            "unless": control.unless.replace("_", "-"),
        }  # fmt: skip
        kinds = kinds_of(DreamSettings, key)
        if "boolean" in kinds:
            shown |= {"kind": "switch", "words": _SWITCH}
        elif kinds & {"array", "object"}:
            values = {word: {word: 1.0} if "object" in kinds else [word] for word in _completions(key)}
            shown |= {"kind": "list", "words": _labelled(values, control)}
        elif kinds & {"integer", "number"}:
            shown |= _number(key, control, whole="integer" in kinds)
        else:
            shown |= {
                "kind": "choice",
                "words": _labelled({word: word for word in words_of(DreamSettings, key)}, control),
            }
        found.append(shown)
    return found


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
