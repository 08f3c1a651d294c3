"""`deepdream service`: what it asks of systemd, launchd and Windows' Task Scheduler, and what it makes of their answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from activating import activating
from helper_process import until

from deepdream_core.errors import ServiceError
from deepdream_core.machine.command import Answer
from deepdream_core.machine.launchd import LABEL
from deepdream_core.machine.systemd import HELPER_UNIT, SOCKET_UNIT, UNITS, WATCH_UNIT
from deepdream_core.machine.task_scheduler import TASK
from deepdream_core.service import logfile, tasks
from deepdream_core.service.interface import Part
from deepdream_core.service.launchd import Launchd
from deepdream_core.service.manager import manager_of
from deepdream_core.service.systemd import Systemd
from deepdream_core.service.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable

NO_BUS = "Failed to connect to user scope bus via local transport: No such file or directory\n"


class Fake:
    """Stands in for the system's commands: keeps what was run, answers as told."""

    def __init__(self, answer: Callable[[list[str]], Answer | str | None]) -> None:
        self._answer = answer
        self.ran: list[list[str]] = []

    def __call__(self, *command: str, within_s: float = 30.0) -> Answer:
        words = list(command)
        self.ran.append(words)
        answer = self._answer(words)
        return answer if isinstance(answer, Answer) else Answer(0, answer or "", "")


def unit(name: str, active: str = "inactive", **more: str) -> dict[str, str]:
    """What `systemctl show` says of one of our units."""
    at = str(int((time.monotonic() - 5) * 1e6))
    return {
        "Id": name, "LoadState": "loaded", "ActiveState": active, "SubState": "", "Result": "success", "NRestarts": "0",
        "ExecMainCode": "0", "ExecMainStatus": "0", "MainPID": "0", "StatusText": "", "NeedDaemonReload": "no",
        "ActiveEnterTimestampMonotonic": at, "InactiveEnterTimestampMonotonic": at,
        "Listen": "127.0.0.1:4711 (Stream)" if name == SOCKET_UNIT else "", **more,
    }  # fmt: skip


def systemd(*units: dict[str, str], journal: str = "") -> tuple[Systemd, Fake]:
    """A systemd with these units; the others are not there."""
    known = {one["Id"]: one for one in units}
    all_units = [known.get(name, {"Id": name, "LoadState": "not-found"}) for name in UNITS]

    def answer(words: list[str]) -> str:
        if words[:3] == ["systemctl", "--user", "show"]:
            return "\n\n".join("\n".join(f"{key}={value}" for key, value in one.items()) for one in all_units) + "\n"
        return journal if words[0] == "journalctl" else ""

    fake = Fake(answer)
    return Systemd(fake), fake


WELL = unit(SOCKET_UNIT, "active"), unit(HELPER_UNIT)
FAILED = {"ActiveState": "failed", "Result": "exit-code", "ExecMainCode": "1"}


def test_what_runs_and_since_when() -> None:
    begun = time.monotonic()
    manager, _ = systemd(*WELL, unit(WATCH_UNIT, "active", MainPID="77", StatusText="watching 1 folder: nothing to do"))
    watch, helper = manager.parts()
    assert (watch.state, watch.pid, watch.about) == ("runs", 77, "watching 1 folder: nothing to do")
    assert watch.since_s is not None
    assert 5 <= watch.since_s <= 5 + time.monotonic() - begun + 1e-3  # the timestamps are of whole microseconds
    assert (helper.state, helper.pid) == ("waits", None)
    assert "127.0.0.1:4711" in helper.about
    manager, _ = systemd(unit(SOCKET_UNIT, "active"), unit(HELPER_UNIT, "active", MainPID="78"), unit(WATCH_UNIT))
    watch, helper = manager.parts()
    assert (watch.state, helper.state, helper.pid) == ("stopped", "runs", 78)


