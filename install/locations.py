"""Where the parts of an installation lie, for this user on this platform; the program itself finds the same places.

`DATA` holds what the installer makes: `app/<name>/` for each version, `app/current` pointing at the one in use, and the
manifest. Nothing here is made or read, only named.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trouble import Exit, InstallError

NAME = "deepdream"


@dataclass(frozen=True)
class Places:
    """The user's `home` and in it the folders for data, configuration, state and commands; `platform` is sys's name."""

    platform: str
    home: Path
    data: Path
    config: Path
    """Where the user's config.yaml is looked for."""
    state: Path
    """Journal, logs, and the service's endpoint."""
    weights: Path
    """Weights that were fetched."""
    bin: Path
    """Where the launcher lies."""
    xdg_config: Path
    xdg_data: Path

    @property
    def windows(self) -> bool:
        """Whether this is Windows, where links need rights and programs end in .exe."""
        return self.platform == "win32"

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


def here() -> Places:
    """Return the places of the user who runs this; raises InstallError if there is no home folder."""
    try:
        # Set to nothing, it would lead to the root of the disk.
        home = Path() if os.environ.get("HOME", "unset") == "" and os.name == "posix" else Path.home()
    except RuntimeError:
        home = Path()
    if not home.is_absolute():
        raise InstallError("your home folder cannot be found", "set HOME to its whole path", Exit.ENVIRONMENT)
    return of(os.environ, sys.platform, home)


def of(environ: Mapping[str, str], platform: str, home: Path) -> Places:
    """Return the places as these variables, this platform and this home make them."""

    def chosen(variable: str, usual: Path) -> Path:
        given = environ.get(variable, "")
        return Path(given) if os.path.isabs(given) else usual  # noqa: PTH117

    own_state = environ.get("DEEPDREAM_STATE_DIR", "")
    if platform == "win32":
        local = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        both, data, bin_ = local / NAME, local / "DeepDream", local / "DeepDream" / "bin"
        state = chosen("DEEPDREAM_STATE_DIR", both / "state") if own_state else both / "state"
        return Places(platform, home, data, both, state, both / "weights", bin_, local, local)
    if platform == "darwin":
        support = home / "Library" / "Application Support"
        both, data = support / NAME, support / "DeepDream"
        state = chosen("DEEPDREAM_STATE_DIR", both / "state")
        bin_ = home / ".local" / "bin"
        config, share = chosen("XDG_CONFIG_HOME", home / ".config"), chosen("XDG_DATA_HOME", home / ".local" / "share")
        return Places(platform, home, data, both, state, both / "weights", bin_, config, share)
    config = chosen("XDG_CONFIG_HOME", home / ".config")
    share = chosen("XDG_DATA_HOME", home / ".local" / "share")
    state = chosen("DEEPDREAM_STATE_DIR", chosen("XDG_STATE_HOME", home / ".local" / "state") / NAME)
    data = share / NAME
    return Places(platform, home, data, config / NAME, state, data / "weights", home / ".local" / "bin", config, share)
