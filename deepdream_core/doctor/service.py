"""Checks of the background service: its files, the state of its parts, and whether it runs without a session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deepdream_core.doctor import manifest as manifests
from deepdream_core.doctor.check import Finding, Repair, failing, passed, skipped
from deepdream_core.machine.command import ask
from deepdream_core.machine.systemd import HELPER_UNIT, UNITS, lingers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepdream_core.machine.manifest import Manifest
    from deepdream_core.service.interface import Part
    from deepdream_core.service.systemd import Systemd

START = "`deepdream service start`"


class Units:
    """The state of systemd's units, from one query for all checks, and another one after each repair."""

    def __init__(self, manager: Systemd) -> None:
        self.manager = manager
        self._found: dict[str, dict[str, str]] | None = None

    def __getitem__(self, unit: str) -> dict[str, str]:
        """Return a unit's properties; raises `ServiceError`."""
        if self._found is None:
            self._found = self.manager.units()
        return self._found[unit]

    def repair(self, name: str, do: Callable[[], object]) -> Repair:
        """Return a repair, after which the state is queried again."""

        def make() -> None:
            self._found = None
            do()

        return Repair(name, make)


def check_unit_files(manifest: Manifest | None, units: Path, install: str) -> Finding:
    """Check that the service's files are those that the installer wrote; `units` is the folder of systemd units."""
    if manifest is None or not manifest.part("service").files:
        strange = [name for name in UNITS if (units / name).exists()]
        if strange:
            return failing(f"{strange[0]} is in {units}, but the installer did not write it", install)
        return skipped("no service is installed")
    # The user may choose what starts at login; the checks of the units report that.
    service = manifest.part("service")
    if altered := manifests.first_of(file for file in service.altered() if ".wants" + os.sep not in file):
        return failing(altered, install)
    return passed(f"{len(service.files)} unchanged")


def check_unit(unit: str, units: Units) -> Finding:
    """Check the state of a unit: whether it is running, enabled, failed."""
    state, manager = units[unit], units.manager
    if state["LoadState"] == "masked":
        return failing("it is masked", f"`systemctl --user unmask {unit}`")
    if state["LoadState"] != "loaded" or state["NeedDaemonReload"] == "yes":
        repair = units.repair("systemctl --user daemon-reload", manager.reload)
        return failing("systemd has not reloaded its unit file", "`systemctl --user daemon-reload`", repair)
    if state["ActiveState"] == "failed":
        return _failed(unit, state, units)
    if unit == HELPER_UNIT:  # its socket starts it
        return passed(f"{state['ActiveState']}, {state['SubState']}")
    if state["UnitFileState"] not in ("enabled", "enabled-runtime", "linked"):
        repair = units.repair(f"systemctl --user enable {unit}", lambda: manager.enable(unit))
        return failing("it does not start at login", f"`systemctl --user enable {unit}`", repair)
    if state["ActiveState"] not in ("active", "activating", "reloading"):
        repair = units.repair(f"systemctl --user start {unit}", lambda: manager.start_again(unit))
        return failing(f"it is not running ({state['ActiveState']})", START, repair)
    if state["SubState"] == "auto-restart":
        return failing("it keeps crashing and restarting", "see `deepdream service logs`")
    return passed(f"{state['ActiveState']}, {state['SubState']}, starts at login")


def _failed(unit: str, state: dict[str, str], units: Units) -> Finding:
    if unit.endswith(".service") and state["Result"] == "exit-code" and state["ExecMainStatus"] == "2":
        return failing(
            "it stopped because config.yaml is invalid", f"fix what the check of config.yaml reports, then {START}"
        )
    result = state["Result"]
    what = (
        f"it failed too often, so systemd no longer starts it ({result})"
        if "limit" in result
        else f"it failed ({result})"
    )
    error, _, step = units.manager.last_error(unit).partition(" — ")
    return failing(
        f"{what}: {error}" if error else what,
        f"{step or 'see `deepdream service logs`'}, then {START}",
        units.repair(f"reset and restart {unit}", lambda: units.manager.start_again(unit)),
    )


def check_part(part: Part) -> Finding:
    """Check one part of the service as its manager reports it, on systems without systemd."""
    if part.healthy:
        return passed(" ".join(filter(None, (part.state, part.about))))
    return failing(part.about or part.state, part.next_step or START)


def check_lingering(manifest: Manifest | None, user: str) -> Finding:
    """Check whether the service runs without a session, and whether the user asked for that."""
    if manifest is None or not manifest.part("service").files:
        return skipped("no service is installed")
    if lingers(user):
        return passed("on: the service starts with the machine")
    if manifest.part("service").facts.get("lingering") is not True:
        return passed("off: the service runs while you are logged in")
    command = ("loginctl", "enable-linger", user)
    # With a broken polkit, a refusal takes half a minute.
    repair = Repair(" ".join(command), lambda: ask(*command, within_s=60))
    return failing("off, though --linger was used", f"`{' '.join(command)}`", repair)
