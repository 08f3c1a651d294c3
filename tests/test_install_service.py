"""`python3 install service`: units, agents and tasks as text; and all of the installer under a real systemd."""

from __future__ import annotations

import io
import json
import os
import plistlib
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_project import ROOT, House
from systemd_root import Machine, boot, systemd_or_skip

from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.launchd import LABEL
from deepdream_core.machine.systemd import HELPER_UNIT, SOCKET_UNIT, UNITS, WATCH_UNIT

sys.path.insert(0, str(ROOT / "install"))

import launchd
import launcher
import service
import systemd
import tasks
from actions import Actions
from screen import Screen

from deepdream_core.machine.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow("installations")

ENDPOINT = systemd.Endpoint(Path("/s/service.json"), "127.0.0.1", 45678)
HARD_NAMES = [
    "plain",
    "with blank",
    "it's",
    '"q"',
    "$HOME and $$",
    "100% %h",
    "\\x41 \\",
    "画 ü",
    "a;b #c",
    "-",
    "{}[]*?~",
]
FORBIDDEN = (
    "PrivateUsers", "PrivateDevices", "PrivateTmp", "ProtectSystem", "ProtectHome", "MemoryDenyWriteExecute", "DynamicUser",
    "DevicePolicy", "DeviceAllow", "RestrictNamespaces", "ProtectKernelModules", "ProtectKernelTunables", "ProtectClock",
    "ProtectControlGroups", "ProtectKernelLogs", "ProtectHostname", "RootDirectory", "CapabilityBoundingSet",
)  # fmt: skip


def settings(unit: bytes) -> dict[str, str]:
    """The settings of a unit; each stands once."""
    lines = [line for line in unit.decode().splitlines() if line and line[0] not in "#["]
    found = dict(line.split("=", 1) for line in lines if not line.startswith("Environment="))
    assert len(found) == len([line for line in lines if not line.startswith("Environment=")])
    return found


def linux(folder: Path) -> UserFolders:
    return UserFolders({"XDG_DATA_HOME": str(folder)}, "linux", Path("/home/jo"))


# systemd's units


def test_the_watching_unit_restarts_as_promised() -> None:
    watch = settings(systemd.units(linux(Path("/d")), ENDPOINT, {})[WATCH_UNIT])
    assert watch["ExecStart"] == ':"/d/deepdream/app/current/bin/python" -I -m deepdream_core watch --plain'
    assert (watch["Type"], watch["Restart"], watch["RestartPreventExitStatus"]) == ("notify", "on-failure", "2")
    assert int(watch["StartLimitBurst"]) > 1
    assert int(watch["StartLimitIntervalSec"]) > int(watch["StartLimitBurst"]) * int(watch["RestartSec"])
    assert int(watch["WatchdogSec"]) > 0
    assert watch["WantedBy"] == "default.target"
    assert watch["After"] == watch["Wants"] == SOCKET_UNIT


def test_the_helper_is_started_by_its_socket() -> None:
    made = systemd.units(linux(Path("/d")), ENDPOINT, {})
    helper, socket = settings(made[HELPER_UNIT]), settings(made[SOCKET_UNIT])
    assert socket == {
        "Description": socket["Description"], "ListenStream": "127.0.0.1:45678", "WantedBy": "sockets.target",
    }  # fmt: skip
    assert helper["ExecStart"] == ':"/d/deepdream/app/current/bin/python" -I -m deepdream_core helper'
    assert (helper["Type"], helper["Requires"]) == ("notify", SOCKET_UNIT)
    assert "Restart" not in helper
    assert "WantedBy" not in helper


@pytest.mark.parametrize("name", [WATCH_UNIT, HELPER_UNIT])
def test_the_services_are_hardened_with_nothing_that_hides_owners_or_cuda(name: str) -> None:
    unit = settings(systemd.units(linux(Path("/d")), ENDPOINT, {})[name])
    assert (unit["NoNewPrivileges"], unit["SystemCallArchitectures"], unit["UMask"]) == ("yes", "native", "0077")
    assert int(unit["TimeoutStopSec"]) < 5
    assert not set(unit) & set(FORBIDDEN)


def test_without_an_address_there_is_only_the_watching_unit() -> None:
    made = systemd.units(linux(Path("/d")), None, {})
    assert list(made) == [WATCH_UNIT]
    assert b"deepdream-helper" not in made[WATCH_UNIT]
    assert b"@" not in b"".join(made.values())


