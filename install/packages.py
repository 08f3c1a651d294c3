"""Filling the environment: the pip runs of an install, their progress on the screen, and the disk space they need."""

import contextlib
import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import processes
from errors import free_bytes, in_gb, scrubbed
from pip_output import PipProgress, diagnose, plain_name
from project import CONSTRAINTS, LINUX_DOWNLOAD, Project, Space
from screen import Screen, Stage
from torch_build import CPU_INDEX

from deepdream_core.machine.command import clean_environment

# Why an index could not be reached: pip writes it only to its verbose log, but the user needs it in the install log.
INFO = ".dist-info"
"""The suffix of the folders in which pip records packages."""
_WHY = re.compile(r"Could not fetch URL|connection error")


def python_of(venv: Path) -> Path:
    """Return the path of an environment's Python, whether it exists or not."""
    return venv / "Scripts" / "python.exe" if sys.platform == "win32" else venv / "bin" / "python"


def site_packages(venv: Path) -> Path:
    """Return the folder of an environment that holds its packages."""
    if sys.platform == "win32":
        return venv / "Lib" / "site-packages"
    return venv / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def installed(venv: Path) -> list[str]:
    """Return the packages of an environment with their versions, as pip's records name them: `numpy-2.1.0`."""
    return sorted(info.name.removesuffix(INFO) for info in site_packages(venv).glob(f"*{INFO}"))


def damaged(venv: Path) -> list[str]:
    """Return the packages, named as by `installed`, with files that are missing or have another size."""
    site = site_packages(venv)
    return [name for name in installed(venv) if not _is_whole(site, site / (name + INFO))]


def forget_damaged(venv: Path) -> list[str]:
    """Remove pip's records of `damaged` packages, so that pip installs them again; return their names.

    An interrupted pip can leave half a package with a complete record, which pip then trusts. Sizes are compared because a
    full disk truncates files.
    """
    names = damaged(venv)
    for name in names:
        shutil.rmtree(site_packages(venv) / (name + INFO))
    return names


def _is_whole(site: Path, info: Path) -> bool:
    """Return whether every file in a package's RECORD exists with its size, except compiled files."""
    try:
        for line in (info / "RECORD").read_text("utf-8").splitlines():
            name, _, size = (part.strip('"') for part in line.rsplit(",", 2))
            if name.endswith(".pyc"):
                continue
            found = (site / name).stat()
            if size and found.st_size != int(size):
                return False
    except (OSError, ValueError):
        return False
    return (info / "METADATA").is_file()


@dataclass(frozen=True)
class Target:
    """What to install where: the `project` into the environment `venv`, which `needs` space; progress on the `screen`.

    `editable`: the environment runs the project's own files; otherwise they are copied into it. `kept`: names in the
    environment's folder to leave alone. `cache`: pip's cache for this install only; None for the user's own.
    """

    project: Project
    venv: Path
    needs: Space
    screen: Screen
    editable: bool = True
    kept: tuple[str, ...] = ()
    cache: Path | None = None


