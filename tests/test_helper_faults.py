"""What the helper does when others vanish, die, hang or stop: real processes, really killed."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil
import pytest
from helper_process import (
    ENDLESS,
    QUICK,
    Following,
    Helper,
    followed,
    memory_of,
    running_endlessly,
    running_helper,
    shared_memory,
    submitted,
    until,
)

from deepdream_core.link import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow("faults")

LEASE_S, UNATTACHED_S, UNANSWERED_S = 2.0, 10.0, 10.0
MARGIN_S = 1.5
"""For a step of the worker, a tick of the helper, and a machine that has other things to do."""


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    """A helper with its model loaded."""
    with running_helper(tmp_path_factory.mktemp("helper")) as running:
        running.client().warm()
        yield running


def state_of(helper: Helper, job_id: str) -> str | None:
    """Where a job stands, None when the helper does not know it."""
    return next((str(job["state"]) for job in helper.status()["jobs"] if job["id"] == job_id), None)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that has ended and waits for the system to take note of it does not."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def idle(helper: Helper) -> bool:
    """Whether no worker has a job."""
    return all(worker["job"] is None for worker in helper.status()["workers"])


def killed_worker(helper: Helper) -> int:
    """Kill the worker as the system does when memory runs out; return the process it was."""
    pid = helper.worker_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


# Clients vanish

CLIENT = """
    import sys
    sys.path.insert(0, {tests!r})
    from helper_process import ENDLESS, submitted
    from deepdream_core.link import client
    job = submitted(client.connect(endpoint_file={endpoint!r}, client="doomed"), settings=ENDLESS)
    for event in job.events():
        print(job.id, event.name, flush=True)