def test_the_shell_s_places_are_handed_on() -> None:
    environ = {"XDG_CONFIG_HOME": "/c 1%", "XDG_STATE_HOME": "relative", "DEEPDREAM_STATE_DIR": "/s", "HOME": "/h"}
    text = systemd.units(linux(Path("/d")), ENDPOINT, environ)[WATCH_UNIT].decode()
    assert [line for line in text.splitlines() if line.startswith("Environment=")] == [
        'Environment="XDG_CONFIG_HOME=/c 1%%"', 'Environment="DEEPDREAM_STATE_DIR=/s"',
    ]  # fmt: skip


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("name", HARD_NAMES)
def test_systemd_verifies_the_units_wherever_they_lead(tmp_path: Path, name: str) -> None:
    user = linux(tmp_path / name)
    python = user.python_in(user.current)
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    units = tmp_path / "units"
    units.mkdir()
    for unit, text in systemd.units(user, ENDPOINT, {"XDG_CONFIG_HOME": str(tmp_path / name)}).items():
        (units / unit).write_bytes(text)
    done = verify(units, tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    if not set(name) & set("\"'\\"):
        python.unlink()  # it does look for the program under this name
        done = verify(units, tmp_path)
        assert done.returncode != 0
        assert "not executable" in done.stderr


def verify(units: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "verify", "--user", *sorted(units.iterdir())],
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(home), "HOME": str(home), "LANG": "C.UTF-8"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_systemd_s_list_of_paths_is_read() -> None:
    listed = r"/home/J\xc3\xb6rg\x20M/.config/systemd/user /etc/systemd/user"
    assert systemd.paths_of(listed) == [Path("/home/Jörg M/.config/systemd/user"), Path("/etc/systemd/user")]


# What the program tells


def actions(folder: Path, *, dry_run: bool = False) -> tuple[Actions, io.StringIO]:
    """What writes down what is done, and the stream on which it is told."""
    output = io.StringIO()
    return Actions(Manifest(folder / "manifest.json", dry_run=dry_run), "service", Screen(output)), output


def says(path: Path, stdout: str, stderr: str) -> Path:
    """A program that says this whatever it is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{stdout}\nEND\ncat >&2 <<'END'\n{stderr}\nEND\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for the program")
def test_a_sentence_about_the_address_is_told_and_not_taken_for_the_address(tmp_path: Path) -> None:
    moved = "another program listens on port 30412; the service has another port now"
    python = says(tmp_path / "python", json.dumps({"path": "/s/service.json", "host": "::1", "port": 5}), moved)
    writes, output = actions(tmp_path)
    found = service.endpoint(python, linux(tmp_path), writes, asked=True)
    assert found == systemd.Endpoint(Path("/s/service.json"), "::1", 5)
    assert output.getvalue() == f"{moved}\n"


LAUNCHCTL = """#!/bin/sh
# Stands for launchctl: `loaded` and `runs` are files, and an agent goes on for a moment after `bootout`.
cd "{folder}" || exit 9
echo "$@" >> asked
case $1 in
    bootstrap) [ ! -e loaded ] || exit 5; touch loaded runs;;
    bootout) rm -f runs; (sleep 0.6; rm -f loaded) > /dev/null 2>&1 &;;
    kickstart) touch runs;;
    print) [ -e loaded ];;
esac
"""
SCHTASKS = """#!/bin/sh
# Stands for schtasks: `there` is the task.
cd "{folder}" || exit 9
echo "$1" >> asked
case $1 in
    /Create) touch there;;
    *) [ -e there ];;