class Pip:
    """The pip of the target's environment; its output goes to `log`."""

    def __init__(self, target: Target, log: TextIO) -> None:
        self.project = target.project
        self.venv = target.venv
        self.needs = target.needs
        self.editable = target.editable
        self.cache = target.cache
        self.screen = target.screen
        self.log = log
        # On the environment's own disk: /tmp is often small and in memory, and torch is large.
        self.scratch = target.venv / "tmp"
        self._chatter = self.scratch / "pip.log"

    def fill(self, extras: tuple[str, ...], torch_index: str) -> None:
        """Install the project with `extras`; torch and torchvision first and together if `torch_index` is given.

        Raises InstallError when pip fails, OSError when the scratch folder cannot be made.
        """
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        try:
            if torch_index and (pair := self.project.torch()):
                self._fill_torch(pair, torch_index)
            target = f".[{','.join(extras)}]" if extras else "."
            title = f"Installing {self.project.summary(extras)}{self._size(torch_index)}"
            words = ["-e", target] if self.editable else [target]
            if torch_index:
                # Some of torch's own requirements, such as Triton for AMD, exist only there.
                words += ["--extra-index-url", torch_index]
            self._install(words, title, expected=self._expected(torch_index))
            if self.cache:
                shutil.rmtree(self.cache, ignore_errors=True)
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _fill_torch(self, pair: list[str], torch_index: str) -> None:
        """Install torch and torchvision from one index only: a mixed pair does not load."""
        # Variables override pip's config files, which may name other indexes; pip ignores empty variables.
        # The empty folder's path is relative to the project, where pip runs: pip splits paths at spaces.
        (self.scratch / "empty").mkdir()
        nowhere = os.path.relpath(self.scratch / "empty", self.project.root)
        only = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": nowhere, "PIP_EXTRA_INDEX_URL": torch_index}
        # Without dependencies: the index may lack the versions that the constraints pin.
        words = ["--index-url", torch_index, "--no-deps", *pair]
        whose = "PyTorch's CPU index" if torch_index == CPU_INDEX else "the given index"
        self._install(words, f"Installing torch and torchvision from {whose}", len(pair), only)

    def _size(self, torch_index: str) -> str:
        """Return the title's words on the download size, or "" if it is small or unknown."""
        if torch_index or not self._fetches_torch():
            return ""
        return (
            f" — downloads about {in_gb(self.needs.download)}, needs {in_gb(self.needs.likely)} of disk while it runs"
        )

    def _expected(self, torch_index: str) -> int:
        """Return about how many packages pip will name: the pinned ones, and on Linux NVIDIA's libraries."""
        nvidia = 20 if self.needs.download >= LINUX_DOWNLOAD and not torch_index else 0
        return self.project.pins + nvidia

    def _fetches_torch(self) -> bool:
        """Return whether torch, most of the download, is not installed yet."""
        return bool(self.needs.download) and not (site_packages(self.venv) / "torch").exists()

    def _environment(self, extra: dict[str, str]) -> dict[str, str]:
        """Return pip's environment variables: the user's, without those that would install somewhere else."""
        env = clean_environment(
            PIP_DISABLE_PIP_VERSION_CHECK="1",
            PIP_NO_INPUT="1",
            PIP_USER="0",
            PIP_LOG=str(self._chatter),
            # For pip 25.3 and newer: pins the build tool's version too.
            PIP_BUILD_CONSTRAINT=str(CONSTRAINTS),
            PYTHONNOUSERSITE="1",
            PYTHONUNBUFFERED="1",
            PYTHONIOENCODING="utf-8",
            TMPDIR=str(self.scratch),
            TEMP=str(self.scratch),
            TMP=str(self.scratch),
        )
        for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "PIP_QUIET", "PIP_VERBOSE"):
            env.pop(name, None)
        if self.cache:
            env["PIP_CACHE_DIR"] = str(self.cache)
        if free_bytes(self.venv) < self.needs.likely + self.needs.download:
            env["PIP_NO_CACHE_DIR"] = "1"  # no room for a second copy of the download
        return env | extra

    def _install(self, words: list[str], title: str, expected: int, extra: dict[str, str] | None = None) -> None:
        """Run one `pip install` in the project's folder, as one stage on the screen."""
        progress = PipProgress(expected, self.needs.download if self._fetches_torch() else 0)
        argv = [str(python_of(self.venv)), "-m", "pip", "install", "-c", str(CONSTRAINTS), *words]
        with self.screen.stage(title) as stage:
            done = processes.run(
                argv,
                log=self.log,
                cwd=self.project.root,
                env=self._environment(extra or {}),
                on_line=progress.feed,
                on_tick=lambda: self._show(stage, progress),
            )
        if done.code == 0:
            return
        lines = done.lines + self._reasons()
        raise diagnose(
            lines,
            done.code,
            folder=self.venv,
            needed=self.needs.likely,
            log=Path(self.log.name),
            torch_index="--no-deps" in words,
        )

    def _reasons(self) -> list[str]:
        """Return the lines of pip's verbose log that say why an index could not be reached, and add them to the log."""
        with contextlib.suppress(OSError):
            chatter = self._chatter.read_text("utf-8", "replace").splitlines()
            reasons = [line for line in chatter if _WHY.search(line)]
            self.log.writelines(scrubbed(line) + "\n" for line in reasons)
            return reasons
        return []

    def _show(self, stage: Stage, progress: PipProgress) -> None:
        """Update the screen, looking at the disk only when something will be drawn."""
        if not stage.due():
            return
        downloaded = _newest_size(self.scratch)
        unpacked = 0
        if progress.to_unpack:
            names = (info.name.partition("-")[0] for info in site_packages(self.venv).glob("*.dist-info"))
            unpacked = sum(plain_name(name) in progress.to_unpack for name in names)
        stage.tick(progress.fraction(downloaded, unpacked), progress.text(downloaded, unpacked, stage.elapsed_s))


def _newest_size(scratch: Path) -> int:
    """Return the size of the file that pip is downloading: the newest in its download folders."""
    newest, size = 0.0, 0
    with contextlib.suppress(OSError):
        for path in scratch.glob("pip-unpack-*/*"):
            found = path.stat()
            if found.st_mtime >= newest:
                newest, size = found.st_mtime, found.st_size
    return size


def log_header(root: Path) -> str:
    """Return the first line of a log: when, where and with which Python."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} install in {root}, Python {sys.version.split()[0]}, {sys.platform}\n"
