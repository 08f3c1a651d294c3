"""The background service on macOS: a launchd agent for the hot folder. Programs that need the helper start it.

launchd has nothing like systemd's exit codes that are not worth a restart: after a bad configuration it tries again once a
minute, which costs nothing and finds the fixed one.
"""

import os
import plistlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actions import Actions
from errors import Exit, InstallError
from systemd import HANDED_ON, Endpoint

from deepdream_core.machine.command import ask
from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.launchd import LABEL, agent_file

_WATCH = ("-I", "-X", "utf8", "-m", "deepdream_core", "watch", "--plain")
WITHIN_S = 30.0
UNLOADED_WITHIN_S = 10.0
"""How long to wait for an agent to end: `ExitTimeOut` and some more."""


def agent(user: UserFolders, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the agent's property list, see launchd.plist(5)."""
    log = str(user.state / "watch.log")
    given = {name: environ[name] for name in HANDED_ON if os.path.isabs(environ.get(name, ""))}  # noqa: PTH117
    return {
        "Label": LABEL,
        "ProgramArguments": [str(user.python_in(user.current)), *_WATCH],
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 60,
        # Not "Background", which slows disk and network down and keeps to the small cores.
        "ProcessType": "Standard",
        "ExitTimeOut": 5,
        "Umask": 0o077,
        "WorkingDirectory": str(user.home),
        "EnvironmentVariables": {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **given},
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }


class Launchd:
    """This user's launchd."""

    kind = "launchd"

    def __init__(self, user: UserFolders) -> None:
        self.user = user

    def files(self, endpoint: Endpoint | None) -> dict[Path, bytes]:
        """Return the agent's file and content; launchd needs no endpoint."""
        return {agent_file(self.user.home): plistlib.dumps(agent(self.user, os.environ))}

    def names(self, files: Mapping[Path, bytes]) -> list[str]:
        """Return the agents' labels."""
        return [path.stem for path in files]

    def running(self, names: Sequence[str]) -> list[str]:
        """Return those of the agents that launchd has loaded."""
        return [name for name in names if ask("launchctl", "print", self._target(name), within_s=WITHIN_S).code == 0]

    def stop(self, actions: Actions, names: Sequence[str]) -> None:
        """End agents and unload them."""
        for name in names:
            actions.run("launchctl", "bootout", self._target(name), within_s=WITHIN_S)
            # It returns before the agent has ended: until then it cannot be loaded again.
            began = time.monotonic()
            while not actions.dry_run and self.running([name]) and time.monotonic() - began < UNLOADED_WITHIN_S:
                time.sleep(UNLOADED_WITHIN_S / 50)

    def read_again(self, actions: Actions) -> None:
        """Nothing to do: an agent is read when it is loaded."""

    def start(self, actions: Actions, names: Sequence[str], within_s: float | None = None) -> None:
        """Load agents, which starts them; raises InstallError."""
        for name in names:
            file = agent_file(self.user.home)
            if not actions.dry_run and self.running([name]):  # loaded, that is; it may have ended
                done = actions.run("launchctl", "kickstart", self._target(name), within_s=WITHIN_S)
            else:
                actions.run("launchctl", "enable", self._target(name), within_s=WITHIN_S)
                done = actions.run("launchctl", "bootstrap", self._domain(), file, within_s=WITHIN_S)
            if done.code:
                raise InstallError(
                    f"the service does not start: {done.last}", f"`launchctl print {self._target(name)}` says more",
                    Exit.SERVICE,
                )  # fmt: skip

    def enable(self, actions: Actions, names: Sequence[str]) -> None:
        """Nothing to do: a file in LaunchAgents is loaded at login."""

    def disable(self, actions: Actions, names: Sequence[str]) -> None:
        """End agents and unload them."""
        self.stop(actions, names if actions.dry_run else self.running(names))

    def forget(self, actions: Actions, names: Sequence[str]) -> None:
        """Nothing to do: an agent without its file is not loaded again."""

    def _domain(self) -> str:
        return f"gui/{os.getuid() if hasattr(os, 'getuid') else 0}"

    def _target(self, name: str) -> str:
        return f"{self._domain()}/{name}"
