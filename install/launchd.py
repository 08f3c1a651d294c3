"""The background service on macOS: a launchd agent for the hot folder. Programs that need the helper start it.

Unlike systemd, launchd cannot be told which exit codes are not worth a restart: after a bad configuration it tries again
every minute, which costs nothing and notices when the file is fixed.
"""

import os
import plistlib
import shlex
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from actions import Actions, Change
from errors import Exit, InstallError
from systemd import HANDED_ON, Endpoint

from deepdream_core.machine.command import ask
from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.launchd import LABEL, agent_file, domain

_WATCH = ("-I", "-X", "utf8", "-m", "deepdream_core", "watch", "--plain")
WITHIN_S = 30.0
UNLOADED_WITHIN_S = 10.0
"""How long to wait for an agent to end: longer than `ExitTimeOut`."""


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
        # Not "Background", which slows down disk and network and uses only the small cores.
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
        """Return the agents that launchd has loaded."""
        return [name for name in names if ask("launchctl", "print", self._target(name), within_s=WITHIN_S).code == 0]

    def stop(self, actions: Actions, names: Sequence[str]) -> None:
        """Stop and unload agents."""
        for name in names:
            command = ("launchctl", "bootout", self._target(name))
            actions.apply(Change(f"run: {shlex.join(command)}", partial(self._unload, name, command)))

    def _unload(self, name: str, command: Sequence[str]) -> None:
        ask(*command, within_s=WITHIN_S)
        # bootout returns before the agent has ended, and only then can it be loaded again.
        began = time.monotonic()
        while self.running([name]) and time.monotonic() - began < UNLOADED_WITHIN_S:
            time.sleep(UNLOADED_WITHIN_S / 50)

    def read_again(self, actions: Actions) -> None:
        """Do nothing: launchd reads an agent when it loads it."""

    def start(self, actions: Actions, names: Sequence[str], within_s: float | None = None) -> None:
        """Load agents, which starts them; raises InstallError."""
        for name in names:
            enable = ("launchctl", "enable", self._target(name))
            load = ("launchctl", "bootstrap", domain(), str(agent_file(self.user.home)))
            text = f"run: {shlex.join(enable)}\nrun: {shlex.join(load)}"
            actions.apply(Change(text, partial(self._load, name, enable, load)))

    def _load(self, name: str, enable: Sequence[str], load: Sequence[str]) -> None:
        target = self._target(name)
        if self.running([name]):  # loaded, though it may have ended
            done = ask("launchctl", "kickstart", target, within_s=WITHIN_S)
        else:
            ask(*enable, within_s=WITHIN_S)
            done = ask(*load, within_s=WITHIN_S)
        if done.code:
            what, todo = f"the service does not start: {done.last}", f"see `launchctl print {target}`"
            raise InstallError(what, todo, Exit.SERVICE)

    def enable(self, actions: Actions, names: Sequence[str]) -> None:
        """Do nothing: launchd loads files in LaunchAgents at login."""

    def disable(self, actions: Actions, names: Sequence[str]) -> None:
        """Stop and unload agents."""
        self.stop(actions, self.running(names))

    def forget(self, actions: Actions, names: Sequence[str]) -> None:
        """Do nothing: launchd does not load an agent without its file."""

    def _target(self, name: str) -> str:
        return f"{domain()}/{name}"
