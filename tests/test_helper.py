"""The helper as programs use it: real processes, from its start to its results, its queue, its log and its command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import yaml
from conftest import events, picture_file
from dreaming import WHITE, in_this_process
from helper_process import (
    ENDLESS,
    QUICK,
    Following,
    Helper,
    asked,
    followed,
    picture,
    running_endlessly,
    running_helper,
    submitted,
    until,
)

from deepdream_core import __version__
from deepdream_core.link import client
from deepdream_core.link.endpoint import Endpoint, write_endpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH: dict[str, Any] = {"octaves": 2, "iterations": 8, "finest": "full"}
"""Settings of a job of about two seconds on a picture of 160 px, in which others can come between."""


def sample_picture(dtype: str, channels: int, side: int = 48) -> NDArray[Any]:
    """A photograph with gray or colour channels; transparency comes with a third of it invisible and odd colours there."""
    random = np.random.default_rng(7)
    colours = picture(side) / np.float32(255)
    samples = colours if channels > 2 else colours.mean(axis=2, keepdims=True)
    if channels % 2 == 0:
        alpha = random.uniform(0, 1, (side, side, 1)).astype(np.float32)
        alpha[: side // 3] = 0
        samples = np.concatenate([samples, alpha], axis=2)
    scaled = samples * WHITE[dtype]
    return np.ascontiguousarray((np.rint(scaled) if dtype.startswith("uint") else scaled).astype(dtype))


def log_lines(helper: Helper, *clients: str) -> list[str]:
    """The log's lines about jobs of these clients."""
    return [line for line in helper.log().splitlines() if any(f" {name} " in line for name in clients)]


# Start


@pytest.mark.alone
def test_it_answers_half_a_second_after_its_start_without_torch(tmp_path: Path) -> None:
    seconds = []
    for number in range(5):
        began = time.monotonic()
        with_torch = []
        helper = Helper(tmp_path / str(number))
        try:
            until(helper.endpoint_file.exists, 15, pause_s=0.002)
            assert helper.client().version == __version__
            seconds.append(time.monotonic() - began)
            with_torch.append("libtorch" in Path(f"/proc/{helper.process.pid}/maps").read_text())
        finally:
            helper.stop()
        assert not any(with_torch)
    print(f"from start to hello: {min(seconds):.3f} s at best, {max(seconds):.3f} s at worst")
    assert min(seconds) < 0.5


def test_the_helper_itself_never_loads_torch_nor_touches_the_device(helper: Helper) -> None:
    submission = submitted(helper.client())
    followed(submission)
    worker = helper.worker_pid()
    assert "libtorch" not in Path(f"/proc/{helper.process.pid}/maps").read_text()
    assert "libtorch" in Path(f"/proc/{worker}/maps").read_text()


def test_a_second_helper_says_where_the_first_is_and_exits_with_0(helper: Helper) -> None:
    helper.errors.write_text("")
    assert helper.spawn().wait(60) == 0
    told = helper.errors.read_text()
    assert f"a helper runs already: process {helper.process.pid}" in told
    assert f"http://127.0.0.1:{helper.endpoint.port}" in told
    assert helper.client().status()["pid"] == helper.process.pid


