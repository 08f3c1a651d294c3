"""Checks of the background service: its files, how its units stand, and whether it runs without a session."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.doctor import manifest as manifests
from deepdream_core.doctor.asking import NOT_THERE
from deepdream_core.doctor.check import Finding, Mend, apart, well, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepdream_core.doctor.asking import Answer
    from deepdream_core.doctor.manifest import Manifest

UNITS = ("deepdream-helper.socket", "deepdream-helper.service", "deepdream-watch.service")
LINGER = Path("/var/lib/systemd/linger")
START = "`deepdream service start`"
_ASKED = "LoadState,ActiveState,SubState,Result,ExecMainStatus,UnitFileState,NeedDaemonReload"
_CONTROL = ["systemctl", "--user"]


def check_unit_files(manifest: Manifest | None, units: Path, install: str) -> Finding:
    """Look whether the service's files are those that the installer wrote; `units` is where systemd's would lie."""
    if manifest is None or not manifest.files("service"):
        strange = [name for name in UNITS if (units / name).exists()]
        if strange:
            return wrong(f"{strange[0]} lies in {units}, and the installer knows nothing of it", install)
        return apart("no service is installed")
    # What starts at login the user may choose: the checks of the units tell of that.
    altered = [one for one in manifest.altered("service") if ".wants" + os.sep not in one]
    if altered:
        return wrong(manifests.told(altered), install)
    return well(f"{len(manifest.files('service'))} as they were written")


def check_unit(unit: str, run: Callable[[Sequence[str]], Answer]) -> Finding:
    """Look how one of systemd's units stands: started, enabled, failed; `run` asks systemctl."""
    answer = run([*_CONTROL, "show", f"--property={_ASKED}", unit])
    if answer.code == NOT_THERE:
        return wrong("systemctl is not there", "use a system with systemd, or run `deepdream watch` yourself")
    if answer.code != 0:
        return wrong(
            f"your service manager does not answer: {answer.last:.150}",
            "log in as this user (not with su or sudo), or `export XDG_RUNTIME_DIR=/run/user/$(id -u)`",
        )
    state = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
    if state["LoadState"] != "loaded" or state["NeedDaemonReload"] == "yes":
        reload = [*_CONTROL, "daemon-reload"]
        if state["LoadState"] == "masked":
            return wrong("it is masked", f"`systemctl --user unmask {unit}`")
        mend = Mend("systemctl --user daemon-reload", lambda: run(reload))
        return wrong("systemd has not read its file as it is now", "`systemctl --user daemon-reload`", mend)
    if state["ActiveState"] == "failed":
        return _failed(unit, state, run)
    if unit.endswith("helper.service"):  # its socket starts it
        return well(f"{state['ActiveState']}, {state['SubState']}")
    if state["UnitFileState"] not in ("enabled", "enabled-runtime", "linked"):
        enable = [*_CONTROL, "enable", unit]
        mend = Mend(f"systemctl --user enable {unit}", lambda: run(enable))
        return wrong("it does not start at login", f"`systemctl --user enable {unit}`", mend)
    if state["ActiveState"] not in ("active", "activating", "reloading"):
        start = [*_CONTROL, "start", unit]
        return wrong(
            f"it does not run ({state['ActiveState']})",
            START,
            Mend(f"systemctl --user start {unit}", lambda: run(start)),
        )
    if state["SubState"] == "auto-restart":
        return wrong("it ends again and again", "`deepdream service logs` says why")
    return well(f"{state['ActiveState']}, {state['SubState']}, starts at login")


def _failed(unit: str, state: dict[str, str], run: Callable[[Sequence[str]], Answer]) -> Finding:
    if unit.endswith(".service") and state["Result"] == "exit-code" and state["ExecMainStatus"] == "2":
        return wrong(
            "it ended for a configuration that it cannot use", f"mend what the check of config.yaml says, then {START}"
        )
    limit = "limit" in state["Result"]
    what = (
        f"it failed too often and is not started any more ({state['Result']})"
        if limit
        else f"it failed ({state['Result']})"
    )
    said, _, step = _last_error(unit, run).partition(" — ")

    def again() -> None:
        # The service before its socket: above a failed service that would fail again.
        run([*_CONTROL, "reset-failed", unit.replace(".socket", ".service")])
        run([*_CONTROL, "reset-failed", unit])
        if not unit.endswith("helper.service"):
            run([*_CONTROL, "start", unit])

    return wrong(
        f"{what}: {said}" if said else what,
        f"{step or 'see `deepdream service logs`'}, then {START}",
        Mend(f"forget that {unit} failed, start it again", again),
    )


def _last_error(unit: str, run: Callable[[Sequence[str]], Answer]) -> str:
    """Return what a unit's program complained of last, as far as the journal tells."""
    service = unit.replace(".socket", ".service")
    told = run(["journalctl", "--user", "--quiet", "--no-pager", "--output=cat", "--lines=20", f"--unit={service}"])
    errors = [line for line in told.out.splitlines() if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ") if errors else ""


def check_agent(name: str, platform: str, uid: int, run: Callable[[Sequence[str]], Answer]) -> Finding:
    """Look whether an agent of launchd or a task of Windows is known to the system. Not run on the real systems yet."""
    command = (
        ["launchctl", "print", f"gui/{uid}/{name}"] if platform == "darwin" else ["schtasks", "/Query", "/TN", name]
    )
    answer = run(command)
    if answer.code != 0:
        return wrong(f"the system does not know it: {answer.last:.150}", START)
    return well("known to the system")


def user_name() -> str:
    """Return the name by which the system knows this user, or the number of one who has none; LOGNAME may be another's."""
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def check_lingering(
    manifest: Manifest | None, user: str, run: Callable[[Sequence[str]], Answer], folder: Path = LINGER
) -> Finding:
    """Look whether the service runs without a session, and whether that was wanted."""
    if manifest is None or not manifest.files("service"):
        return apart("no service is installed")
    wanted = manifest.parts["service"].get("lingering") is True
    if (folder / user).exists():
        return well("on: the service runs from the machine's start")
    if not wanted:
        return well("off: the service runs while you are logged in")
    command = ["loginctl", "enable-linger", user]
    return wrong(
        "off, though it was asked for", f"`{' '.join(command)}`", Mend(" ".join(command), lambda: run(command))
    )
