"""All checks in order, each with what it needs."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_core import __version__
from deepdream_core.doctor import cluster, computing, folders, gimp, manifest, packages, program, reach, service, space
from deepdream_core.doctor.check import Check, Finding, failing, outcome, passed, skipped
from deepdream_core.errors import ServiceError, SettingsError
from deepdream_core.link import service_endpoint, user_folders, wire
from deepdream_core.link.helper_start import scrubbed
from deepdream_core.machine import systemd
from deepdream_core.machine.command import Answer, ask
from deepdream_core.machine.drop_folder import CANARY
from deepdream_core.machine.gimp import existing, has_plug_in
from deepdream_core.service import interface
from deepdream_core.service.systemd import Systemd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deepdream_core.link.endpoint import Endpoint
    from deepdream_core.machine.folders import UserFolders
    from deepdream_core.machine.manifest import Manifest
    from deepdream_core.machine_settings import FolderSettings
    from deepdream_core.settings import Config

ASK_WITHIN_S = 8.0
TORCH_S = 60.0
CONFIG_S = 5.0
START_S = 15.0
"""For checks that may start a Python or the helper."""
CLUSTER_S = 25.0


def all_checks(user: UserFolders, config_file: Path | None) -> Iterator[Check]:
    """Yield the checks, each after those it depends on; `config_file` as with --config.

    Reads only config.yaml and the manifest; everything else is read when a check runs.
    """
    run = partial(ask, environ=systemd.environments(user.environ)[0], within_s=ASK_WITHIN_S)
    config, config_found = _config(config_file)
    record = _manifest(user)
    yield from _each("program", _of_program(user, run))
    yield from _each("torch", _of_computing(user, config, record, config_file))
    yield Check("config.yaml", lambda: config_found)
    yield from _each("drop folder", _of_folders(user, config, record))
    yield Check("disk space", lambda: space.check_space(_places(user)))
    yield from _each("helper", _of_helper(user, config))
    yield from _each("service", _of_service(user, record))
    yield from _each("GIMP", _of_gimp(user, record))
    yield from _each("cluster", _of_cluster(user, config))


def _each(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Yield these checks, or one of this name that reports the error if a broken package prevents them."""
    try:
        yield from checks
    except Exception as error:
        problem = error

        def look() -> Finding:
            raise problem

        yield Check(name, look)


def _of_program(user: UserFolders, run: Callable[..., Answer]) -> Iterator[Check]:
    yield Check("program", lambda: program.check_program(user, __version__, run), START_S)
    yield Check("left over", lambda: program.check_leftovers(user, time.time()))
    yield Check("command", lambda: program.check_command(user))
    yield Check(
        "Python", lambda: program.check_python(program.service_python(user), sys.version_info[:3], run), START_S
    )
    yield Check("packages", lambda: packages.check_packages(program.service_python(user), run), START_S)


def _of_computing(
    user: UserFolders, config: Config | None, record: Manifest | None, file: Path | None
) -> Iterator[Check]:
    if config is None:
        for name in ("torch", "weights", "memory"):
            yield Check(name, lambda: skipped("config.yaml, which names the device, is not valid"))
        return
    is_service = False

    def ask_python() -> dict[str, Any]:
        nonlocal is_service
        environ = scrubbed(user.environ)  # that of a program that starts the helper
        if user.linux and _has_unit(user, record):
            with contextlib.suppress(ServiceError):
                environ, is_service = Systemd(interface.run).helper_environment(), True
        return computing.probed(program.service_python(user), environ, config.engine)

    seen = computing.ServiceFacts(ask_python)
    nvidia = Path("/proc/driver/nvidia/version").exists()
    wants_cpu = config.engine.device == "cpu" or config.engine.devices == ["cpu"]
    yield Check("torch", lambda: computing.check_torch(seen, nvidia, wants_cpu), TORCH_S)
    yield Check("weights", lambda: computing.check_weights(seen), TORCH_S)
    yield Check("memory", lambda: computing.check_memory(seen), TORCH_S)
    if file is None:
        yield Check(
            "same folders", lambda: computing.check_same_folders(seen, _own_folders(), is_service=is_service), TORCH_S
        )


def _of_folders(user: UserFolders, config: Config | None, record: Manifest | None) -> Iterator[Check]:
    if config is None:
        yield Check("drop folder", lambda: skipped("config.yaml, which names the folders, is not valid"))
        return
    from deepdream_core.hotfolder.layout import root_of

    if not config.folders:
        yield Check("drop folder", lambda: skipped("config.yaml names no drop folder"))
    wanted = record is not None and bool({"folder", "service"} & record.parts.keys())

    def folder(one: FolderSettings) -> Finding:
        journal = user_folders.state_folder() / "hotfolder" / "journal.sqlite3"
        return folders.check_folder(root_of(one), wanted, folders.known_to(journal), user.short)

    def events(one: FolderSettings) -> Finding:
        return folders.check_events(root_of(one), f"{CANARY}doctor-{os.getpid()}")

    for one in config.folders:
        yield Check("drop folder", partial(folder, one))
        yield Check("events", partial(events, one))

    if user.linux and sys.platform != "win32":

        def inotify() -> Finding:
            used = folders.inotify_used(os.geteuid())
            watched = _is_watched(user_folders.state_folder() / "hotfolder")
            return folders.check_inotify(map(root_of, config.folders), folders.inotify_limits(), used, watched)

        yield Check("inotify", inotify)