esac
"""


def stand_in(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay a script first on PATH, and return the file in which it writes what it was asked."""
    folder.mkdir()
    (folder / name).write_text(text.format(folder=folder))
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "asked"


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for launchctl")
def test_an_agent_is_loaded_anew_only_when_it_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stand_in(tmp_path / "bin", "launchctl", LAUNCHCTL, monkeypatch)
    manager = launchd.Launchd(UserFolders({}, "darwin", tmp_path))
    writes, _ = actions(tmp_path)
    manager.start(writes, [LABEL])
    manager.stop(writes, [LABEL])
    assert not (tmp_path / "bin" / "loaded").exists()
    manager.start(writes, [LABEL])
    assert (tmp_path / "bin" / "runs").exists()
    assert "kickstart" not in asked.read_text()
    (tmp_path / "bin" / "runs").unlink()  # it has ended, and is loaded still
    manager.start(writes, [LABEL])
    assert (tmp_path / "bin" / "runs").exists()
    assert f"kickstart gui/{os.getuid()}/{LABEL}" in asked.read_text()


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for schtasks")
def test_a_task_deleted_by_hand_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stand_in(tmp_path / "bin", "schtasks", SCHTASKS, monkeypatch)
    user = UserFolders({"LOCALAPPDATA": str(tmp_path)}, "win32", tmp_path)
    monkeypatch.setattr(service, "supervisor", tasks.Tasks)
    writes, _ = actions(tmp_path)
    for _ in range(2):
        service.install(Path(sys.executable), user, writes, linger=False)
    assert asked.read_text().split().count("/Create") == 1
    (tmp_path / "bin" / "there").unlink()
    service.install(Path(sys.executable), user, writes, linger=False)
    assert asked.read_text().split().count("/Create") == 2
    assert asked.read_text().split()[-1] == "/Run"


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for the program")
def test_a_warning_does_not_become_part_of_the_completion(tmp_path: Path) -> None:
    user = linux(tmp_path)
    says(user.python_in(user.app / "1.0"), "# deepdream's words", "a warning; rm -rf deepdream")
    user.current.symlink_to("1.0")
    assert launcher.completion(user, "bash") == b"# deepdream's words\n"


# launchd's agent

KEYS = {
    "Label": str, "ProgramArguments": list, "RunAtLoad": bool, "KeepAlive": dict, "ThrottleInterval": int,
    "ProcessType": str, "ExitTimeOut": int, "Umask": int, "WorkingDirectory": str, "EnvironmentVariables": dict,
    "StandardOutPath": str, "StandardErrorPath": str,
}  # fmt: skip
"""Of launchd.plist(5), those that are used, and their types."""


def test_the_agent_is_what_launchd_takes() -> None:
    user = UserFolders({}, "darwin", Path("/Users/Jörg & <co>"))
    files = launchd.Launchd(user).files(None)
    assert list(files) == [Path("/Users/Jörg & <co>/Library/LaunchAgents/deepdream.watch.plist")]
    agent = plistlib.loads(*files.values())
    assert {key: type(value) for key, value in agent.items()} == KEYS
    assert agent["Label"] == next(iter(files)).stem
    program = "/Users/Jörg & <co>/Library/Application Support/DeepDream/app/current/bin/python"
    assert agent["ProgramArguments"] == [program, "-I", "-X", "utf8", "-m", "deepdream_core", "watch", "--plain"]
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["ProcessType"] in ("Standard", "Adaptive", "Interactive")
    assert agent["Umask"] == 0o077
    assert agent["ExitTimeOut"] <= 5
    assert all(isinstance(text, str) for pair in agent["EnvironmentVariables"].items() for text in pair)


# Windows' task

SCHEMA = {
    "Task": {"RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"},
    "RegistrationInfo": {"Description", "URI"},
    "Triggers": {"LogonTrigger"},
    "LogonTrigger": {"Enabled", "UserId"},
    "Principals": {"Principal"},
    "Principal": {"UserId", "LogonType", "RunLevel"},
    "Settings": {
        "MultipleInstancesPolicy", "DisallowStartIfOnBatteries", "StopIfGoingOnBatteries", "AllowHardTerminate",
        "StartWhenAvailable", "RunOnlyIfNetworkAvailable", "IdleSettings", "AllowStartOnDemand", "Enabled", "Hidden",
        "RunOnlyIfIdle", "WakeToRun", "ExecutionTimeLimit", "Priority", "RestartOnFailure",
    },
    "IdleSettings": {"StopOnIdleEnd", "RestartOnIdle"},
    "RestartOnFailure": {"Interval", "Count"},
    "Actions": {"Exec"},
    "Exec": {"Command", "Arguments", "WorkingDirectory"},
}  # fmt: skip
"""Of the Task Scheduler's schema, the elements that are used and what may be in each."""