def test_only_its_user_can_read_where_it_is_and_the_file_goes_with_it(tmp_path: Path) -> None:
    with running_helper(tmp_path) as helper:
        assert stat.S_IMODE(helper.endpoint_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(helper.endpoint_file.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        assert helper.endpoint.pid == helper.process.pid
        assert helper.stop() == 0
        assert not helper.endpoint_file.exists()
        with pytest.raises(client.NoHelper):
            client.connect(endpoint_file=helper.endpoint_file)


def test_files_left_by_a_killed_helper_are_recognised_and_replaced(tmp_path: Path) -> None:
    with running_helper(tmp_path) as helper:
        old = helper.endpoint
        helper.process.kill()
        helper.process.wait()
        assert helper.endpoint == old
        with pytest.raises(client.NoHelper):
            client.connect(endpoint_file=helper.endpoint_file)
        helper.process = helper.spawn()
        assert helper.client().status()["pid"] == helper.process.pid
        assert helper.endpoint.token != old.token


def test_a_removed_endpoint_file_is_written_again(tmp_path: Path) -> None:
    with running_helper(tmp_path) as helper:
        before = helper.endpoint
        helper.endpoint_file.unlink()
        until(helper.endpoint_file.exists, 5)
        assert helper.endpoint == before
        assert helper.client().status()["pid"] == helper.process.pid


def test_a_helper_whose_folder_is_gone_ends_so_that_there_are_never_two(tmp_path: Path) -> None:
    with running_helper(tmp_path) as helper:
        shutil.rmtree(helper.endpoint_file.parent)
        assert helper.process.wait(60) == 0
        assert "this one ends" in helper.log()


def test_a_process_number_that_was_given_to_another_program_does_no_harm(tmp_path: Path) -> None:
    with running_helper(tmp_path) as helper:
        old = helper.endpoint
        helper.process.kill()
        helper.process.wait()
        write_endpoint(helper.endpoint_file, Endpoint(**{**vars(old), "pid": os.getpid()}))
        with pytest.raises(client.NoHelper):
            client.connect(endpoint_file=helper.endpoint_file)
        helper.process = helper.spawn()
        assert helper.client().status()["pid"] == helper.process.pid


@pytest.mark.slow("start races")
def test_of_two_helpers_started_at_once_one_runs_and_the_other_reports_it(tmp_path: Path) -> None:
    for number in range(20):
        helper = Helper(tmp_path / str(number))
        rival = helper.spawn()
        both = {process.pid: process for process in (helper.process, rival)}
        try:
            until(lambda: any(process.poll() is not None for process in both.values()), 15)  # noqa: B023
            ended = next(process for process in both.values() if process.poll() is not None)
            (winner,) = (process for process in both.values() if process is not ended)
            assert ended.returncode == 0, helper.errors.read_text()
            assert f"a helper runs already: process {winner.pid}" in helper.errors.read_text()
            assert winner.poll() is None
            helper.process = winner
            assert helper.client().status()["pid"] == winner.pid
        finally:
            for process in both.values():
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            assert {process.wait(60) for process in both.values()} == {0}


@pytest.mark.alone
def test_a_call_takes_milliseconds(helper: Helper) -> None:
    seconds = []
    for _ in range(10):
        began = time.monotonic()
        helper.client().status()
        seconds.append(time.monotonic() - began)
    print(f"two connections, three calls: {min(seconds) * 1000:.1f} ms")
    assert min(seconds) < 0.02  # 40 ms and more: small packets wait for each other


# Started by a client


def test_a_client_starts_it_apart_from_itself_and_it_ends_when_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned = tmp_path / "poison"
    (poisoned / "deepdream_core").mkdir(parents=True)
    (poisoned / "deepdream_core" / "__init__.py").write_text("raise SystemExit(77)")
    config = tmp_path / "config" / "deepdream" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(yaml.safe_dump({"engine": {"devices": ["cpu"]}, "helper": {"idle_exit_s": 1.0}}))
    for name in ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, str(poisoned))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DEEPDREAM_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))
    running = client.connect(start=True, client="starter")
    pid = running.endpoint.pid
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert not [entry for entry in environ if str(poisoned).encode() in entry]
    assert os.getpgid(pid) == os.getsid(pid) == pid != os.getpgid(0)
    assert running.status()["on_demand"] is True
    assert client.connect(start=True).endpoint.pid == pid, "a second client uses the same one"
    job = submitted(running)
    followed(job)
    worker = running.status()["workers"][0]["pid"]
    time.sleep(1.5)  # longer than idle_exit_s: a result that nobody has fetched is something to stay for
    assert len(job.result()) == 32 * 32 * 3
    job.forget()
    until(lambda: not psutil.pid_exists(pid) and not psutil.pid_exists(worker), 10)
    assert not (tmp_path / "run" / "endpoint.json").exists()
    assert "the helper ends itself" in (tmp_path / "state" / "helper.log").read_text()


