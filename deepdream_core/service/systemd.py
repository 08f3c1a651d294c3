"""The service under systemd's user manager: a socket that starts the helper, and the hot folder's daemon."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from deepdream_core.errors import ServiceError, SettingsError
from deepdream_core.machine.command import NOT_FOUND
from deepdream_core.machine.systemd import HELPER_UNIT, SOCKET_UNIT, UNITS, WATCH_UNIT
from deepdream_core.service import helper_environment, logfile
from deepdream_core.service.interface import (
    HELPER,
    HOT_FOLDER,
    INSTALL,
    START_WITHIN_S,
    Part,
    checked,
    environment,
    not_installed,
)

if TYPE_CHECKING:
    from deepdream_core.machine.command import Answer
    from deepdream_core.service.interface import Run, State

_ASKED = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "NRestarts", "ExecMainCode", "ExecMainStatus", "MainPID",
    "StatusText", "ActiveEnterTimestampMonotonic", "InactiveEnterTimestampMonotonic", "NeedDaemonReload", "Listen",
    "UnitFileState", "Environment",
)  # fmt: skip
_WHY = {
    "watchdog": "stopped responding",
    "timeout": "did not start or end in time",
    "oom-kill": "was killed because the machine ran out of memory",
    "start-limit-hit": "was started too often in a row",
    "service-start-limit-hit": "the helper was started too often in a row",
    "trigger-limit-hit": "programs asked for the helper too often in a row",
    "resources": "the system lacks the resources to start it",
    "protocol": "ended before it was ready",
}
_KILLED, _DUMPED = "2", "3"  # of ExecMainCode, as of waitid(2)
_TWO = str(SettingsError.exit_code)

Unit = dict[str, str]


class Systemd:
    """systemd's manager of this user; `run` runs commands."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def parts(self) -> list[Part]:
        """Return the state of hot folder and helper."""
        units = self.units()
        return [self._watch(units[WATCH_UNIT]), self._helper(units[SOCKET_UNIT], units[HELPER_UNIT])]

    def start(self) -> None:
        """Start socket and daemon, also after they failed too often."""
        units = self.units()
        there = [unit for unit in (SOCKET_UNIT, WATCH_UNIT) if _is_there(units[unit])]
        if not there:
            raise not_installed()
        if any(unit["NeedDaemonReload"] == "yes" for unit in units.values()):
            self.reload()
        # The helper first: while it is in the failed state, its socket fails at once.
        for unit in (HELPER_UNIT, SOCKET_UNIT, WATCH_UNIT):
            self._systemctl("reset-failed", unit)  # an error if it has not failed
        for unit in there:
            self._systemctl("start", unit, within_s=START_WITHIN_S)  # `parts` shows the result

    def stop(self) -> None:
        """Stop all parts, the socket first: it would start the helper again."""
        units = self.units()
        there = [unit for unit in UNITS if _is_there(units[unit])]
        if not there:
            raise not_installed()
        checked(self._systemctl("stop", *there), "cannot stop the service", "see `deepdream service logs`")

    def logs(self, lines: int, *, follow: bool) -> None:
        """Print systemd's journal of it, or our own log if that is not readable."""
        if not any(_is_there(unit) for unit in self.units().values()):
            raise not_installed()
        command = ["journalctl", "--user", "--no-pager", "--quiet", f"--lines={lines}"]
        command += [f"--unit={unit}" for unit in UNITS]
        found = self._run(*command)
        if found.code or not found.out.strip():
            logfile.show(lines, follow=follow)
        elif follow:
            with contextlib.suppress(KeyboardInterrupt):
                subprocess.run([*command, "--follow"], check=False, env=environment())
        else:
            print(found.out, end="")

    # --- what systemd knows

    def _systemctl(self, *words: str, within_s: float = 30.0) -> Answer:
        answer = self._run("systemctl", "--user", *words, within_s=within_s)
        if answer.code == NOT_FOUND:
            raise ServiceError("this system has no systemd", "run `deepdream watch` yourself, or from your session")
        if answer.code and "bus" in answer.err and "onnect" in answer.err:
            raise ServiceError(
                "systemd is not running for this user (no user manager answers)",
                "log in as this user, not by su or sudo; on a machine without logins: `loginctl enable-linger`",
            )
        return answer

    def units(self) -> dict[str, Unit]:
        """Return the properties of each of our units, as in systemctl(1), "" for a missing one."""
        answer = checked(
            self._systemctl("show", *UNITS, f"--property={','.join(_ASKED)}"), "systemd cannot report on the service"
        )
        units = {}
        for block in answer.out.strip().split("\n\n"):
            unit = dict(line.partition("=")[::2] for line in block.splitlines())
            units[unit.get("Id", "")] = unit
        return {name: {**dict.fromkeys(_ASKED, ""), **units.get(name, {})} for name in UNITS}

    def helper_environment(self) -> dict[str, str]:
        """Return the variables with which systemd starts the helper."""
        shown = checked(self._systemctl("show-environment"), "systemd cannot report its environment")
        return helper_environment.merged(shown.out, self.units()[HELPER_UNIT]["Environment"])

    def _watch(self, unit: Unit) -> Part:
        if not _is_there(unit):
            return _missing(HOT_FOLDER, unit)
        if unit["ActiveState"] in ("active", "reloading"):
            return Part(HOT_FOLDER, "runs", unit["StatusText"], _since(unit), _pid(unit))
        if unit["SubState"] == "auto-restart":
            about = f"{_ending(unit)}; systemd is about to restart it"
            return Part(HOT_FOLDER, "failed", about, _since(unit), None, "see `deepdream service logs`")
        if unit["ActiveState"] in ("activating", "deactivating"):
            return Part(HOT_FOLDER, "starts", unit["StatusText"], pid=_pid(unit))
        if unit["ActiveState"] == "failed":
            return self._failed(HOT_FOLDER, WATCH_UNIT, unit)
        return Part(HOT_FOLDER, "stopped", since_s=_since(unit), next_step="`deepdream service start`")

    def _helper(self, listening: Unit, unit: Unit) -> Part:
        if not _is_there(listening) or not _is_there(unit):
            return _missing(HELPER, unit if _is_there(listening) else listening)
        if unit["ActiveState"] in ("active", "activating"):
            state: State = "runs" if unit["ActiveState"] == "active" else "starts"
            return Part(HELPER, state, unit["StatusText"], _since(unit), _pid(unit))
        if listening["ActiveState"] == "failed":
            return self._failed(HELPER, HELPER_UNIT, {**listening, "ExecMainStatus": unit["ExecMainStatus"]})
        if listening["ActiveState"] == "active":
            return self._waiting(listening, unit)
        return Part(HELPER, "stopped", since_s=_since(listening), next_step="`deepdream service start`")

    def _waiting(self, listening: Unit, unit: Unit) -> Part:
        """Return the helper's state while only its socket is active."""
        waits = f"starts when a program needs it, at {listening['Listen'].split(' ')[0]}"
        if unit["ActiveState"] != "failed":
            return Part(HELPER, "waits", waits, _since(listening))
        if unit["Result"] != "exit-code":  # the next run may succeed
            return Part(HELPER, "waits", f"the last run {_ending(unit)}; {waits}", _since(unit))
        failed = self._failed(HELPER, HELPER_UNIT, unit)
        return replace(failed, about=f"{failed.about}; {waits}")

    def _failed(self, name: str, unit_name: str, unit: Unit) -> Part:
        error = self.last_error(unit_name)
        about = _ending(unit) + (f": {error}" if error else "")
        again = "then `deepdream service start`"
        if unit["ExecMainStatus"] == _TWO and unit["Result"] != "signal":
            step = f"fix that in config.yaml, {again}"
        else:
            step = f"see `deepdream service logs`, {again}"
        return Part(name, "failed", about, _since(unit), None, step)

    def reload(self) -> None:
        """Let systemd reload its units."""
        checked(self._systemctl("daemon-reload"), "systemd cannot reload its units")

    def enable(self, unit: str) -> None:
        """Start a unit at every login from now on."""
        checked(self._systemctl("enable", unit), f"cannot enable {unit}")

    def start_again(self, unit: str) -> None:
        """Start a unit, also after it failed; the helper itself is left to its socket."""
        # The service before its socket, which would fail while the service is in the failed state.
        for name in dict.fromkeys((unit.replace(".socket", ".service"), unit)):
            self._systemctl("reset-failed", name)
        if unit != HELPER_UNIT:
            self._systemctl("start", unit, within_s=START_WITHIN_S)

    def last_error(self, unit: str) -> str:
        """Return the last error that a unit's program printed, "" if there is none, or no journal."""
        service = unit.replace(".socket", ".service")
        with contextlib.suppress(ServiceError):
            command = (
                "journalctl",
                "--user",
                "--quiet",
                "--no-pager",
                "--output=cat",
                "--lines=20",
                f"--unit={service}",
            )
            answer = self._run(*command)
            errors = [line for line in answer.out.splitlines() if line.startswith("error: ")]
            return errors[-1].removeprefix("error: ") if errors else ""
        return ""