def test_the_task_is_what_the_task_scheduler_takes() -> None:
    home = Path("/C/Jörg & <co>")
    user = UserFolders({"LOCALAPPDATA": str(home / "Local")}, "win32", home)
    text = tasks.task(user, user.app / "1.0-x", {"USERDOMAIN": "PC & CO", "USERNAME": "Jörg"})
    assert text.startswith((b"\xff\xfe", b"\xfe\xff")), "schtasks reads UTF-16 with its mark"
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    root = ElementTree.fromstring(text.decode("utf-16"))
    for element in root.iter():
        name = element.tag.removeprefix(space)
        assert element.tag == space + name
        below = [child.tag.removeprefix(space) for child in element]
        assert set(below) == SCHEMA.get(name, set())
        assert len(below) == len(set(below))

    def value(path: str) -> str:
        return root.findtext("/".join(space + step for step in path.split("/"))) or ""

    assert value("Triggers/LogonTrigger/UserId") == value("Principals/Principal/UserId") == "PC & CO\\Jörg"
    assert value("Principals/Principal/LogonType") == "InteractiveToken", "not in session 0"
    assert value("Principals/Principal/RunLevel") == "LeastPrivilege"
    assert value("Settings/ExecutionTimeLimit") == "PT0S", "for ever"
    assert value("Settings/DisallowStartIfOnBatteries") == value("Settings/StopIfGoingOnBatteries") == "false"
    assert value("Actions/Exec/Command") == str(user.app / "1.0-x" / "Scripts" / "pythonw.exe")
    assert "'watch', '--plain'" in value("Actions/Exec/Arguments")
    assert int(value("Settings/RestartOnFailure/Count")) > 0


def test_what_the_task_runs_writes_into_a_log(tmp_path: Path) -> None:
    """The very command line, split as a program on Windows splits it."""
    user = UserFolders({"LOCALAPPDATA": str(tmp_path / "a ü"), "DEEPDREAM_STATE_DIR": ""}, "win32", tmp_path)
    package = tmp_path / "deepdream_core"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys; print(sys.argv[1:], 'ü'); print('e', file=sys.stderr)")
    code = tasks._RUN.format(log=str(user.state / "watch.log"))
    environ = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-P", "-c", code], env=environ, cwd="/", check=True)
    assert (user.state / "watch.log").read_text("utf-8") == "['watch', '--plain'] ü\ne\n"


# A real systemd

