"""Checks of the background service: its files, the state of its parts, and whether it runs without a session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deepdream_core.doctor import manifest as manifests
from deepdream_core.doctor.check import Finding, Repair, failing, passed, skipped
from deepdream_core.machine.command import ask
from deepdream_core.machine.systemd import HELPER_UNIT, UNITS, lingers

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.machine.manifest import Manifest
    from deepdream_core.service.interface import Part
    from deepdream_core.service.systemd import Systemd

START = "`deepdream service start`"


def check_unit_files(manifest: Manifest | None, units: Path, install: str) -> Finding:
    """Look whether the service's files are those that the installer wrote; `units` is where systemd's would lie."""
    if manifest is None or not manifest.part("service").files:
        strange = [name for name in UNITS if (units / name).exists()]
        if strange:
            return failing(f"{strange[0]} is in {units}, and the installer did not write it", install)
        return skipped("no service is installed")
    # The user may choose what starts at login: the checks of the units report that.
    service = manifest.part("service")
    if altered := manifests.first_of(file for file in service.altered() if ".wants" + os.sep not in file):
        return failing(altered, install)
    return passed(f"{len(service.files)} as they were written")


def check_unit(unit: str, manager: Systemd) -> Finding:
    """Judge what systemd knows of a unit: is it started, enabled, failed."""
    state = manager.units()[unit]
    if state["LoadState"] == "masked":
        return failing("it is masked", f"`systemctl --user unmask {unit}`")
    if state["LoadState"] != "loaded" or state["NeedDaemonReload"] == "yes":
        repair = Repair("systemctl --user daemon-reload", manager.reload)
        return failing("systemd has not read its file as it is now", "`systemctl --user daemon-reload`", repair)
    if state["ActiveState"] == "failed":
        return _failed(unit, state, manager)
    if unit == HELPER_UNIT:  # its socket starts it
        return passed(f"{state['ActiveState']}, {state['SubState']}")
    if state["UnitFileState"] not in ("enabled", "enabled-runtime", "linked"):
        repair = Repair(f"systemctl --user enable {unit}", lambda: manager.enable(unit))
        return failing("it does not start at login", f"`systemctl --user enable {unit}`", repair)
    if state["ActiveState"] not in ("active", "activating", "reloading"):
        repair = Repair(f"systemctl --user start {unit}", lambda: manager.start_again(unit))
        return failing(f"it does not run ({state['ActiveState']})", START, repair)
    if state["SubState"] == "auto-restart":
        return failing("it ends again and again", "`deepdream service logs` says why")
    return passed(f"{state['ActiveState']}, {state['SubState']}, starts at login")


def _failed(unit: str, state: dict[str, str], manager: Systemd) -> Finding:
    if unit.endswith(".service") and state["Result"] == "exit-code" and state["ExecMainStatus"] == "2":
        return failing(
            "it ended for a configuration that it cannot use", f"fix what the check of config.yaml says, then {START}"
        )
    result = state["Result"]
    what = (
        f"it failed too often and is not started any more ({result})" if "limit" in result else f"it failed ({result})"
    )
    error, _, step = manager.last_error(unit).partition(" — ")
    return failing(
        f"{what}: {error}" if error else what,
        f"{step or 'see `deepdream service logs`'}, then {START}",
        Repair(f"forget that {unit} failed, start it again", lambda: manager.start_again(unit)),
    )


def check_part(part: Part) -> Finding:
    """Judge one part of the service as its manager reports it, where that is not systemd."""
    if part.healthy:
        return passed(" ".join(filter(None, (part.state, part.about))))
    return failing(part.about or part.state, part.next_step or START)


def check_lingering(manifest: Manifest | None, user: str) -> Finding:
    """Look whether the service runs without a session, and whether that was wanted."""
    if manifest is None or not manifest.part("service").files:
        return skipped("no service is installed")
    if lingers(user):
        return passed("on: the service runs from the machine's start")
    if manifest.part("service").facts.get("lingering") is not True:
        return passed("off: the service runs while you are logged in")
    command = ("loginctl", "enable-linger", user)
    # Where polkit is broken it takes half a minute to say no.
    repair = Repair(" ".join(command), lambda: ask(*command, within_s=60))
    return failing("off, though it was asked for", f"`{' '.join(command)}`", repair)
