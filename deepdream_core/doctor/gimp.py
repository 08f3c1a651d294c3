"""Checks of the plug-in in every GIMP 3: is it there, whole, of this version, and does it know where the helper is."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deepdream_core
from deepdream_core.doctor import manifest as manifests
from deepdream_core.doctor.check import Finding, apart, well, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepdream_core.doctor.here import Here
    from deepdream_core.doctor.manifest import Manifest

PLUG_IN = Path("plug-ins", "deepdream")
PROGRAM, FACTS = "deepdream.py", "deepdream.json"
PACKAGE = Path(deepdream_core.__file__).parent
COPIES = {"link": "*.py", "thumbnails": "*.png"}
"""Modules of this package that the plug-in carries a copy of, as of its pictures of the presets."""
_VERSION = re.compile(r"3\.\d{1,3}")


def folders(here: Here) -> list[Path]:
    """Return the folder of each version of GIMP 3 that has run, each once."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        own = here.environ.get("GIMP3_DIRECTORY", "")
        if own and (here.home / own).is_dir():
            found.append(here.home / own)
    for base in _bases(here):
        with contextlib.suppress(OSError):
            versions = [path for path in base.iterdir() if _VERSION.fullmatch(path.name) and path.is_dir()]
            found += sorted(versions, key=lambda path: int(path.name.partition(".")[2]))
    seen: dict[str, Path] = {}
    for folder in found:
        seen.setdefault(os.path.realpath(folder), folder)
    return list(seen.values())


def _bases(here: Here) -> list[Path]:
    """Return what may hold a folder for each version: GIMP's usual one, and those of its sandboxed packages."""
    if here.platform == "win32":
        local = Path(here.environ.get("LOCALAPPDATA") or here.home / "AppData" / "Local")
        store = sorted((local / "Packages").glob("*GIMP*/LocalCache/Roaming/GIMP"))
        return [Path(here.environ.get("APPDATA") or here.home / "AppData" / "Roaming", "GIMP"), *store]
    if here.platform == "darwin":
        return [here.home / "Library" / "Application Support" / "GIMP"]
    config = here.environ.get("XDG_CONFIG_HOME", "")
    own = [Path(config, "GIMP")] if os.path.isabs(config) else []  # noqa: PTH117
    apart_ = (".config/GIMP", ".var/app/org.gimp.GIMP/config/GIMP", "snap/gimp/current/.config/GIMP")
    return [*own, *(here.home / place for place in apart_)]


def has_plug_in(folder: Path) -> bool:
    """Say whether our plug-in lies in a version's folder, whatever its state."""
    return (folder / PLUG_IN / FACTS).exists() or (folder / PLUG_IN / PROGRAM).exists()


def check_plug_in(
    folder: Path, elsewhere: bool, facts: Mapping[str, Any], manifest: Manifest | None, install: str
) -> Finding:
    """Look at the plug-in in one version's folder.

    `elsewhere` says whether another GIMP has it, or the installer says that one did; `facts` is what its deepdream.json
    should hold of `version`, `protocol`, `endpoint`, `state` and `service`; `install` is the command that installs it.
    """
    plug_in = folder / PLUG_IN
    if not has_plug_in(folder):
        if not elsewhere:
            return apart(f"no plug-in; {install} puts it there")
        return wrong("this GIMP has no plug-in yet", install)
    try:
        told = json.loads((plug_in / FACTS).read_bytes())
        version = str(told["version"])
    except FileNotFoundError:
        return wrong(f"{FACTS} is missing", install)
    except (ValueError, KeyError, TypeError, RecursionError):
        return wrong(f"{FACTS} is damaged", install)
    if version != facts["version"]:
        return wrong(f"the plug-in is of version {version:.20}, and this is {facts['version']}", install)
    for name, value in facts.items():
        if told.get(name) != value:
            return wrong(f"the plug-in's {name} is out of date", install)
    if trouble := _trouble(plug_in, told, manifest):
        return wrong(trouble, f"{install}, then start GIMP again")
    return well(f"plug-in {version}")


def _trouble(plug_in: Path, told: Mapping[str, Any], manifest: Manifest | None) -> str:
    """Return what is the matter with a plug-in's files."""
    if manifest is not None:
        mine = [one for one in manifest.altered("gimp") if one.startswith(f"{plug_in}{os.sep}")]
        if mine:
            return manifests.told(mine)
    program = plug_in / PROGRAM
    if not program.exists():
        return f"{PROGRAM} is missing"
    if not os.access(program, os.X_OK):
        return f"{PROGRAM} may not be run, so GIMP passes it over"
    copies = (path for folder, names in COPIES.items() for path in sorted((PACKAGE / folder).glob(names)))
    for name in (path.relative_to(PACKAGE).as_posix() for path in copies):
        if not (plug_in / name).exists():
            return f"{name} is missing"
        if (plug_in / name).read_bytes() != (PACKAGE / name).read_bytes():
            return f"{name} is another than this program's"
    command = told.get("command")
    if not isinstance(command, list) or not command or not os.access(str(command[0]), os.X_OK):
        return f"the program that starts the helper is not there: {command[0] if command else 'none'}"
    return ""