JOERG = "joerg"
HOME = '/home/Jörg\'s $HOME 100% "é"'
LISTING = (
    "cd; find . -not -path './.bash_history' -printf '%p %y %m %l ' \\( -type f -exec sha256sum '{}' ';' "
    "-o -printf '\\n' \\) | sort"
)
ASK = (
    "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20); print(s.recv(99).decode())"
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with clones of several versions, read-only, and a user whose home has a hard name."""
    root = systemd_or_skip()
    folder = tmp_path_factory.mktemp("clones")
    for version in ("1.0", "1.1", "1.2+DEAF", "1.3+SLOW"):
        house = House.make(folder / version)
        house.release(version)
    folder.chmod(0o755)
    with boot(root, binds={str(folder): "/clones"}, private_network=True) as machine:
        machine.check("useradd", "--create-home", "--home-dir", HOME, "--shell", "/bin/bash", JOERG)
        yield machine


def install(machine: Machine, version: str, *words: str) -> str:
    done = machine.run("python3", f"/clones/{version}/clone/install", *words, user=JOERG, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def show(machine: Machine, unit: str, what: str) -> str:
    return machine.check("systemctl", "--user", "show", "-P", what, unit, user=JOERG).strip()


def record(machine: Machine) -> dict[str, dict[str, object]]:
    output = json.loads(machine.check("sh", "-c", "cat ~/.local/share/deepdream/manifest.json", user=JOERG))
    parts: dict[str, dict[str, object]] = output["parts"]
    return parts


def test_installed_upgraded_taken_back_and_removed_under_a_real_systemd(machine: Machine) -> None:
    with machine.logged_in(JOERG):
        machine.check("sh", "-c", "mkdir -p Pictures .config/mine; echo x > Pictures/a.jpg", user=JOERG)
        before = machine.check("sh", "-c", LISTING, user=JOERG)
        install(machine, "1.0", "--dry-run")
        assert machine.check("sh", "-c", LISTING, user=JOERG) == before

        output = install(machine, "1.0")
        assert "Background service: deepdream-helper.socket" in output
        assert show(machine, WATCH_UNIT, "ActiveState") == "active"
        assert show(machine, WATCH_UNIT, "StatusText") == "watching with 1.0"
        assert show(machine, WATCH_UNIT, "UnitFileState") == show(machine, SOCKET_UNIT, "UnitFileState") == "enabled"
        assert show(machine, HELPER_UNIT, "ActiveState") == "inactive"
        units = f"{HOME}/.config/systemd/user"
        names = [f"{units}/{name}" for name in UNITS]
        done = machine.run("systemd-analyze", "verify", "--user", *names, user=JOERG)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
        port = show(machine, SOCKET_UNIT, "Listen").split(":")[1].split()[0]
        assert machine.check("python3", "-c", ASK, port, user=JOERG) == "1.0\n", "connecting starts the helper"
        assert show(machine, HELPER_UNIT, "ActiveState") == "active"

        pid = show(machine, WATCH_UNIT, "MainPID")
        began = time.monotonic()
        assert "nothing to do" in install(machine, "1.0")
        assert time.monotonic() - began < 30
        assert show(machine, WATCH_UNIT, "MainPID") == pid, "what is up to date is not disturbed"

        install(machine, "1.1")
        assert show(machine, WATCH_UNIT, "StatusText") == "watching with 1.1"
        assert machine.check("python3", "-c", ASK, port, user=JOERG) == "1.1\n"

        done = machine.run("python3", "/clones/1.2+DEAF/clone/install", "app", user=JOERG, timeout=120)
        assert done.returncode == 18
        assert "rolled back" in done.stderr
        assert show(machine, WATCH_UNIT, "StatusText") == "watching with 1.1"
        assert machine.check("python3", "-c", ASK, port, user=JOERG) == "1.1\n"
        assert machine.check("bash", "-lc", '"$HOME/.local/bin/deepdream" --version', user=JOERG).split()[1] == "1.1"

        install(machine, "1.1", "uninstall")
        assert (
            machine.check("systemctl", "--user", "list-units", "--all", "--plain", "-q", "deepdream*", user=JOERG) == ""
        )
        assert machine.check("sh", "-c", LISTING, user=JOERG) == before
        assert "DeepDream is not installed" in install(machine, "1.1", "uninstall")


@contextmanager
def upgrade_to_the_slow(machine: Machine) -> Iterator[subprocess.Popen[str]]:
    """An upgrade from 1.0 to the version that takes until `looked-through` is there, while it waits for that."""
    machine.run("rm", "-f", "looked-through", user=JOERG)
    install(machine, "1.0")
    words = ("-u", "-B", "/clones/1.3+SLOW/clone/install", "app")
    process = machine.start("sh", "-c", 'echo $$ > ~/installer; exec python3 "$@"', "sh", *words, user=JOERG)
    try:
        assert process.stdout is not None
        assert any("it first scans all its folders" in line for line in process.stdout)
        assert show(machine, WATCH_UNIT, "ActiveState") == "activating"
        assert show(machine, WATCH_UNIT, "StatusText") == "looking with 1.3+SLOW"
        yield process
    finally:
        machine.check("touch", "looked-through", user=JOERG)
        process.communicate(timeout=60)
        install(machine, "1.0", "uninstall", "--purge")


def test_an_upgrade_waits_for_a_first_look_that_takes_long(machine: Machine) -> None:
    with machine.logged_in(JOERG), upgrade_to_the_slow(machine) as upgrade:
        machine.check("touch", "looked-through", user=JOERG)
        assert upgrade.wait(60) == 0
        assert show(machine, WATCH_UNIT, "StatusText") == "watching with 1.3+SLOW"


@pytest.mark.parametrize(("name", "code"), [("INT", 130), ("TERM", 143), ("HUP", 129)])
def test_an_upgrade_that_is_stopped_is_taken_back(machine: Machine, name: str, code: int) -> None:
    with machine.logged_in(JOERG), upgrade_to_the_slow(machine) as upgrade:
        twice = f"kill -{name} $(cat ~/installer); sleep 0.05; kill -{name} $(cat ~/installer)"
        machine.check("sh", "-c", twice, user=JOERG)
        assert upgrade.wait(60) == code
        assert upgrade.stdout is not None
        assert "Rolled back to the previous version" in upgrade.stdout.read()
        assert show(machine, WATCH_UNIT, "StatusText") == "watching with 1.0"
        assert show(machine, SOCKET_UNIT, "ActiveState") == "active"
        assert "resume" not in record(machine)["service"]
        assert machine.check("bash", "-lc", '"$HOME/.local/bin/deepdream" --version', user=JOERG).split()[1] == "1.0"


def test_a_service_that_was_stopped_stays_so_through_an_upgrade(machine: Machine) -> None:
    with machine.logged_in(JOERG):
        install(machine, "1.0")
        machine.check("systemctl", "--user", "stop", WATCH_UNIT, user=JOERG)
        install(machine, "1.1", "app")
        assert show(machine, WATCH_UNIT, "ActiveState") == "inactive"
        install(machine, "1.1", "service")
        assert show(machine, WATCH_UNIT, "StatusText") == "watching with 1.1"
        install(machine, "1.1", "uninstall", "--purge")


def test_killed_in_an_upgrade_the_service_is_running_again_after_the_next_run(machine: Machine) -> None:
    with machine.logged_in(JOERG):
        install(machine, "1.0")
        for seconds in ("0.3", "1.5", "3", "4", "5"):
            kill = ("timeout", "--signal=KILL", seconds, "python3", "/clones/1.1/clone/install", "app")
            machine.run(*kill, user=JOERG, timeout=120)
            install(machine, "1.1", "app")
            assert show(machine, WATCH_UNIT, "StatusText") == "watching with 1.1"
            assert show(machine, SOCKET_UNIT, "ActiveState") == "active"
            assert "resume" not in record(machine)["service"]
            install(machine, "1.0", "app")
            assert show(machine, WATCH_UNIT, "StatusText") == "watching with 1.0"
        # At the worst moment: all is stopped, and nothing is exchanged yet.
        machine.check("systemctl", "--user", "stop", SOCKET_UNIT, WATCH_UNIT, user=JOERG)
        edit = (
            "import json, pathlib; path = pathlib.Path.home() / '.local/share/deepdream/manifest.json'; "
            "told = json.loads(path.read_text()); told['parts']['service']['resume'] = told['parts']['service']['units']; "
            "path.write_text(json.dumps(told))"
        )
        machine.check("python3", "-c", edit, user=JOERG)
        install(machine, "1.0", "app")
        assert show(machine, WATCH_UNIT, "StatusText") == "watching with 1.0"
        assert show(machine, SOCKET_UNIT, "ActiveState") == "active"
        install(machine, "1.0", "uninstall", "--purge")


def test_lingering_is_undone_only_if_we_switched_it_on(machine: Machine) -> None:
    lingering = Path("/var/lib/systemd/linger", JOERG)
    with machine.logged_in(JOERG):
        install(machine, "1.0")
        assert machine.run("test", "-e", str(lingering)).returncode == 1, "not without being asked"
        assert "switched on" in install(machine, "1.0", "service", "--linger")
        assert record(machine)["service"]["lingering"] is True
        assert machine.run("test", "-e", str(lingering)).returncode == 0
        install(machine, "1.0", "uninstall", "--purge")
        assert machine.run("test", "-e", str(lingering)).returncode == 1
        machine.check("loginctl", "enable-linger", JOERG)
        assert "lingering was already on" in install(machine, "1.0", "--linger")
        install(machine, "1.0", "uninstall", "--purge")
        assert machine.run("test", "-e", str(lingering)).returncode == 0
        machine.check("loginctl", "disable-linger", JOERG)


def test_a_damaged_record_does_not_keep_the_service(machine: Machine) -> None:
    with machine.logged_in(JOERG):
        before = machine.check("sh", "-c", LISTING, user=JOERG)
        install(machine, "1.0")
        machine.check("sh", "-c", "echo '{' > ~/.local/share/deepdream/manifest.json", user=JOERG)
        assert "manifest.json is damaged" in install(machine, "1.0", "uninstall", "--purge")
        assert (
            machine.check("systemctl", "--user", "list-units", "--all", "--plain", "-q", "deepdream*", user=JOERG) == ""
        )
        after = machine.check("sh", "-c", LISTING, user=JOERG)
        extra = {line.split()[0] for line in after.splitlines()} - {line.split()[0] for line in before.splitlines()}
        assert not [name for name in extra if "deepdream" in name], after


def test_without_a_session_s_systemd_the_rest_is_installed(machine: Machine) -> None:
    machine.check("useradd", "--create-home", "nomanager")
    done = machine.run(
        "setpriv", "--reuid", "nomanager", "--regid", "nomanager", "--init-groups", "--reset-env",
        "python3", "/clones/1.0/clone/install", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "No background service: systemd is not running for this user" in done.stdout
    assert "deepdream watch" in done.stdout
    assert machine.check("/home/nomanager/.local/bin/deepdream", "--version").split()[1] == "1.0"