"""


def test_a_killed_client_frees_the_device_within_its_lease(helper: Helper) -> None:
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    source = textwrap.dedent(CLIENT).format(tests=folder, endpoint=str(helper.endpoint_file))
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        job = next(line.split()[0] for line in process.stdout if "progress" in line)
        process.kill()
        began = time.monotonic()
        time.sleep(1.0)
        assert state_of(helper, job) == "running", "it may come back"
        until(lambda: idle(helper), LEASE_S + MARGIN_S)
        print(f"idle {time.monotonic() - began:.2f} s after its client was killed")
        assert state_of(helper, job) == "cancelled"
    assert "doomed batch" in helper.log()
    assert helper.log().rstrip().endswith("cancelled (lease)")


def event_numbers(helper: Helper, job: client.HelperJob, after: int) -> list[int]:
    """Attach as any HTTP client would, tell what came `after`, and hang up after five more steps."""
    endpoint, numbers, steps = helper.endpoint, [], 0
    headers = {"Authorization": f"Bearer {endpoint.token}", "Last-Event-ID": str(after)}
    with contextlib.closing(http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=60)) as connection:
        connection.request("GET", f"/v1/jobs/{job.id}/events", headers=headers)
        with connection.getresponse() as answer:
            assert answer.status == 200
            while steps < 5:
                line = answer.readline()
                if line.startswith(b"id: "):
                    numbers.append(int(line[4:]))
                steps += line == b"event: progress\n"
    return numbers


def test_a_connection_that_breaks_and_comes_back_within_two_seconds_loses_nothing(helper: Helper) -> None:
    job = submitted(helper.client(), settings=ENDLESS)
    before = event_numbers(helper, job, after=0)
    time.sleep(1.2)
    assert state_of(helper, job.id) == "running"
    after = event_numbers(helper, job, after=before[-1])
    assert before + after == list(range(1, after[-1] + 1)), "every event once"
    job.cancel()
    until(lambda: idle(helper), 2)


def test_a_job_that_nobody_ever_followed_is_dropped_after_ten_seconds(helper: Helper) -> None:
    job = submitted(helper.client("absent"), settings=ENDLESS)
    began = time.monotonic()
    until(lambda: state_of(helper, job.id) == "running")
    time.sleep(UNATTACHED_S - 1.5)
    assert state_of(helper, job.id) == "running"
    until(lambda: idle(helper), 1.5 + MARGIN_S)
    print(f"dropped after {time.monotonic() - began:.1f} s")
    assert helper.log().rstrip().endswith("cancelled (lease)")


@pytest.mark.alone
def test_a_cancelled_job_stops_within_one_step(helper: Helper) -> None:
    asking = helper.client()
    running = Following(submitted(asking, 256, settings=ENDLESS))
    until(lambda: len(running.all("progress")) >= 3)
    times = [when for when, event in running.told if event.name == "progress"]
    step_s = max(after - before for before, after in pairwise(times))
    began = time.monotonic()
    running.job.cancel()
    assert running.ended() == "asked"
    assert time.monotonic() - began < step_s + 0.5
    assert idle(helper)


# Workers die


def test_a_worker_s_death_fails_its_job_only_and_a_new_one_takes_over(helper: Helper) -> None:
    asking, other = helper.client("one"), helper.client("two")
    paused = Following(submitted(asking, 96, seed=1, settings={**QUICK, "iterations": 20}))
    until(lambda: paused.all("progress"))
    running = running_endlessly(asking, seed=2, priority="interactive")
    waiting = Following(submitted(other, seed=3))
    before = killed_worker(helper)
    assert running.ended() == "worker_died"
    assert "SIGKILL" in str(running.error)
    assert waiting.ended() == "done"
    assert paused.ended() == "done"
    assert helper.worker_pid() not in (None, before)
    uninterrupted = submitted(asking, 96, seed=1, settings={**QUICK, "iterations": 20})
    followed(uninterrupted)
    assert paused.job.result() == uninterrupted.result()


def test_an_idle_worker_s_death_is_noticed_and_does_no_harm(helper: Helper) -> None:
    helper.client().warm()
    before = killed_worker(helper)
    until(lambda: helper.worker_pid() != before, 5)
    assert Following(submitted(helper.client())).ended() == "done"


def test_a_job_that_had_not_begun_when_its_worker_died_is_given_to_the_next_one_once(tmp_path: Path) -> None:
    def killed_while_loading(known: int | None) -> int:
        pid: int = until(lambda: pid if (pid := helper.worker_pid()) not in (None, known) else None)
        os.kill(pid, signal.SIGKILL)
        return pid

    with running_helper(tmp_path) as helper:
        lucky = Following(submitted(helper.client()))
        pid = killed_while_loading(None)
        assert lucky.ended() == "done"
        os.kill(helper.worker_pid() or 0, signal.SIGKILL)
        until(lambda: helper.worker_pid() is None)
        unlucky = Following(submitted(helper.client()))
        killed_while_loading(killed_while_loading(pid))
        assert unlucky.ended() == "worker_died"


def test_a_picture_that_kills_workers_is_refused_the_third_time_and_no_other_is(helper: Helper) -> None:
    asking = helper.client()
    for _ in range(2):
        poisonous = running_endlessly(asking, seed=17)
        killed_worker(helper)
        assert poisonous.ended() == "worker_died"
    third = Following(submitted(asking, seed=17, settings=ENDLESS))
    assert third.ended() == "poisonous"
    assert Following(submitted(asking, seed=18)).ended() == "done"
    assert Following(submitted(asking, seed=17)).ended() == "done", "the same picture dreamed otherwise"


def test_a_worker_that_does_not_answer_is_replaced_after_ten_seconds(helper: Helper) -> None:
    asking = helper.client()
    stuck = running_endlessly(asking, seed=4)
    waiting = Following(submitted(asking, seed=5))
    pid = helper.worker_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    stuck.job.cancel()
    assert stuck.ended(UNANSWERED_S + MARGIN_S) == "asked"
    assert time.monotonic() - began > UNANSWERED_S - 0.5
    assert not psutil.pid_exists(pid)
    assert waiting.ended() == "done"
    assert helper.worker_pid() not in (None, pid)


class Flow:
    """Three clients that send one job after the other to a helper, and what became of them."""

    def __init__(self, helper: Helper) -> None:
        self.outcomes: list[str] = []
        self.results: set[bytes] = set()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(helper, number)) for number in range(3)]
        for thread in self._threads:
            thread.start()

    def _send(self, helper: Helper, number: int) -> None:
        asking = helper.client(f"flow-{number}")
        seed = number
        while not self._over.is_set():
            seed += 3  # without jitter it changes nothing but the fingerprint: no job is taken for one that killed
            job = submitted(asking, settings={**QUICK, "seed": seed})
            outcome = Following(job).ended()
            self.outcomes.append(outcome)
            if outcome == "done":
                self.results.add(bytes(job.result()))
            job.forget()

    def end(self) -> None:
        """Let the jobs under way end, and no more come."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def kills_at_random(helper: Helper, flow: Flow, seed: int, count: int) -> None:
    """Kill workers, half of them while they load their model, the others while they work; let a job be done between."""
    dice = random.Random(seed)
    last = None
    for number in range(count):
        last = until(lambda: (pid := helper.worker_pid()) != last and pid)  # noqa: B023
        if number % 2:
            done = flow.outcomes.count("done")
            until(lambda: flow.outcomes.count("done") > done, 120, pause_s=0.05)  # noqa: B023
            last = until(helper.worker_pid)
            until(lambda: helper.status()["workers"][0]["state"] == "busy", pause_s=0.05)
        time.sleep(dice.uniform(0, 1.5))
        os.kill(last, signal.SIGKILL)