def _is_there(unit: Unit) -> bool:
    return unit["LoadState"] == "loaded"


def _missing(name: str, unit: Unit) -> Part:
    if unit["LoadState"] in ("masked", "bad-setting", "error"):
        return Part(name, "failed", f"systemd reports its unit as {unit['LoadState']}", next_step=f"{INSTALL} again")
    return Part(name, "missing", "it is not installed", next_step=INSTALL)


def _ending(unit: Unit) -> str:
    """Return in words how it ended last."""
    times = int(unit["NRestarts"] or 0)
    again = f", also after {times} restart{'' if times == 1 else 's'}" if times else ""
    if unit["Result"] in _WHY:
        return _WHY[unit["Result"]] + again
    if unit["ExecMainCode"] in (_KILLED, _DUMPED) and unit["ExecMainStatus"].isdigit():
        number = int(unit["ExecMainStatus"])
        with contextlib.suppress(ValueError):
            return f"was killed ({signal.Signals(number).name}){again}"
    if unit["ExecMainStatus"] == _TWO:
        return f"stopped because config.yaml is invalid{again}"
    return f"exited with code {unit['ExecMainStatus'] or '?'}{again}"


def _since(unit: Unit) -> float | None:
    """Return for how many seconds it has been in this state."""
    key = "ActiveEnterTimestampMonotonic" if unit["ActiveState"] == "active" else "InactiveEnterTimestampMonotonic"
    at = int(unit[key] or 0) if (unit[key] or "0").isdigit() else 0
    return max(0.0, time.monotonic() - at / 1e6) if at else None


def _pid(unit: Unit) -> int | None:
    return int(unit["MainPID"]) or None if unit["MainPID"].isdigit() else None
