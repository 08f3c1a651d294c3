"""The service under Windows' Task Scheduler: a task at logon for the hot folder; programs that need the helper start it.

schtasks prints in the user's language, so this reads only exit codes, and columns by number. Follows its documentation;
not run on a real Windows yet.
"""

from __future__ import annotations

import csv
import time
from typing import TYPE_CHECKING

from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.hotfolder import shared_state
from deepdream_core.machine.task_scheduler import TASK
from deepdream_core.service import logfile, on_demand
from deepdream_core.service.interface import HOT_FOLDER, INSTALL, START_WITHIN_S, Part, checked, not_installed

if TYPE_CHECKING:
    from deepdream_core.service.interface import Run

_LAST_RESULT = 6
_RUNS, _NEVER_RAN, _ENDED_BY_USER = 0x41301, 0x41303, 0x41306
_LOOK_AGAIN_S = 2.0


class Tasks:
    """The Task Scheduler; `run` runs commands."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def parts(self) -> list[Part]:
        """Return the state of hot folder and helper."""
        return [self._watch(), on_demand.part()]

    def start(self) -> None:
        """Run the task now."""
        if not self._is_there():
            raise not_installed()
        if not _daemons():
            started = self._run("schtasks", "/Run", "/TN", TASK, within_s=START_WITHIN_S)
            checked(started, "the Task Scheduler cannot start the service", "see `deepdream service logs`")
            time.sleep(_LOOK_AGAIN_S)

    def stop(self) -> None:
        """End the task until the next logon, and the helper; the journal keeps unfinished pictures."""
        if not self._is_there():
            raise not_installed()
        ended = self._run("schtasks", "/End", "/TN", TASK)
        checked(ended, "the Task Scheduler cannot stop the service", "see `deepdream service logs`")
        on_demand.end()

    def logs(self, lines: int, *, follow: bool) -> None:
        """Print our own log files."""
        if not self._is_there():
            raise not_installed()
        logfile.show(lines, follow=follow)

    def _is_there(self) -> bool:
        return self._run("schtasks", "/Query", "/TN", TASK).code == 0

    def _watch(self) -> Part:
        if not self._is_there():
            return Part(HOT_FOLDER, "missing", "it is not installed", next_step=INSTALL)
        daemons = _daemons()
        if daemons:
            return Part(HOT_FOLDER, "runs", pid=daemons[0])
        result = self._last_result()
        if result == _RUNS:
            return Part(HOT_FOLDER, "starts")
        if result == SettingsError.exit_code:
            step = "fix config.yaml, then `deepdream service start`; `deepdream service logs` shows the line"
            return Part(HOT_FOLDER, "failed", "config.yaml is invalid", next_step=step)
        if result in (None, 0, _NEVER_RAN, _ENDED_BY_USER):
            return Part(HOT_FOLDER, "stopped", next_step="`deepdream service start`")
        step = "see `deepdream service logs`, then `deepdream service start`"
        return Part(HOT_FOLDER, "failed", f"exited with code {result}", next_step=step)

    def _last_result(self) -> int | None:
        answer = self._run("schtasks", "/Query", "/TN", TASK, "/V", "/FO", "CSV", "/NH")
        rows = [row for row in csv.reader(answer.out.splitlines()) if len(row) > _LAST_RESULT]
        try:
            return int(rows[0][_LAST_RESULT]) & 0xFFFFFFFF if rows else None
        except ValueError:
            return None


def _daemons() -> list[int]:
    """Return the process ids of running daemons."""
    try:
        return [int(state["pid"]) for state in shared_state.states()]
    except DeepDreamError:
        return []
