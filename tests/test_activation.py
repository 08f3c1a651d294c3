"""The helper as a service: started by whoever connects to its socket, and gone again without anybody noticing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml
from activating import EXEC, Manager, activating
from helper_process import Helper, followed, picture, running_endlessly, running_helper, submitted, until

from deepdream_core import __version__
from deepdream_core.helper import serve, stand_in
from deepdream_core.link import client, private_files
from deepdream_core.link.endpoint import prove, read_endpoint
from deepdream_core.work import remote

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="systemd's socket activation"),
    pytest.mark.slow("socket activation"),
]

OLD = """
import sys
import deepdream_core
deepdream_core.__version__ = "0.0.1"
from deepdream_core.cli.main import run
sys.exit(run())
"""


def test_a_mended_configuration_is_noticed_while_clients_ask(tmp_path: Path) -> None:
    with activating(tmp_path, {"helper": {"idle_exit": 3}}) as manager:
        with pytest.raises(client.HelperRefused, match="idle_exit"):
            manager.connect().status()
        manager.config.write_text(yaml.safe_dump({"helper": {"idle_exit_s": 30}}))

        def answered() -> bool:
            with contextlib.suppress(client.LinkError):
                return bool(manager.connect().status()["pid"])
            return False

        until(answered, 6, 0.2)
        assert manager.codes == [0]


def test_nobody_reaches_the_unit_s_start_limit_by_connecting() -> None:
    """Neither while it runs nor while it only says what is wrong: each of its lives is long enough."""
    unit = (Path(__file__).parents[1] / "install" / "units" / "deepdream-helper.service").read_text()
    limit = dict(line.split("=") for line in unit.splitlines() if line.startswith("StartLimit"))
    shortest_s = int(limit["StartLimitIntervalSec"]) / int(limit["StartLimitBurst"])
    assert min(stand_in.QUIET_S, serve.SERVICE_IDLE_S) > shortest_s


def ended(manager: Manager, times: int = 1, within_s: float = 15.0) -> int:
    """Wait until so many helpers have ended by themselves; return the exit code of the last."""
    until(lambda: len(manager.codes) >= times, within_s)
    return manager.codes[times - 1]


def test_who_connects_starts_the_helper_and_gets_a_picture(tmp_path: Path) -> None:
    with activating(tmp_path) as manager:
        time.sleep(0.2)
        assert manager.starts == []
        found = manager.connect()
        assert (found.version, found.endpoint.port) == (__version__, manager.service.port)
        job = submitted(found)
        assert followed(job)[-1].name == "done"
        assert len(job.result()) == 32 * 32 * 3
        assert manager.process is not None
        assert found.status()["pid"] == manager.process.pid
        assert found.status()["on_demand"] is True


def test_ordinary_programs_find_it_by_its_endpoint_file(tmp_path: Path) -> None:
    with activating(tmp_path) as manager:
        manager.connect()
        found = client.connect(endpoint_file=manager.endpoint_file)
        written = read_endpoint(manager.endpoint_file)
        assert written is not None
        assert manager.process is not None
        assert found.endpoint == written
        assert (written.pid, written.port) == (manager.process.pid, manager.service.port)
        assert written.token == manager.service.token


def test_a_program_that_would_start_one_uses_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with activating(tmp_path) as manager:
        for name in ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR"):
            monkeypatch.setenv(name, manager.environ[name])
        with pytest.raises(client.NoHelper):
            client.connect()
        assert manager.starts == [], "who only asks whether a helper runs starts none"
        found = client.connect(start=True, command=["/nowhere"])
        assert manager.process is not None
        assert found.endpoint.pid == manager.process.pid
        assert found.endpoint.log == str(tmp_path / "state" / "helper.log")


def test_the_service_is_not_started_for_another_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with activating(tmp_path) as manager:
        for name in ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR"):
            monkeypatch.setenv(name, manager.environ[name])
        found = remote.connect(start=True, config=manager.config)
        assert found.endpoint.port != manager.service.port
        assert manager.starts == []
        found.shutdown()
        until(lambda: not manager.endpoint_file.exists())
        assert remote.connect(start=True).endpoint.port == manager.service.port


def test_a_service_without_a_listener_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with activating(tmp_path) as manager:
        pass
    for name in ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR"):
        monkeypatch.setenv(name, manager.environ[name])
    began = time.monotonic()
    found = client.connect(start=True)
    try:
        assert time.monotonic() - began < 30
        assert found.endpoint.port != manager.service.port
    finally:
        found.shutdown()
        until(lambda: not psutil.pid_exists(found.endpoint.pid) or _is_zombie(found.endpoint.pid))


def _is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("answer", ["nothing", "another's proof"])
def test_a_squatter_on_the_services_port_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as squatter:

        def listen() -> None:
            while True:
                try:
                    one, _ = squatter.accept()
                except OSError:
                    return
                with one:
                    heard.append(one.recv(65536))
                    if answer == "nothing":
                        continue
                    proof = prove("0" * 64, "0" * 32, 1)
                    body = json.dumps({"name": "deepdream", "version": "1", "protocol": 1, "proof": proof}).encode()
                    one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    heard.append(one.recv(65536))

        thread = threading.Thread(target=listen)
        thread.start()
        words = {"host": "127.0.0.1", "port": squatter.getsockname()[1], "token": "a" * 64}
        state = tmp_path / "state"
        state.mkdir(mode=0o700)
        private_files.write_private(state / "service.json", json.dumps(words).encode(), "")
        monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(state))
        monkeypatch.setenv("DEEPDREAM_RUNTIME_DIR", str(tmp_path / "run"))
        found = client.connect(start=True)
        try:
            assert found.endpoint.port != words["port"]
        finally:
            found.shutdown()
            squatter.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert any(heard)
    assert all(one.startswith(b"GET /v1/hello?nonce=") for one in heard if one), heard
    assert b"a" * 64 not in b"".join(heard)


def test_idle_ends_lose_no_client(tmp_path: Path) -> None:
    """Clients that come at every moment around an end: each is answered, by this helper or by the next."""
    with activating(tmp_path, {"helper": {"idle_exit_s": 0}}) as manager:
        manager.connect()
        pids: list[int] = []

        def ask(after_s: float) -> None:
            time.sleep(max(0.0, begun + after_s - time.monotonic()))
            found = manager.connect()
            pids.append(found.status()["pid"])

        asked = 0
        while len(set(pids)) < 3:
            assert asked < 1200, "no helper has ended, whatever the gaps between the clients"
            begun = manager.starts[-1] + serve.SERVICE_IDLE_S  # of which the start is a part
            with ThreadPoolExecutor(60) as pool:
                list(pool.map(ask, [number * 0.03 for number in range(60)]))
            asked += 60
        assert len(pids) == asked
        assert set(manager.codes) == {0}
        assert "Traceback" not in manager.said()


def test_the_socket_outlives_a_helper_that_is_killed(tmp_path: Path) -> None:
    with activating(tmp_path) as manager:
        first = manager.connect().status()["pid"]
        assert manager.process is not None
        manager.process.send_signal(signal.SIGKILL)
        assert ended(manager) == -signal.SIGKILL
        began = time.monotonic()
        assert manager.connect().status()["pid"] != first
        assert time.monotonic() - began < 30, "what the dead one left is not waited for"
        assert len(manager.starts) == 2


def test_a_client_that_left_before_the_helper_started_does_no_harm(tmp_path: Path) -> None:
    with activating(tmp_path) as manager:
        with socket.create_connection((manager.service.host, manager.service.port)) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        until(lambda: manager.starts)
        assert manager.connect().status()["pid"]


def test_it_passes_on_none_of_the_managers_variables(tmp_path: Path) -> None:
    with activating(tmp_path) as manager:
        manager.connect().warm()
        assert manager.process is not None
        children = psutil.Process(manager.process.pid).children(recursive=True)
        assert children
        for child in children:
            assert "LISTEN_FDS" not in child.environ()
            held = [one.laddr.port for one in child.net_connections() if one.status == psutil.CONN_LISTEN]
            assert manager.service.port not in held


def test_sockets_for_another_process_are_none_of_ours(tmp_path: Path) -> None:
    with running_helper(tmp_path / "without") as helper:
        environ = {**helper.environ, "LISTEN_PID": "1", "LISTEN_FDS": "1"}
        answer = subprocess.run(
            [sys.executable, "-m", "deepdream_core", "helper"], env=environ, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert answer.returncode == 0
        assert "a helper runs already" in answer.stderr


@pytest.mark.parametrize("kind", ["for other machines", "unix", "no socket"])
def test_a_wrong_socket_is_refused(tmp_path: Path, kind: str) -> None:
    with open(os.devnull) as no_socket, socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:  # noqa: PTH123
        tcp.bind(("0.0.0.0", 0))
        tcp.listen()
        unix.bind(str(tmp_path / "socket"))
        unix.listen()
        numbers = {"for other machines": tcp.fileno(), "unix": unix.fileno(), "no socket": no_socket.fileno()}
        number = numbers[kind]
        environ = {
            **os.environ,
            "DEEPDREAM_STATE_DIR": str(tmp_path / "s"),
            "DEEPDREAM_RUNTIME_DIR": str(tmp_path / "r"),
        }
        answer = subprocess.run(
            [sys.executable, "-c", EXEC, str(number), sys.executable, "-m", "deepdream_core", "helper"], env=environ,
            pass_fds=(number,), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert answer.returncode == 8
    assert "python3 install service" in answer.stderr


# --- another helper has the lock


def test_while_another_helper_runs_calls_are_handed_on_to_it(tmp_path: Path) -> None:
    with running_helper(tmp_path) as other, activating(tmp_path) as manager:
        found = manager.connect()
        assert found.endpoint.port == manager.service.port
        assert found.status()["pid"] == other.process.pid
        job = submitted(found, side=64, priority="interactive")
        assert [event.name for event in followed(job)][-1] == "done"
        assert bytes(job.result()) != picture(64).tobytes()
        job.forget()
        with pytest.raises(client.HelperRefused) as refused:
            job.result()
        assert (refused.value.status, refused.value.code) == (404, "not_found")
        assert len(manager.starts) == 1


def test_a_refusal_of_the_other_helper_comes_through_before_all_is_sent(tmp_path: Path) -> None:
    with (
        running_helper(tmp_path, {"engine": {"devices": ["cpu"], "max_megapixels": 1}}),
        activating(tmp_path) as manager,
    ):
        with pytest.raises(client.HelperRefused) as refused:
            submitted(manager.connect(), side=512, settings={"octaves": -1})
        assert refused.value.status == 422
        pixels = bytes(3 * 4000 * 4000)
        with pytest.raises(client.HelperRefused) as refused:
            manager.connect().submit(pixels, dtype="uint8", shape=(4000, 4000, 3), priority="batch")
        assert refused.value.code == "too_large"


def test_who_vanishes_behind_the_relay_is_noticed(tmp_path: Path) -> None:
    with running_helper(tmp_path) as other, activating(tmp_path) as manager:
        following = running_endlessly(manager.connect())
        following.job.cancel()
        assert following.ended() == "asked"
        job = submitted(manager.connect(), settings={"octaves": 1, "iterations": 100_000, "finest": "full"})
        events = job.events()
        while next(events).name != "progress":
            pass
        events.close()
        until(lambda: next(one for one in other.status()["jobs"] if one["id"] == job.id)["state"] == "cancelled", 10)


def test_when_the_other_helper_ends_the_service_takes_over(tmp_path: Path) -> None:
    with activating(tmp_path) as manager:
        with running_helper(tmp_path) as other:
            assert manager.connect().status()["pid"] == other.process.pid
        until(lambda: "listens on" in manager.said())
        assert manager.process is not None
        assert manager.connect().status()["pid"] == manager.process.pid
        assert len(manager.starts) == 1


def test_a_hanging_helper_is_reported_and_the_service_is_not_started_in_a_loop(tmp_path: Path) -> None:
    with running_helper(tmp_path) as other, activating(tmp_path) as manager:
        other.process.send_signal(signal.SIGSTOP)
        try:
            found = manager.connect()
            with pytest.raises(client.HelperRefused) as refused:
                found.status()
            assert refused.value.code == "unavailable"
            assert f"kill -9 {other.process.pid}" in refused.value.next_step
            assert len(manager.starts) == 1
            assert not manager.codes
        finally:
            other.process.send_signal(signal.SIGCONT)
        assert manager.connect().status()["pid"] == other.process.pid


@pytest.mark.parametrize("busy", [False, True])
def test_a_helper_of_another_version_makes_way_when_it_has_nothing_to_do(tmp_path: Path, busy: bool) -> None:
    with activating(tmp_path) as manager:
        old = subprocess.Popen(
            [sys.executable, "-c", OLD, "helper", "--config", str(manager.config)], env=manager.environ,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            found = until(lambda: _reached(manager))
            following = running_endlessly(found) if busy else None
            if following is None:
                assert manager.connect(version=__version__).status()["pid"] != old.pid
                assert old.wait(60) == 0
            else:
                with pytest.raises(client.HelperVersion, match=r"0\.0\.1"):
                    manager.connect(version=__version__)
                assert old.poll() is None
                following.job.cancel()
        finally:
            old.terminate()
            old.wait(60)


def _reached(manager: Manager) -> client.HelperClient | None:
    try:
        return client.connect(endpoint_file=manager.endpoint_file)
    except client.NoHelper:
        return None


def test_a_stranger_gets_nothing_from_the_relay_either(tmp_path: Path) -> None:
    with running_helper(tmp_path), activating(tmp_path) as manager:
        manager.connect()
        for headers in ({}, {"Authorization": "Bearer " + "0" * 64}, {"Origin": "http://evil.example"}):
            connection = http.client.HTTPConnection("127.0.0.1", manager.service.port, timeout=60)
            connection.request("GET", "/v1/status", headers=headers)
            assert connection.getresponse().status in (401, 403)
            connection.close()
        stranger = replace(manager.service, token="0" * 64)
        with pytest.raises(client.NoHelper, match="does not know"):
            client.connect(endpoint_file=tmp_path / "none", service=stranger)


# --- it cannot work


def test_a_bad_configuration_is_reported_to_clients_and_exits_with_2(tmp_path: Path) -> None:
    with activating(tmp_path, {"helper": {"idle_exit": 3}}) as manager:
        for _ in range(5):
            with pytest.raises(client.HelperRefused, match="idle_exit") as refused:
                manager.connect().warm()
            assert (refused.value.code, refused.value.exit_code) == ("unavailable", 2)
        assert len(manager.starts) == 1, "systemd would give up a service that is started again and again"
        assert ended(manager) == 2
        manager.config.write_text(yaml.safe_dump({"engine": {"devices": ["cpu"]}}))
        assert manager.connect().status()["stopping"] is False


def test_systemd_gets_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "500000")
        with activating(tmp_path / "m", {"helper": {"idle_exit": 3}}) as manager:
            manager.connect()
            assert listening.recv(4096).startswith(b"READY=1\nSTATUS=cannot work: ")
            assert listening.recv(4096) == b"WATCHDOG=1"
        said = b""
        while said != b"STOPPING=1":
            said = listening.recv(4096)


def test_a_lost_service_file_is_created_again_with_the_sockets_port(tmp_path: Path) -> None:
    with activating(tmp_path) as manager:
        manager.service_file.unlink()
        with pytest.raises(client.NoHelper, match="does not know"):
            manager.connect()
        again = json.loads(manager.service_file.read_text())
        assert again["port"] == manager.service.port
        assert again["token"] != manager.service.token
        assert manager.service_file.stat().st_mode & 0o777 == 0o600


def test_started_by_hand_beside_the_service_there_is_one_helper(tmp_path: Path) -> None:
    with activating(tmp_path) as manager:
        manager.connect()
        by_hand = Helper(tmp_path)
        assert by_hand.process.wait(60) == 0
        assert "a helper runs already" in by_hand.errors.read_text()
