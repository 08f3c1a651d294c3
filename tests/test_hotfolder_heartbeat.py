"""What a service manager hears of the hot folder's daemon: that it watches, and that it is well, but only while it is."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from helper_process import until
from watching import Watching, another_disk, photograph

from deepdream_core.hotfolder import heartbeat as pulses
from deepdream_core.hotfolder.folder import Folder
from deepdream_core.hotfolder.heartbeat import Pulse, status_line
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.hotfolder.layout import Layout
from deepdream_core.hotfolder.watching import Watcher
from deepdream_core.machine_settings import FolderSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helper_process import Helper

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="sd_notify is systemd's"),
    pytest.mark.slow("heartbeats"),
]

PERIOD_S = 2.0
LONG_S = 6.0
"""A period that a busy machine cannot miss by itself."""

BROKEN = """
import pathlib, sys, threading, time
from deepdream_core.hotfolder import journal, picture, watching
from deepdream_core.cli.main import run

marks = pathlib.Path(sys.argv.pop(1))
opened = journal.Journal._opened
attempted = picture.Attempt.run

def open_it(self):
    def hang():
        while not (marks / "journal hangs").exists():
            time.sleep(0.02)
        with self._lock:
            time.sleep(1000)
    threading.Thread(target=hang, daemon=True).start()
    return opened(self)

def attempt(self):
    if (marks / "a thread dies").exists():
        raise SystemExit
    return attempted(self)

def tick(self, now):
    if (marks / "observers die").exists():
        self._events._observer.stop()
        self._events._observer.join()
        return
    ticked(self, now)

ticked = watching.Watcher.tick
watching.Watcher.tick = tick
journal.Journal._opened = open_it
picture.Attempt.run = attempt
sys.exit(run())
"""


class Manager:
    """What listens at NOTIFY_SOCKET."""

    def __init__(self, folder: Path) -> None:
        self.address = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.address))
        self.said: list[tuple[float, str]] = []

    def hear(self, seconds: float) -> list[str]:
        """Everything that is said in that time."""
        end, before = time.monotonic() + seconds, len(self.said)
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                self.said.append((time.monotonic(), self.socket.recv(4096).decode()))
        return [text for _, text in self.said[before:]]

    def hears(self, text: str, within_s: float = 30.0) -> str:
        """Wait for a message with this text in it."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            for one in self.hear(0.05):
                if text in one:
                    return one
        raise AssertionError(f"{text!r} is not among {self.said}")

    def falls_silent(self, for_s: float, within_s: float = 60.0) -> None:
        """Wait for so long a time without a sign of life."""
        end = time.monotonic() + within_s
        while "WATCHDOG=1" in self.hear(for_s):
            assert time.monotonic() < end, f"it goes on: {self.said}"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def watched(
    tmp_path: Path,
    manager: Manager,
    helper: Helper | None,
    *,
    broken: bool = False,
    period_s: float = PERIOD_S,
    **keys: Any,
) -> Watching:
    """A daemon whose manager waits for a sign of life every `period_s`."""
    made = Watching(tmp_path / "w", helper, keys, {})
    made.drop.mkdir()
    made.environ |= {"NOTIFY_SOCKET": str(manager.address), "WATCHDOG_USEC": str(int(period_s * 1e6))}
    made.start(program=("-c", BROKEN, str(tmp_path)) if broken else ("-m", "deepdream_core"))
    return made


@pytest.mark.alone
def test_it_reports_watching_signs_of_life_reloading_and_its_end(
    tmp_path: Path, manager: Manager, helper: Helper
) -> None:
    daemon = watched(tmp_path, manager, helper, period_s=LONG_S)
    try:
        manager.hears("READY=1")
        manager.hear(0.3)
        first = next(text for _, text in manager.said if "READY" in text)
        assert first == "READY=1\nSTATUS=watching 1 folder: nothing to do"
        assert daemon.state()["watched"] == "events"
        photograph(daemon.drop / "one.png")
        manager.hears("STATUS=watching 1 folder: 1 being dreamed")
        manager.hear(LONG_S + 2)
        beats = [at for at, text in manager.said if text == "WATCHDOG=1"]
        assert len(beats) > 2
        assert max(after - before for before, after in pairwise(beats)) < LONG_S
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in manager.hears("RELOADING=1")
        manager.hears("READY=1")
        assert daemon.stop() == 0
        assert manager.hear(0.2)[-1] == "STOPPING=1"
    finally:
        daemon.kill()


@pytest.mark.parametrize("mark", ["journal hangs", "a thread dies", "observers die"])
def test_no_sign_of_life_is_given_when_something_has_died(
    tmp_path: Path, manager: Manager, helper: Helper, mark: str
) -> None:
    daemon = watched(tmp_path, manager, helper, broken=True)
    try:
        manager.hears("READY=1")
        for _ in range(2):
            manager.hears("WATCHDOG=1")
        (tmp_path / mark).touch()
        if mark == "a thread dies":
            photograph(daemon.drop / "one.png")
            daemon.says("has died")
        elif mark == "observers die":
            daemon.says("the thread that notices changes has died")
        manager.falls_silent(PERIOD_S + 0.5)
        assert daemon.process is not None
        assert daemon.process.poll() is None, "it is the manager that ends it"
    finally:
        daemon.kill()


