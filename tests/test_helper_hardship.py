"""The helper under attack, under pressure and in bad places: other users, stopped workers, full disks, absent devices."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import yaml
from conftest import picture_file
from helper_process import (
    QUICK,
    Following,
    Helper,
    asked,
    memory_of,
    running_endlessly,
    running_helper,
    shared_memory,
    submitted,
    until,
)

from deepdream_core.helper.endpoint import lock_endpoint
from deepdream_core.helper.timed_protocol import STRANGERS
from deepdream_core.link import client
from deepdream_core.link.connection import Connection
from deepdream_core.link.endpoint import read_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow("faults")

NOBODY, NAMELESS = 65534, "54321"
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
CHEAP: dict[str, Any] = {**QUICK, "layers": {"relu1_1": 1.0}}
"""Settings of a job that is quick on a large picture too."""
CHEAPLY = ("--layer", "relu2_2", "--octaves", "1", "--finest", "full", "--iterations")
FEW, MANY = (*CHEAPLY, "1"), (*CHEAPLY, "100000")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Several workers share the processors here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture
def own(home: dict[str, str]) -> dict[str, str]:
    """An environment with a configuration of its own, for this machine's processor, as the one of `deepdream`."""
    config = Path(home["XDG_CONFIG_HOME"]) / "deepdream" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(yaml.safe_dump({"engine": {"device": "cpu", "devices": ["cpu"]}}))
    return home


