"""`python3 install gimp`: install the plug-in into GIMP's folders, with what it copies from the package."""

import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import plug_in
from actions import YOURS, Actions, Change, content_of, yours
from errors import Exit, InstallError
from plug_in import Files, are_facts
from screen import Screen

from deepdream_core.machine.command import ask
from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.gimp import (
    COPIES,
    FACTS,
    PLUG_IN,
    PLUG_INS,
    PROGRAM,
    bases,
    existing,
    first_run,
    on_path,
    run_first,
)
from deepdream_core.machine.manifest import digest

SOURCE = Path("plugin", PLUG_IN)
CLIENT = "link/client.py"
FORMER = (
    "client.py", "connection.py", "helper_errors.py", "launch.py", "link.py", "service_endpoint.py", "wire.py",
)  # fmt: skip
"""Files of earlier versions' plug-ins."""
ASK_WITHIN_S = 60.0

_KEPT = re.compile(rf"{re.escape(YOURS)}(\.\d+)?$")


@dataclass(frozen=True)
class Request:
    """The command's options: `into` are GIMP plug-in folders, empty for all that are found."""

    dry_run: bool
    into: tuple[Path, ...]


def run(
    user: UserFolders,
    root: Path,
    into: Sequence[Path],
    python: Callable[[], Path | None],
    actions: Actions,
    screen: Screen,
) -> int:
    """Install the plug-in of the project at `root`; return the exit code, that of the first folder that failed.

    `into` are GIMP plug-in folders, empty for all that are found.
    `python` returns the Python that has the package, installing it if needed, or None in a dry run if it is not installed.
    A machine without GIMP is not an error. Raises InstallError and OSError.
    """
    output = actions.output
    folders = list(into) or _found(user, actions)
    if not folders:
        output.line(
            "No GIMP 3 was found, so the filter was not installed. After installing GIMP, start it once, then run "
            "`python3 install gimp`."
        )
        output.line(
            "Or name its plug-in folder (in GIMP: Edit > Preferences > Folders > Plug-ins): "
            "`python3 install gimp --into FOLDER`"
        )
        return 0
    there = python()
    files = wanted_files(root, facts(root, there) if there else None)
    code = changed = 0
    for folder in folders:
        try:
            outcome = put_into(folder, files, actions)
        except InstallError as error:
            screen.line(str(error))
            code = code or error.code
            continue
        changes = outcome != "unchanged"
        output.line(f"{'would be ' if changes and actions.dry_run else ''}{outcome}: {folder / PLUG_IN}")
        changed += changes
    if changed and not actions.dry_run:
        output.line("Start or restart GIMP, then choose Filters > Artistic > DeepDream...")
    return code


def put_into(plug_ins: Path, files: Files, actions: Actions) -> str:
    """Install and record the files in one folder; return `plug_in.outcome`."""
    target = plug_ins / PLUG_IN
    kept = _yours(target, actions)
    outcome = plug_in.outcome(plug_ins, {**files, **{new: content for new, (_, content) in kept.items()}})
    lines = [f"keep your version of {target / old} as {new}" for new, (old, _) in kept.items() if old != new]
    if outcome != "unchanged":
        lines += [f"write {target.joinpath(*PurePosixPath(name).parts)}" for name in sorted(files)]
    actions.folder(plug_ins)
    actions.apply(Change("\n".join(lines), partial(_put, plug_ins, files, kept, actions)))
    return outcome


def _put(plug_ins: Path, files: Files, kept: dict[str, tuple[str, bytes]], actions: Actions) -> None:
    """Record the files and install them; `kept` as `_yours` returns it."""
    target = plug_ins / PLUG_IN
    part = actions.part
    for name, content in files.items():
        path = str(target.joinpath(*PurePosixPath(name).parts))
        there = content_of(Path(path))
        if there is not None and there != content and part.wrote(Path(path), there):
            part.replacing[path] = digest(there)
        elif path in part.files and part.files[path] != digest(content):
            part.replacing[path] = part.files[path]
        part.files[path] = digest(content)
    inside = {str(target / folder) for name in files for folder in PurePosixPath(name).parents}
    part.folders += sorted(inside - set(part.folders))
    actions.manifest.save()
    plug_in.install(plug_ins, {**files, **{new: content for new, (_, content) in kept.items()}})
    for old, new in [(old, new) for new, (old, _) in kept.items() if old != new]:
        actions.output.line(f"You changed {target / old}; your version is now {new}")
    gone = [path for path in part.files if Path(path).is_relative_to(target) and not os.path.lexists(path)]
    for path in gone:  # no longer part of the plug-in
        part.files.pop(path)
    for path in [path for path in part.replacing if Path(path).is_relative_to(target)]:
        part.replacing.pop(path)
    actions.manifest.save()


