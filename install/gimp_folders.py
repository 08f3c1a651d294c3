"""Where GIMP 3 looks for plug-ins: one folder for each user and minor version, made when that GIMP runs first."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import processes

ASK_WITHIN_S = 5.0
FIRST_RUN_WITHIN_S = 120.0
PLUG_INS = "plug-ins"
_VERSION = re.compile(r"3\.\d{1,3}")
_SAYS = re.compile(r"\b(\d+\.\d+)\.\d+")
_NAMED = re.compile(r"gimp(?:-console)?(?:-(\d+(?:\.\d+)?))?(?:\.exe)?", re.IGNORECASE)


@dataclass(frozen=True)
class Program:
    """A GIMP on PATH, and its minor version as in `3.0`."""

    path: Path
    version: str


def bases(environ: Mapping[str, str], platform: str, home: Path) -> list[Path]:
    """Return the folders that may hold a folder for each version, the usual one first, then those of sandboxes."""
    if platform == "win32":
        local = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        store = sorted((local / "Packages").glob("*GIMP*/LocalCache/Roaming/GIMP"))
        return [Path(environ.get("APPDATA") or home / "AppData" / "Roaming", "GIMP"), *store]
    if platform == "darwin":
        return [home / "Library" / "Application Support" / "GIMP"]
    config = environ.get("XDG_CONFIG_HOME", "")
    own = [Path(config, "GIMP")] if os.path.isabs(config) else []  # noqa: PTH117
    sandboxes = (".var/app/org.gimp.GIMP/config/GIMP", "snap/gimp/current/.config/GIMP")
    return [*own, home / ".config" / "GIMP", *(home / place for place in sandboxes)]


def existing(environ: Mapping[str, str], platform: str, home: Path) -> list[Path]:
    """Return the folder of each version of GIMP 3 that has run, GIMP3_DIRECTORY's among them, each once."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        own = environ.get("GIMP3_DIRECTORY", "")
        if own and (home / own).is_dir():
            found.append(home / own)
    for base in bases(environ, platform, home):
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
    """Return one GIMP 3 on PATH for each minor version, rather its console; asks those whose name does not tell."""
    found: dict[str, Program] = {}
    for path in sorted(_candidates(environ), key=lambda path: "console" not in path.name):
        match = _NAMED.fullmatch(path.name)
        told = match[1] if match else None
        version = told if told and "." in told else _asked(path)
        if version and _VERSION.fullmatch(version):
            found.setdefault(version, Program(path, version))
    return list(found.values())


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield GIMP's programs on PATH: the first of each name, and links to the same file once."""
    names: set[str] = set()
    files: set[Path] = set()
    for folder in environ.get("PATH", "").split(os.pathsep):
        with contextlib.suppress(OSError):
            # The longest name first: it tells its version without being asked.
            for path in sorted(Path(folder).iterdir(), key=lambda path: -len(path.name)) if folder else ():
                if not _NAMED.fullmatch(path.name) or path.name in names or not os.access(path, os.X_OK):
                    continue
                names.add(path.name)
                if path.is_file() and path.resolve() not in files:
                    files.add(path.resolve())
                    yield path


def _asked(program: Path) -> str | None:
    """Return the minor version that a GIMP says it has."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [program, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=ASK_WITHIN_S, check=False,
            env=processes.clean_environment(LC_ALL="C", LANGUAGE="C"),
        )  # fmt: skip
        if match := _SAYS.search(done.stdout.decode("utf-8", "replace")):
            return match[1]
    return None


def run_first(program: Path) -> bool:
    """Let a GIMP that has never run make its folder, without a window; return whether it ended well.

    It alone can: in a folder made by somebody else it would neither take over the settings of an older GIMP nor make what
    belongs there (seen with 3.0.4).
    """
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [program, "--no-interface", "--no-data", "--no-fonts", "--quit"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=FIRST_RUN_WITHIN_S, check=False,
            env=processes.clean_environment(),
        )  # fmt: skip
        return done.returncode == 0
    return False


def here() -> tuple[Mapping[str, str], str, Path]:
    """Return this process's environment, platform and home folder, as the functions above take them."""
    try:
        return os.environ, sys.platform, Path.home()
    except RuntimeError:
        return os.environ, sys.platform, Path(os.sep, "nonexistent")
