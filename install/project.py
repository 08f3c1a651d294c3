"""What to install: the packages that pyproject.toml and the constraints name, and the disk space they take."""

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from errors import GB, Exit, InstallError, disk_full, free_bytes, in_gb
from pip_output import plain_name
from screen import Screen

TORCH = ("torch", "torchvision")
CONSTRAINTS = Path("install/constraints.txt")
# Measured with the constraints: 2.66 GB downloaded, 5.85 GB installed, and for a while both at once.
LINUX_DISK = 9 * GB
LINUX_DOWNLOAD = 27 * GB // 10


@dataclass(frozen=True)
class Project:
    """What pyproject.toml and the constraints say about the packages of the project at `root`."""

    root: Path
    requirements: tuple[str, ...]
    extras: dict[str, tuple[str, ...]]
    pins: int
    version: str = ""

    @classmethod
    def read(cls, root: Path) -> "Project":
        """Read the project; raises InstallError if its files are damaged or missing."""
        try:
            parsed = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
            pins = [line for line in (root / CONSTRAINTS).read_text("utf-8").splitlines() if "==" in line]
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise InstallError(
                f"pyproject.toml or {CONSTRAINTS} is missing or damaged ({type(error).__name__})",
                "restore it with `git checkout pyproject.toml install`, or clone the project again",
                Exit.ENVIRONMENT,
            ) from None
        extras = {name: tuple(items) for name, items in parsed.get("optional-dependencies", {}).items()}
        return cls(root, tuple(parsed.get("dependencies", ())), extras, len(pins), str(parsed.get("version", "")))

    def torch(self) -> list[str]:
        """Return the requirements of torch and torchvision, which are installed together or not at all."""
        return [item for item in self.requirements if _name(item) in TORCH]

    def summary(self, extras: tuple[str, ...]) -> str:
        """Return the packages as words: `torch, torchvision, 9 more packages and what they need`."""
        count = len(self.requirements) + sum(len(self.extras.get(extra, ())) for extra in extras)
        named = [_name(item) for item in self.torch()]
        rest = count - len(named)
        if not count:
            return "the project"
        words = [*named, f"{rest} {'more ' if named else ''}package{'' if rest == 1 else 's'}"]
        return f"{', '.join(words)} and what they need"


@dataclass(frozen=True)
class Space:
    """Bytes that an install takes: at `least`, `likely` while it runs, and to `download`."""

    least: int
    likely: int
    download: int


def space_for(project: Project, torch_index: str) -> Space:
    """Return the space an install takes on this system, as measured with the pinned versions."""
    if not project.torch():
        return Space(GB // 20, GB // 20, 0)
    if sys.platform.startswith("linux") and not torch_index:
        # The Linux builds on the default index include NVIDIA's libraries.
        return Space(2 * GB, LINUX_DISK, LINUX_DOWNLOAD)
    return Space(2 * GB, 2 * GB, GB // 2)


def _name(requirement: str) -> str:
    """Return the package name of a requirement."""
    return plain_name(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])


def check_space(folder: Path, needs: Space, screen: Screen) -> None:
    """Raise InstallError if `folder` has no room for any install, and warn if it may be too small for this one."""
    free = free_bytes(folder)
    if free < needs.least:
        raise disk_full(folder, needs.likely)
    if free < needs.likely:
        # Only a warning: pip's configured mirror may serve builds without NVIDIA's libraries.
        screen.line(
            f"Only {in_gb(free)} of disk free; an install usually needs about {in_gb(needs.likely)}. Trying anyway"
        )