@pytest.mark.parametrize(
    ("more", "about", "step"),
    [
        (
            {"ExecMainStatus": "2"},
            "stopped because config.yaml is invalid: no folder to watch",
            "fix that in config.yaml",
        ),
        ({"ExecMainStatus": "1", "NRestarts": "3"}, "exited with code 1, also after 3 restarts", "logs"),
        ({"Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"}, "was killed (SIGKILL)", "logs"),
        ({"Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "2"}, "was killed (SIGINT)", "logs"),
        ({"Result": "watchdog", "ExecMainCode": "3", "ExecMainStatus": "6"}, "stopped responding", "logs"),
        ({"Result": "start-limit-hit"}, "was started too often in a row", "deepdream service start"),
        ({"Result": "timeout"}, "did not start or end in time", "logs"),
        ({"Result": "something new", "ExecMainStatus": "5"}, "exited with code 5", "logs"),
    ],
)
def test_what_failed_is_told_in_plain_words(more: dict[str, str], about: str, step: str) -> None:
    failed = unit(WATCH_UNIT, **{**{key: value for key, value in FAILED.items() if key != "ActiveState"}, **more})
    manager, _ = systemd(*WELL, {**failed, "ActiveState": "failed"}, journal="x\nerror: no folder to watch\n")
    watch = manager.parts()[0]
    assert watch.state == "failed"
    assert watch.about.startswith(about)
    assert watch.about.endswith("no folder to watch")
    assert step in watch.next_step
    assert not watch.healthy


def test_one_that_is_started_again_and_again_is_no_good_news() -> None:
    again = unit(
        WATCH_UNIT, "activating", SubState="auto-restart", Result="signal", ExecMainCode="2", ExecMainStatus="9"
    )
    watch = systemd(*WELL, again)[0].parts()[0]
    assert watch.state == "failed"
    assert watch.about == "was killed (SIGKILL); systemd is about to restart it"


def test_a_socket_that_was_given_up_and_a_helper_that_failed() -> None:
    listening = unit(SOCKET_UNIT, "failed", Result="service-start-limit-hit")
    helper = systemd(listening, unit(HELPER_UNIT, **FAILED, ExecMainStatus="8") | {"ActiveState": "failed"})[0].parts()[
        1
    ]
    assert (helper.state, helper.about) == ("failed", "the helper was started too often in a row")
    assert "deepdream service start" in helper.next_step
    failed = unit(HELPER_UNIT) | FAILED | {"ExecMainStatus": "2"}
    helper = systemd(unit(SOCKET_UNIT, "active"), failed, journal="error: dream.step: no\n")[0].parts()[1]
    assert helper.state == "failed"
    assert helper.about.startswith("stopped because config.yaml is invalid: dream.step: no; starts when")
    killed = unit(HELPER_UNIT, "failed", Result="signal", ExecMainCode="2", ExecMainStatus="9")
    helper = systemd(unit(SOCKET_UNIT, "active"), killed)[0].parts()[1]
    assert (helper.state, helper.healthy) == ("waits", True), "the next client starts another one"
    assert helper.about.startswith("the last run was killed (SIGKILL); starts when")


def test_the_start_repairs_what_systemd_gave_up_in_the_right_order() -> None:
    manager, fake = systemd(*WELL, unit(WATCH_UNIT, NeedDaemonReload="yes"))
    manager.start()
    words = [" ".join(one[2:]) for one in fake.ran if one[2] != "show"]
    assert words == [
        "daemon-reload",
        f"reset-failed {HELPER_UNIT}", f"reset-failed {SOCKET_UNIT}", f"reset-failed {WATCH_UNIT}",
        f"start {SOCKET_UNIT}", f"start {WATCH_UNIT}",
    ]  # fmt: skip


def test_the_stop_takes_the_socket_along() -> None:
    manager, fake = systemd(*WELL, unit(WATCH_UNIT, "active"))
    manager.stop()
    assert fake.ran[-1] == ["systemctl", "--user", "stop", *UNITS]


def test_nothing_is_there_to_be_started_before_it_is_installed() -> None:
    manager, _ = systemd()
    assert [part.state for part in manager.parts()] == ["missing", "missing"]
    for do in (manager.start, manager.stop, lambda: manager.logs(1, follow=False)):
        with pytest.raises(ServiceError, match=r"not installed — run `python3 install service`"):
            do()


def test_without_a_user_manager_it_is_one_line() -> None:
    manager = Systemd(Fake(lambda _words: Answer(1, "", NO_BUS)))
    with pytest.raises(ServiceError) as caught:
        manager.parts()
    assert "no user manager" in caught.value.what
    assert "loginctl" in caught.value.next_step


def test_without_systemd_too() -> None:
    with pytest.raises(ServiceError, match="no systemd"):
        Systemd(Fake(lambda _words: Answer(127, "", "env: systemctl: No such file or directory"))).parts()


def test_an_unknown_system_has_no_service() -> None:
    with pytest.raises(ServiceError, match="run `deepdream watch` yourself"):
        manager_of("sunos5")


# --- the command, with programs that stand in for systemd's


SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$STANDS/ran"
case "$2" in
    show) cat "$STANDS/show";;
    *) exit 0;;
