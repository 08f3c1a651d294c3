"""The paths of an installation, for one user on one platform. Nothing here creates them.

`data` contains what the installer creates: `app/<name>/` for each version, `app/current` that points to the version in use,
and the manifest. `link.user_folders.state_folder()` and platformdirs return the same folders; tests compare them.
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
"""The file that the installer writes into each version's folder."""


@dataclass(frozen=True)
class UserFolders:
    """A user's environment variables, `sys.platform` and home folder, and the folders that follow from them."""

    environ: Mapping[str, str]
    platform: str
    home: Path

    @classmethod
    def here(cls) -> UserFolders:
        """Return the current user's folders; raises `RuntimeError` if there is no home folder."""
        # An empty HOME would mean the root of the disk.
        home = Path() if os.environ.get("HOME", "unset") == "" and sys.platform != "win32" else Path.home()
        if not home.is_absolute():
            raise RuntimeError("this user has no home folder")
        return cls(dict(os.environ), sys.platform, home)

    @property
    def windows(self) -> bool:
        """Whether this is Windows, where links need permissions and programs end in .exe."""
        return self.platform == "win32"

    @property
    def linux(self) -> bool:
        """Whether this is Linux, with systemd's services and inotify's events."""
        return self.platform.startswith("linux")

    @property
    def data(self) -> Path:
        """The installer's folder, with the program and the manifest."""
        if self.windows:
            return self._local / "DeepDream"
        if self.platform == "darwin":
            return self._support / "DeepDream"
        return self.xdg_data / NAME

    @property
    def config(self) -> Path:
        """The folder of the user's config.yaml."""
        return self._own or self.xdg_config / NAME

    @property
    def state(self) -> Path:
        """The folder of journal, logs, and the service's endpoint."""
        usual = self._own / "state" if self._own else self._chosen("XDG_STATE_HOME", ".local/state") / NAME
        return self._chosen("DEEPDREAM_STATE_DIR", usual)

    @property
    def cache(self) -> Path:
        """The folder of what the GIMP plug-in can make again; `plugin/deepdream/cache.py` has the same."""
        if self.windows:
            return self._local / NAME / "cache"
        if self.platform == "darwin":
            return self.home / "Library" / "Caches" / NAME
        return self._chosen("XDG_CACHE_HOME", ".cache") / NAME

    @property
    def weights(self) -> Path:
        """The folder of downloaded weights."""
        return (self._own or self.data) / "weights"

    @property
    def bin(self) -> Path:
        """The folder of the launcher."""
        return self.data / "bin" if self.windows else self.home / ".local" / "bin"

    @property
    def xdg_config(self) -> Path:
        """Where Linux programs keep their configuration; on macOS, only completion files."""
        return self._local if self.windows else self._chosen("XDG_CONFIG_HOME", ".config")

    @property
    def xdg_data(self) -> Path:
        """Where Linux programs keep their data; on macOS, only completion files."""
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
        """A link to the version in use; on Windows, a file with its name."""
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
        """Return the Python of the version in use, by a path that survives upgrades (not on Windows), or None."""
        used = self.used()
        if used is None or not self.python_in(used).exists():
            return None
        return self.python_in(used if self.windows else self.current)

    def short(self, path: Path) -> str:
        """Return a path with ~ for the home folder."""
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
        """The common folder for configuration, state and weights, on systems that have one."""
        if self.windows:
            return self._local / NAME
        return self._support / NAME if self.platform == "darwin" else None

    def _chosen(self, variable: str, usual: str | Path) -> Path:
        """Return the folder that a variable names, if that is an absolute path, else the usual one (in the home folder)."""
        given = self.environ.get(variable, "")
        return Path(given) if os.path.isabs(given) else self.home / usual  # noqa: PTH117