def test_a_loop_that_stands_still_gives_no_sign_of_life(tmp_path: Path, manager: Manager, helper: Helper) -> None:
    daemon = watched(tmp_path, manager, helper)
    try:
        manager.hears("WATCHDOG=1")
        assert daemon.process is not None
        stopped = psutil.Process(daemon.process.pid)
        daemon.process.send_signal(signal.SIGSTOP)
        until(lambda: stopped.status() == psutil.STATUS_STOPPED)
        manager.hear(0.1)  # what was said before
        assert manager.hear(1.5) == []
    finally:
        daemon.kill()


def test_observers_that_die_are_replaced_and_it_lives_on(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path, passed_over=lambda _path, _folder: False)
    watcher.start()
    try:
        assert watcher.mode == "events"
        assert watcher.sound
        assert watcher._events is not None
        watcher._events.stop()
        assert not watcher.sound
        watcher.tick(time.monotonic())
        assert watcher.sound
    finally:
        watcher.stop()


def test_polling_without_events_is_healthy(tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise OSError(28, "no watches left")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepdream_core.hotfolder.watching.Events", broken)
        watcher = Watcher(tmp_path, passed_over=lambda _path, _folder: False)
        watcher.start()
        assert (watcher.mode, watcher.sound) == ("polling", True)
        watcher.stop()


def test_a_long_look_around_shows_that_it_lives(tmp_path: Path) -> None:
    root = tmp_path / "drop"
    for number in range(50):
        photograph(root / f"{number}.png")
    journal, beats = Journal(tmp_path / "journal.sqlite3"), []
    folder = Folder(
        Layout.of(FolderSettings(path=str(root)), ()), journal, lambda _text: None, None, beat=lambda: beats.append(1)
    )
    folder.look_around(time.monotonic())
    folder.close()
    journal.close()
    assert len(beats) >= 50


def test_a_bad_configuration_has_its_exit_code(tmp_path: Path, manager: Manager) -> None:
    for text in ("folders: [{path: ~/x, rescans: 3}]", "folders: []", "presets: {x: {octaves: -1}}"):
        config = tmp_path / "config.yaml"
        config.write_text(text)
        environ = {**os.environ, "NOTIFY_SOCKET": str(manager.address), "DEEPDREAM_STATE_DIR": str(tmp_path / "state")}
        command = [sys.executable, "-m", "deepdream_core", "watch", "--config", str(config)]
        answer = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert answer.returncode == 2, answer.stderr
        assert manager.hear(0.1) == []


# --- the journal


def test_a_journal_that_answers_has_no_problem_and_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    journal.identity()
    wal = tmp_path / "journal.sqlite3-wal"
    before = wal.stat().st_size
    assert journal.problem() == ""
    assert wal.stat().st_size > before
    journal.close()
    assert "closed" in journal.problem()


def test_a_locked_journal_or_a_full_disk_passes(tmp_path: Path) -> None:
    with another_disk(tmp_path / "disk") as disk:
        journal = Journal(disk / "journal.sqlite3")
        identity = journal.identity()
        with contextlib.closing(sqlite3.connect(journal.path)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert journal.problem() == ""
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        for _ in range(300):
            assert journal.problem() == ""
        (disk / "filler").unlink()
        assert journal.problem() == ""
        assert journal.identity() == identity
        journal.close()


@pytest.mark.parametrize("how", ["removed", "replaced", "damaged"])
def test_a_journal_that_is_gone_or_damaged_must_be_opened_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "journal.sqlite3"
    journal = Journal(path)
    journal.identity()
    if how == "removed":
        path.unlink()
    elif how == "replaced":
        path.rename(tmp_path / "elsewhere")
        Journal(path).close()
    else:
        journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(0)
            file.write(os.urandom(path.stat().st_size))
        journal._connection.execute("PRAGMA cache_size = 0")
    assert str(path) in journal.problem()
    journal.close()


# --- words


def test_nothing_is_sent_without_a_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    pulse = Pulse(pytest.fail)
    pulse.beat(lambda: pytest.fail("the journal is not asked for nothing"))


def test_a_problem_that_passes_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    said: list[str] = []
    now = [0.0]
    monkeypatch.setattr(pulses, "notify", sent.append)
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    pulse = Pulse(said.append, lambda: now[0])
    for why in ("", "it hurts", "", "it hurts", "it hurts", "it hurts", ""):
        pulse.beat(lambda why=why: why)  # type: ignore[misc]
        now[0] += 1.0
    assert len(said) == 1
    assert said[0].startswith("it hurts: ")
    assert sent == ["WATCHDOG=1", "WATCHDOG=1", "STATUS=it hurts", "WATCHDOG=1"]


def test_the_status_is_one_line() -> None:
    folder = {"folder": "/a\nb", "running": [1], "waiting": 2, "failed": 3, "resting": "quiet"}
    state = {"folders": [folder, {**folder, "resting": ""}], "paused": False, "busy": ""}
    assert status_line(state) == "watching 2 folders: 2 being dreamed, 4 wait, 6 in failed/ (/a\\nb: quiet)"
    assert status_line({**state, "paused": True}).endswith("(paused)")
    assert len(status_line({**state, "folders": [folder] * 99})) <= 400
