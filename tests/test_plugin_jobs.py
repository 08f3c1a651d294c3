"""The GIMP plug-in's way to the helper: a real one, and each way in which there is none or it goes wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from helper_process import ENDLESS, QUICK, Helper, followed, picture, running_helper, submitted, until
from plugin_folder import FACTS, FOLDER, connection, facts, jobs, plugin_errors
from test_client import Helper as Pretender
from test_client import Listener, http_answer, refusal, sse
from test_wire import interpreter

from deepdream_core.link.endpoint import Endpoint, new_token, write_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

STARTABLE = (sys.executable, "-m", "deepdream_core", "helper", "--on-demand")
AT_ONCE_S = 20.0  # also on a busy machine; nobody waits for a timeout of 30 s
SIDE = 32
SHAPE = (SIDE, SIDE, 3)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what a start sets for the plug-in's own process, and stand in no sandbox."""
    for name in ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR"):
        monkeypatch.setenv(name, "")
    for name in ("FLATPAK_ID", "SNAP", "SNAP_NAME"):
        monkeypatch.delenv(name, raising=False)


def facts_of(endpoint: Path, *command: str) -> facts.Facts:
    """The facts of a plug-in whose helper's endpoint file is `endpoint`, started with `command`."""
    return dataclasses.replace(
        FACTS, endpoint=endpoint, state=endpoint.parent.parent / "state", command=command or ("/nowhere/bin/python",)
    )


def dreaming(known: facts.Facts, settings: dict[str, Any] = QUICK, side: int = SIDE, **options: Any) -> jobs.Dreaming:
    """A job that has been started; interactive, unless told otherwise."""
    given = {"priority": "interactive", **options}
    pixels = picture(side).tobytes()
    job = jobs.Dreaming(known, pixels, "uint8", (side, side, 3), {**FACTS.defaults, **settings}, **given)
    job.start()
    return job


def all_told(job: jobs.Dreaming, within_s: float = 60.0) -> list[jobs.Message]:
    """Everything up to the end."""
    told: list[jobs.Message] = []
    end = time.monotonic() + within_s
    while not told or told[-1].kind not in ("done", "failed"):
        try:
            told.append(job.messages.get(timeout=max(0.0, end - time.monotonic())))
        except queue.Empty:
            raise AssertionError(f"not ended within {within_s} s: {told[-3:]}") from None
    return told


def failure(job: jobs.Dreaming, within_s: float = 60.0) -> plugin_errors.PluginError:
    """What a job failed of; it says nothing more after that."""
    last = all_told(job, within_s)[-1]
    assert last.kind == "failed", last
    assert isinstance(last.data, plugin_errors.PluginError)
    assert job.messages.empty()
    return last.data


def first(job: jobs.Dreaming, kind: str) -> jobs.Message:
    """Wait for the first message of that kind."""
    while True:
        told = job.messages.get(timeout=30)
        assert told.kind != "failed", told
        if told.kind == kind:
            return told


def trouble(call: Callable[[], object], within_s: float = AT_ONCE_S) -> plugin_errors.PluginError:
    """What a call raises, in time."""
    began = time.monotonic()
    with pytest.raises(plugin_errors.PluginError) as caught:
        call()
    assert time.monotonic() - began < within_s
    assert "\n" not in str(caught.value)
    return caught.value


# A real helper


def test_a_picture_goes_there_and_back(helper: Helper) -> None:
    job = dreaming(facts_of(helper.endpoint_file), {**QUICK, "iterations": 5}, label="Haus 32×32+0+0")
    told = all_told(job)
    kinds = [one.kind for one in told]
    assert kinds == [*["queued"] * kinds.count("queued"), "running", *["progress"] * 5, "done"]
    running = next(one.data for one in told if one.kind == "running")
    assert {"device", "name", "precision"} <= running.keys()
    steps = [one.data for one in told if one.kind == "progress"]
    assert [(step["octave"], step["octaves"], step["iteration"], step["iterations"]) for step in steps] == [
        (1, 1, number, 5) for number in range(1, 6)
    ]
    assert steps[0]["left_s"] is None
    assert all(step["left_s"] >= 0 for step in steps[1:])
    assert (steps[-1]["fraction"], steps[-1]["left_s"]) == (1.0, 0.0)
    same = submitted(helper.client(), settings={**FACTS.defaults, **QUICK, "iterations": 5})
    followed(same)
    assert isinstance(told[-1].data, bytearray)
    assert told[-1].data == same.result()
    job.join(60)
    assert not job.is_alive()


