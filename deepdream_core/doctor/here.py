"""Where things lie for this user on this system: what the installer lays down, and what services are set up in."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Here:
    """A user's environment variables, `sys.platform` and home folder, and what follows from them."""

    environ: Mapping[str, str]
    platform: str
    home: Path

    @classmethod
    def now(cls) -> Here:
        """Return this process's; a user without a home folder has one that is not there."""
        try:
            return cls(dict(os.environ), sys.platform, Path.home())
        except RuntimeError:
            return cls(dict(os.environ), sys.platform, Path(os.sep, "nonexistent"))

    @property
    def data(self) -> Path:
        """The folder in which the installer lays the program and its manifest."""
        if self.platform == "win32":
            return Path(self.environ.get("LOCALAPPDATA") or self.home / "AppData" / "Local", "DeepDream")
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support" / "DeepDream"
        return self._xdg("XDG_DATA_HOME", ".local/share") / "deepdream"

    @property
    def launcher(self) -> Path:
        """The command `deepdream` of an installed program."""
        if self.platform == "win32":
            return self.data / "bin" / "deepdream.cmd"
        return self.home / ".local" / "bin" / "deepdream"

    @property
    def units(self) -> Path:
        """The folder of this user's systemd units."""
        return self._xdg("XDG_CONFIG_HOME", ".config") / "systemd" / "user"

    @property
    def linux(self) -> bool:
        """Whether services are systemd's and events inotify's."""
        return self.platform.startswith("linux")

    def short(self, path: Path) -> str:
        """Return a path as people write it, with ~ for the home folder."""
        if self.home != self.home.parent and path.is_relative_to(self.home):
            return str(Path("~", path.relative_to(self.home)))
        return str(path)

    def _xdg(self, name: str, usual: str) -> Path:
        chosen = self.environ.get(name, "")
        return Path(chosen) if os.path.isabs(chosen) else self.home / usual  # noqa: PTH117
