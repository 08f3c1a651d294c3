"""Recognising an installation without a readable record, by its well-known places."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import gimp
import launcher
import plug_in
from folder import USUAL
from stamp import Stamp

from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.gimp import PLUG_IN, PLUG_INS, existing
from deepdream_core.machine.launchd import agent_file
from deepdream_core.machine.manifest import Manifest, Part, digest
from deepdream_core.machine.systemd import UNITS, WANTED

WRITTEN_BY = b"# Written by `python3 install service`"


def parts(user: UserFolders, manifest: Manifest) -> None:
    """Add everything that is recognised as ours to the record; raises OSError."""
    for name, part in (
        ("app", _app(user)),
        ("gimp", _gimp(user)),
        ("folder", _folder(user)),
        ("service", _service(user)),
    ):
        if part != Part():
            manifest.parts[name] = part


def _app(user: UserFolders) -> Part:
    part = Part()
    _take(part, user.launcher, launcher.is_ours)
    for path in launcher.everywhere(user).values():
        _take(part, path, lambda content: b"_DEEPDREAM_COMPLETE" in content)
    if user.current.is_symlink():
        part.links[str(user.current)] = os.readlink(user.current)  # noqa: PTH115
    elif user.windows:
        _take(part, user.current, lambda _: True)
    part.trees = [str(path) for path in versions(user.app)]
    return part


def versions(app: Path) -> list[Path]:
    """Return the folders of versions in a folder, recognised by our stamp."""
    with contextlib.suppress(OSError):
        return sorted(path for path in app.iterdir() if not path.is_symlink() and Stamp.read(path))
    return []


def _gimp(user: UserFolders) -> Part:
    part = Part()
    names = {name for root in _sources(user) for name in gimp.names(root)}
    for folder in existing(user):
        target = folder / PLUG_INS / PLUG_IN
        if not plug_in.is_ours(target):
            continue
        part.folders.append(str(target))
        # Recognised by name only: the user's own files, and files kept for them, stay.
        for name in names:
            path = target.joinpath(*PurePosixPath(name).parts)
            _take(part, path, lambda _: True)
            inside = (one for one in path.parents if one != target and one.is_relative_to(target) and one.is_dir())
            part.folders += [str(one) for one in inside if str(one) not in part.folders]
    return part


def _sources(user: UserFolders) -> list[Path]:
    """Return the projects that a plug-in may come from: this installer's, and those of installed versions."""
    return [Path(__file__).resolve().parent.parent, *(version / "source" for version in versions(user.app))]


def _folder(user: UserFolders) -> Part:
    part = Part()
    if (user.home / USUAL).is_dir() and not any((user.home / USUAL).iterdir()):
        part.folders.append(str(user.home / USUAL))
    return part


def _service(user: UserFolders) -> Part:
    part = Part()
    for units in dict.fromkeys((user.xdg_config / "systemd" / "user", user.home / ".config" / "systemd" / "user")):
        for name in UNITS:
            if _take(part, units / name, lambda content: content.startswith(WRITTEN_BY)):
                part.facts.setdefault("units", []).append(name)
                if name in WANTED and (link := units / WANTED[name] / name).is_symlink():
                    part.links[str(link)] = str(units / name)
    if user.platform == "darwin":
        agent = agent_file(user.home)
        _take(part, agent, lambda content: b"deepdream_core" in content)
    if user.windows:
        _take(part, user.data / "watch-task.xml", lambda _: True)
    endpoint = user.state / "service.json"
    if part != Part() and endpoint.is_file():
        part.facts["endpoint"] = str(endpoint)
    return part


def _take(part: Part, path: Path, ours: Callable[[bytes], bool]) -> bool:
    """Add a file to the record if it exists and is ours; return whether it does."""
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        if ours(content):
            part.files[str(path)] = digest(content)
            return True
    return False