def test_guides_go_with_their_picture(helper: Helper) -> None:
    def toward(seed: int) -> bytearray:
        guide = (picture(64, seed).astype(np.uint16) * 257).tobytes(), "uint16", (64, 64, 3)
        settings = {
            "layers": {}, "guides": [{"file": "cat", "weight": 1.0, "layers": {}, "sha256": None}], "guide_figures": 0.0,
        }  # fmt: skip
        job = dreaming(facts_of(helper.endpoint_file), {**QUICK, **settings}, guides=[guide])
        last = all_told(job)[-1]
        assert last.kind == "done", last
        dreamed: bytearray = last.data
        return dreamed

    assert toward(1) == toward(1) != toward(60)


def test_a_finished_picture_is_kept_until_it_is_on_the_canvas(helper: Helper) -> None:
    known = facts_of(helper.endpoint_file)
    assert jobs.last_result(known) is None
    older = dreaming(known, label="older", forget=False)
    all_told(older)
    job = dreaming(known, label="Hündchen 32×32-3+4", forget=False)
    done = all_told(job)[-1].data
    found = jobs.last_result(known)
    assert found is not None
    label, shape, samples, kept = found
    assert (label, shape, samples) == ("Hündchen 32×32-3+4", SHAPE, done)
    kept()
    found = jobs.last_result(known)
    assert found is not None
    assert found[0] == "older"
    older.acknowledge()
    assert jobs.last_result(known) is None
    older.acknowledge()
    kept()


def test_a_preview_is_seen_octave_by_octave_and_then_forgotten(helper: Helper) -> None:
    settings = {**QUICK, "octaves": 3, "iterations": 2}
    job = dreaming(facts_of(helper.endpoint_file), settings, side=256, priority="preview", previews=True)
    told = all_told(job)
    pictures = [one.data for one in told if one.kind == "picture"]
    assert pictures, "one that came late is left out, but not all"
    assert all(isinstance(one, bytes) and len(one) == 256 * 256 * 3 for one in pictures)
    assert len(set(pictures)) == len(pictures)
    assert isinstance(told[-1].data, bytearray)
    final, *seen = (np.frombuffer(one, np.uint8).astype(int) for one in (told[-1].data, *pictures))
    away = [abs(one - final).mean() for one in seen]
    assert away == sorted(away, reverse=True), "each is nearer to the dream than the one before"
    job.join(60)
    assert not [one for one in helper.status()["jobs"] if one["priority"] == "preview"]
    assert jobs.last_result(facts_of(helper.endpoint_file)) is None


def test_a_preview_of_one_octave_is_seen_while_it_grows(helper: Helper) -> None:
    job = dreaming(facts_of(helper.endpoint_file), ENDLESS, priority="preview", previews=True)
    one, other = first(job, "picture"), first(job, "picture")
    assert one.data != other.data
    job.cancel()
    assert failure(job).code == "cancelled"
    job.join(60)


def test_others_pictures_are_not_the_last_result(helper: Helper) -> None:
    job = submitted(helper.client("somebody"), priority="interactive")
    followed(job)
    assert jobs.last_result(facts_of(helper.endpoint_file)) is None
    job.forget()


@pytest.mark.alone
def test_a_cancel_returns_at_once_and_frees_the_device(helper: Helper) -> None:
    job = dreaming(facts_of(helper.endpoint_file), ENDLESS)
    first(job, "progress")
    began = time.monotonic()
    job.cancel()
    assert time.monotonic() - began < 0.1
    job.cancel()
    assert failure(job, 2.5).code == "cancelled"
    until(lambda: all(worker["job"] is None for worker in helper.status()["workers"]), 3)
    job.join(60)
    assert not job.is_alive()
    assert job.messages.empty()


