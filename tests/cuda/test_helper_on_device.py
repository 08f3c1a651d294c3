"""The helper with a worker on a GPU: it stops at once, survives its worker, and gives every byte back."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from conftest import picture_file, pixels_of
from dreaming import in_this_process
from helper_process import ENDLESS, Following, Helper, picture, running_endlessly, running_helper, submitted, until
from on_device import DEVICE, ON_CUDA, QUICK, cuda_only, device, needs_device, used_mib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_device
SIDE = 96 if QUICK else 512
BATCH: dict[str, Any] = {"iterations": 20, "octaves": 1, "finest": "full"}


def on_device(folder: Path, **helper: Any) -> Any:
    return running_helper(folder, {"engine": {"devices": [str(device())]}, "helper": helper})


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    with on_device(tmp_path_factory.mktemp("helper")) as running:
        running.client().warm()
        yield running


def test_it_tells_where_it_dreams(helper: Helper) -> None:
    assert Following(submitted(helper.client(), SIDE)).ended() == "done"
    worker = helper.status()["workers"][0]
    assert worker["device"] == str(device())
    assert worker["memory_bytes"] > 0 or not ON_CUDA
    assert ("NVIDIA" in worker["name"]) == ON_CUDA


def test_its_dream_is_the_engine_s(helper: Helper) -> None:
    job = submitted(helper.client(), SIDE, settings=BATCH)
    assert Following(job).ended() == "done"
    assert job.result() == bytearray(in_this_process(picture(SIDE), BATCH, device=DEVICE))


def test_the_command_line_dreams_the_same_through_it(helper: Helper, deepdream: Any, tmp_path: Path) -> None:
    picture_file(tmp_path / "photo.png", size=(SIDE, SIDE))
    folders = {name: helper.environ[name] for name in ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR")}
    ways = {"through": ("--via-helper", "yes"), "alone": ("--via-helper", "no", "--device", DEVICE)}
    for name, way in ways.items():
        answer = deepdream("dream", "photo.png", *way, "--iterations", 2, "-o", f"{name}.png", **folders)
        assert answer.returncode == 0, answer.stderr
    assert np.array_equal(pixels_of(tmp_path / "through.png"), pixels_of(tmp_path / "alone.png"))


def test_a_cancelled_job_stops_within_one_step(helper: Helper) -> None:
    running = Following(submitted(helper.client(), SIDE, settings=ENDLESS))
    until(lambda: len(running.all("progress")) >= 5)
    times = [when for when, event in running.told if event.name == "progress"]
    step_s = max(after - before for before, after in pairwise(times))
    began = time.monotonic()
    running.job.cancel()
    assert running.ended() == "asked"
    took = time.monotonic() - began
    print(f"cancelled after {1000 * took:.0f} ms, a step takes up to {1000 * step_s:.0f} ms")
    assert took < step_s + 0.5


def test_an_interactive_job_overtakes_and_the_batch_goes_on_where_it_was(helper: Helper) -> None:
    asking = helper.client()
    undisturbed = submitted(asking, SIDE, settings=BATCH)
    assert Following(undisturbed).ended() == "done"
    batch = Following(submitted(asking, SIDE, settings=BATCH))
    until(lambda: batch.all("progress"))
    urgent = Following(submitted(helper.client("other"), SIDE, seed=3, priority="interactive"))
    assert urgent.ended() == "done"
    assert batch.ended() == "done"
    assert batch.job.result() == undisturbed.result()


def test_a_killed_worker_is_replaced(helper: Helper) -> None:
    running = running_endlessly(helper.client())
    before = helper.worker_pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert running.ended() == "worker_died"
    assert Following(submitted(helper.client(), SIDE)).ended() == "done"
    assert helper.worker_pid() not in (None, before)


def given_back(before: int) -> None:
    """Wait until the GPU has as much memory in use as before; the driver takes a moment."""
    until(lambda: used_mib() <= before, 20, 0.2)


@cuda_only
def test_an_idle_worker_gives_every_byte_back(tmp_path: Path) -> None:
    before = used_mib()
    with on_device(tmp_path, idle_unload_s=2) as helper:
        assert Following(submitted(helper.client(), SIDE)).ended() == "done"
        assert used_mib() > before + 100, "a CUDA context alone takes more"
        until(lambda: helper.worker_pid() is None, 30)
        given_back(before)


@cuda_only
@pytest.mark.parametrize("who", ["worker", "helper"])
def test_what_is_killed_gives_every_byte_back(tmp_path: Path, who: str) -> None:
    before = used_mib()
    helper = Helper(tmp_path, {"engine": {"devices": [str(device())]}})
    try:
        running = running_endlessly(helper.client())
        worker = helper.worker_pid()
        assert worker is not None
        assert used_mib() > before + 100
        os.kill(worker if who == "worker" else helper.process.pid, signal.SIGKILL)
        running.ended()
        if who == "helper":
            helper.process.wait(10)
        until(lambda: not psutil.pid_exists(worker), 20)
        given_back(before)
    finally:
        helper.stop()
