"""The service under macOS' launchd: an agent for the hot folder; programs that need the helper start it.

Follows launchctl(1) and launchd.plist(5); not run on a real macOS yet.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.errors import SettingsError
from deepdream_core.machine.launchd import LABEL, agent_file, domain
from deepdream_core.service import logfile, on_demand
from deepdream_core.service.interface import HOT_FOLDER, INSTALL, START_WITHIN_S, Part, checked, not_installed

if TYPE_CHECKING:
    from deepdream_core.service.interface import Run


class Launchd:
    """launchd's domain of this user's desktop session; `run` runs commands."""

    def __init__(self, run: Run, home: Path | None = None, session: str | None = None) -> None:
        self._run = run
        self._plist = agent_file(home or Path.home())
        self._domain = session or domain()

    def parts(self) -> list[Part]:
        """Return the state of hot folder and helper."""
        return [self._watch(), on_demand.part()]

    def start(self) -> None:
        """Load the agent, which starts it, or restart it."""
        if not self._plist.exists():
            raise not_installed()
        if self._printed() is None:
            loaded = self._run("launchctl", "bootstrap", self._domain, str(self._plist), within_s=START_WITHIN_S)
            checked(loaded, "launchd cannot load the service", "log in at the desktop, then try again")
        started = self._run("launchctl", "kickstart", f"{self._domain}/{LABEL}", within_s=START_WITHIN_S)
        checked(started, "launchd cannot start the service", "see `deepdream service logs`")

    def stop(self) -> None:
        """Unload the agent until the next login; end the helper."""
        if not self._plist.exists():
            raise not_installed()
        if self._printed() is not None:
            ended = self._run("launchctl", "bootout", f"{self._domain}/{LABEL}")
            checked(ended, "launchd cannot stop the service", "see `deepdream service logs`")
        on_demand.end()

    def logs(self, lines: int, *, follow: bool) -> None:
        """Print our own log files."""
        if not self._plist.exists():
            raise not_installed()
        logfile.show(lines, follow=follow)

    def _printed(self) -> str | None:
        """Return what launchd prints about the agent, None if it is not loaded."""
        answer = self._run("launchctl", "print", f"{self._domain}/{LABEL}")
        return answer.out if answer.code == 0 else None

    def _watch(self) -> Part:
        if not self._plist.exists():
            return Part(HOT_FOLDER, "missing", "it is not installed", next_step=INSTALL)
        printed = self._printed()
        if printed is None:
            return Part(HOT_FOLDER, "stopped", next_step="`deepdream service start`")
        pid, code = _number(printed, "pid"), _number(printed, "last exit code")
        if re.search(r"^\s*state = running$", printed, re.MULTILINE) and pid:
            return Part(HOT_FOLDER, "runs", pid=pid)
        again = "then `deepdream service start`"
        if code == SettingsError.exit_code:
            step = f"fix config.yaml, {again}; `deepdream service logs` shows the line"
            return Part(HOT_FOLDER, "failed", "config.yaml is invalid", next_step=step)
        if code:
            step = f"see `deepdream service logs`, {again}"
            return Part(HOT_FOLDER, "failed", f"exited with code {code}", next_step=step)
        return Part(HOT_FOLDER, "stopped", next_step="`deepdream service start`")


def _number(printed: str, name: str) -> int | None:
    found = re.search(rf"^\s*{name} = (\d+)", printed, re.MULTILINE)
    return int(found[1]) if found else None