def test_a_job_cancelled_before_it_began_never_reaches_the_helper(helper: Helper) -> None:
    job = jobs.Dreaming(facts_of(helper.endpoint_file), b"", "uint8", SHAPE, {}, priority="preview")
    job.cancel()
    job.start()
    assert failure(job).code == "cancelled"
    job.join(60)


def test_cancels_at_any_moment_end_every_job_once(helper: Helper) -> None:
    known = facts_of(helper.endpoint_file)
    jobs = []
    for number in range(12):
        jobs.append(dreaming(known, ENDLESS, priority="interactive"))
        time.sleep(0.004 * number)
        jobs[-1].cancel()
    assert {failure(job, 10).code for job in jobs} == {"cancelled"}
    until(lambda: all(one["state"] in ("cancelled", "done") for one in helper.status()["jobs"]), 15)
    for job in jobs:
        job.join(60)
        assert not job.is_alive()


def test_a_cancel_after_the_end_changes_nothing(helper: Helper) -> None:
    job = dreaming(facts_of(helper.endpoint_file))
    all_told(job)
    job.cancel()
    time.sleep(0.1)
    assert job.messages.empty()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"pixels": b"short"}, "5 bytes"), ({"dtype": "uint64"}, "uint64"), ({"settings": {"finest": 1}}, "Pattern size")],
)
def test_pixels_that_the_helper_does_not_take_are_reported(helper: Helper, wrong: dict[str, Any], words: str) -> None:
    given = {"pixels": picture().tobytes(), "dtype": "uint8", "shape": SHAPE, "settings": {}, **wrong}
    job = jobs.Dreaming(facts_of(helper.endpoint_file), priority="interactive", **given)
    job.start()
    assert words in str(failure(job))


def test_a_waiting_dream_reports_its_place(helper: Helper) -> None:
    known = facts_of(helper.endpoint_file)
    other = dreaming(known, ENDLESS)
    first(other, "progress")
    job = dreaming(known)
    assert first(job, "queued").data["position"] >= 1
    other.cancel()
    assert all_told(job)[-1].kind == "done"
    failure(other)


def test_a_paused_dream_says_why(helper: Helper) -> None:
    known = facts_of(helper.endpoint_file)
    job = dreaming(known, ENDLESS, priority="preview")
    first(job, "progress")
    all_told(dreaming(known))
    assert "urgent" in first(job, "note").data["text"]
    assert first(job, "running")
    job.cancel()
    failure(job)


# No helper


def test_none_runs_and_none_can_be_started(tmp_path: Path) -> None:
    known = facts_of(tmp_path / "run" / "endpoint.json")
    told = trouble(lambda: connection.connect(known))
    assert told.code == "not_installed"
    assert str(told) == (
        "DeepDream is no longer installed: /nowhere/bin/python is missing. "
        "Run `python3 install gimp` in DeepDream's folder, then restart GIMP."
    )
    assert [one.kind for one in all_told(dreaming(known), AT_ONCE_S)] == ["starting", "failed"]
    assert trouble(lambda: connection.connect(known, start=False)).code == "no_helper"
    assert jobs.last_result(known) is None


def test_a_helper_that_fails_while_starting_is_reported_with_its_last_output(tmp_path: Path) -> None:
    code = "import sys; print('first', flush=True); sys.exit('error: no module named torch — get it')"
    known = facts_of(tmp_path / "run" / "endpoint.json", sys.executable, "-c", code)
    told = trouble(lambda: connection.connect(known))
    assert told.code == "not_started"
    log = tmp_path / "state" / "helper-start.log"
    assert str(told) == f"The DeepDream helper did not start: no module named torch. Get it; see {log}."


def test_a_helper_that_hangs_while_starting_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "START_S", 0.8)
    known = facts_of(tmp_path / "run" / "endpoint.json", sys.executable, "-c", "import time; time.sleep(6)")
    assert trouble(lambda: connection.connect(known)).code == "not_started"