esac
"""
JOURNALCTL = """#!/bin/sh
echo "journal of $*"
case "$*" in *--follow*) echo more; exec sleep 100;; esac
"""


@pytest.fixture
def stands(tmp_path: Path) -> dict[str, str]:
    """An environment in which those programs come first."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text in {"systemctl": SYSTEMCTL, "journalctl": JOURNALCTL}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    environ = {"STANDS": str(tmp_path), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    _show(tmp_path, *WELL, unit(WATCH_UNIT, "active", MainPID="77", StatusText="watching 1 folder: 2 wait"))
    return environ


def _show(folder: Path, *units: dict[str, str]) -> None:
    text = "\n\n".join("\n".join(f"{key}={value}" for key, value in one.items()) for one in units)
    (folder / "show").write_text(text + "\n")


linux = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")


@linux
def test_the_status_is_a_line_for_each_part(deepdream: Any, stands: dict[str, str]) -> None:
    answer = deepdream("service", "status", **stands)
    assert answer.returncode == 0, answer.stderr
    watch, helper = answer.stdout.splitlines()
    assert re.fullmatch(r"hot folder: runs for [\d.:]+ (s|min|h) \(process 77\): watching 1 folder: 2 wait", watch), (
        watch
    )
    assert helper.startswith("helper: waits for ")
    parts = json.loads(deepdream("service", "status", "--json", **stands).stdout)["parts"]
    assert [Part(**part).state for part in parts] == ["runs", "waits"]


@linux
def test_a_failure_is_told_and_the_exit_code_says_so(deepdream: Any, stands: dict[str, str]) -> None:
    _show(Path(stands["STANDS"]), *WELL, unit(WATCH_UNIT) | FAILED | {"ExecMainStatus": "2"})
    for command in ("status", "start"):
        answer = deepdream("service", command, **stands)
        assert answer.returncode == 9
        assert "hot folder: has failed" in answer.stdout
        assert "stopped because config.yaml is invalid" in answer.stdout
        assert answer.stderr.splitlines()[-1].startswith("error: the hot folder needs help — fix that in config.yaml")
    assert deepdream("service", "status", "--json", **stands).returncode == 9


@linux
def test_start_and_stop_say_what_they_did(deepdream: Any, stands: dict[str, str]) -> None:
    answer = deepdream("service", "start", **stands)
    assert (answer.returncode, len(answer.stdout.splitlines())) == (0, 2)
    answer = deepdream("service", "stop", **stands)
    assert answer.stdout == "stopped; it starts again at the next login, or with `deepdream service start`\n"
    ran = Path(stands["STANDS"], "ran").read_text()
    assert f"--user stop {' '.join(UNITS)}" in ran


