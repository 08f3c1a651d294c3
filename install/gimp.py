"""`python3 install gimp`: put the plug-in into GIMP's folders, with what it needs of the package and `deepdream.json`."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from actions import YOURS, Actions, Change, content_of, yours
from errors import Exit, InstallError
from plug_in import Files, are_facts, install
from screen import Screen

from deepdream_core.machine.command import ask
from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.gimp import COPIES, FACTS, PLUG_IN, PLUG_INS, PROGRAM, bases, existing, on_path, run_first
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
    """What was asked for: `into` are folders of plug-ins, none for all that are found."""

    dry_run: bool
    into: tuple[Path, ...]


def run(
    user: UserFolders, root: Path, request: Request, python: Callable[[], Path | None], actions: Actions, screen: Screen
) -> int:
    """Install the plug-in of the project at `root`; return the exit code, that of the first folder that failed.

    `python` gives the one that has the package, made if need be, or None in a dry run before there is one. A machine
    without GIMP is no failure. Raises InstallError and OSError.
    """
    output = actions.output
    folders = list(request.into) or _found(user, actions.dry_run, output)
    if not folders:
        output.line(
            "No GIMP 3 was found, so nothing was installed. When there is one: start it once, then run "
            "`python3 install gimp` again."
        )
        output.line(
            "Or name its folder of plug-ins (GIMP: Edit > Preferences > Folders > Plug-ins): "
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
        output.line(f"{'would be ' if actions.dry_run and outcome != 'unchanged' else ''}{outcome}: {folder / PLUG_IN}")
        changed += outcome != "unchanged"
    if changed and not actions.dry_run:
        output.line("Start GIMP, again if it runs: Filters > Artistic > DeepDream...")
    return code


def put_into(plug_ins: Path, files: Files, actions: Actions) -> str:
    """Install into one folder as `install` does, and record what is there then; return `install`'s answer."""
    target = plug_ins / PLUG_IN
    kept = _yours(target, actions)
    outcome = install(plug_ins, {**files, **{new: content for new, (_, content) in kept.items()}}, dry_run=True)
    changes = [(old, new) for new, (old, _) in kept.items() if old != new]
    lines = [f"keep your {target / old} as {new}" for old, new in changes]
    if outcome != "unchanged" or not actions.dry_run:
        actions.folder(plug_ins)
    if outcome != "unchanged":
        lines += [f"write {target.joinpath(*PurePosixPath(name).parts)}" for name in sorted(files)]

    def put() -> None:
        _put(plug_ins, files, kept, actions, changed=outcome != "unchanged")

    actions.apply(Change("\n".join(lines), put))
    return outcome


def _put(plug_ins: Path, files: Files, kept: dict[str, tuple[str, bytes]], actions: Actions, *, changed: bool) -> None:
    """Record the files, and install them if that is a change; `kept` as `_yours` returns it."""
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
    if changed:
        install(plug_ins, {**files, **{new: content for new, (_, content) in kept.items()}})
    for old, new in [(old, new) for new, (old, _) in kept.items() if old != new]:
        actions.output.line(f"{target / old} was not as it had been installed; what was in it is now {new}")
    gone = [path for path in part.files if Path(path).is_relative_to(target) and not os.path.lexists(path)]
    for path in gone:  # no longer part of it
        part.files.pop(path)
    for path in [path for path in part.replacing if Path(path).is_relative_to(target)]:
        part.replacing.pop(path)
    actions.manifest.save()


def _yours(target: Path, actions: Actions) -> dict[str, tuple[str, bytes]]:
    """Return what the user has put or changed in the plug-in's folder, by the name that keeps it: its name, its content.

    What was kept before is among it, under its name. Nothing of a folder that the record does not know. Raises OSError.
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
    """Return the folders of plug-ins in which ours was put, as far as they still exist."""
    programs = (
        Path(path) for path in actions.part.files if Path(path).name == PROGRAM and Path(path).parent.name == PLUG_IN
    )
    return tuple(dict.fromkeys(path.parent.parent for path in programs if path.parent.parent.is_dir()))


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
    if folder.name == PLUG_IN and folder.parent.name == PLUG_INS:
        return folder.parent
    is_version = folder.name.startswith("3.") and folder.parent.name == "GIMP"
    return folder / PLUG_INS if is_version else folder


def _found(user: UserFolders, dry_run: bool, output: Screen) -> list[Path]:
    """Return the folder of plug-ins of each GIMP 3 of this user; a GIMP that never ran is let make its own."""
    folders = existing(user)
    usual = bases(user)[0]
    for program in on_path(user.environ):
        new = usual / program.version
        if user.environ.get("GIMP3_DIRECTORY") or any(folder.name == program.version for folder in folders):
            continue
        if dry_run:
            output.line(f"GIMP {program.version} has not run yet: it would be run once without a window, to make {new}")
            folders.append(new)
            continue
        output.line(
            f"GIMP {program.version} has not run yet: running it once without a window, so that it makes its folder"
        )
        run_first(program.path)
        if new.is_dir():
            folders.append(new)
        else:
            output.line(
                f"GIMP {program.version} did not make {new}: start it once, then run `python3 install gimp` again"
            )
    return [folder / PLUG_INS for folder in folders]


def facts(root: Path, python: Path) -> bytes:
    """Return what the installed package has to say to the plug-in, as JSON; raises InstallError."""
    module = "deepdream_core.plugin_facts"
    todo = f"its output: `{python} -m {module}`"
    answer = ask(python, "-I", "-m", module, within_s=ASK_WITHIN_S, cwd=root)
    if answer.code:
        raise InstallError(answer.last, todo, Exit.ENVIRONMENT)
    printed = answer.out.encode()
    if not are_facts(printed):
        raise InstallError(f"{module} did not print what the plug-in needs", todo, Exit.ENVIRONMENT)
    return printed


def names(root: Path) -> list[str]:
    """Return the names of the plug-in's files, with `/`: of the project at `root`, and of earlier versions."""
    return [*_paths(root), FACTS, *FORMER]


def _paths(root: Path) -> dict[str, Path]:
    """Return by name where each file of the plug-in is copied from."""
    source = root / SOURCE
    paths = {path.name: path for path in sorted(source.glob("*.py"))}
    for path in sorted((source / "locale").rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            paths[path.relative_to(source).as_posix()] = path
    for folder, pattern in COPIES.items():
        for path in sorted((root / "deepdream_core" / folder).glob(pattern)):
            paths[f"{folder}/{path.name}"] = path
    return paths


def wanted_files(root: Path, facts_json: bytes | None) -> Files:
    """Return the files of the plug-in's folder; `facts_json` is its deepdream.json. Raises InstallError if any is missing.

    None stands for what cannot be known yet: it equals no file.
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
            f"{error.filename} cannot be read: {error.strerror}",
            "restore it with `git checkout plugin deepdream_core`, or clone the project again",
            Exit.ENVIRONMENT,
        ) from None