def test_a_cancel_ends_the_wait_for_a_helper_that_starts(tmp_path: Path) -> None:
    known = facts_of(tmp_path / "run" / "endpoint.json", sys.executable, "-c", "import time; time.sleep(6)")
    job = dreaming(known)
    first(job, "starting")
    job.cancel()
    assert failure(job).code == "cancelled"
    job.join(60)
    assert not job.is_alive()
    stop = threading.Event()
    stop.set()
    assert trouble(lambda: connection.connect(known, stop=stop), 2).code == "cancelled"


def test_a_helper_is_started_with_the_installed_endpoint_if_none_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("engine: {devices: [cpu]}\n")
    monkeypatch.setenv("DEEPDREAM_RUNTIME_DIR", "/elsewhere")
    known = facts_of(tmp_path / "a räum" / "run" / "endpoint.json", *STARTABLE, "--config", str(config))
    job = dreaming(known)
    told = all_told(job)
    assert (told[0], told[-1].kind) == (jobs.Message("starting", {}), "done")
    running = connection.connect(known)
    assert running.endpoint.log == str(tmp_path / "a räum" / "state" / "helper.log")
    assert connection.call(running.status)["on_demand"]
    running.shutdown()
    until(lambda: not known.endpoint.exists(), 10)


# Another than ours


@pytest.mark.parametrize(
    ("version", "protocol", "next_step"),
    [("0.0.9", 1, "/bin/deepdream helper --stop`, then try"), ("9.10.0", 1, "install gimp"), ("0.1.0", 2, "--stop`")],
)
def test_a_helper_of_another_version_is_reported(tmp_path: Path, version: str, protocol: int, next_step: str) -> None:
    with Pretender(tmp_path) as pretender:
        pretender.version, pretender.protocol = version, protocol
        told = trouble(lambda: connection.connect(facts_of(pretender.file)))
        assert told.code == "version"
        assert version in told.what
        assert next_step in told.next_step
        assert failure(dreaming(facts_of(pretender.file)), AT_ONCE_S).code == "version"


def test_a_squatter_gets_neither_token_nor_picture_and_is_reported_in_time(tmp_path: Path) -> None:
    def silent(_: object) -> None:
        time.sleep(0.5)

    for number, answer in enumerate((lambda _: http_answer(200, {"proof": "00"}), lambda _: b"SSH-2.0\r\n", silent)):
        endpoint = tmp_path / f"run{number}" / "endpoint.json"
        endpoint.parent.mkdir(mode=0o700)
        with Listener(answer) as squatter:
            token = new_token()
            write_endpoint(endpoint, Endpoint("127.0.0.1", squatter.port, token, 1, "0.1.0", 1, "/log"))
            known = facts_of(endpoint)
            for ask in (partial(connection.connect, start=False), jobs.last_result):
                assert trouble(partial(ask, known)).code in ("no_helper", "hung")
            assert failure(dreaming(known), AT_ONCE_S).code == "not_installed"
            assert token.encode() not in squatter.heard
            assert b"NUMPY" not in squatter.heard


def test_a_squatter_does_not_keep_the_helper_from_being_started(tmp_path: Path) -> None:
    endpoint = tmp_path / "run" / "endpoint.json"
    endpoint.parent.mkdir(mode=0o700)
    with Listener(lambda _: None) as squatter:
        write_endpoint(endpoint, Endpoint("127.0.0.1", squatter.port, new_token(), 1, "0.1.0", 1, "/log"))
        running = connection.connect(facts_of(endpoint, *STARTABLE))
        assert running.endpoint.port != squatter.port
        running.shutdown()
    until(lambda: not endpoint.exists(), 10)


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (refusal(429, "busy", headers="Retry-After: 7\r\n"), "busy", "The helper is busy: it is so. Try again in 7 s"),
        (refusal(413, "too_large"), "too_large", "It is so. Select a smaller part, or raise helper.max_memory_mb"),
        (refusal(507, "no_memory"), "no_memory", "It is so. Select a smaller part, or close other programs."),
        (refusal(500, "internal"), "internal", "It is so. Do this."),
        (b"nonsense\r\n\r\n", "lost", "Lost the helper: "),
    ],
)
def test_a_refusal_is_one_sentence_and_the_next_step(tmp_path: Path, answer: bytes, code: str, text: str) -> None:
    with Pretender(tmp_path) as pretender:
        pretender.routes = {"POST /v1/jobs": answer}
        told = failure(dreaming(facts_of(pretender.file)), AT_ONCE_S)
        assert told.code == code
        assert str(told).startswith(text)