@linux
def test_what_is_not_installed_is_one_line(deepdream: Any, stands: dict[str, str]) -> None:
    _show(Path(stands["STANDS"]), *({"Id": name, "LoadState": "not-found"} for name in UNITS))
    for command in ("status", "start", "stop", "logs"):
        answer = deepdream("service", command, **stands)
        assert (answer.returncode, answer.stdout) == (9, "")
        assert answer.stderr.splitlines()[-1] == (
            "error: the background service is not installed — run `python3 install service` in DeepDream's folder"
        )


@linux
def test_the_logs_are_the_journals(deepdream: Any, stands: dict[str, str]) -> None:
    answer = deepdream("service", "logs", "-n", "7", **stands)
    assert answer.returncode == 0
    assert "--lines=7" in answer.stdout
    assert all(f"--unit={name}" in answer.stdout for name in UNITS)


@linux
def test_the_logs_go_on_until_ctrl_c(stands: dict[str, str], home: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deepdream_core", "service", "logs", "-f"]
    with subprocess.Popen(
        command, env={**home, **stands}, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("journal of")
        assert process.stdout.readline() == "more\n"
        os.killpg(process.pid, 2)
        assert process.wait(60) == 0


def test_without_a_user_manager_the_command_says_so(deepdream: Any, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("systemd is Linux's")
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\necho '{NO_BUS.strip()}' >&2\nexit 1\n")
    (tmp_path / "systemctl").chmod(0o755)
    answer = deepdream("service", "status", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert answer.returncode == 9
    assert answer.stderr.count("\n") == 1
    assert "no user manager answers" in answer.stderr


# --- log files


def test_a_log_file_is_followed_through_its_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path))
    log = tmp_path / "watch.log"
    log.write_text("".join(f"line {number}\n" for number in range(10)))
    logfile.show(2, follow=False)
    assert capsys.readouterr().out == f"==> {log} <==\nline 8\nline 9\n"
    steps = iter(["more", "rotated", "end"])

    def sleep(_seconds: float) -> None:
        step = next(steps)
        if step == "end":
            raise KeyboardInterrupt
        if step == "rotated":
            log.rename(tmp_path / "watch.log.1")
        with log.open("a") as file:
            file.write(f"{step}\nhalf a li" if step == "more" else f"{step}\n")

    monkeypatch.setattr("deepdream_core.service.logfile.time.sleep", sleep)
    logfile.show(1, follow=True)
    assert capsys.readouterr().out == f"==> {log} <==\nline 9\nmore\nrotated\n"


def test_no_log_file_yet_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path))
    logfile.show(2, follow=False)
    assert "nothing has been logged yet" in capsys.readouterr().out


def test_the_daemon_writes_its_lines_and_the_error_that_ends_it_into_a_file(deepdream: Any, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("folders: [{path: ~/x, rescan: 1}]")
    log = tmp_path / "state" / "watch.log"
    answer = deepdream("watch", "--config", config, "--log", log)
    assert answer.returncode == 2
    assert "folders[0].rescan" in log.read_text()
    assert " error: " in log.read_text()


# --- launchd and the Task Scheduler, by their documentation


PRINTED = """gui/501/deepdream.watch = {
\tactive count = 1
\tstate = running

\tprogram = /bin/sh
\tpid = 4711
\truns = 1
\tlast exit code = (never exited)
}
"""


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEEPDREAM_STATE_DIR", "DEEPDREAM_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


def launchd(tmp_path: Path, printed: str | None, *, installed: bool = True) -> tuple[Launchd, Fake]:
    agents = tmp_path / "Library" / "LaunchAgents"
    agents.mkdir(parents=True)
    if installed:
        (agents / f"{LABEL}.plist").touch()
    loaded = [printed is not None]

    def answer(words: list[str]) -> Answer:
        if words[1] == "print":
            return Answer(0, printed or "", "") if loaded[0] else Answer(113, "", "Could not find service")
        loaded[0] = words[1] != "bootout"
        return Answer(0, "", "")

    fake = Fake(answer)
    return Launchd(fake, tmp_path, "gui/501"), fake


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("printed", "state"),
    [
        (PRINTED, "runs"),
        (None, "stopped"),
        (PRINTED.replace("running", "not running").replace("\tpid = 4711\n", ""), "stopped"),
        ("\tstate = not running\n\tlast exit code = 2\n", "failed"),
        ("\tstate = spawn scheduled\n\tlast exit code = 1\n", "failed"),
    ],
)
def test_launchds_words_are_understood(tmp_path: Path, printed: str | None, state: str) -> None:
    watch, helper = launchd(tmp_path, printed)[0].parts()
    assert watch.state == state
    assert watch.pid == (4711 if state == "runs" else None)
    assert helper.state == "waits"