def where(helper: Helper) -> dict[str, str]:
    """What leads a program to this helper."""
    return {name: helper.environ[name] for name in ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR")}


@contextmanager
def started(folder: Path, environ: dict[str, str], *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The real command, running; it is ended afterwards."""
    with subprocess.Popen(
        [sys.executable, "-m", "deepdream_core", *map(str, arguments)], cwd=folder, env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def stopped_worker(helper: Helper) -> int:
    """Stop the worker as a long call into a driver does; return its process."""
    pid: int = until(helper.worker_pid)
    os.kill(pid, signal.SIGSTOP)
    return pid


def is_one_line(text: str) -> bool:
    """Say whether that is one line for people."""
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


# Other users

SILENT_CONNECTIONS = """
import selectors, socket, sys, time
port, held, told = int(sys.argv[1]), [], False
until = time.monotonic() + 60
while time.monotonic() < until:
    connection = socket.socket()
    connection.settimeout(1)
    try:
        connection.connect(("127.0.0.1", port))
    except OSError:
        connection.close()
        time.sleep(0.01)
        continue
    held.append(connection)
    if len(held) == 1500:
        if not told:
            print("all are open", flush=True)
            told = True
        time.sleep(0.5)
        for connection in held:
            connection.close()
        held.clear()
"""


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.alone
@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_another_users_silent_connections_lock_no_client_out(tmp_path: Path) -> None:
    import resource

    port = _free_port()
    with subprocess.Popen(
        ["/usr/bin/env", "python3", "-I", "-S", "-c",
         "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))\n" + SILENT_CONNECTIONS, str(port)],
        user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={"PATH": os.defpath}, text=True,
        stdout=subprocess.PIPE,
    ) as attacker:  # fmt: skip
        try:
            helper = Helper(tmp_path, {"helper": {"port": port}})
            resource.prlimit(helper.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
            try:
                until(helper.endpoint_file.exists, 15, pause_s=0.002)
                answered, worst = 0, {"hello": 0.0, "status": 0.0}
                end = time.monotonic() + 4
                while time.monotonic() < end:
                    began = time.monotonic()
                    asking = client.connect(endpoint_file=helper.endpoint_file)
                    worst["hello"] = max(worst["hello"], time.monotonic() - began)
                    began = time.monotonic()
                    assert asking.status()["pid"] == helper.process.pid
                    if answered:  # the first one waits for the application, which is being imported
                        worst["status"] = max(worst["status"], time.monotonic() - began)
                    answered += 1
                print(f"{answered} answers, the slowest: {worst}")
                assert attacker.stdout is not None
                assert attacker.stdout.readline() == "all are open\n"
                assert resource.prlimit(helper.process.pid, resource.RLIMIT_NOFILE) == (1024, 1024)
                assert max(worst.values()) < 1.0
            finally:
                assert helper.stop() == 0
        finally:
            attacker.kill()


@pytest.mark.parametrize("says", [b"", b"GET /v1/hello HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n"])
def test_a_client_between_its_hello_and_its_call_is_not_turned_away_for_silent_strangers(
    tmp_path: Path, says: bytes
) -> None:
    with running_helper(tmp_path) as helper, contextlib.ExitStack() as strangers:
        endpoint = read_endpoint(helper.endpoint_file)
        assert endpoint is not None
        spoken = says % endpoint.port if says else says
        with Connection(endpoint, 10) as opened:
            for _ in range(STRANGERS - 1 if spoken else 3 * STRANGERS):
                stranger = strangers.enter_context(socket.create_connection(("127.0.0.1", endpoint.port)))
                stranger.sendall(spoken)
            assert opened.ask("GET", "/v1/status", (), {}, 10).status == 200
        assert helper.client().status()["pid"] == helper.process.pid


# Stopped workers


@pytest.mark.alone
def test_asking_a_stopped_worker_for_its_picture_blocks_no_other_client_and_takes_no_memory(
    tmp_path: Path,
) -> None:
    with running_helper(tmp_path) as helper, contextlib.ExitStack() as connections:
        running = running_endlessly(helper.client())
        taken = len(memory_of(helper.process.pid))
        stopped_worker(helper)
        endpoint = helper.endpoint
        request = (
            f"GET /v1/jobs/{running.job.id}/result?so_far=1 HTTP/1.1\r\nHost: {endpoint.host}:{endpoint.port}\r\n"
            f"Authorization: Bearer {endpoint.token}\r\n\r\n"
        ).encode()
        hellos, most = [], 0
        for number in range(300):
            connection = socket.create_connection((endpoint.host, endpoint.port), timeout=5)
            connection.sendall(request)
            if number % 3:
                connections.enter_context(connection)
            else:
                connection.close()
            if number % 10 == 9:
                began = time.monotonic()
                assert asked(helper, "GET", "/v1/hello")[0] == 200
                hellos.append(time.monotonic() - began)
                most = max(most, len(memory_of(helper.process.pid)))
        print(f"hello took {max(hellos):.3f} s at most")
        assert max(hellos) < 0.5
        assert most <= taken + 1
        began = time.monotonic()
        assert helper.stop() == 0
        print(f"ended after {time.monotonic() - began:.2f} s")
        assert time.monotonic() - began < 30
        assert running.ended(5) == "stopping"


def test_a_new_helper_is_there_soon_while_the_old_one_ends_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_helper(tmp_path) as helper:
        for name, folder in where(helper).items():
            monkeypatch.setenv(name, folder)
        running = running_endlessly(helper.client())
        stopped_worker(helper)
        helper.client().shutdown()
        began = time.monotonic()
        time.sleep(0.1)
        command = [sys.executable, "-m", "deepdream_core", "helper", "--on-demand", "--config", str(helper.config)]
        new = client.connect(start=True, command=command)
        print(f"there after {time.monotonic() - began:.1f} s")
        assert time.monotonic() - began < 15
        assert new.endpoint.pid != helper.process.pid
        assert new.status()["stopping"] is False
        assert helper.process.wait(60) == 0
        assert running.ended(5) == "stopping"
        new.shutdown()
        until(lambda: not psutil.pid_exists(new.endpoint.pid), 5)


@pytest.mark.alone
def test_a_suspended_helper_is_reported_as_not_answering(
    tmp_path: Path, own: dict[str, str], deepdream: Command
) -> None:
    with running_helper(tmp_path) as helper:
        until(lambda: asked(helper, "GET", "/v1/status")[0] == 200)
        helper.process.send_signal(signal.SIGSTOP)
        try:
            environ = {**own, **where(helper)}
            began = time.monotonic()
            with started(tmp_path, environ, "helper") as second:
                folders = "no drop folder is watched; run `deepdream watch`\n"
                for arguments, printed in ((("status",), folders), (("helper", "--stop"), "")):
                    answer = deepdream(*arguments, **where(helper))
                    assert answer.returncode == 8
                    assert answer.stdout == printed
                    assert is_one_line(answer.stderr)
                    assert f"process {helper.process.pid}" in answer.stderr
                    assert "does not answer" in answer.stderr
                _, said = second.communicate(timeout=60)
                assert second.returncode == 8
            assert time.monotonic() - began < 14
            assert is_one_line(said)
            assert f"process {helper.process.pid}, does not answer" in said
        finally:
            helper.process.send_signal(signal.SIGCONT)
        assert helper.status()["stopping"] is False


def test_status_waits_for_a_helper_that_just_starts_or_ends(
    tmp_path: Path, own: dict[str, str], deepdream: Command
) -> None:
    held = lock_endpoint(Path(own["DEEPDREAM_RUNTIME_DIR"]) / "endpoint.json")
    assert held is not None
    try:
        silent = deepdream("status", "--json")
        assert silent.returncode == 8
        assert silent.stderr == "error: a helper is starting or ending, and does not answer — try again in a minute\n"
        told = json.loads(silent.stdout)
        assert told == {
            "helper": "silent",
            "why": "a helper is starting or ending, and does not answer",
            "watching": [],
        }
        with started(tmp_path, own, "status", "--json") as asking:
            time.sleep(2.0)
            assert asking.poll() is None
            held.held.release()
            out, _ = asking.communicate(timeout=60)
        assert (asking.returncode, json.loads(out)["helper"]) == (0, "none")
    finally:
        held.held.release()


def test_who_waits_for_the_model_keeps_an_idle_helper_alive(tmp_path: Path) -> None:
    with running_helper(tmp_path, {"helper": {"idle_exit_s": 1.5}}, on_demand=True) as helper:
        loaded: list[dict[str, Any]] = []
        waiting = threading.Thread(target=lambda: loaded.append(helper.client("waits").warm()), daemon=True)
        waiting.start()
        pid = stopped_worker(helper)  # a slow disk
        time.sleep(2.2)
        assert helper.process.poll() is None
        os.kill(pid, signal.SIGCONT)
        waiting.join(60)
        assert [worker["device"] for worker in loaded[0]["workers"]] == ["cpu"]
        assert helper.process.wait(60) == 0, "and afterwards it goes"


# Fair turns


def test_new_clients_do_not_starve_waiting_ones(helper: Helper) -> None:
    over, done = threading.Event(), itertools.count()
    counted: list[int] = []
    short = {**QUICK, "iterations": 3}

    def loop(name: str) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            following = Following(submitted(helper.client(f"{name}-{number}"), settings=short))
            assert following.ended() == "done"
            counted.append(next(done))

    patient = helper.client("patient")
    threads = [threading.Thread(target=loop, args=(name,)) for name in ("x", "y", "z")]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(counted) >= 3)
        before = len(counted)
        waiting = [Following(submitted(patient, seed=seed, settings=short)) for seed in range(3)]
        assert [following.ended(30) for following in waiting] == ["done"] * 3
        between = len(counted) - before
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    print(f"{between} jobs of others between three")
    assert between <= 15, "four programs take turns"


# Whose engine


def test_a_configuration_of_another_engine_is_not_the_helper_s(
    helper: Helper, tmp_path: Path, own: dict[str, str], deepdream: Command
) -> None:
    assert own
    picture_file(tmp_path / "a.png", size=(48, 36))
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"engine": {"device": "cpu", "tile": 64}}))
    (tmp_path / "same.yaml").write_text(
        yaml.safe_dump({"engine": {"device": "cpu", "devices": ["cpu"]}, "dream": {"seed": 5}})
    )
    before = helper.log().count("48×36×3 ")

    def dreamed(*arguments: str) -> subprocess.CompletedProcess[str]:
        return deepdream("dream", "a.png", *FEW, "--overwrite", "--quiet", *arguments, **where(helper))

    assert dreamed("--config", "other.yaml").returncode == 0
    refused = dreamed("--config", "other.yaml", "--via-helper", "yes")
    assert refused.returncode == 2
    assert is_one_line(refused.stderr)
    assert "--config" in refused.stderr
    assert helper.log().count("48×36×3 ") == before
    assert dreamed("--config", "same.yaml").returncode == 0
    assert helper.log().count("48×36×3 ") == before + 1, "another way to dream is no other engine"


@pytest.mark.alone
def test_a_long_step_does_not_delay_loading_the_model(
    helper: Helper, tmp_path: Path, own: dict[str, str], deepdream: Command
) -> None:
    assert own
    picture_file(tmp_path / "a.png", size=(48, 36))
    long = Following(submitted(helper.client("long"), 400, settings={**QUICK, "iterations": 5}))
    until(lambda: long.all("progress"))
    began = time.monotonic()
    helper.client().warm()
    took = time.monotonic() - began
    assert took < 0.5
    assert "done" not in long.names, "a step still runs"
    answer = deepdream("dream", "a.png", *FEW, "--via-helper", "auto", **where(helper))
    assert answer.returncode == 0, answer.stderr
    assert "48×36×3 float32" in helper.log()
    assert long.ended() == "done"


def test_a_missing_device_costs_no_picture(tmp_path: Path, own: dict[str, str], deepdream: Command) -> None:
    assert own
    picture_file(tmp_path / "a.png", size=(48, 36))
    with running_helper(tmp_path / "both", {"engine": {"devices": ["cpu", "mps"]}}) as helper:
        jobs = [Following(submitted(helper.client(), seed=seed)) for seed in range(3)]
        assert [job.ended() for job in jobs] == ["done"] * 3
        assert {job.all("done")[0]["device"] for job in jobs} == {"cpu"}
        answer = deepdream("dream", "a.png", *FEW, "--via-helper", "yes", **where(helper))
        assert answer.returncode == 0, answer.stderr
        recipe = json.loads(deepdream("recipe", "a.dream.png", "--json").stdout)
        assert "cpu" in json.dumps(recipe)
        assert "mps" not in json.dumps(recipe)
    with running_helper(tmp_path / "none", {"engine": {"devices": ["mps"]}}) as helper:
        failed = Following(submitted(helper.client()))
        assert failed.ended() == "device"
        assert isinstance(failed.error, client.JobFailed)
        assert failed.error.exit_code == 6


# Bad places


def test_a_relative_runtime_folder_is_reported_in_one_line(deepdream: Command) -> None:
    for arguments in (("helper",), ("helper", "--stop"), ("status",)):
        answer = deepdream(*arguments, DEEPDREAM_RUNTIME_DIR="run", timeout=20)
        assert answer.returncode == 8
        assert is_one_line(answer.stderr)
        assert "DEEPDREAM_RUNTIME_DIR" in answer.stderr


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare to become a user without a home folder")
def test_a_missing_home_folder_is_reported_in_one_line() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "-U", f"--map-user={NAMELESS}", *arguments], cwd="/", text=True, capture_output=True, timeout=30,
            env={"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[1])}, check=False,
        )  # fmt: skip

    if run("true").returncode:
        pytest.skip("this system lets nobody have a user of another number")
    for arguments in (("helper",), ("helper", "--stop"), ("status",)):
        answer = run(sys.executable, "-m", "deepdream_core", *arguments)
        assert answer.returncode in (2, 8), answer.stderr
        assert is_one_line(answer.stderr), answer.stderr
        assert "home folder" in answer.stderr


def full(path: Path) -> None:
    """Fill the file system below a folder to the last byte."""
    with (path / "fill").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[list[str], Path]:
    """A command that runs another one with a disk of 64 KB mounted at a folder, which only it and its children see."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', str(folder)]
    if not IS_ROOT or shutil.which("unshare") is None:
        pytest.skip("only root can mount a small disk, and with unshare")
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets not even root mount a disk")
    return mount, folder


def test_a_full_disk_at_the_start_is_reported_in_one_line(
    tmp_path: Path, small_disk: tuple[list[str], Path], own: dict[str, str]
) -> None:
    mount, disk = small_disk
    fill = 'mkdir -m 700 "$0/run"; head -c 65536 /dev/zero > "$0/fill" 2> /dev/null; exec "$@"'
    answer = subprocess.run(
        [*mount, "sh", "-c", fill, str(disk), sys.executable, "-m", "deepdream_core", "helper", "--on-demand"],
        env={**own, "DEEPDREAM_RUNTIME_DIR": str(disk / "run")}, capture_output=True, text=True, timeout=30, check=False,
        cwd=tmp_path,
    )  # fmt: skip
    assert answer.returncode == 8, answer.stderr
    assert is_one_line(answer.stderr), answer.stderr
    assert "No space left on device" in answer.stderr
    assert answer.stderr.count("endpoint.json") <= 1


def test_a_disk_that_fills_later_does_not_end_the_helper(
    tmp_path: Path, small_disk: tuple[list[str], Path], own: dict[str, str]
) -> None:
    mount, disk = small_disk
    with subprocess.Popen(
        [*mount, sys.executable, "-m", "deepdream_core", "helper", "--on-demand"], cwd=tmp_path,
        env={**own, "DEEPDREAM_RUNTIME_DIR": str(disk / "run")}, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        seen = Path(f"/proc/{process.pid}/root{disk}")  # as the helper sees it
        try:
            endpoint_file = seen / "run" / "endpoint.json"
            until(endpoint_file.exists, 15)
            asking = client.connect(endpoint_file=endpoint_file)
            full(seen)
            endpoint_file.unlink()
            full(seen)
            time.sleep(1.0)
            assert process.poll() is None
            assert asking.status()["pid"] == process.pid
            assert read_endpoint(endpoint_file) is None
            (seen / "fill").unlink()
            until(endpoint_file.exists, 5)
            assert client.connect(endpoint_file=endpoint_file).endpoint.pid == process.pid
            asking.shutdown()
            assert process.wait(60) == 0
        finally:
            process.kill()


# Memory


def test_a_result_is_not_driven_out_before_it_could_be_fetched(tmp_path: Path) -> None:
    pixels = np.zeros((1000, 1000, 3), np.float32)

    def send() -> client.HelperJob:
        return asking.submit(
            pixels.data, dtype="float32", shape=(1000, 1000, 3), priority="batch", settings={**CHEAP, "strength": 0.0}
        )

    with running_helper(tmp_path, {"helper": {"max_memory_mb": 16}}) as helper:
        asking = helper.client()
        first = Following(send())
        assert first.ended() == "done"
        began = time.monotonic()
        with pytest.raises(client.HelperBusy):
            send()
        assert first.job.result() == bytearray(pixels.tobytes())

        def sent() -> client.HelperJob | None:
            with contextlib.suppress(client.HelperBusy):
                return send()
            return None

        second = until(sent, 15, pause_s=0.5)
        print(f"room after {time.monotonic() - began:.1f} s")
        assert time.monotonic() - began > 8.0
        assert Following(second).ended() == "done"
        with pytest.raises(client.HelperRefused) as gone:
            first.job.result()
        assert gone.value.status == 404


@pytest.mark.alone
def test_shared_memory_left_by_a_helper_and_its_tracker_goes_with_the_next_start(
    helper: Helper, tmp_path: Path
) -> None:
    living = running_endlessly(helper.client())
    kept = memory_of(helper.process.pid)
    killed = Helper(tmp_path / "killed")
    running = Following(submitted(killed.client()))
    until(lambda: running.names)
    left = memory_of(killed.process.pid)
    children = killed.children()
    (tracker,) = (child for child in children if "resource_tracker" in " ".join(child.cmdline()))
    tracker.kill()
    killed.process.kill()
    killed.process.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert left
    assert left <= shared_memory(), "nobody removed it"
    assert running.ended(10).startswith("HelperLost")
    with running_helper(tmp_path / "next"):
        assert not left & shared_memory()
        assert kept
        assert kept <= shared_memory()
    steps = len(living.all("progress"))
    until(lambda: len(living.all("progress")) > steps)
    living.job.cancel()
    assert living.ended(5) == "asked"


# The command line


def test_a_batch_continues_with_a_new_helper_when_one_is_killed(
    tmp_path: Path, own: dict[str, str], deepdream: Command
) -> None:
    for name in ("a", "b", "c"):
        picture_file(tmp_path / f"{name}.png", size=(48, 36))
    with running_helper(tmp_path / "killed") as helper:
        environ = {**own, **where(helper)}
        arguments = ("dream", "a.png", "b.png", "c.png", *CHEAPLY, "5")
        try:
            with started(tmp_path, environ, *arguments, "--json", "--via-helper", "yes") as process:
                assert process.stdout is not None
                assert any('"done"' in line for line in process.stdout)
                helper.process.kill()
                helper.process.wait()
                output, errors = process.communicate(timeout=60)
                assert process.returncode in (0, 8), errors
            told = [json.loads(line) for line in output.splitlines()]
            assert "Traceback" not in errors
            assert (tmp_path / "c.dream.png").exists()
            assert (tmp_path / "b.dream.png").exists() or process.returncode == 8
            new = read_endpoint(helper.endpoint_file)
            assert new is not None
            assert new.pid != helper.process.pid
            print([event for event in told if "progress" not in json.dumps(event)])
        finally:
            ended = deepdream("helper", "--stop", **where(helper))
        assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("label", ["\x9b31mred.jpg", "holiday\u202egpj.exe", "a\u2066b", "a\nb", "a\x1b[2Jb"])
def test_a_label_that_a_terminal_would_obey_is_refused(helper: Helper, label: str) -> None:
    with pytest.raises(client.HelperRefused) as refused:
        submitted(helper.client(), label=label)
    assert (refused.value.status, refused.value.code) == (422, "invalid")
    assert "label" in refused.value.what


def test_status_shows_which_file_the_command_line_dreams(
    helper: Helper, tmp_path: Path, own: dict[str, str], deepdream: Command
) -> None:
    name = "holi\u202eday.png"
    picture_file(tmp_path / name, size=(48, 36))
    with started(tmp_path, {**own, **where(helper)}, "dream", name, *MANY, "--json", "--via-helper", "yes") as process:
        assert process.stdout is not None
        assert any('"progress"' in line for line in process.stdout)
        (job,) = (job for job in helper.status()["jobs"] if job["state"] == "running")
        assert job["label"] == "holi?day.png"
        (line,) = (line for line in deepdream("status", **where(helper)).stdout.splitlines() if "running" in line)
        assert "holi?day.png 48×36" in line
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
