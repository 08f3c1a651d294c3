"""Where the parts of an installation are, for one user on one platform. Nothing here is made.

`data` holds what the installer makes: `app/<name>/` for each version, `app/current` that points at the one in use, and the
manifest. `link.user_folders.state_folder()` and platformdirs name the same folders; tests compare them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "deepdream"
STAMP = "install.json"
"""What the installer writes into each folder of a version."""


@dataclass(frozen=True)
class UserFolders:
    """A user's environment variables, `sys.platform` and home folder, and the folders that follow from them."""

    environ: Mapping[str, str]
    platform: str
    home: Path

    @classmethod
    def here(cls) -> UserFolders:
        """Return those of the user who runs this; raises `RuntimeError` if there is no home folder."""
        # Set to nothing, HOME would lead to the root of the disk.
        home = Path() if os.environ.get("HOME", "unset") == "" and os.name == "posix" else Path.home()
        if not home.is_absolute():
            raise RuntimeError("this user has no home folder")
        return cls(dict(os.environ), sys.platform, home)

    @property
    def windows(self) -> bool:
        """Whether this is Windows, where links need rights and programs end in .exe."""
        return self.platform == "win32"

    @property
    def linux(self) -> bool:
        """Whether services are systemd's and file events inotify's."""
        return self.platform.startswith("linux")

    @property
    def data(self) -> Path:
        """The folder in which the installer puts the program and its manifest."""
        if self.windows:
            return self._local / "DeepDream"
        if self.platform == "darwin":
            return self._support / "DeepDream"
        return self.xdg_data / NAME

    @property
    def config(self) -> Path:
        """Where the user's config.yaml is looked for."""
        return self._own or self.xdg_config / NAME

    @property
    def state(self) -> Path:
        """Journal, logs, and the service's endpoint."""
        usual = self._own / "state" if self._own else self._chosen("XDG_STATE_HOME", ".local/state") / NAME
        return self._chosen("DEEPDREAM_STATE_DIR", usual)

    @property
    def weights(self) -> Path:
        """Weights that were fetched."""
        return (self._own or self.data) / "weights"

    @property
    def bin(self) -> Path:
        """Where the launcher is."""
        return self.data / "bin" if self.windows else self.home / ".local" / "bin"

    @property
    def xdg_config(self) -> Path:
        """Where programs keep their configuration on Linux, completion files on macOS too."""
        return self._local if self.windows else self._chosen("XDG_CONFIG_HOME", ".config")

    @property
    def xdg_data(self) -> Path:
        """Where programs keep their data on Linux, completion files on macOS too."""
        return self._local if self.windows else self._chosen("XDG_DATA_HOME", ".local/share")

    @property
    def units(self) -> Path:
        """The folder of this user's systemd units."""
        return self.xdg_config / "systemd" / "user"

    @property
    def app(self) -> Path:
        """The folder of all installed versions."""
        return self.data / "app"

    @property
    def current(self) -> Path:
        """What points at the version in use: a link, on Windows a file with its name."""
        return self.app / ("current.txt" if self.windows else "current")

    @property
    def manifest(self) -> Path:
        """The record of what was installed."""
        return self.data / "manifest.json"

    @property
    def launcher(self) -> Path:
        """The command `deepdream`."""
        return self.bin / (f"{NAME}.cmd" if self.windows else NAME)

    def python_in(self, version: Path) -> Path:
        """Return the Python of an installed version."""
        return version / "Scripts" / "python.exe" if self.windows else version / "bin" / "python"

    def used(self) -> Path | None:
        """Return the folder of the version in use, or None."""
        try:
            name = self.current.read_text("utf-8").strip() if self.windows else os.readlink(self.current)  # noqa: PTH115
        except (OSError, ValueError):
            return None
        return self.app / name if name and Path(name).name == name else None

    def python(self) -> Path | None:
        """Return the Python of the version in use, by a path that outlives upgrades where there are links, or None."""
        used = self.used()
        if used is None or not self.python_in(used).exists():
            return None
        return self.python_in(used if self.windows else self.current)

    def short(self, path: Path) -> str:
        """Return a path as people write it, with ~ for the home folder."""
        if self.home != self.home.parent and path.is_relative_to(self.home):
            return str(Path("~", path.relative_to(self.home)))
        return str(path)

    @property
    def _local(self) -> Path:
        return Path(self.environ.get("LOCALAPPDATA") or self.home / "AppData" / "Local")

    @property
    def _support(self) -> Path:
        return self.home / "Library" / "Application Support"

    @property
    def _own(self) -> Path | None:
        """The one folder for configuration, state and weights, on systems that have one."""
        if self.windows:
            return self._local / NAME
        return self._support / NAME if self.platform == "darwin" else None

    def _chosen(self, variable: str, usual: str | Path) -> Path:
        """Return the folder that a variable names, if it is a whole path, else the usual one (in the home folder)."""
        given = self.environ.get(variable, "")
        return Path(given) if os.path.isabs(given) else self.home / usual  # noqa: PTH117
