"""GIMP 3 on this machine, and our plug-in in it: GIMP creates a folder for each user and minor version on its first run."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.machine.command import ask, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deepdream_core.machine.folders import UserFolders

ASK_WITHIN_S = 5.0
FIRST_RUN_WITHIN_S = 120.0
PLUG_INS = "plug-ins"
PLUG_IN = "deepdream"
"""The plug-in's folder inside a GIMP plug-in folder."""
PROGRAM, FACTS = f"{PLUG_IN}.py", f"{PLUG_IN}.json"
COPIES = {"link": "*.py", "engine": "pyramid.py", "thumbnails": "*.[pj][np]g"}
"""What of this package's folders the plug-in has a copy of: the helper's client, sizes of octaves, presets' pictures."""
_VERSION = re.compile(r"3\.\d{1,3}")
_SAYS = re.compile(r"\b(\d+\.\d+)\.\d+")
_NAMED = re.compile(r"gimp(?:-console)?(?:-(\d+(?:\.\d+)?))?(?:\.exe)?", re.IGNORECASE)


@dataclass(frozen=True)
class Program:
    """A GIMP on PATH, and its minor version as in `3.0`."""

    path: Path
    version: str


def bases(user: UserFolders) -> list[Path]:
    """Return the folders that may contain a folder for each version, the usual one first, then those of sandboxes."""
    home, environ = user.home, user.environ
    if user.windows:
        local = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        store = sorted((local / "Packages").glob("*GIMP*/LocalCache/Roaming/GIMP"))
        return [Path(environ.get("APPDATA") or home / "AppData" / "Roaming", "GIMP"), *store]
    if user.platform == "darwin":
        return [home / "Library" / "Application Support" / "GIMP"]
    sandboxes = (".config/GIMP", ".var/app/org.gimp.GIMP/config/GIMP", "snap/gimp/current/.config/GIMP")
    return list(dict.fromkeys([user.xdg_config / "GIMP", *(home / place for place in sandboxes)]))


def existing(user: UserFolders) -> list[Path]:
    """Return the folder of each version of GIMP 3 that has run, including GIMP3_DIRECTORY, each once."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        own = user.environ.get("GIMP3_DIRECTORY", "")
        if own and (user.home / own).is_dir():
            found.append(user.home / own)
    for base in bases(user):
        with contextlib.suppress(OSError):
            versions = [path for path in base.iterdir() if _VERSION.fullmatch(path.name) and path.is_dir()]
            found += sorted(versions, key=lambda path: int(path.name.partition(".")[2]))
    return _each_once(found)


def _each_once(folders: list[Path]) -> list[Path]:
    seen: dict[Path, Path] = {}
    for folder in folders:
        with contextlib.suppress(OSError, RuntimeError):
            seen.setdefault(folder.resolve(), folder)
    return list(seen.values())


def on_path(environ: Mapping[str, str]) -> list[Program]:
    """Return one GIMP 3 on PATH for each minor version, preferably its console; runs one whose name has no version."""
    found: dict[str, Program] = {}
    for path in sorted(_candidates(environ), key=lambda path: "console" not in path.name):
        match = _NAMED.fullmatch(path.name)
        named = match[1] if match else None
        version = named if named and "." in named else _asked(path)
        if version and _VERSION.fullmatch(version):
            found.setdefault(version, Program(path, version))
    return list(found.values())


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield GIMP's programs on PATH: the first of each name, and links to the same file once."""
    names: set[str] = set()
    files: set[Path] = set()
    for folder in environ.get("PATH", "").split(os.pathsep):
        with contextlib.suppress(OSError):
            # The longest name first: it includes the version.
            for path in sorted(Path(folder).iterdir(), key=lambda path: -len(path.name)) if folder else ():
                if not _NAMED.fullmatch(path.name) or path.name in names or not os.access(path, os.X_OK):
                    continue
                names.add(path.name)
                if path.is_file() and path.resolve() not in files:
                    files.add(path.resolve())
                    yield path


def _asked(program: Path) -> str | None:
    """Return the minor version that a GIMP prints."""
    answer = ask(program, "--version", within_s=ASK_WITHIN_S, environ=clean_environment(LC_ALL="C", LANGUAGE="C"))
    match = _SAYS.search(answer.out)
    return match[1] if match else None


def first_run(program: Path) -> list[str]:
    """Return the command by which a GIMP creates its folder, without a window."""
    return [str(program), "--no-interface", "--no-data", "--no-fonts", "--quit"]


def run_first(program: Path) -> bool:
    """Run a GIMP that has never run, without a window, so that it creates its folder; return whether it succeeded.

    Only GIMP can create it: in a folder made by another program it neither imports an older GIMP's settings nor creates its
    own files (seen with 3.0.4).
    """
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        # Its output is not read: a process that it leaves running would keep a pipe open.
        done = subprocess.run(
            first_run(program), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=FIRST_RUN_WITHIN_S, check=False, env=clean_environment(),
        )  # fmt: skip
        return done.returncode == 0
    return False


def has_plug_in(folder: Path) -> bool:
    """Return whether our plug-in is in a version's folder, in any state."""
    plug_in = folder / PLUG_INS / PLUG_IN
    return (plug_in / FACTS).exists() or (plug_in / PROGRAM).exists()
