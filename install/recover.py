"""What an installation without a readable record has left, recognised at the well-known places."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import gimp
import gimp_folders
import launcher
from folder import USUAL
from locations import NAME, Places
from manifest import Manifest, Part, digest
from stamp import Stamp
from systemd import ALL, WANTED

WRITTEN_BY = b"# Written by `python3 install service`"


def parts(places: Places, manifest: Manifest) -> None:
    """Put into the record what is recognised as ours; raises OSError."""
    for name, part in (
        ("app", _app(places)),
        ("gimp", _gimp(places)),
        ("folder", _folder(places)),
        ("service", _service(places)),
    ):
        if part != Part():
            manifest.parts[name] = part


def _app(places: Places) -> Part:
    part = Part()
    _take(part, places.launcher, launcher.is_ours)
    for path in launcher.everywhere(places).values():
        _take(part, path, lambda content: b"_DEEPDREAM_COMPLETE" in content)
    if places.current.is_symlink():
        part.links[str(places.current)] = os.readlink(places.current)  # noqa: PTH115
    elif places.windows:
        _take(part, places.current, lambda _: True)
    with contextlib.suppress(OSError):
        part.trees = [str(path) for path in places.app.iterdir() if not path.is_symlink() and Stamp.read(path)]
    return part


def _gimp(places: Places) -> Part:
    part = Part()
    environ, platform, home = gimp_folders.here()
    for folder in gimp_folders.existing(environ, platform, home):
        target = folder / gimp_folders.PLUG_INS / gimp.NAME
        if not gimp.is_ours(target):
            continue
        part.folders.append(str(target))
        for path in sorted(target.rglob("*")):
            if path.is_dir():
                part.folders.append(str(path))
            elif "__pycache__" not in path.parts:
                _take(part, path, lambda _: True)
    return part


def _folder(places: Places) -> Part:
    part = Part()
    if (places.home / USUAL).is_dir() and not any((places.home / USUAL).iterdir()):
        part.folders.append(str(places.home / USUAL))
    return part


def _service(places: Places) -> Part:
    part = Part()
    for units in dict.fromkeys((places.xdg_config / "systemd" / "user", places.home / ".config" / "systemd" / "user")):
        for name in ALL:
            if _take(part, units / name, lambda content: content.startswith(WRITTEN_BY)):
                part.facts.setdefault("units", []).append(name)
                if name in WANTED and (link := units / WANTED[name] / name).is_symlink():
                    part.links[str(link)] = str(units / name)
    if places.platform == "darwin":
        agent = places.home / "Library" / "LaunchAgents" / f"{NAME}.watch.plist"
        _take(part, agent, lambda content: b"deepdream_core" in content)
    if places.windows:
        _take(part, places.data / "watch-task.xml", lambda _: True)
    endpoint = places.state / "service.json"
    if part != Part() and endpoint.is_file():
        part.facts["endpoint"] = str(endpoint)
    return part


def _take(part: Part, path: Path, ours: Callable[[bytes], bool]) -> bool:
    """Put a file into the record, if it is there and ours; return whether it was."""
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        if ours(content):
            part.files[str(path)] = digest(content)
            return True
    return False
