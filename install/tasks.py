"""The background service on Windows: a task that the Task Scheduler starts when the user logs on, in their own session.

Not a Windows service: those run in session 0, without the user's folders, drives and GPU. Programs that need the helper
start it.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from actions import Actions
from errors import Exit, InstallError
from systemd import TEMPLATES, Endpoint, filled

from deepdream_core.machine.command import Answer, ask
from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.task_scheduler import TASK

WITHIN_S = 30.0
# There is no console, so redirect output to a log before the program is loaded.
_RUN = (
    "import os, runpy, sys; os.makedirs(os.path.dirname({log!r}), exist_ok=True); "
    "sys.stdout = sys.stderr = open({log!r}, 'a', 1, 'utf-8', 'replace'); sys.argv = ['deepdream', 'watch', '--plain']; "
    "runpy.run_module('deepdream_core', run_name='__main__', alter_sys=True)"
)


def task(user: UserFolders, version: Path, environ: Mapping[str, str]) -> bytes:
    """Return the task as XML in UTF-16 for schtasks; it names the version's folder, as Windows has no link to it."""
    name = "\\".join(filter(None, (environ.get("USERDOMAIN", ""), environ.get("USERNAME", ""))))
    code = _RUN.format(log=str(user.state / "watch.log"))
    words = {
        "USER": name,
        "PYTHON": str(user.python_in(version).with_name("pythonw.exe")),
        "ARGUMENTS": subprocess.list2cmdline(["-I", "-c", code]),
        "HOME": str(user.home),
    }
    template = (TEMPLATES / "deepdream-watch.xml").read_text("utf-8")
    return filled(template, {name: escape(word) for name, word in words.items()}).encode("utf-16")


class Tasks:
    """This user's tasks in the Task Scheduler."""

    kind = "task scheduler"

    def __init__(self, user: UserFolders) -> None:
        self.user = user

    def files(self, endpoint: Endpoint | None) -> dict[Path, bytes]:
        """Return the task's file and its content; it needs no endpoint."""
        version = self.user.used() or self.user.current
        return {self.user.data / "watch-task.xml": task(self.user, version, os.environ)}

    def names(self, files: Mapping[Path, bytes]) -> list[str]:
        """Return the tasks' names."""
        return [TASK]

    def running(self, names: Sequence[str]) -> list[str]:
        """Return the tasks that exist."""
        return [name for name in names if ask("schtasks", "/Query", "/TN", name, within_s=WITHIN_S).code == 0]

    def stop(self, actions: Actions, names: Sequence[str]) -> None:
        """End the tasks' programs."""
        for name in names:
            actions.run("schtasks", "/End", "/TN", name, within_s=WITHIN_S)

    def read_again(self, actions: Actions) -> None:
        """Create or replace the task from its file; raises InstallError."""
        done = actions.run(
            "schtasks", "/Create", "/TN", TASK, "/XML", self.user.data / "watch-task.xml", "/F", within_s=WITHIN_S
        )
        self._must("cannot create the task", done)

    def start(self, actions: Actions, names: Sequence[str], within_s: float | None = None) -> None:
        """Run the tasks now; raises InstallError."""
        for name in names:
            self._must("the service does not start", actions.run("schtasks", "/Run", "/TN", name, within_s=WITHIN_S))

    def enable(self, actions: Actions, names: Sequence[str]) -> None:
        """Create the task, which runs at logon, if it is missing, for example deleted by hand. Raises InstallError."""
        if len(self.running(names)) < len(names) and (self.user.data / "watch-task.xml").exists():
            self.read_again(actions)

    def disable(self, actions: Actions, names: Sequence[str]) -> None:
        """End the tasks' programs, and remove the tasks."""
        self.stop(actions, names)
        for name in names:
            actions.run("schtasks", "/Delete", "/TN", name, "/F", within_s=WITHIN_S)

    def forget(self, actions: Actions, names: Sequence[str]) -> None:
        """Do nothing: a removed task leaves nothing behind."""

    @staticmethod
    def _must(what: str, done: Answer) -> None:
        if done.code:
            todo = "see `schtasks /Query /TN DeepDream\\watch /V`"
            raise InstallError(f"{what}: {done.last}", todo, Exit.SERVICE)