@pytest.mark.parametrize(
    ("event", "data", "code", "text"),
    [
        (
            "failed",
            {"code": "out_of_memory", "what": "out of memory on cuda:0: 900 MB, 20 MB are free", "next_step": "--finest"},
            "out_of_memory",
            "Out of memory on cuda:0: 900 MB, 20 MB are free. Select a smaller part, choose a smaller pattern size",
        ),
        ("failed", {"code": "worker_died", "what": "it died", "next_step": "x"}, "worker_died", "It died. Try again"),
        ("failed", {"code": "weights", "what": "no weights", "next_step": "fetch"}, "weights", "No weights. Fetch."),
        ("cancelled", {"why": "stopping"}, "stopping", "The helper is stopping"),
        ("cancelled", {"why": "replaced"}, "replaced", "A newer job replaced this one"),
        ("progress", {"nothing": 1}, "internal", "KeyError: 'fraction'. This is a bug"),
    ],
)  # fmt: skip
def test_how_a_job_can_end_is_one_sentence_and_the_next_step(
    tmp_path: Path, event: str, data: dict[str, Any], code: str, text: str
) -> None:
    with Pretender(tmp_path) as pretender:
        pretender.routes = {
            "POST /v1/jobs": lambda request: request.body() and http_answer(201, {"id": "j1"}),
            "PUT /v1/jobs/j1/pixels": lambda request: request.body() and http_answer(204),
            "GET /v1/jobs/j1/events": [STREAM, sse((1, event, data))],
        }
        told = failure(dreaming(facts_of(pretender.file)), AT_ONCE_S)
        assert told.code == code
        assert str(told).startswith(text)


# It dies, it hangs


def test_a_helper_killed_during_a_dream_is_reported(tmp_path: Path) -> None:
    with running_helper(tmp_path) as helper:
        children = helper.children()
        job = dreaming(facts_of(helper.endpoint_file), ENDLESS)
        first(job, "progress")
        children += helper.children()
        helper.process.kill()
        helper.process.wait()
        told = failure(job, AT_ONCE_S)
        assert told.code == "lost"
        assert "log" in told.next_step
        job.acknowledge()
        until(lambda: not any(child.is_running() for child in children), 10)


