"""`python3 install gimp`: lay the plug-in into GIMP's folders, with what it needs of the package and `deepdream.json`."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import environment
import gimp_folders
import processes
from packages import python_of
from screen import Screen
from trouble import Exit, InstallError, disk_full, free_bytes, from_os_error

NAME = "deepdream"
PROGRAM = f"{NAME}.py"
MARK = b"plug-in-deepdream-check"
"""What our program holds and no other."""
FACTS = f"{NAME}.json"
SOURCE = Path("plugin", NAME)
FROM_CORE = ("wire.py", "client.py", "connection.py", "launch.py", "helper_errors.py", "service_endpoint.py")
"""The helper's client, which the plug-in carries a copy of."""
ASK_WITHIN_S = 60.0
SIZE = 10_000_000

Files = Mapping[str, bytes]
"""What lies in an installed plug-in: the path in its folder, with `/`, and the content."""


@dataclass(frozen=True)
class Request:
    """What was asked for: `into` are folders of plug-ins, none for all that are found."""

    dry_run: bool
    into: tuple[Path, ...]


def run(root: Path, words: Sequence[str], torch_index: str | None, screen: Screen) -> int:
    """Install the plug-in of the project at `root`; return the exit code, that of the first folder that failed.

    That no GIMP is there is said, and is no failure. Raises InstallError.
    """
    told = Screen(sys.stdout)
    request = parse(words)
    folders = list(request.into) or _found(request.dry_run, told)
    if not folders:
        told.line(
            "No GIMP 3 was found, so nothing was installed. When there is one: start it once, then run "
            "`python3 install gimp` again."
        )
        told.line(
            "Or name its folder of plug-ins (GIMP: Edit > Preferences > Folders > Plug-ins): "
            "`python3 install gimp --into FOLDER`"
        )
        return 0
    if request.dry_run:
        files = wanted_files(
            root, facts(root, python_of(root / ".venv")) if python_of(root / ".venv").exists() else None
        )
    else:
        files = wanted_files(root, facts(root, environment.ensure(root, (), torch_index, screen)))
    code = changed = 0
    for folder in folders:
        try:
            outcome = install(folder, files, dry_run=request.dry_run)
        except InstallError as error:
            screen.line(str(error))
            code = code or error.code
            continue
        told.line(f"{'would be ' if request.dry_run and outcome != 'unchanged' else ''}{outcome}: {folder / NAME}")
        changed += outcome != "unchanged"
    if changed and not request.dry_run:
        told.line("Start GIMP, again if it runs: Filters > Artistic > DeepDream...")
    return code


def parse(words: Sequence[str]) -> Request:
    """Take the command's arguments apart; raises InstallError if they make no sense."""
    dry_run, into = False, []
    rest = iter(words)
    for word in rest:
        if word == "--dry-run":
            dry_run = True
        elif word == "--into" or word.startswith("--into="):
            given = word.partition("=")[2] if "=" in word else next(rest, "")
            if not given or given.startswith("-"):
                raise InstallError("--into needs a folder", _SEE, Exit.USAGE)
            into.append(_plug_ins_of(Path(given).expanduser().absolute()))
        else:
            raise InstallError(f"`gimp` does not take {word}", _SEE, Exit.USAGE)
    return Request(dry_run, tuple(dict.fromkeys(into)))


_SEE = "`python3 install gimp [--dry-run] [--into FOLDER] ...`, FOLDER being a folder of GIMP plug-ins"


def _plug_ins_of(folder: Path) -> Path:
    """Return the folder of plug-ins that a person means, who may have named the one of GIMP's version, or the plug-in's."""
    if folder.name == NAME and folder.parent.name == gimp_folders.PLUG_INS:
        return folder.parent
    is_version = folder.name.startswith("3.") and folder.parent.name == "GIMP"
    return folder / gimp_folders.PLUG_INS if is_version else folder


def _found(dry_run: bool, told: Screen) -> list[Path]:
    """Return the folder of plug-ins of each GIMP 3 of this user; a GIMP that never ran is let make its own."""
    environ, platform, home = gimp_folders.here()
    folders = gimp_folders.existing(environ, platform, home)
    usual = gimp_folders.bases(environ, platform, home)[0]
    for program in gimp_folders.on_path(environ):
        new = usual / program.version
        if environ.get("GIMP3_DIRECTORY") or any(folder.name == program.version for folder in folders):
            continue
        if dry_run:
            told.line(f"GIMP {program.version} has not run yet: it would be run once without a window, to make {new}")
            folders.append(new)
            continue
        told.line(
            f"GIMP {program.version} has not run yet: running it once without a window, so that it makes its folder"
        )
        gimp_folders.run_first(program.path)
        if new.is_dir():
            folders.append(new)
        else:
            told.line(
                f"GIMP {program.version} did not make {new}: start it once, then run `python3 install gimp` again"
            )
    return [folder / gimp_folders.PLUG_INS for folder in folders]