def _yours(target: Path, actions: Actions) -> dict[str, tuple[str, bytes]]:
    """Return the user's own and changed files in the plug-in's folder: the name to keep each by, its name and content.

    Includes files that were kept earlier. Empty for a folder that the record does not know. Raises OSError.
    """
    if not any(Path(path).is_relative_to(target) for path in actions.part.files):
        return {}
    there = {
        path.relative_to(target).as_posix(): path
        for path in sorted(target.rglob("*"))
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
    }
    kept: dict[str, tuple[str, bytes]] = {}
    for name, path in there.items():
        content = path.read_bytes()
        if _KEPT.search(name):
            kept[name] = (name, content)
        elif not actions.part.wrote(path, content):
            kept[yours(path).relative_to(target).as_posix()] = (name, content)
    return kept


def recorded(actions: Actions) -> tuple[Path, ...]:
    """Return the plug-in folders that the record names and that still exist."""
    programs = (
        Path(path) for path in actions.part.files if Path(path).name == PROGRAM and Path(path).parent.name == PLUG_IN
    )
    return tuple(dict.fromkeys(path.parent.parent for path in programs if path.parent.parent.is_dir()))


def parse(words: Sequence[str]) -> Request:
    """Parse the command's arguments; raises InstallError if they are invalid."""
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


_SEE = "`python3 install gimp [--dry-run] [--into FOLDER] ...`, where FOLDER is a GIMP plug-in folder"


def _plug_ins_of(folder: Path) -> Path:
    """Return the plug-in folder for one that the user named, perhaps GIMP's folder above or our plug-in's below it."""
    if folder.name == PLUG_IN and folder.parent.name == PLUG_INS:
        return folder.parent
    is_version = folder.name.startswith("3.") and folder.parent.name == "GIMP"
    return folder / PLUG_INS if is_version else folder


def _found(user: UserFolders, actions: Actions) -> list[Path]:
    """Return the plug-in folder of each GIMP 3 of this user; runs a GIMP that never ran, so that it creates its folder."""
    folders = existing(user)
    usual = bases(user)[0]
    for program in on_path(user.environ):
        new = usual / program.version
        if user.environ.get("GIMP3_DIRECTORY") or any(folder.name == program.version for folder in folders):
            continue
        actions.output.line(
            f"GIMP {program.version} has not run yet: it must run once, without a window, to create its folder"
        )
        actions.apply(
            Change(f"run: {shlex.join(first_run(program.path))}\ncreate {new}, by it", partial(run_first, program.path))
        )
        if new.is_dir() or actions.dry_run:
            folders.append(new)
        else:
            actions.output.line(
                f"GIMP {program.version} did not create {new}: start it once, then run `python3 install gimp` again"
            )
    return [folder / PLUG_INS for folder in folders]


def facts(root: Path, python: Path) -> bytes:
    """Return the content of deepdream.json, which the installed package prints; raises InstallError."""
    module = "deepdream_core.plugin_facts"
    todo = f"to see its output, run `{python} -m {module}`"
    answer = ask(python, "-I", "-m", module, within_s=ASK_WITHIN_S, cwd=root)
    if answer.code:
        raise InstallError(answer.last, todo, Exit.ENVIRONMENT)
    printed = answer.out.encode()
    if not are_facts(printed):
        raise InstallError(f"{module} did not print what the plug-in needs", todo, Exit.ENVIRONMENT)
    return printed


def names(root: Path) -> list[str]:
    """Return the names of the plug-in's files, with `/`, in the project at `root` and in earlier versions."""
    return [*_paths(root), FACTS, *FORMER]


def _paths(root: Path) -> dict[str, Path]:
    """Return the source of each file of the plug-in, by name."""
    source = root / SOURCE
    paths = {path.name: path for pattern in ("*.py", "*.svg") for path in sorted(source.glob(pattern))}
    for path in (path for folder in ("help", "locale") for path in sorted((source / folder).rglob("*"))):
        if path.is_file() and not path.name.startswith("."):
            paths[path.relative_to(source).as_posix()] = path
    for folder, pattern in COPIES.items():
        for path in sorted((root / "deepdream_core" / folder).glob(pattern)):
            paths[f"{folder}/{path.name}"] = path
    return paths


def wanted_files(root: Path, facts_json: bytes | None) -> Files:
    """Return the files of the plug-in's folder; `facts_json` is its deepdream.json. Raises InstallError if one is missing.

    `facts_json` None stands for content that is not known yet and equals no existing file.
    """
    source = root / SOURCE
    paths = _paths(root)
    try:
        for name, path in ((PROGRAM, source / PROGRAM), (CLIENT, root / "deepdream_core" / CLIENT)):
            if name not in paths:
                raise FileNotFoundError(2, "No such file", str(path))
        return {name: path.read_bytes() for name, path in paths.items()} | {
            FACTS: facts_json if facts_json is not None else b""
        }
    except OSError as error:
        raise InstallError(
            f"cannot read {error.filename}: {error.strerror}",
            "restore it with `git checkout plugin deepdream_core`, or clone the project again",
            Exit.ENVIRONMENT,
        ) from None