@pytest.mark.alone
@pytest.mark.slow("faults")
@pytest.mark.skipif(os.name != "posix", reason="stops it with a signal")
def test_a_hanging_helper_does_not_block_the_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SILENT_S", 2.5)
    with running_helper(tmp_path) as helper:
        known = facts_of(helper.endpoint_file, *STARTABLE)
        one = dreaming(known, ENDLESS, forget=False)
        first(one, "progress")
        other = dreaming(known, ENDLESS)
        first(other, "queued")
        os.kill(helper.process.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            other.cancel()
            assert failure(other, jobs.LET_GO_S + 0.5).code == "cancelled"
            assert failure(one, 6).code == "lost"
            one.acknowledge()
            assert time.monotonic() - began < 10
            for ask, limit_s in (
                (partial(connection.connect, start=False), 3),
                (jobs.last_result, 3),
                (connection.connect, 15),
            ):
                told = trouble(partial(ask, known), limit_s)
                assert told.code in ("hung", "not_started")
                assert str(helper.process.pid) in told.next_step
        finally:
            os.kill(helper.process.pid, signal.SIGCONT)
        assert connection.connect(known).version == FACTS.version
        until(lambda: helper.status()["workers"][0]["job"] is None, 10)


# Sandboxes


def test_a_sandboxed_gimp_says_what_to_run_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = facts_of(tmp_path / "endpoint.json", "/home/a b/.venv/bin/python")
    monkeypatch.setenv("FLATPAK_ID", "org.gimp.GIMP")
    told = trouble(lambda: connection.connect(known))
    assert told.code == "sandboxed"
    assert "Flatpak" in told.what
    assert told.next_step == "run `'/home/a b/.venv/bin/deepdream' helper` in a terminal"
    assert trouble(lambda: jobs.last_result(known)).code == "sandboxed"
    hidden = dataclasses.replace(known, endpoint=Path("/run/user/4711/deepdream/endpoint.json"))
    allow = "`flatpak override --user --filesystem=xdg-run/deepdream org.gimp.GIMP`"
    assert allow in trouble(lambda: connection.connect(hidden)).next_step


def test_a_snap_is_one_only_if_it_is_gimp_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAP", "/snap/code/1")
    monkeypatch.setenv("SNAP_NAME", "code")
    assert connection.sandbox() is None
    monkeypatch.setenv("SNAP_NAME", "gimp")
    assert connection.sandbox() == "Snap"
    told = trouble(lambda: connection.connect(facts_of(tmp_path / "nowhere" / "endpoint.json")))
    assert (told.code, "not a Snap" in told.next_step) == ("sandboxed", True)


def test_a_sandboxed_gimp_uses_a_helper_that_runs(helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATPAK_ID", "org.gimp.GIMP")
    assert all_told(dreaming(facts_of(helper.endpoint_file)))[-1].kind == "done"


# Time left


def test_the_time_left_leaves_out_the_first_step_and_pauses() -> None:
    now = [0.0]
    pace = jobs._Pace(lambda: now[0])
    now[0] = 60.0
    assert pace.left_s(0.1) is None
    now[0] = 70.0
    assert pace.left_s(0.2) == pytest.approx(80.0)
    pace.pause()
    now[0] = 1070.0
    pace.resume()
    now[0] = 1080.0
    assert pace.left_s(0.3) == pytest.approx(70.0)
    assert pace.left_s(1.0) == 0


# GIMP's Python

ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
import dataclasses, pathlib
import choices, facts, jobs
known = dataclasses.replace(facts.load(), endpoint=pathlib.Path(sys.argv[2]))
settings = choices.settings_of({"finest": 100000, "octaves": 1, "iterations": 1}, known)
job = jobs.Dreaming(known, bytes(range(48)) * 64, "uint8", (32, 32, 3), settings, priority="interactive", previews=True)
job.start()
while True:
    told = job.messages.get(timeout=30)
    print(told.kind, flush=True)
    if told.kind == "failed":
        print(told.data)
    if told.kind in ("done", "failed"):
        break
job.join(60)
print(len(told.data), "numpy" in sys.modules, "gi" in sys.modules)
"""


@pytest.mark.parametrize("minor", range(9, 15))
def test_it_works_in_gimp_s_older_or_newer_python(helper: Helper, minor: int) -> None:
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"no Python 3.{minor} on this machine")
    answer = subprocess.run(
        [python, "-I", "-S", "-B", "-W", "error", "-c", ALONE, str(FOLDER), str(helper.endpoint_file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert answer.stdout.splitlines()[-2:] == ["done", "3072 False False"]


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
import dataclasses, pathlib
import choices, facts, jobs
known = dataclasses.replace(facts.load(), endpoint=pathlib.Path(sys.argv[2]))
settings = choices.settings_of({"finest": 100000, "iterations": 1000}, known)
job = jobs.Dreaming(known, bytes(range(48)) * 4096, "uint8", (256, 256, 3), settings, priority="interactive", forget=False)
job.start()
while True:
    print(job.messages.get(timeout=30).kind, flush=True)
"""


def test_a_plug_in_that_gimp_kills_frees_the_device_within_three_seconds(helper: Helper) -> None:
    argv = [sys.executable, "-c", KILLED, str(FOLDER), str(helper.endpoint_file)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        with contextlib.suppress(StopIteration):
            next(line for line in process.stdout if line.startswith("progress"))
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        until(lambda: all(worker["job"] is None for worker in helper.status()["workers"]), 3)
