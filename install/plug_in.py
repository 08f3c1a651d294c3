"""The plug-in's folder inside a GIMP plug-in folder: whether it is ours, and replacing it as a whole."""

import contextlib
import errno
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from errors import Exit, InstallError, disk_full, free_bytes, from_os_error

from deepdream_core.machine.gimp import FACTS, PLUG_IN, PROGRAM

MARK = b"plug-in-deepdream-check"
"""Bytes that only our program contains."""
SIZE = 10_000_000

Files = Mapping[str, bytes]
"""The files of an installed plug-in: the path in its folder, with `/`, and the content."""


def are_facts(data: bytes) -> bool:
    """Return whether this is the content of our plug-in's `deepdream.json`."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and {"version", "protocol", "command"} <= parsed.keys()


def outcome(plug_ins: Path, files: Files) -> str:
    """Return what `install` will do: `unchanged`, `updated` or `installed`.

    Raises InstallError, for example for a `deepdream` that is not ours.
    """
    target = plug_ins / PLUG_IN
    try:
        if not _check_ours(target):
            return "installed"
        return "unchanged" if _holds(target, files) else "updated"
    except OSError as error:
        raise _as_install_error(error, plug_ins) from None


def install(plug_ins: Path, files: Files) -> str:
    """Make the folder `deepdream` in a plug-in folder contain exactly these files; return the `outcome`.

    Replaces the folder as a whole, or file by file where it cannot be moved: on Windows while the plug-in runs, on a live
    system if it is part of the image. Raises InstallError.
    """
    done = outcome(plug_ins, files)
    if done != "unchanged":
        try:
            plug_ins.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(plug_ins)
            _exchange(plug_ins, plug_ins / PLUG_IN, files)
        except OSError as error:
            raise _as_install_error(error, plug_ins) from None
    return done


def is_ours(target: Path) -> bool:
    """Return whether a folder contains our plug-in."""
    with contextlib.suppress(InstallError, OSError):
        return _check_ours(target)
    return False


def _check_ours(target: Path) -> bool:
    """Return whether our plug-in exists; raises InstallError if something else has its name."""
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
        f"{target} already exists, and this project did not install it",
        "move or delete it, then run this again",
        Exit.ENVIRONMENT,
    )


def _holds(target: Path, files: Files) -> bool:
    """Return whether the folder has exactly these files, compiled ones aside, and GIMP can run the program."""
    there = {
        path.relative_to(target).as_posix(): path
        for path in target.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return (
        there.keys() == files.keys()
        and all(there[name].read_bytes() == content for name, content in files.items())
        and os.access(target / PROGRAM, os.X_OK)
        and (sys.platform == "win32" or (target / FACTS).stat().st_mode & 0o077 == 0)
    )


def _exchange(plug_ins: Path, target: Path, files: Files) -> None:
    """Replace the old folder by a new one, whose name begins with a dot until then so that GIMP ignores it."""
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
    """Return whether this system refuses to move a folder that contains an open file."""
    return sys.platform == "win32"


def _fill(folder: Path, files: Files, when: float) -> None:
    """Write the files, the program last and dated `when`: GIMP detects changes by its date."""
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
    folder.chmod(0o755)  # only now: one of the files contains the helper's key


def _mode(name: str) -> int:
    """Return the mode of a file: deepdream.json contains the helper's key and is for this user alone."""
    return 0o755 if name == PROGRAM else 0o600 if name.startswith(FACTS) else 0o644


def _later_than(program: Path) -> float:
    """Return a date for the new program: now, or later if the old one has the same second."""
    with contextlib.suppress(OSError):
        return max(time.time(), int(program.stat().st_mtime) + 1.0)
    return time.time()


def _replace_each(new: Path, target: Path, files: Files) -> None:
    """Move each file into the folder, the program last; then remove all other files."""
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
    """Remove what killed installs left behind, unless another install may still be using it."""
    for left in [*plug_ins.glob(f".{PLUG_IN}-*.new"), *plug_ins.glob(f".{PLUG_IN}-*.old")]:
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 600:
                shutil.rmtree(left, ignore_errors=True)


def _as_install_error(error: OSError, plug_ins: Path) -> InstallError:
    """Return the InstallError for an error of the operating system in a plug-in folder."""
    failure = from_os_error(error, plug_ins, SIZE)
    if failure.code == Exit.NOT_WRITABLE:
        return InstallError(failure.what, "change its owner, or name another folder with --into", Exit.NOT_WRITABLE)
    if failure.code == Exit.DISK_FULL or free_bytes(plug_ins) < SIZE:
        return disk_full(plug_ins, SIZE)
    return failure
