"""Checks of the plug-in in every GIMP 3: whether it is complete, of this version, and knows the helper's address."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deepdream_core
from deepdream_core.doctor import manifest as manifests
from deepdream_core.doctor.check import Finding, failing, passed, skipped
from deepdream_core.machine.gimp import COPIES, FACTS, PLUG_IN, PLUG_INS, PROGRAM, has_plug_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepdream_core.machine.manifest import Manifest

PACKAGE = Path(deepdream_core.__file__).parent


def check_plug_in(
    folder: Path, elsewhere: bool, facts: Mapping[str, Any], manifest: Manifest | None, install: str
) -> Finding:
    """Check the plug-in in one GIMP version's folder.

    `elsewhere`: another GIMP has it, or had it according to the manifest; `facts`: what its deepdream.json should contain,
    such as `version` and `endpoint`; `install`: the command that installs it.
    """
    plug_in = folder / PLUG_INS / PLUG_IN
    if not has_plug_in(folder):
        if not elsewhere:
            return skipped(f"no plug-in; {install} installs it")
        return failing("this GIMP has no plug-in yet", install)
    try:
        written = json.loads((plug_in / FACTS).read_bytes())
        version = str(written["version"])
    except FileNotFoundError:
        return failing(f"{FACTS} is missing", install)
    except (ValueError, KeyError, TypeError, RecursionError):
        return failing(f"{FACTS} is damaged", install)
    if version != facts["version"]:
        return failing(f"the plug-in is version {version:.20}, but this is {facts['version']}", install)
    for name, value in facts.items():
        if written.get(name) != value:
            return failing(f"the plug-in's {name} is out of date", install)
    if problem := _problem(plug_in, written, manifest):
        return failing(problem, f"{install}, then restart GIMP")
    return passed(f"plug-in {version}")


def _problem(plug_in: Path, written: Mapping[str, Any], manifest: Manifest | None) -> str:
    """Return what is wrong with a plug-in's files, or ""."""
    if manifest is not None:
        altered = manifest.part("gimp").altered()
        if mine := manifests.first_of(file for file in altered if file.startswith(f"{plug_in}{os.sep}")):
            return mine
    program = plug_in / PROGRAM
    if not program.exists():
        return f"{PROGRAM} is missing"
    if not os.access(program, os.X_OK):
        return f"{PROGRAM} is not executable, so GIMP ignores it"
    copies = (path for folder, names in COPIES.items() for path in sorted((PACKAGE / folder).glob(names)))
    for name in (path.relative_to(PACKAGE).as_posix() for path in copies):
        if not (plug_in / name).exists():
            return f"{name} is missing"
        if (plug_in / name).read_bytes() != (PACKAGE / name).read_bytes():
            return f"{name} differs from this program's copy"
    command = written.get("command")
    if not isinstance(command, list) or not command or not os.access(str(command[0]), os.X_OK):
        return f"the program that starts the helper does not exist: {command[0] if command else 'none named'}"
    return ""
