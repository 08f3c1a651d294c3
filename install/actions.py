"""The changes an installation makes to the disk, as data: made and recorded, or printed by a dry run."""

import contextlib
import itertools
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from errors import Exit, InstallError
from screen import Screen

from deepdream_core.machine.command import Answer, ask
from deepdream_core.machine.manifest import Manifest, Part, digest, in_the_making

YOURS = ".yours"
"""Suffix for the user's version of a file that we installed, they changed, and we now replace."""


@dataclass(frozen=True)
class Change:
    """One change to the machine: `text` describes it, one line for each step, none if it only records; `make` makes it."""

    text: str
    make: Callable[[], object]


class Actions:
    """Applies changes for one part of the `manifest`; a dry run prints them on `output` instead."""

    def __init__(self, manifest: Manifest, part: str, output: Screen, shown: set[str] | None = None) -> None:
        self.manifest = manifest
        self.name = part
        self.output = output
        self.dry_run = manifest.dry_run
        self._shown: set[str] = set() if shown is None else shown
        """Folders that a dry run has printed already."""

    @property
    def part(self) -> Part:
        """The record of this part."""
        return self.manifest.part(self.name)

    def of(self, part: str) -> "Actions":
        """Return the same for another part."""
        return Actions(self.manifest, part, self.output, self._shown)

    def apply(self, *changes: Change) -> None:
        """Make changes in order, or print them in a dry run; raises what they raise."""
        if self.dry_run:
            self.show(changes)
            return
        for change in changes:
            change.make()

    def show(self, changes: Iterable[Change]) -> None:
        """Print what changes would do."""
        for change in changes:
            for line in change.text.splitlines():
                self.output.line(f"  would {line}")

    def possible(self, path: Path) -> list[Path]:
        """Return the missing folders of `path`, outermost first; raises InstallError if something is in the way."""
        missing = []
        while not path.is_dir():
            if os.path.lexists(path):
                what = "is a broken link" if path.is_symlink() else "is a file"
                raise InstallError(
                    f"{path} {what}, but DeepDream needs a folder there",
                    "rename or remove it, then run the same command again",
                    Exit.ENVIRONMENT,
                )
            missing.append(path)
            if path == path.parent:
                break
            path = path.parent
        return missing[::-1]

    def folders(self, path: Path) -> list[Change]:
        """Return the changes that create a folder and its missing parents; raises InstallError."""
        return [Change(f"create the folder {folder}", partial(self._make, folder)) for folder in self.possible(path)]

    def folder(self, path: Path) -> None:
        """Create a folder and its missing parents; raises InstallError and OSError."""
        changes = self.folders(path)
        if self.dry_run:  # print each folder once
            changes = [change for change in changes if change.text not in self._shown]
            self._shown.update(change.text for change in changes)
        self.apply(*changes)

    def _make(self, folder: Path) -> None:
        if str(folder) not in self.part.folders:
            self.part.folders.append(str(folder))
        # The record itself is in DATA, which may not exist yet.
        with contextlib.suppress(FileNotFoundError):
            self.manifest.save()
        folder.mkdir(exist_ok=True)

    def expect(self, path: Path) -> None:
        """Record the missing folders of a path that the program, not the installer, will create."""
        missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
        new = [str(folder) for folder in reversed(missing) if str(folder) not in self.part.folders]
        if new:
            self.part.folders += new
            self.manifest.save()

    def write(self, path: Path, content: bytes, mode: int = 0o644, *, ours: bool = False) -> bool:
        """Write a file and create its folder; return whether that changes anything.

        `ours`: the existing file is known to be ours. Raises OSError, and InstallError if the file is not ours.
        """
        there = content_of(path)
        known = self.part.wrote(path, there) if there is not None else False
        if there is not None and there != content and not known:
            if not ours and str(path) not in self.part.files:
                raise not_ours(path)
            if str(path) in self.part.files:
                self.apply(Change(f"keep your version of {path} as {yours(path).name}", partial(self._keep, path)))
        if there == content and (sys.platform == "win32" or path.stat().st_mode & 0o777 == mode):
            if self.part.files.get(str(path)) != digest(content):
                self.part.files[str(path)] = digest(content)
                self.manifest.save()
            return False
        self.folder(path.parent)
        write = partial(self._write, path, content, mode, there)
        self.apply(Change(f"write {path} ({len(content)} bytes)", write))
        return True

    def _keep(self, path: Path) -> None:
        """Rename the user's version of a file of ours."""
        kept = yours(path)
        os.replace(path, kept)  # noqa: PTH105
        self.output.line(f"You changed {path}; your version is now {kept.name}")

    def _write(self, path: Path, content: bytes, mode: int, there: bytes | None) -> None:
        if there is not None:
            self.part.replacing[str(path)] = digest(there)
        self.part.files[str(path)] = digest(content)
        self.manifest.save()
        put(path, content, mode)
        if self.part.replacing.pop(str(path), None):
            self.manifest.save()

    def link(self, path: Path, target: str) -> None:
        """Create a link, or replace one atomically; raises OSError."""
        self.apply(Change(f"link {path} -> {target}", partial(self._link, path, target)))

    def _link(self, path: Path, target: str) -> None:
        self.part.links[str(path)] = target
        self.manifest.save()
        new = in_the_making(path)
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        os.replace(new, path)  # noqa: PTH105

    def tree(self, path: Path) -> None:
        """Record that a folder, not created yet, is ours with everything in it."""
        if str(path) not in self.part.trees:
            self.part.trees.append(str(path))
            self.manifest.save()

    def remove_tree(self, path: Path) -> None:
        """Remove a folder of ours with everything in it; raises OSError."""
        text = f"remove {path} and everything in it" if os.path.lexists(path) else ""
        self.apply(Change(text, partial(self._remove_tree, path)))

    def _remove_tree(self, path: Path) -> None:
        remove_tree(path)
        if str(path) in self.part.trees:
            self.part.trees.remove(str(path))
            self.manifest.save()

    def run(self, *argv: str | Path, within_s: float, environ: Mapping[str, str] | None = None) -> Answer:
        """Run a command that changes something and return its answer; a dry run returns success."""
        answers = [Answer(0)]
        run = partial(ask, *argv, within_s=within_s, environ=environ)
        self.apply(Change(f"run: {shlex.join(map(str, argv))}", lambda: answers.append(run())))
        return answers[-1]


def yours(path: Path) -> Path:
    """Return an unused name for the user's version of a file."""
    numbers = (f".{number}" if number > 1 else "" for number in itertools.count(1))
    names = (path.with_name(f"{path.name}{YOURS}{number}") for number in numbers)
    return next(one for one in names if not os.path.lexists(one))


def content_of(path: Path) -> bytes | None:
    """Return a file's content, None if it does not exist; raises InstallError if it is not a file, OSError."""
    if path.is_symlink() and not path.exists():
        raise not_ours(path)
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise not_ours(path) from None


def not_ours(path: Path) -> InstallError:
    """Return the error for a file that the installer did not write."""
    return InstallError(
        f"{path} already exists, and this installer did not write it",
        "move or delete it, then run this again",
        Exit.ENVIRONMENT,
    )


def put(path: Path, content: bytes, mode: int) -> None:
    """Write a file atomically; raises OSError."""
    new = in_the_making(path)
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(mode)
        os.replace(new, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def remove_tree(path: Path) -> None:
    """Remove a folder with everything in it, read-only folders too; removes a link without following it."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        if sys.platform != "win32" and not os.access(folder, os.W_OK | os.X_OK):
            Path(folder).chmod(0o700)
    shutil.rmtree(path)