def _of_helper(user: UserFolders, config: Config | None) -> Iterator[Check]:
    port = config.helper.port if config else 0
    install = program.install_command(user, "service")

    def helper() -> Finding:
        found = reach.check_helper(user_folders.endpoint_path(), _prepared(), __version__)
        # With an invalid configuration it refuses every client and gives the reason.
        return skipped("config.yaml is not valid, so no helper can start") if config is None and not found.ok else found

    yield Check("helper", helper, START_S)
    yield Check("port", lambda: reach.check_port(user_folders.endpoint_path(), _prepared(), port, install), START_S)


def _prepared() -> Endpoint | None:
    return service_endpoint.read_service(service_endpoint.service_path())


def _of_service(user: UserFolders, record: Manifest | None) -> Iterator[Check]:
    install = program.install_command(user, "service")
    yield Check("unit files", lambda: service.check_unit_files(record, user.units, install))
    names = _unit_names(record)
    if user.linux:
        state = service.Units(Systemd(interface.run))
        for unit in systemd.UNITS:
            if unit in names or (user.units / unit).exists():
                yield Check(unit.removeprefix("deepdream-"), partial(service.check_unit, unit, state))
        yield Check("lingering", lambda: service.check_lingering(record, systemd.user_name()))
    elif record and record.part("service").files:
        from deepdream_core.service.manager import manager_of

        for part in manager_of(user.platform).parts():
            yield Check(part.name, partial(service.check_part, part))


def _of_gimp(user: UserFolders, record: Manifest | None) -> Iterator[Check]:
    found = existing(user)
    if not found:
        yield Check("GIMP", lambda: skipped("no GIMP 3 has run for this user"))
    elsewhere = any(map(has_plug_in, found)) or (record is not None and bool(record.part("gimp").files))
    install = program.install_command(user, "gimp")
    for folder in found:
        look = partial(_check_plug_in, folder, elsewhere, record, install)
        yield Check(f"GIMP {folder.name}" if folder.name.startswith("3.") else "GIMP", look)


def _of_cluster(user: UserFolders, config: Config | None) -> Iterator[Check]:
    addresses = sorted({one.cluster for one in config.folders if one.cluster} if config else ())
    used = user.used()
    asked_for = ""
    if used and cluster.is_wanted(used):
        asked_for = "the installer was asked for it"
    elif (user_folders.state_folder() / "cluster" / "membership.json").exists():
        asked_for = "this machine belongs to a cluster"
    elif addresses:
        asked_for = f"a drop folder has the cluster {addresses[0]}"
    yield Check("cluster", lambda: cluster.check_packages(asked_for), START_S)
    if not cluster.loads():
        return
    yield Check("certificate", cluster.check_membership, START_S)
    for address in addresses:
        yield Check("cluster answers", partial(cluster.check_answers, address), CLUSTER_S)


def _check_plug_in(folder: Path, elsewhere: bool, record: Manifest | None, install: str) -> Finding:
    from deepdream_core.plugin_facts import controls

    facts: dict[str, Any] = {"version": __version__, "protocol": wire.PROTOCOL}
    facts |= {"endpoint": str(user_folders.endpoint_path()), "state": str(user_folders.state_folder())}
    facts["controls"] = json.loads(json.dumps(controls()))
    prepared = _prepared()
    if prepared is not None:
        facts["service"] = service_endpoint.words_of(prepared)
    return gimp.check_plug_in(folder, elsewhere, facts, record, install)


def _config(file: Path | None) -> tuple[Config | None, Finding]:
    """Return the configuration, None if it is not valid, and the finding about it."""
    read: list[Config] = []

    def look() -> Finding:
        from deepdream_core.config import load_config, user_config_path

        try:
            config = load_config(file)
        except SettingsError as error:
            return failing(error.what, error.next_step)
        read.append(config)
        from deepdream_core.hotfolder.layout import check

        try:
            check(config.folders)
        except SettingsError as error:
            return failing(f"folders: {error.what}", error.next_step)
        own = file or user_config_path()
        return passed(f"{own} overrides the defaults" if own.exists() else f"defaults only; {own} would override them")

    found = outcome(Check("config.yaml", look, CONFIG_S))  # it may be on a share that does not answer
    return read[0] if read else None, found


def _manifest(user: UserFolders) -> Manifest | None:
    """Return the manifest, None also for a damaged one: the check of the program reports that."""
    try:
        return manifest.read(user)
    except (manifest.ManifestError, OSError):
        return None


def _unit_names(record: Manifest | None) -> set[str]:
    return {Path(path).name for path in record.part("service").files} if record else set()


def _has_unit(user: UserFolders, record: Manifest | None) -> bool:
    return systemd.HELPER_UNIT in _unit_names(record) or (user.units / systemd.HELPER_UNIT).exists()


def _own_folders() -> dict[str, Path]:
    from deepdream_core.config import user_config_path

    return {"config.yaml": user_config_path(), "state": user_folders.state_folder()}


def _places(user: UserFolders) -> dict[str, Path]:
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:
        raise SettingsError("there is no folder for temporary files", "set TMPDIR to a folder") from None
    places = {"data": user.data, "state": user_folders.state_folder(), "temporary files": Path(temporary)}
    shared = Path("/dev/shm")
    return {**places, "shared memory": shared} if user.linux and shared.is_dir() else places


def _is_watched(states: Path) -> bool:
    """Return whether a daemon runs, whose watches are already counted."""
    import psutil

    return any(psutil.pid_exists(int(path.stem.partition("-")[2])) for path in states.glob("state-*.json"))
