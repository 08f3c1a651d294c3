"""The plug-in's folder in a folder of GIMP's plug-ins: whether what is there is ours, and how it is exchanged whole."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from errors import Exit, InstallError, disk_full, free_bytes, from_os_error

from deepdream_core.machine.gimp import FACTS, PLUG_IN, PROGRAM

MARK = b"plug-in-deepdream-check"
"""What our program holds and no other."""
SIZE = 10_000_000

Files = Mapping[str, bytes]
"""The files of an installed plug-in: the path in its folder, with `/`, and the content."""


def are_facts(data: bytes) -> bool:
    """Return whether this is the content of a `deepdream.json`, the mark of our plug-in."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and {"version", "protocol", "command"} <= parsed.keys()


def install(plug_ins: Path, files: Files, *, dry_run: bool = False) -> str:
    """Make the folder `deepdream` in a folder of plug-ins hold these files and no others; return what that took.

    `unchanged`, `updated` or `installed`. The folder is exchanged as a whole; where it cannot be moved, each file is: on
    Windows while the plug-in runs, on a live system one of the image beneath it. Raises InstallError, for a `deepdream`
    that is not ours above all.
    """
    target = plug_ins / PLUG_IN
    try:
        was_there = _check_ours(target)
        if was_there and _holds(target, files):
            return "unchanged"
        if not dry_run:
            plug_ins.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(plug_ins)
            _exchange(plug_ins, target, files)
    except OSError as error:
        raise _as_install_error(error, plug_ins) from None
    return "updated" if was_there else "installed"


def is_ours(target: Path) -> bool:
    """Return whether a folder holds our plug-in."""
    with contextlib.suppress(InstallError, OSError):
        return _check_ours(target)
    return False


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
            if are_facts((target / FACTS).read_bytes()):
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
        and (os.name != "posix" or (target / FACTS).stat().st_mode & 0o077 == 0)
    )


def _exchange(plug_ins: Path, target: Path, files: Files) -> None:
    """Put a new folder in the place of the old one. Its name begins with a dot until then: GIMP finds no plug-in in it."""
    new = Path(tempfile.mkdtemp(prefix=f".{PLUG_IN}-", suffix=".new", dir=plug_ins))
    old = new.with_suffix(".old")
    try:
        _fill(new, files, _later_than(target / PROGRAM))
        try:
            if os.path.lexists(target):
                target.rename(old)
        except OSError as error:
            if not (error.errno == errno.EXDEV or (isinstance(error, PermissionError) and _folders_may_be_in_use())):
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
    for name in sorted(files, key=lambda name: name == PROGRAM):
        path = folder.joinpath(*PurePosixPath(name).parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags, _mode(name)), "wb") as file:
            file.write(files[name])
            file.flush()
            os.fsync(file.fileno())
        path.chmod(_mode(name))
    os.utime(folder / PROGRAM, (when, when))
    folder.chmod(0o755)  # until now mkdtemp's mode has kept others out: one of the files holds the key to the helper


def _mode(name: str) -> int:
    """Return the mode of a file: deepdream.json holds the key to the helper and is for this user alone."""
    return 0o755 if name == PROGRAM else 0o600 if name.startswith(FACTS) else 0o644


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
    for left in [*plug_ins.glob(f".{PLUG_IN}-*.new"), *plug_ins.glob(f".{PLUG_IN}-*.old")]:
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 600:
                shutil.rmtree(left, ignore_errors=True)


def _as_install_error(error: OSError, plug_ins: Path) -> InstallError:
    """Return the InstallError for an error of the system in a folder of plug-ins."""
    failure = from_os_error(error, plug_ins, SIZE)
    if failure.code == Exit.NOT_WRITABLE:
        return InstallError(failure.what, "change its owner, or name another folder with --into", Exit.NOT_WRITABLE)
    if failure.code == Exit.DISK_FULL or free_bytes(plug_ins) < SIZE:
        return disk_full(plug_ins, SIZE)
    return failure
