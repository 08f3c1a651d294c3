"""What an installation without a readable record has left, recognised at the well-known places."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import gimp
import gimp_folders
import launcher
import plug_in
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
    part.trees = [str(path) for path in versions(places.app)]
    return part


def versions(app: Path) -> list[Path]:
    """Return the folders of versions in a folder, by our stamp in them."""
    with contextlib.suppress(OSError):
        return sorted(path for path in app.iterdir() if not path.is_symlink() and Stamp.read(path))
    return []


def _gimp(places: Places) -> Part:
    part = Part()
    environ, platform, home = gimp_folders.here()
    names = {name for root in _sources(places) for name in gimp.names(root)}
    for folder in gimp_folders.existing(environ, platform, home):
        target = folder / gimp_folders.PLUG_INS / plug_in.NAME
        if not plug_in.is_ours(target):
            continue
        part.folders.append(str(target))
        # By their names alone: the user's own files there, and what was kept for them, stay.
        for name in names:
            path = target.joinpath(*PurePosixPath(name).parts)
            _take(part, path, lambda _: True)
            inside = (one for one in path.parents if one != target and one.is_relative_to(target) and one.is_dir())
            part.folders += [str(one) for one in inside if str(one) not in part.folders]
    return part


def _sources(places: Places) -> list[Path]:
    """Return the projects of which a plug-in of ours may be: that of this installer, and those of installed versions."""
    return [Path(__file__).resolve().parent.parent, *(version / "source" for version in versions(places.app))]


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
