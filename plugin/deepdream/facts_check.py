"""Whether `deepdream.json` is what the installer wrote: a person may have edited it, or an editor damaged it.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

LARGEST = 2**31 - 1
"""GIMP's whole numbers end here."""
_SHAPE: dict[str, Any] = {
    "version": str, "protocol": int, "endpoint": str, "state": str, "command": [str], "defaults": {}, "nothing": {},
    "presets": {"*": {"description": str, "settings": {}}}, "ranges": {"*": {"description": str}},
    "controls": [{"name": str, "setting": str, "place": int, "label": str, "description": str, "unless": str, "needs": str,
                  "folded": bool, "kind": str, "group": str}],
}  # fmt: skip
_SERVICE = {"host": str, "port": int, "token": str}
_NUMBERS = ("as_preset", "lowest", "most", "right", "arrow", "bend")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_ZERO = "\\u0000"


def check(given: Any) -> None:
    """Raise `ValueError` or `KeyError` unless this is the content of a whole `deepdream.json`."""
    _fits(given, _SHAPE)
    if given.get("service") is not None:
        _fits(given["service"], _SERVICE)
    text = json.dumps(given, allow_nan=False)
    json.dumps(given, ensure_ascii=False).encode()  # a half of a surrogate pair is no text
    _ensure(_ZERO not in text and given["presets"] and given["command"])
    _ensure(Path(given["endpoint"]).is_absolute() and Path(given["state"]).is_absolute())
    controls, presets = given["controls"], given["presets"].values()
    for about in presets:
        _ensure(isinstance(about.get("family") or "", str))
    for key in ("name", "place", "setting"):
        _ensure(len({control[key] for control in controls}) == len(controls))
    known = given["defaults"]
    _ensure({*given["nothing"], "seed", "guides"} <= known.keys() == given["ranges"].keys())
    switches = {control["name"] for control in controls if control["kind"] == "switch"}
    for control in controls:
        _ensure(_NAME.fullmatch(control["name"]) and control["setting"] in known)
        _ensure(control["unless"] in {"", *switches} and control["needs"] in {"", *known})
        _check_control(control)
    for settings in (known, *(about["settings"] for about in presets)):
        _ensure(settings.keys() == known.keys())
        for control in controls:
            _ensure(_takes(control, settings[control["setting"]]))
        for key, value in settings.items():
            _ensure(
                _kind(value) == _kind(known[key]) or {_kind(value), _kind(known[key])} <= {"number", "text", "none"}
            )
        for guide in settings["guides"]:
            _fits(guide, {"file": str})
    for about in given["ranges"].values():
        bounds = (about.get(bound, 0) for bound in ("minimum", "maximum", "above", "below"))
        _ensure(all(_kind(bound) == "number" for bound in bounds))


def _fits(given: Any, shape: Any) -> None:
    """Raise `ValueError` unless a value has a shape: a type, a list of one shape, or keys, `*` for all, with theirs."""
    if isinstance(shape, list):
        _ensure(isinstance(given, list))
        for each in given:
            _fits(each, shape[0])
    elif isinstance(shape, dict):
        _ensure(isinstance(given, dict))
        for key, inner in shape.items():
            for each in given.values() if key == "*" else (given[key],):
                _fits(each, inner)
    else:
        _ensure(type(given) is shape)


def _check_control(control: dict[str, Any]) -> None:
    if control["kind"] in ("whole", "number"):
        _ensure(all(_kind(control[key]) == "number" and abs(control[key]) <= LARGEST for key in _NUMBERS))
        _ensure(control["as_preset"] < control["lowest"] < control["right"] <= control["most"])
        _ensure(control["arrow"] > 0 and control["bend"] > 0)
        _fits(control["numbers"], {"*": int})
    elif control["kind"] in ("choice", "switch", "list"):
        _ensure(isinstance(control["words"], dict) and control["words"])
        for _value, label in control["words"].values():
            _ensure(isinstance(label, str))
        _ensure(control["kind"] != "switch" or control["words"].keys() == {"no", "yes"})
    else:
        _ensure(control["kind"] == "text")


def _takes(control: dict[str, Any], value: Any) -> bool:
    """Return whether a preset may have this value for the control's setting."""
    if control["kind"] in ("whole", "number"):
        return _kind(value) == "number" or value in control["numbers"]
    if control["kind"] in ("choice", "switch"):
        return any(value == own and type(value) is type(own) for own, _label in control["words"].values())
    return _kind(value) in ("list", "keys")


def _kind(value: Any) -> str:
    if value is None:
        return "none"
    kinds = {bool: "switch", int: "number", float: "number", str: "text", list: "list", dict: "keys"}
    return kinds[type(value)]


def _ensure(right: Any) -> None:
    if not right:
        raise ValueError("not what the installer wrote")
