"""Checks of the installed program: its manifest, its environment, its command, and its Python."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.doctor import manifest as manifests
from deepdream_core.doctor.check import INSTALL_AGAIN, Finding, failing, passed, skipped
from deepdream_core.machine.folders import STAMP

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.machine.command import Answer
    from deepdream_core.machine.folders import UserFolders

OLDEST = (3, 11)
STILL_AT_WORK_S = 3600.0
"""A more recent change may be an installer that is still running."""

_PROBE = (
    "import json, sys; from importlib.metadata import version; "
    "print(json.dumps([version('deepdream'), sys.version_info[:3]]))"
)


def service_python(user: UserFolders) -> Path:
    """Return the Python of the installed program, or this one if none is installed."""
    used = user.used()
    return Path(sys.executable) if used is None else user.python_in(used)


def check_program(user: UserFolders, version: str, run: Callable[..., Answer]) -> Finding:
    """Check that the program is installed, complete, and of this version; `run` runs a program."""
    app, there = user.app, user.used()
    manifest = manifests.read(user)
    if manifest is None or "app" not in manifest.parts:
        if there is not None or (app.is_dir() and any(app.iterdir())):
            return failing(f"{user.short(app)}: an installation was not finished", INSTALL_AGAIN)
        return skipped(f"{version} in {user.short(Path(sys.prefix))}; not installed with `python3 install`")
    if there is None:
        return failing(f"{user.short(user.current)} is missing, or does not point to a version", INSTALL_AGAIN)
    recorded = Path(manifest.app or "").name
    if there.name != recorded:
        what = f"{user.short(user.current)} points to {there.name}, but the manifest names {recorded}"
        return failing(what, INSTALL_AGAIN)
    answer = run(str(user.python_in(there)), "-I", "-c", _PROBE)
    if answer.code != 0:
        return failing(f"the program in {user.short(there)} does not run: {answer.last:.200}", INSTALL_AGAIN)
    installed = str(json.loads(answer.out)[0])
    if installed != manifest.version:
        return failing(
            f"{user.short(there)} contains {installed}, but the manifest names {manifest.version}", INSTALL_AGAIN
        )
    if installed != version:
        return failing(
            f"{installed} is installed, but this is {version} in {user.short(Path(sys.prefix))}",
            "install this version: `python3 install` in its clone",
        )
    if altered := manifests.first_of(manifest.part("app").altered()):
        return failing(altered, INSTALL_AGAIN)
    return passed(f"{installed} in {user.short(there)}")


def check_leftovers(user: UserFolders, now: float) -> Finding:
    """Check for remains of interrupted installations; `now` is the wall clock's time."""
    app = user.app
    if not app.is_dir():
        return skipped("no program is installed")
    manifest, there = manifests.read(user), user.used()
    known = {Path(manifest.app or "").name if manifest else "", there.name if there else ""}
    recorded = manifest.part("app").trees if manifest else []
    # Anything else there is the user's, which the installer leaves alone.
    ours = (path for path in sorted(app.iterdir()) if path.is_dir() and not path.is_symlink())
    ours = (path for path in ours if (path / STAMP).exists() or str(path) in recorded)
    left = [path for path in ours if path.name not in known]
    fresh = [path for path in left if now - path.lstat().st_mtime < STILL_AT_WORK_S]
    if len(fresh) < len(left):
        old = [path.name for path in left if path not in fresh]
        return failing(f"{user.short(app)} contains unused versions: {', '.join(old)}", INSTALL_AGAIN)
    return passed(f"an installation may be under way in {user.short(fresh[0])}" if fresh else "none")


def check_command(user: UserFolders) -> Finding:
    """Check that `deepdream`, typed in a terminal, starts the installed program."""
    launcher = user.launcher
    if not os.path.lexists(launcher):
        manifest = manifests.read(user)
        if manifest and "app" in manifest.parts:
            return failing(f"{user.short(launcher)} is missing", INSTALL_AGAIN)
        return skipped("no program is installed")
    if not os.access(launcher, os.X_OK):
        return failing(f"{user.short(launcher)} is not executable", f"`chmod 755 {shlex.quote(str(launcher))}`")
    folders = user.environ.get("PATH", "")
    found = shutil.which("deepdream", path=folders)
    if found and Path(found).exists() and Path(found).samefile(launcher):
        return passed(user.short(launcher))
    if any(
        os.path.realpath(entry) == os.path.realpath(launcher.parent) for entry in folders.split(os.pathsep) if entry
    ):
        return failing(
            f"another `deepdream` comes first on PATH: {found}", f"put {user.short(launcher.parent)} before it on PATH"
        )
    where = user.short(launcher.parent)
    if user.platform == "win32":
        return failing(f"PATH lacks {where}", f'`setx PATH "%PATH%;{launcher.parent}"`, then open a new terminal')
    shell = Path(user.environ.get("SHELL", "")).name
    if shell == "fish":
        return failing(f"PATH lacks {where}", "`fish_add_path ~/.local/bin`")
    file = {"zsh": "~/.zshrc", "bash": "~/.bashrc"}.get(shell, "~/.profile")
    return failing(
        f"PATH lacks {where}", f'add `export PATH="$HOME/.local/bin:$PATH"` to {file}, and open a new terminal'
    )


def check_python(python: Path, version: tuple[int, ...], run: Callable[..., Answer]) -> Finding:
    """Check that a Python runs and is new enough; `version` is this program's own."""
    found = version[:3]
    if python != Path(sys.executable):
        answer = run(str(python), "-I", "-c", "import json, sys; print(json.dumps(sys.version_info[:3]))")
        if answer.code != 0:
            return failing(f"{python} does not run: {answer.last:.200}", INSTALL_AGAIN)
        found = tuple(json.loads(answer.out))
    words = ".".join(map(str, found))
    if found[:2] < OLDEST:
        return failing(
            f"{words} is too old", f"install Python {'.'.join(map(str, OLDEST))} or newer, then {INSTALL_AGAIN}"
        )
    return passed(words)


def install_command(user: UserFolders, part: str) -> str:
    """Return the command that reinstalls a part, with the installed program's own installer if there is one."""
    source = user.data / "app" / "current" / "source" / "install"
    if (source / "__main__.py").exists():
        return f"`python3 {shlex.quote(str(source))} {part}`"
    return f"`python3 install {part}` in DeepDream's clone"