# Workers


@pytest.mark.alone
def test_the_model_is_loaded_when_it_is_needed_and_given_back_when_it_is_not(tmp_path: Path) -> None:
    with running_helper(tmp_path, {"helper": {"idle_unload_s": 1.0}}) as helper:
        asking = helper.client()
        assert helper.worker_pid() is None
        began = time.monotonic()
        assert asking.warm(wait=False) == {"workers": []}
        assert time.monotonic() - began < 0.5
        (worker,) = asking.warm()["workers"]
        assert worker["device"] == "cpu"
        first = helper.worker_pid()
        assert first is not None
        until(lambda: helper.worker_pid() is None, 10)
        until(lambda: not psutil.pid_exists(first), 5)
        job = submitted(asking)
        followed(job)
        second = helper.worker_pid()
        assert second not in (None, first)
        assert job.result() == bytearray(in_this_process(picture(), QUICK))
        until(lambda: helper.worker_pid() is None, 10)
        assert helper.status()["workers"][0]["state"] == "off"


@pytest.mark.parametrize("channels", [1, 2, 3, 4], ids=["gray", "gray and alpha", "RGB", "RGBA"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_the_result_has_the_bytes_that_the_engine_gives_without_a_helper(
    helper: Helper, dtype: str, channels: int
) -> None:
    samples = sample_picture(dtype, channels)
    shape = (*samples.shape[:2], channels)
    given = {**QUICK, "iterations": 2}
    job = helper.client().submit(samples.data, dtype=dtype, shape=shape, priority="batch", settings=given)
    followed(job)
    result = job.result()
    assert result == bytearray(in_this_process(samples, given))
    dreamed = np.frombuffer(result, dtype).reshape(shape)
    assert not np.array_equal(dreamed, samples)
    if channels % 2 == 0:
        hidden = samples[..., -1] == 0
        assert hidden.any()
        assert np.array_equal(dreamed[..., -1], samples[..., -1])
        assert np.array_equal(dreamed[hidden], samples[hidden])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_strength_0_returns_the_sent_picture(helper: Helper, dtype: str) -> None:
    samples = sample_picture(dtype, 4)
    job = helper.client().submit(
        samples.data, dtype=dtype, shape=(48, 48, 4), priority="batch", settings={**QUICK, "strength": 0.0}
    )
    followed(job)
    assert job.result() == bytearray(samples.tobytes())


def test_mask_and_start_do_what_they_do_in_the_engine(helper: Helper) -> None:
    samples = sample_picture("uint8", 3)
    mask = np.zeros((48, 48, 1), np.uint8)
    mask[:, 24:] = 255
    start = np.random.default_rng(3).normal(0, 0.05, (48, 48, 3)).astype(np.float32)
    job = helper.client().submit(
        samples.data, dtype="uint8", shape=(48, 48, 3), priority="batch", settings=QUICK,
        mask=mask.data, mask_dtype="uint8", start=start.data,
    )  # fmt: skip
    followed(job)
    strength = np.multiply(mask[..., 0], np.float32(1 / 255), dtype=np.float32)
    planes = np.ascontiguousarray(start.transpose(2, 0, 1))
    assert job.result() == bytearray(in_this_process(samples, QUICK, strength, planes))
    dreamed = np.frombuffer(job.result(), np.uint8).reshape(48, 48, 3)
    assert np.array_equal(dreamed[:, :24], samples[:, :24])
    assert not np.array_equal(dreamed[:, 24:], samples[:, 24:])


# Queue


def test_an_interactive_job_runs_between_two_steps_of_a_batch_job_which_then_continues(helper: Helper) -> None:
    asking = helper.client("between")
    alone = Following(submitted(asking, 160, settings=BATCH))
    assert alone.ended() == "done"
    batch = Following(submitted(asking, 160, settings=BATCH))
    until(lambda: len(batch.all("progress")) >= 3)
    urgent = Following(submitted(asking, settings=QUICK, priority="interactive"))
    assert urgent.ended() == "done"
    assert batch.ended() == "done"
    assert batch.job.result() == alone.job.result()
    assert batch.all("progress") == alone.all("progress"), "no step twice, none left out"
    names = batch.names
    assert names.count("paused") == 1
    assert names.count("running") == 2
    meanwhile = names[names.index("paused") + 1 : len(names) - names[::-1].index("running") - 1]
    assert meanwhile in ([], ["progress"]), "the step that was under way may still be told"
    assert ["interactive" in line for line in log_lines(helper, "between")] == [False, True, False]


def test_a_preview_is_replaced_only_by_the_same_clients_next_one(helper: Helper) -> None:
    blocker = running_endlessly(helper.client("blocker"), priority="interactive")
    mine, yours = helper.client("mine"), helper.client("yours")
    older = Following(submitted(mine, seed=1, priority="preview", settings=ENDLESS))
    other = Following(submitted(yours, seed=2, priority="preview"))
    slow = Following(submitted(mine, seed=3, priority="batch"))
    newer = Following(submitted(mine, seed=4, priority="preview", settings=ENDLESS))
    assert older.ended(5) == "replaced"
    blocker.job.cancel()
    assert blocker.ended(5) == "asked"
    until(lambda: newer.all("progress"))
    newest = Following(submitted(mine, seed=5, priority="preview"))
    assert newer.ended(5) == "replaced", "also one that runs already"
    assert [following.ended() for following in (newest, other, slow)] == ["done", "done", "done"]


def test_clients_take_turns(helper: Helper) -> None:
    blocker = running_endlessly(helper.client("blocker"), priority="interactive")
    eager, late = helper.client("eager"), helper.client("late")
    jobs = [Following(submitted(eager, seed=seed)) for seed in range(8)]
    jobs += [Following(submitted(late, seed=seed)) for seed in range(2)]
    until(lambda: jobs[8].all("queued"))
    assert jobs[8].all("queued")[0] == {"position": 2}
    blocker.job.cancel()
    assert [job.ended() for job in jobs] == ["done"] * 10
    order = ["eager" if " eager " in line else "late" for line in log_lines(helper, "eager", "late")]
    assert order == ["eager", "late", "eager", "late", *["eager"] * 6]


def test_a_full_queue_asks_to_come_back_later(tmp_path: Path) -> None:
    with running_helper(tmp_path, {"helper": {"max_queued": 2}}) as helper:
        asking = helper.client()
        running = running_endlessly(asking)
        waiting = [Following(submitted(asking, seed=seed)) for seed in (1, 2)]
        with pytest.raises(client.HelperBusy) as busy:
            submitted(asking, seed=3)
        assert 1 <= busy.value.retry_after_s <= 60
        running.job.cancel()
        assert [job.ended() for job in waiting] == ["done", "done"]
        assert Following(submitted(asking, seed=3)).ended() == "done"


def test_memory_for_pictures_has_a_limit(tmp_path: Path) -> None:
    with running_helper(tmp_path, {"helper": {"max_memory_mb": 16}}) as helper:
        asking = helper.client()
        finished = submitted(asking)
        followed(finished)
        running = running_endlessly(asking)
        large, too_large = np.zeros((1000, 1000, 3), np.float32), np.zeros((1200, 1200, 3), np.float32)

        def send(pixels: NDArray[np.float32]) -> client.HelperJob:
            side = pixels.shape[0]
            return asking.submit(pixels.data, dtype="float32", shape=(side, side, 3), priority="batch", settings=QUICK)

        waiting = send(large)
        with pytest.raises(client.HelperBusy, match="are already waiting"):
            send(large)
        with pytest.raises(client.HelperRefused, match="are allowed") as refused:
            send(too_large)
        assert (refused.value.status, refused.value.code) == (413, "too_large"), "waiting would not help"
        assert len(finished.result()) == 32 * 32 * 3, "what is refused drives nothing out"
        waiting.cancel()
        replaced = send(large)
        assert len(finished.result()) == 32 * 32 * 3
        replaced.cancel()
        running.job.cancel()


def test_a_refused_preview_does_not_replace_an_older_one(tmp_path: Path) -> None:
    with running_helper(tmp_path, {"helper": {"max_memory_mb": 16}}) as helper:
        asking = helper.client()
        older = running_endlessly(asking, priority="preview")
        pixels = np.zeros((1200, 1200, 3), np.float32)
        with pytest.raises(client.LinkError):
            asking.submit(pixels.data, dtype="float32", shape=(1200, 1200, 3), priority="preview", settings=QUICK)
        steps = len(older.all("progress"))
        until(lambda: older.error or len(older.all("progress")) > steps + 2)
        assert older.error is None
        older.job.cancel()


def test_an_interactive_job_waits_for_one_step_of_a_batch_job_at_most(helper: Helper) -> None:
    asking = helper.client("latency")
    pixels = picture(512)
    batch = Following(
        asking.submit(pixels.data, dtype="uint8", shape=(512, 512, 3), priority="batch", settings=ENDLESS)
    )
    until(lambda: len(batch.all("progress")) >= 4)
    times = [when for when, event in batch.told if event.name == "progress"]
    step_s = max(after - before for before, after in pairwise(times))
    began = time.monotonic()
    urgent = Following(submitted(asking, priority="interactive"))
    assert urgent.ended() == "done"
    first = next(when for when, event in urgent.told if event.name == "progress") - began
    print(f"first step after {first:.2f} s; a step of the batch job takes {step_s:.2f} s")
    batch.job.cancel()
    assert batch.ended() == "asked"
    assert first < step_s + 0.5


# Pictures so far


def test_a_picture_so_far_is_between_the_original_and_the_result(helper: Helper) -> None:
    asking = helper.client()
    job = submitted(asking, 200, settings={"octaves": 2, "iterations": 8, "finest": "full"}, previews=True)
    so_far = bytearray(200 * 200 * 3)
    octaves = []
    for event in job.events():
        if event.name == "octave":
            octaves.append((event.data["octave"], event.data["octaves"]))
            if event.data["octave"] == 1:
                assert job.so_far_into(so_far)
    assert octaves == [(1, 2), (2, 2)]
    assert so_far != bytearray(picture(200).tobytes())
    assert so_far != job.result()


def test_only_clients_that_asked_get_octave_events(helper: Helper) -> None:
    assert "octave" not in {event.name for event in followed(submitted(helper.client()))}


def test_a_paused_job_shows_its_picture_and_one_that_waits_has_none(helper: Helper) -> None:
    asking = helper.client()
    paused = running_endlessly(asking, seed=1)
    urgent = running_endlessly(asking, seed=2, priority="interactive")
    waiting = Following(submitted(asking, seed=3))
    first, second, nothing = (bytearray(32 * 32 * 3) for _ in range(3))
    assert paused.job.so_far_into(first)
    assert paused.job.so_far_into(second)
    assert first == second != bytearray(picture(32, 1).tobytes())
    assert not waiting.job.so_far_into(nothing)
    assert nothing == bytearray(32 * 32 * 3)
    for following in (paused, urgent):
        following.job.cancel()
        assert following.ended(5) == "asked"
    assert waiting.ended() == "done"


# Log


def test_the_log_has_a_line_for_each_job_and_no_secrets(helper: Helper) -> None:
    asking = helper.client("log-reader")
    done = submitted(asking, label="holiday.jpg")
    followed(done)
    stopped = running_endlessly(asking)
    stopped.job.cancel()
    assert stopped.ended() == "asked"
    first, second = log_lines(helper, "log-reader")
    form = (
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO %s log-reader batch pool4 32×32×3 uint8 on cpu (bf16|fp32): "
        r"waited \d+\.\d\d s, ran \d+\.\d\d s, %s"
    )
    assert re.fullmatch(form % (re.escape(done.id[:6]), "done"), first)
    assert re.fullmatch(form % (re.escape(stopped.job.id[:6]), r"cancelled \(asked\)"), second)
    written = helper.log() + helper.errors.read_text()
    assert helper.endpoint.token not in written
    assert done.id not in written
    assert stopped.job.id not in written


def test_the_log_is_readable_by_its_user_only_and_does_not_grow_for_ever(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "helper.log").write_text("x" * 999_990 + "\n")
    with running_helper(tmp_path):
        assert (tmp_path / "state" / "helper.log").stat().st_size < 1000
        assert (tmp_path / "state" / "helper.log.1").stat().st_size > 999_000
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


# Command line


@pytest.fixture
def own(tmp_path: Path, home: dict[str, str]) -> dict[str, str]:
    """An environment with a configuration of its own, for this machine's processor."""
    config = Path(home["XDG_CONFIG_HOME"]) / "deepdream" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(
        yaml.safe_dump({"engine": {"device": "cpu", "devices": ["cpu"]}, "helper": {"idle_exit_s": 60.0}})
    )
    folders = {"DEEPDREAM_RUNTIME_DIR": str(tmp_path / "run"), "DEEPDREAM_STATE_DIR": str(tmp_path / "state")}
    return {**home, **folders}


def pointing_to(helper: Helper, environ: dict[str, str]) -> dict[str, str]:
    """The environment of a program that finds this helper."""
    names = ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR")
    return {**environ, **{name: helper.environ[name] for name in names}}


def command(environ: dict[str, str], folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the real command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "deepdream_core", *map(str, arguments)],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_status_shows_that_no_helper_runs(tmp_path: Path, own: dict[str, str]) -> None:
    text = command(own, tmp_path, "status")
    assert (text.returncode, text.stderr) == (0, "")
    assert text.stdout.startswith("no helper runs")
    told = json.loads(command(own, tmp_path, "status", "--json").stdout)
    assert told["helper"] == "none"


def test_status_shows_running_and_waiting_jobs(helper: Helper, tmp_path: Path, own: dict[str, str]) -> None:
    environ = pointing_to(helper, own)
    asking = helper.client("looked-at")
    running = running_endlessly(asking, label="running.jpg")
    waiting = Following(submitted(asking, seed=1, label="waiting.jpg"))
    text = command(environ, tmp_path, "status")
    assert (text.returncode, text.stderr) == (0, "")
    assert f"runs as process {helper.process.pid}" in text.stdout
    lines = text.stdout.splitlines()
    (line,) = (line for line in lines if "running.jpg" in line)
    assert "running" in line
    assert re.search(r"octave 1/1, iteration \d+/100000", line)
    (line,) = (line for line in lines if "waiting.jpg" in line)
    assert "queued, place 1" in line
    told = json.loads(command(environ, tmp_path, "status", "--json").stdout)
    assert told["helper"] == "running"
    assert told["pid"] == helper.process.pid
    assert [job["state"] for job in told["jobs"] if job["client"] == "looked-at"] == ["running", "queued"]
    assert told["workers"][0]["state"] == "busy"
    running.job.cancel()
    assert waiting.ended() == "done"
    for following in (running, waiting):
        following.job.forget()


def test_status_of_a_helper_without_jobs(tmp_path: Path, own: dict[str, str]) -> None:
    with running_helper(tmp_path) as helper:
        text = command(pointing_to(helper, own), tmp_path, "status")
        assert text.returncode == 0
        assert "no jobs" in text.stdout
        assert re.search(r"^cpu .*\boff\b", text.stdout, re.MULTILINE)


def test_a_dream_is_the_same_with_and_without_the_helper(helper: Helper, tmp_path: Path, own: dict[str, str]) -> None:
    environ = pointing_to(helper, own)
    picture_file(tmp_path / "a.png")
    arguments = ("--layer", "relu2_2", "--iterations", "2", "--octaves", "2", "--json", "--overwrite")
    pictures, told = [], []
    for wish in ("no", "yes", "auto"):
        jobs = helper.log().count("96×72×3")
        answer = command(environ, tmp_path, "dream", "a.png", "-o", "b.png", *arguments, "--via-helper", wish)
        assert (answer.returncode, answer.stderr) == (0, "")
        pictures.append((tmp_path / "b.png").read_bytes())
        told.append([{k: v for k, v in event.items() if k != "seconds"} for event in events(answer)])
        assert helper.log().count("96×72×3") - jobs == (wish != "no")
    assert pictures[0] == pictures[1] == pictures[2]
    assert told[0] == told[1] == told[2]
    assert not [job for job in helper.status()["jobs"] if job["shape"] == [72, 96, 3]], "its results are not kept"


def test_a_device_asked_for_is_this_process_s_own(helper: Helper, tmp_path: Path, own: dict[str, str]) -> None:
    environ = pointing_to(helper, own)
    picture_file(tmp_path / "a.png")
    before = helper.log()
    quick = ("--layer", "relu2_2", "--iterations", "1", "--octaves", "1")
    assert command(environ, tmp_path, "dream", "a.png", *quick, "--device", "cpu").returncode == 0
    assert helper.log() == before
    answer = command(environ, tmp_path, "dream", "a.png", *quick, "--device", "cpu", "--via-helper", "yes")
    assert answer.returncode == 2
    assert "--device" in answer.stderr


def test_via_helper_starts_one_and_stop_ends_it(tmp_path: Path, own: dict[str, str]) -> None:
    picture_file(tmp_path / "a.png")
    quick = ("--layer", "relu2_2", "--iterations", "1", "--octaves", "1")
    answer = command(own, tmp_path, "dream", "a.png", *quick, "--via-helper", "yes")
    try:
        assert answer.returncode == 0, answer.stderr
        pid = json.loads(command(own, tmp_path, "status", "--json").stdout)["pid"]
        assert psutil.pid_exists(pid)
    finally:
        ended = command(own, tmp_path, "helper", "--stop")
    assert (ended.returncode, ended.stderr) == (0, f"helper stopped, process {pid}\n")
    until(lambda: not psutil.pid_exists(pid), 5)
    again = command(own, tmp_path, "helper", "--stop")
    assert (again.returncode, again.stderr) == (0, "no helper runs\n")


def test_ctrl_c_ends_the_helper_s_job_too(helper: Helper, tmp_path: Path, own: dict[str, str]) -> None:
    picture_file(tmp_path / "a.png", size=(120, 90))
    arguments = ("dream", "a.png", "--octaves", "1", "--iterations", "100000", "--json", "--via-helper", "yes")
    with subprocess.Popen(
        [sys.executable, "-m", "deepdream_core", *arguments], cwd=tmp_path, env=pointing_to(helper, own),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert any('"progress"' in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
    until(lambda: "120×90×3" in helper.log(), 5)
    last = log_lines(helper, f"deepdream-{process.pid}")[-1]
    assert last.endswith("cancelled (asked)"), "told, and not just noticed by its absence"
    assert not (tmp_path / "a.dream.png").exists()


def test_a_stopping_helper_is_reported_as_such(tmp_path: Path, own: dict[str, str]) -> None:
    picture_file(tmp_path / "a.png", size=(120, 90))
    arguments = ("dream", "a.png", "--octaves", "1", "--iterations", "100000", "--json", "--via-helper", "yes")
    with running_helper(tmp_path) as helper, subprocess.Popen(
        [sys.executable, "-m", "deepdream_core", *arguments], cwd=tmp_path, env=pointing_to(helper, own),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert any('"progress"' in line for line in process.stdout)
        assert helper.stop() == 0
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 8
    assert "the helper is stopping" in output
    assert "lost the helper" not in output


def test_any_http_client_can_ask(helper: Helper) -> None:
    status, body = asked(helper, "GET", "/v1/hello")
    assert status == 200
    assert json.loads(body)["name"] == "deepdream"
