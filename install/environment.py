"""The environment `.venv` beside `install/`: created once, checked in milliseconds, repaired when damaged."""

import contextlib
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import install_lock
import launcher
import processes
import torch_build
from actions import put
from errors import GB, Exit, InstallError, disk_full, free_bytes, from_os_error, without_credentials
from packages import Pip, Target, forget_damaged, log_header, python_of
from project import Project, Space, check_space, space_for
from screen import Screen, clock_text
from stamp import Stamp

from deepdream_core.machine.command import clean_environment
from deepdream_core.machine.folders import NAME, STAMP

LOG = "install.log"
USUAL_INDEX = "default"
# With less free, a failure is blamed on the full disk: venv does not always report that.
ALMOST_NONE = GB // 100


def ensure(root: Path, extras: tuple[str, ...], torch_index: str | None, screen: Screen) -> Path:
    """Return the Python of an environment at `root` with the project and its `extras`; creates or repairs it if needed.

    `torch_index` is the URL of torch's index; None keeps the earlier choice, and `default` returns to pip's default index.
    Raises InstallError. Takes a few milliseconds if there is nothing to do.
    """
    venv = root / ".venv"
    python = python_of(venv)
    needs: Space | None = None
    try:
        if _serves(venv, Stamp.wanted(root, extras, chosen_index(torch_index, venv))):
            _isolate_command(venv)
            return python
        project = Project.read(root)
        needs = space_for(project, "")
        _make_folder(venv)
        with processes.ended_by_signals(), processes.closed_to_others(), install_lock.install_lock(venv, screen):
            # Check again: another install may have finished it while this one waited.
            index = index_for(project, torch_index, screen, venv)
            wanted = Stamp.wanted(root, extras, index)
            if not _serves(venv, wanted):
                needs = space_for(project, index)
                started = screen.clock()
                fill(Target(project, venv, needs, screen), wanted, index)
                screen.line(f"Ready after {clock_text(screen.clock() - started)}")
            _isolate_command(venv)
        return python
    except OSError as error:
        raise from_os_error(error, venv, needs.likely if needs else GB) from error


def there(root: Path, torch_index: str | None) -> Path | None:
    """Return the Python of the environment at `root` if it is ready, else None."""
    venv = root / ".venv"
    ready = _serves(venv, Stamp.wanted(root, (), chosen_index(torch_index, venv)))
    return python_of(venv) if ready else None


def commands(root: Path, index: str) -> list[str]:
    """Return the commands by which `ensure` creates the environment, as a dry run prints them; none if it is ready."""
    venv, project = root / ".venv", Project.read(root)
    if _serves(venv, Stamp.wanted(root, (), index)):
        return []
    pip = f"{shlex.quote(str(python_of(venv)))} -m pip install"
    shown = without_credentials(index)
    torch = [f"{pip} --index-url {shown} --no-deps {shlex.join(project.torch())}"] if index else []
    more = f" --extra-index-url {shown}" if index else ""
    return [
        shlex.join([sys.executable, "-m", "venv", str(venv)]),
        *torch,
        f"{pip} -c install/constraints.txt -e .{more}",
    ]


def chosen_index(torch_index: str | None, *venvs: Path) -> str:
    """Return the URL of torch's index, "" for the default index: `torch_index`, else that of the first of `venvs`."""
    if torch_index is None:
        return next((have.torch_index for venv in venvs if (have := Stamp.read(venv))), "")
    return "" if torch_index == USUAL_INDEX else torch_index


def index_for(project: Project, torch_index: str | None, screen: Screen, *venvs: Path) -> str:
    """Return the same for an install, which picks what suits the machine if there is no earlier choice."""
    if torch_index is None and not any(map(Stamp.read, venvs)):
        return torch_build.automatic(project, screen)
    index = chosen_index(torch_index, *venvs)
    if torch_index is None:
        torch_build.notice(index, screen)
    return index


def _serves(venv: Path, wanted: Stamp) -> bool:
    """Return whether the environment can be used unchanged."""
    have = Stamp.read(venv)
    # `exists` follows links: an uninstalled Python leaves a broken link.
    return have is not None and have.serves(wanted) and python_of(venv).exists()


def _isolate_command(venv: Path) -> None:
    """Replace pip's script `deepdream`, which loads modules from PYTHONPATH, by one that does not.

    pip's own script isolates itself only after Python has started (see `deepdream_core.__main__`).
    """
    script, wanted = venv / "bin" / NAME, launcher.script(python_of(venv))
    with contextlib.suppress(OSError):  # on Windows it is a program; another user may own the clone
        if script.read_bytes() != wanted:
            put(script, wanted, 0o755)