def facts(root: Path, python: Path) -> bytes:
    """Return what the installed package tells the plug-in, as JSON; raises InstallError."""
    module = "deepdream_core.plugin_facts"
    todo = f"its output: `{python} -m {module}`"
    try:
        done = subprocess.run(
            [python, "-P", "-m", module], capture_output=True, stdin=subprocess.DEVNULL, timeout=ASK_WITHIN_S,
            check=False, cwd=root, env=processes.clean_environment(),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(
            f"the package does not tell what the plug-in needs ({error})", todo, Exit.ENVIRONMENT
        ) from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InstallError(said[-1] if said else f"{module} ended with {done.returncode}", todo, Exit.ENVIRONMENT)
    if not _is_ours(done.stdout):
        raise InstallError(f"{module} did not print what the plug-in needs", todo, Exit.ENVIRONMENT)
    return done.stdout


def _is_ours(data: bytes) -> bool:
    """Return whether this is the content of a `deepdream.json`, the mark of our plug-in."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and {"version", "protocol", "command"} <= told.keys()


def wanted_files(root: Path, told: bytes | None) -> Files:
    """Return what is to lie in the plug-in's folder; `told` is its deepdream.json. Raises InstallError if any is missing.

    None stands for what cannot be known yet: it equals no file.
    """
    source = root / SOURCE
    paths = {path.name: path for path in sorted(source.glob("*.py"))}
    for path in sorted((source / "locale").rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            paths[path.relative_to(source).as_posix()] = path
    paths |= {name: root / "deepdream_core" / name for name in FROM_CORE}
    try:
        if PROGRAM not in paths:
            raise FileNotFoundError(2, "No such file", str(source / PROGRAM))
        return {name: path.read_bytes() for name, path in paths.items()} | {FACTS: told if told is not None else b""}
    except OSError as error:
        raise InstallError(
            f"{error.filename} cannot be read: {error.strerror}",
            "restore it with `git checkout plugin deepdream_core`, or clone the project again",
            Exit.ENVIRONMENT,
        ) from None


def install(plug_ins: Path, files: Files, *, dry_run: bool = False) -> str:
    """Make the folder `deepdream` in a folder of plug-ins hold these files and no others; return what that took.

    `unchanged`, `updated` or `installed`. The folder is exchanged as a whole; where it cannot be moved (Windows, while the
    plug-in runs), each file is. Raises InstallError, for a `deepdream` that is not ours above all.
    """
    target = plug_ins / NAME
    try:
        was_there = _check_ours(target)
        if was_there and _holds(target, files):
            return "unchanged"
        if not dry_run:
            plug_ins.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(plug_ins)
            _exchange(plug_ins, target, files)
    except OSError as error:
        raise _told(error, plug_ins) from None
    return "updated" if was_there else "installed"


def _check_ours(target: Path) -> bool:
    """Return whether our plug-in is there; raises InstallError if something else has its name."""
    if not os.path.lexists(target):
        return False
    if target.is_dir() and not target.is_symlink():
        if not any(target.iterdir()):
            return False
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            if MARK in (target / PROGRAM).read_bytes():  # its deepdream.json may be missing or damaged
                return True
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            if _is_ours((target / FACTS).read_bytes()):
                return True
    raise InstallError(
        f"{target} is there already, and was not installed by this project",
        "move or delete it, then run this again",
        Exit.ENVIRONMENT,
    )


def _holds(target: Path, files: Files) -> bool:
    """Return whether exactly these files are there, and GIMP may run the program; what Python compiled does not count."""
    there = {
        path.relative_to(target).as_posix(): path
        for path in target.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return (
        there.keys() == files.keys()
        and all(there[name].read_bytes() == content for name, content in files.items())
        and os.access(target / PROGRAM, os.X_OK)
    )


def _exchange(plug_ins: Path, target: Path, files: Files) -> None:
    """Put a new folder in the place of the old one. Its name begins with a dot until then: GIMP finds no plug-in in it."""
    new = Path(tempfile.mkdtemp(prefix=f".{NAME}-", suffix=".new", dir=plug_ins))
    old = new.with_suffix(".old")
    try:
        _fill(new, files, _later_than(target / PROGRAM))
        try:
            if os.path.lexists(target):
                target.rename(old)
        except PermissionError:
            if not _folders_may_be_in_use():
                raise
            _replace_each(new, target, files)
            return
        try:
            new.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
    finally:
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)


def _folders_may_be_in_use() -> bool:
    """Return whether this system refuses to move a folder in which a file is open."""
    return os.name == "nt"


def _fill(folder: Path, files: Files, when: float) -> None:
    """Write the files; the program last and dated `when`, as its date is what GIMP looks at for changes."""
    folder.chmod(0o755)  # mkdtemp closes it to others
    for name in sorted(files, key=lambda name: name == PROGRAM):
        path = folder.joinpath(*PurePosixPath(name).parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(files[name])
            file.flush()
            os.fsync(file.fileno())
        path.chmod(0o755 if name == PROGRAM else 0o644)
    os.utime(folder / PROGRAM, (when, when))


def _later_than(program: Path) -> float:
    """Return a date for the new program: now, or later if the old one has that second's already."""
    with contextlib.suppress(OSError):
        return max(time.time(), int(program.stat().st_mtime) + 1.0)
    return time.time()


def _replace_each(new: Path, target: Path, files: Files) -> None:
    """Move each file into the folder, the program last; then remove what does not belong there."""
    for name in sorted(files, key=lambda name: name == PROGRAM):
        path = target.joinpath(*PurePosixPath(name).parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(new.joinpath(*PurePosixPath(name).parts), path)  # noqa: PTH105
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_dir():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        elif path.relative_to(target).as_posix() not in files:
            path.unlink()


def _remove_leftovers(plug_ins: Path) -> None:
    """Remove what an install that was killed left behind, unless another one may be at work on it."""
    for left in [*plug_ins.glob(f".{NAME}-*.new"), *plug_ins.glob(f".{NAME}-*.old")]:
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 600:
                shutil.rmtree(left, ignore_errors=True)


def _told(error: OSError, plug_ins: Path) -> InstallError:
    """Return what an error of the operating system met in a folder of plug-ins stands for."""
    told = from_os_error(error, plug_ins, SIZE)
    if told.code == Exit.NOT_WRITABLE:
        return InstallError(told.what, "change its owner, or name another folder with --into", Exit.NOT_WRITABLE)
    if told.code == Exit.DISK_FULL or free_bytes(plug_ins) < SIZE:
        return disk_full(plug_ins, SIZE)
    return told
