"""`python3 install app`: the program in its own environment, independent of the clone.

Each version is one complete environment, `DATA/app/<name>`. The installer creates it beside the one in use, checks that it
runs, then switches to it in one step. Its `source/` holds a copy of the project with installer and plug-in, so that
everything can be repaired and removed after the clone is gone.
"""

import contextlib
import hashlib
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import environment
import launcher
from actions import Actions, Change
from environment import LOG
from errors import Exit, InstallError, without_credentials
from packages import Target, damaged, installed
from project import TORCH, Project, space_for
from screen import Screen
from stamp import Stamp

from deepdream_core.machine.command import Answer, ask
from deepdream_core.machine.folders import UserFolders

SOURCE = "source"
PACKAGES = "packages.txt"
"""The list of packages that were installed into a version, one a line: shows later which are damaged or missing."""
CACHE = "cache"
COPIED = ("pyproject.toml", "README.md", "LICENSE", "config.yaml", "deepdream_core", "plugin", "install")
"""What is copied from the clone: the sources of program, installer and plug-in."""
CHECK_WITHIN_S = 300.0


class App:
    """The program at `root`, a clone, and its versions in the folders of `user`; `actions` belong to the part "app".

    `extras` of the project are installed too; a later version keeps them.
    """

    def __init__(
        self, root: Path, user: UserFolders, actions: Actions, screen: Screen, torch_index: str | None = None,
        extras: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.root = root
        self.user = user
        self.actions = actions
        self.screen = screen
        used = user.used()
        venvs = [root / ".venv"] if used is None else [used, root / ".venv"]
        self.project = Project.read(root)
        self.index = environment.index_for(self.project, torch_index, screen, *venvs)
        self.before = used
        """The version in use before this run."""
        have = None if used is None else Stamp.read(used)
        kept = () if have is None else have.extras
        wanted = Stamp.wanted(root, tuple(sorted({*extras, *kept})), self.index)
        self.wanted = replace(wanted, root=str(user.app), inputs=fingerprint(root))

    def is_current(self) -> bool:
        """Return whether the version in use is this one, complete, and runs; prints what is damaged."""
        if self.before is None or not self._serves(self.before):
            return False
        if wrong := self._damage(self.before):
            self.actions.output.line(f"DeepDream {self.project.version} is damaged ({wrong}); reinstalling it")
        return not wrong

    def _damage(self, version: Path) -> str:
        """Return in a few words what is damaged in an installed version, or nothing."""
        if fingerprint(version / SOURCE) != self.wanted.inputs:
            return f"{SOURCE} was changed"
        with contextlib.suppress(FileNotFoundError):  # older installers did not write it
            complete = set((version / PACKAGES).read_text("utf-8").split())
            if gone := sorted(complete - set(installed(version))):
                return f"{gone[0]} is missing"
            if cut := sorted(complete & set(damaged(version))):
                return f"files of {cut[0]} are missing"
        return next((done.last for trial in self._trials(version) if (done := self._tried(trial)).code), "")

    def _serves(self, version: Path) -> bool:
        have = Stamp.read(version)
        return have is not None and have.serves(self.wanted) and self.user.python_in(version).exists()

    def build(self) -> Path:
        """Return the folder of this version, built and checked but not in use yet; raises InstallError and OSError."""
        launcher.check(self.user, self.actions)
        self._check_place()
        left = [path for path in self._versions() if path != self.before]
        version = next((path for path in left if self._can_go_on(path)), None) or self._new_name()
        for path in left:
            if path != version:
                self.actions.remove_tree(path)
        self.actions.folder(self.user.app)
        lines = [f"create {version}, copy the project into {SOURCE}/, then run there:"]
        lines += [f"run: {line}" for line in self._commands(version)]
        self.actions.apply(Change("\n".join(lines), partial(self._make, version)))
        return version

    def _make(self, version: Path) -> None:
        """Build and check a version, or finish one that an earlier run began; raises InstallError and OSError."""
        self.actions.tree(version)
        version.mkdir(exist_ok=True)
        source = version / SOURCE
        self._copy(source)
        if not self._serves(version):
            needs = space_for(self.project, self.index)
            # pip may keep gigabytes for later in an existing cache, but must not create one.
            cache = None if pip_cache(self.user, os.environ).is_dir() else version / CACHE
            target = Target(
                Project.read(source), version, needs, self.screen, editable=False, kept=(SOURCE, CACHE), cache=cache
            )
            environment.fill(target, self.wanted, self.index)
        self._check(version)
        # A package whose record never matched its files would look damaged on every later run.
        complete = sorted(set(installed(version)) - set(damaged(version)))
        (version / PACKAGES).write_text("".join(f"{name}\n" for name in complete), "utf-8")

    def _check_place(self) -> None:
        """Raise InstallError where no version can be built, before the long work begins."""
        place = str(self.user.app)
        elsewhere = "choose another place: `XDG_DATA_HOME=/some/folder python3 install`"
        try:
            place.encode()
        except UnicodeEncodeError:
            shown = place.encode("utf-8", "backslashreplace").decode()
            raise InstallError(
                f"the name of {shown} is not UTF-8, so Python cannot create an environment there",
                elsewhere,
                Exit.ENVIRONMENT,
            ) from None
        if os.pathsep in place and not self.user.windows:
            raise InstallError(
                f"{place} contains a {os.pathsep}, so Python cannot create an environment there", elsewhere,
                Exit.ENVIRONMENT,
            )  # fmt: skip
        own = next((path for path in self.root.resolve().parents if path.parent == self.user.app.resolve()), None)
        if own is not None and (have := Stamp.read(own)) is not None and have.inputs != self.wanted.inputs:
            raise InstallError(
                f"{self.root} has changed since DeepDream was installed from it",
                "run `python3 install` in a fresh clone",
                Exit.ENVIRONMENT,
            )
        self.actions.possible(self.user.bin)

    def _versions(self) -> list[Path]:
        """Return the folders of all versions, complete or not; any other folder there is not ours."""
        if not self.user.app.is_dir():
            return []
        found = (path for path in self.user.app.iterdir() if path.is_dir() and not path.is_symlink())
        return sorted(path for path in found if str(path) in self.actions.part.trees or Stamp.read(path))

    def _can_go_on(self, version: Path) -> bool:
        """Return whether an earlier run began to install exactly this version in the folder."""
        have = Stamp.read(version)
        return have is not None and have.can_become(self.wanted) and have.inputs == self.wanted.inputs

    def _new_name(self) -> Path:
        name = f"{self.project.version}-{self.wanted.inputs[:8]}-{time.strftime('%Y%m%d-%H%M%S')}"
        path = self.user.app / name
        while path.exists():  # twice within a second
            path = path.with_name(f"{path.name}.1")
        return path

    def _commands(self, version: Path) -> list[str]:
        """Return the commands that fill the folder, as a dry run prints them."""
        python = self.user.python_in(version)
        pip = [str(python), "-m", "pip", "install"]
        index = ["--extra-index-url", without_credentials(self.index)] if self.index else []
        torch = [[*pip, "--index-url", index[1], "--no-deps", *self.project.torch()]] if index else []
        commands = [
            [sys.executable, "-m", "venv", str(version)],
            *torch,
            [*pip, "-c", "install/constraints.txt", ".", *index],
            [str(python), "-I", "-m", "deepdream_core", "--version"],
        ]
        return [shlex.join(command) for command in commands]

    def _copy(self, source: Path) -> None:
        """Copy the project's sources, replacing an earlier copy."""
        if source.exists():
            self.actions.remove_tree(source)
        for name, path in sources(self.root):
            to = source / name
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
            to.chmod(0o755 if os.access(path, os.X_OK) else 0o644)

    def _check(self, version: Path) -> None:
        """Run the new version's trial commands; raises InstallError if one fails."""
        with self.screen.stage("Checking that the new version runs"):
            for trial in self._trials(version):
                done = self._tried(trial)
                if done.code == 0:
                    continue
                replace(self.wanted, complete=False).write(version)
                raise InstallError(
                    f"the new version does not run: {done.last}",
                    f"{'the previous version is still in use; ' if self.before else ''}pip's output is in {version / LOG}",
                    Exit.ENVIRONMENT,
                )

    def _trials(self, version: Path) -> list[list[str | Path]]:
        """Return the commands that show whether a version runs."""
        python = self.user.python_in(version)
        trials: list[list[str | Path]] = [[python, "-I", "-m", "deepdream_core", "--version"]]
        if self.project.torch():
            trials.append([python, "-I", "-m", "deepdream_core.doctor.packages", *TORCH])
        return trials

    @staticmethod
    def _tried(trial: list[str | Path]) -> Answer:
        return ask(*trial, within_s=CHECK_WITHIN_S)

    def switch(self, version: Path) -> None:
        """Make a version the one in use, in one step."""
        current = self.user.current
        if self.user.windows:
            self.actions.write(current, f"{version.name}\n".encode(), ours=True)
        elif not current.is_symlink() or os.readlink(current) != version.name:  # noqa: PTH115
            self.actions.link(current, version.name)
        self.actions.apply(Change("", partial(self._record, version)))

    def _record(self, version: Path) -> None:
        manifest = self.actions.manifest
        manifest.version = Project.read(version / SOURCE).version
        manifest.app, manifest.clone = f"app/{version.name}", None
        manifest.save()

    def remove_others(self, version: Path) -> None:
        """Remove all other versions."""
        for path in self._versions():
            if path != version:
                self.actions.remove_tree(path)
        self.actions.part.trees = [str(version)]
        self.actions.manifest.save()


def pip_cache(user: UserFolders, environ: Mapping[str, str]) -> Path:
    """Return the folder of this user's pip cache."""
    if own := environ.get("PIP_CACHE_DIR"):
        return Path(own)
    if user.windows:
        return user.xdg_data / "pip" / "Cache"
    if user.platform == "darwin":
        return user.home / "Library" / "Caches" / "pip"
    chosen = environ.get("XDG_CACHE_HOME", "")
    return Path(chosen if os.path.isabs(chosen) else user.home / ".cache", "pip")  # noqa: PTH117


def sources(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file to copy, its name with `/` and its path, without hidden and compiled files."""
    for top in COPIED:
        path = root / top
        found = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in found:
            inside = file.relative_to(root)
            if file.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
                yield inside.as_posix(), file


def fingerprint(root: Path) -> str:
    """Return the hash of all files to copy; raises OSError."""
    digest = hashlib.sha256()
    for name, path in sources(root):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