@pytest.mark.usefixtures("nobody")
def test_launchd_is_asked_to_load_and_to_unload(tmp_path: Path) -> None:
    manager, fake = launchd(tmp_path, None)
    manager.start()
    plist = str(tmp_path / "Library" / "LaunchAgents" / f"{LABEL}.plist")
    assert fake.ran[-2:] == [
        ["launchctl", "bootstrap", "gui/501", plist], ["launchctl", "kickstart", f"gui/501/{LABEL}"],
    ]  # fmt: skip
    manager.stop()
    assert fake.ran[-1] == ["launchctl", "bootout", f"gui/501/{LABEL}"]
    manager.stop()
    assert fake.ran[-1][1] == "print"


@pytest.mark.usefixtures("nobody")
def test_launchd_without_an_agent(tmp_path: Path) -> None:
    manager, _ = launchd(tmp_path, None, installed=False)
    assert manager.parts()[0].state == "missing"
    for do in (manager.start, manager.stop, lambda: manager.logs(1, follow=False)):
        with pytest.raises(ServiceError, match="python3 install service"):
            do()


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("result", "state"),
    [("0", "stopped"), ("2", "failed"), ("267009", "starts"), ("267011", "stopped"), ("5", "failed")],
)
def test_the_task_schedulers_table_is_read_in_any_language(
    result: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = f'"PC","{TASK}","N/V","Bereit","Nur interaktiv","23.11.2026 10:00:00","{result}","PC\\ich","…"\r\n'
    fake = Fake(lambda words: Answer(0, row if "/V" in words else "", ""))
    manager = Tasks(fake)
    assert manager.parts()[0].state == state
    monkeypatch.setattr(tasks, "_LOOK_AGAIN_S", 0)
    manager.start()
    assert fake.ran[-1] == ["schtasks", "/Run", "/TN", TASK]
    manager.stop()
    assert fake.ran[-1] == ["schtasks", "/End", "/TN", TASK]


@pytest.mark.usefixtures("nobody")
def test_a_task_that_is_not_there() -> None:
    manager = Tasks(Fake(lambda _words: Answer(1, "", "FEHLER: Das System kann die angegebene Datei nicht finden.")))
    assert manager.parts()[0].state == "missing"
    with pytest.raises(ServiceError, match="python3 install service"):
        manager.start()


@linux
def test_a_helper_that_runs_on_demand_is_seen_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with activating(tmp_path) as running:
        for name in ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR"):
            monkeypatch.setenv(name, running.environ[name])
        running.connect()
        assert running.process is not None
        (tmp_path / "mac").mkdir()
        manager, _ = launchd(tmp_path / "mac", None)
        helper = manager.parts()[1]
        assert (helper.state, helper.pid) == ("runs", running.process.pid)
        thread = threading.Thread(target=manager.stop)
        thread.start()
        until(lambda: running.codes == [0])
        thread.join()