def _make_folder(venv: Path) -> None:
    """Create the environment's folder, which holds the lock."""
    try:
        venv.mkdir(exist_ok=True)
    except FileExistsError:
        raise InstallError(
            f"{venv} is not a folder", "rename or delete it, then run this again", Exit.ENVIRONMENT
        ) from None


def fill(target: Target, wanted: Stamp, index: str) -> None:
    """Fill the target's environment as `wanted`, with torch from `index`; the caller holds the lock in its folder.

    Continues an earlier, interrupted run where possible. Raises InstallError and OSError.
    """
    venv = target.venv
    have = Stamp.read(venv)
    if have and have.can_become(wanted):
        wanted = replace(wanted, extras=tuple(sorted({*have.extras, *wanted.extras})))
    usable = _usable(venv, have, wanted)
    # Each stamp is written before the change it describes, so that the next run knows what it finds.
    if not usable:
        if have:
            replace(have, complete=False).write(venv)
        _clear(target)
        check_space(venv, target.needs, target.screen)
    wanted.write(venv)
    with (venv / LOG).open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(log_header(target.project.root))
        if not usable or not _has_pip(venv):
            _create(target, log)
        elif have is None or not have.complete:
            for name in forget_damaged(venv):
                log.write(f"damaged, reinstalling: {name}\n")
        Pip(target, log).fill(wanted.extras, index)
    wanted.finished().write(venv)


def _usable(venv: Path, have: Stamp | None, wanted: Stamp) -> bool:
    """Return whether the existing environment can be filled; raises InstallError for one that is not ours."""
    runs = _ask(venv, "import sys; print('%d.%d' % sys.version_info[:2])")
    if have is not None:
        return have.can_become(wanted) and runs == wanted.python
    if runs and runs != wanted.python:
        # A working environment that something else created: not ours to delete.
        raise InstallError(
            f"{venv} was not created by this installer and is for Python {runs}, but this is Python {wanted.python}",
            f"delete or rename it, or run this command with Python {runs}",
            Exit.ENVIRONMENT,
        )
    return bool(runs)


def _has_pip(venv: Path) -> bool:
    """Return whether the environment's pip can be loaded."""
    return _ask(venv, "import pip._internal; print('yes')") == "yes"


def _ask(venv: Path, code: str) -> str:
    """Return what the environment's Python prints for `code`, or "" if it fails."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        argv = [str(python_of(venv)), "-I", "-c", code]
        env = clean_environment()
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""
    return ""


def _clear(target: Target) -> None:
    """Empty the environment's folder, except for the lock, the stamp and what the target keeps."""
    kept = (install_lock.NAME, STAMP, *target.kept)
    old = [path for path in target.venv.iterdir() if path.name not in kept]
    if any(path.name != LOG for path in old):
        target.screen.line(f"Removing the old {target.venv.name}, which cannot be used any more")
    for path in old:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _create(target: Target, log: TextIO) -> None:
    """Create an environment with pip in the folder, or restore a lost pip; raises InstallError."""
    try:
        import ensurepip  # noqa: F401  # Debian and Ubuntu leave it out
        import venv as _venv  # noqa: F401
    except ImportError:
        raise _no_venv() from None
    # Inside another environment, use its base Python: the new environment must survive the removal of the other.
    base = getattr(sys, "_base_executable", None) or sys.executable
    venv = target.venv
    with target.screen.stage(f"Creating {venv.name}") as stage:
        done = processes.run(
            [base, "-m", "venv", venv],
            log=log,
            cwd=venv.parent,
            env=clean_environment(PYTHONNOUSERSITE="1", PIP_USER="0"),
            on_tick=lambda: stage.tick(None, "python -m venv"),
        )
        if done.code == 0 and _has_pip(venv):
            return
        if free_bytes(venv) < ALMOST_NONE or any("Errno 28" in line for line in done.lines):
            raise disk_full(venv, target.needs.likely)
        if any("ensurepip is not available" in line for line in done.lines):
            raise _no_venv()
    last = next((line for line in reversed(done.lines) if line.strip()), f"exit code {done.code}")
    raise InstallError(f"`python -m venv` failed: {last}", f"its output is in {venv / LOG}", Exit.ENVIRONMENT)


def _no_venv() -> InstallError:
    """Return the error for a Python without the modules that create environments."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if sys.platform.startswith("linux"):
        todo = f"install it (Debian, Ubuntu: `sudo apt install python{version}-venv`), then run the same command again"
    else:
        todo = "install Python from https://www.python.org/downloads/, which has both, then run the same command again"
    return InstallError(f"this Python {version} lacks the modules venv or ensurepip", todo, Exit.NO_VENV)