def test_fifty_kills_fail_fifty_jobs_at_most_and_every_other_gets_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # two helpers share the processors
    began = time.monotonic()
    with running_helper(tmp_path / "a") as first, running_helper(tmp_path / "b") as second:
        flows = [Flow(first), Flow(second)]
        killers = [
            threading.Thread(target=kills_at_random, args=(helper, flow, seed, 25))
            for seed, (helper, flow) in enumerate(zip((first, second), flows, strict=True))
        ]
        for thread in killers:
            thread.start()
        for thread in killers:
            thread.join(600)
        for flow in flows:
            flow.end()
        reference = submitted(first.client())
        followed(reference)
        for helper, flow in zip((first, second), flows, strict=True):
            failed = [outcome for outcome in flow.outcomes if outcome != "done"]
            assert set(failed) <= {"worker_died"}, set(failed)
            assert flow.results == {bytes(reference.result())}
            assert flow.outcomes.count("done") >= 12, "work goes on between the kills"
            deaths = [line for line in helper.log().splitlines() if "died: SIGKILL ended it" in line]
            assert sum("worker on" in line and "WARNING" in line for line in deaths) == 25
            assert len(failed) <= 25
            between = helper.log().split("WARNING worker on cpu died")
            assert max(part.count("failed (worker_died") for part in between) == 1, "a death fails one job"
            print(f"{len(flow.outcomes)} jobs, {len(failed)} failed")
    print(f"50 kills took {time.monotonic() - began:.0f} s")


def test_workers_and_shared_memory_do_not_outlive_a_killed_helper(tmp_path: Path) -> None:
    with running_helper(tmp_path) as helper:
        running = running_endlessly(helper.client())
        waiting = submitted(helper.client(), seed=1)
        children = helper.children()
        memory = memory_of(helper.process.pid)
        assert len(memory) == 2
        assert waiting.id
        helper.process.kill()
        helper.process.wait()
        until(lambda: not alive(children), 10)
        until(lambda: not memory & shared_memory(), 5)
        assert running.ended(10).startswith("HelperLost")


# It stops


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_informs_all_clients_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with running_helper(tmp_path) as helper:
        asking = helper.client()
        paused = running_endlessly(asking, seed=1)
        running = running_endlessly(asking, seed=2, priority="interactive")
        waiting = Following(submitted(asking, seed=3))
        until(lambda: waiting.all("queued"))
        children, memory = helper.children(), memory_of(helper.process.pid)
        assert len(children) >= 2
        assert len(memory) == 3
        began = time.monotonic()
        helper.process.send_signal(number)
        assert helper.process.wait(60) == 0
        print(f"{number.name}: stopped after {time.monotonic() - began:.2f} s")
        assert [following.ended(5) for following in (paused, running, waiting)] == ["stopping"] * 3
        assert not helper.endpoint_file.exists()
        until(lambda: not alive(children), 2)  # the resource tracker sees that the helper is gone, and ends after it
        assert not memory & shared_memory()
        assert "Traceback" not in helper.errors.read_text() + helper.log()
        assert "leaked" not in helper.errors.read_text()


def test_signals_ignored_by_the_starter_stay_ignored_except_sigterm(tmp_path: Path) -> None:
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    }
    try:
        helper = Helper(tmp_path)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    try:
        asking = helper.client()
        for number in (signal.SIGHUP, signal.SIGINT):
            helper.process.send_signal(number)
        assert followed(submitted(asking))[-1].name == "done"
    finally:
        assert helper.stop() == 0


def test_clients_that_wait_for_the_model_learn_that_the_helper_stops(tmp_path: Path) -> None:
    with running_helper(tmp_path) as helper:
        asking = helper.client()
        told: list[client.LinkError] = []

        def wait() -> None:
            try:
                asking.warm()
            except client.LinkError as error:
                told.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        until(helper.worker_pid)
        assert helper.stop() == 0
        waiting.join(60)
        (error,) = told
        assert isinstance(error, client.HelperRefused)
        assert (error.status, error.code) == (503, "stopping")
        assert "Traceback" not in helper.errors.read_text() + helper.log()


def test_stopping_right_after_the_start_works(tmp_path: Path) -> None:
    helper = Helper(tmp_path)
    until(helper.endpoint_file.exists, pause_s=0.001)
    assert helper.stop() == 0
    assert not helper.endpoint_file.exists()
    assert "Traceback" not in helper.errors.read_text()


def test_systemd_is_notified_of_start_life_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(address))
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        monkeypatch.setenv("WATCHDOG_USEC", "500000")
        with running_helper(tmp_path / "helper") as helper:
            assert listening.recv(4096).startswith(b"READY=1")
            helper.client().warm(wait=False)
            times = []
            for _ in range(8):
                assert listening.recv(4096) == b"WATCHDOG=1"
                times.append(time.monotonic())
            assert max(after - before for before, after in pairwise(times)) < 0.5
            assert helper.stop() == 0
            said = [listening.recv(4096)]
            while said[-1] == b"WATCHDOG=1":
                said.append(listening.recv(4096))
            assert said[-1] == b"STOPPING=1"


def test_a_systemd_that_no_longer_listens_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody listens"))
    with running_helper(tmp_path / "helper") as helper:
        assert helper.status()["stopping"] is False
        assert helper.stop() == 0
