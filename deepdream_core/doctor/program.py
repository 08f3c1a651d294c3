"""Checks of the installed program: its manifest, the environment it lies in, its command, and its Python."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.doctor import manifest as manifests
from deepdream_core.doctor.check import INSTALL_AGAIN, Finding, apart, well, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepdream_core.doctor.asking import Answer
    from deepdream_core.doctor.here import Here

OLDEST = (3, 11)
STAMP = "install.json"
"""What the installer writes into each folder of a version."""
STILL_AT_WORK_S = 3600.0
"""What an installer has changed more recently may be its work of this moment."""

_TELL = (
    "import json, sys; from importlib.metadata import version; "
    "print(json.dumps([version('deepdream'), sys.version_info[:3]]))"
)


def current(data: Path, platform: str) -> Path | None:
    """Return the folder of the program that is in use, None where no program is installed."""
    if platform == "win32":
        pointer = data / "app" / "current.txt"
        return data / "app" / pointer.read_text("utf-8").strip() if pointer.exists() else None
    link = data / "app" / "current"
    return Path(os.path.realpath(link)) if os.path.lexists(link) else None


def python_of(venv: Path, platform: str) -> Path:
    """Return the Python of an environment."""
    return venv / "Scripts" / "python.exe" if platform == "win32" else venv / "bin" / "python"


def service_python(here: Here) -> Path:
    """Return the Python that the installed program runs on, or this one's where none is installed."""
    venv = current(here.data, here.platform)
    return Path(sys.executable) if venv is None else python_of(venv, here.platform)


def check_program(here: Here, version: str, run: Callable[[Sequence[str]], Answer]) -> Finding:
    """Look whether the program is installed, whole, and of this version; `run` asks a program."""
    app = here.data / "app"
    there = current(here.data, here.platform)
    manifest = manifests.read(here.data)
    if manifest is None or "app" not in manifest.parts:
        if there is not None or (app.is_dir() and any(app.iterdir())):
            return wrong(f"{here.short(app)}: an installation was begun and not finished", INSTALL_AGAIN)
        return apart(f"{version} of {here.short(Path(sys.prefix))}; not installed with `python3 install`")
    if there is None:
        return wrong(f"{here.short(app / 'current')} is missing", INSTALL_AGAIN)
    if there != Path(os.path.realpath(here.data / manifest.app)):
        what = f"{here.short(app / 'current')} leads to {there.name}, the manifest says {Path(manifest.app).name}"
        return wrong(what, INSTALL_AGAIN)
    answer = run([str(python_of(there, here.platform)), "-I", "-c", _TELL])
    if answer.code != 0:
        return wrong(f"the program in {here.short(there)} does not run: {answer.last:.200}", INSTALL_AGAIN)
    installed = str(json.loads(answer.out)[0])
    if installed != manifest.version:
        return wrong(f"{here.short(there)} holds {installed}, the manifest says {manifest.version}", INSTALL_AGAIN)
    if installed != version:
        return wrong(
            f"{installed} is installed, and this is {version} of {here.short(Path(sys.prefix))}",
            "install this one: `python3 install` in its clone",
        )
    if altered := manifest.altered("app"):
        return wrong(manifests.told(altered), INSTALL_AGAIN)
    return well(f"{installed} in {here.short(there)}")


def check_leftovers(here: Here, now: float) -> Finding:
    """Look for what interrupted installations have left; `now` is the wall clock's time."""
    app = here.data / "app"
    if not app.is_dir():
        return apart("no program is installed")
    manifest, there = manifests.read(here.data), current(here.data, here.platform)
    known = {Path(manifest.app).name if manifest else "", there.name if there else ""}
    recorded = manifest.parts.get("app", {}).get("trees", []) if manifest else []
    # What else lies there is the user's: the installer leaves it alone, and so it is no finding.
    ours = (path for path in sorted(app.iterdir()) if path.is_dir() and not path.is_symlink())
    ours = (path for path in ours if (path / STAMP).exists() or str(path) in recorded)
    left = [path for path in ours if path.name not in known]
    fresh = [path for path in left if now - path.lstat().st_mtime < STILL_AT_WORK_S]
    if len(fresh) < len(left):
        old = [path.name for path in left if path not in fresh]
        return wrong(f"{here.short(app)} holds what is not in use: {', '.join(old)}", INSTALL_AGAIN)
    return well(f"an installation may be under way in {here.short(fresh[0])}" if fresh else "nothing is left over")


def check_command(here: Here) -> Finding:
    """Look whether `deepdream`, typed in a terminal, is the installed program."""
    launcher = here.launcher
    if not os.path.lexists(launcher):
        manifest = manifests.read(here.data)
        if manifest and "app" in manifest.parts:
            return wrong(f"{here.short(launcher)} is missing", INSTALL_AGAIN)
        return apart("no program is installed")
    if not os.access(launcher, os.X_OK):
        return wrong(f"{here.short(launcher)} cannot be run", f"`chmod 755 {shlex.quote(str(launcher))}`")
    folders = here.environ.get("PATH", "")
    found = shutil.which("deepdream", path=folders)
    if found and Path(found).exists() and Path(found).samefile(launcher):
        return well(here.short(launcher))
    if any(
        os.path.realpath(entry) == os.path.realpath(launcher.parent) for entry in folders.split(os.pathsep) if entry
    ):
        return wrong(
            f"another `deepdream` comes first on PATH: {found}", f"put {here.short(launcher.parent)} before it on PATH"
        )
    where = here.short(launcher.parent)
    if here.platform == "win32":
        return wrong(f"PATH lacks {where}", f'`setx PATH "%PATH%;{launcher.parent}"`, then open a new terminal')
    shell = Path(here.environ.get("SHELL", "")).name
    if shell == "fish":
        return wrong(f"PATH lacks {where}", "`fish_add_path ~/.local/bin`")
    file = {"zsh": "~/.zshrc", "bash": "~/.bashrc"}.get(shell, "~/.profile")
    return wrong(
        f"PATH lacks {where}", f'add `export PATH="$HOME/.local/bin:$PATH"` to {file}, and open a new terminal'
    )


def check_python(python: Path, version: tuple[int, ...], run: Callable[[Sequence[str]], Answer]) -> Finding:
    """Look whether a Python runs and is new enough; `version` is that of this program's own."""
    found = version[:3]
    if python != Path(sys.executable):
        answer = run([str(python), "-I", "-c", "import json, sys; print(json.dumps(sys.version_info[:3]))"])
        if answer.code != 0:
            return wrong(f"{python} does not run: {answer.last:.200}", INSTALL_AGAIN)
        found = tuple(json.loads(answer.out))
    words = ".".join(map(str, found))
    if found[:2] < OLDEST:
        return wrong(
            f"{words} is too old", f"install Python {'.'.join(map(str, OLDEST))} or newer, then {INSTALL_AGAIN}"
        )
    return well(words)


def install_command(here: Here, part: str) -> str:
    """Return what a person types to install a part again: with the installer that lies in the program, if one does."""
    source = here.data / "app" / "current" / "source" / "install"
    if (source / "__main__.py").exists():
        return f"`python3 {shlex.quote(str(source))} {part}`"
    return f"`python3 install {part}` in DeepDream's clone"
