"""What a cluster does about machines and schedulers in trouble; most devices are stand-ins that sleep."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from cluster_machines import Machine, Studio, studio
from conftest import picture_file
from distributed import Reschedule
from helper_process import until

from deepdream_core import __version__
from deepdream_core.bench.sleeping import DEVICE
from deepdream_core.cluster import backend, connection, elsewhere, task
from deepdream_core.cluster.backend import ClusterEngine
from deepdream_core.cluster.connection import Cluster
from deepdream_core.cluster.order import PROGRESS, order_of
from deepdream_core.errors import HelperError
from deepdream_core.settings import DreamSettings
from deepdream_core.work.recipe import recipe_of
from deepdream_core.work.report import JsonReporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SICK = """
def dream(self, *arguments):
    raise errors.DeviceError("CUDA error: an illegal memory access")
sleeping.SleepingEngine.dream = dream
"""
UNREACHABLE = """
quiet = worker.QuietWorker
worker.QuietWorker = lambda *words, **options: quiet(*words, contact_address="tcp://127.0.0.1:9", **options)
"""
OTHER_NAME = """
sleeping.WEIGHTS["name"] = "a copy of it"
"""
NOTING = """
def dream(self, planes, settings, *more):
    steps = real(self, planes, settings, *more)
    first = next(steps)
    yield replace(first, tile_px=512)
    yield replace(first, tile_px=256, notes=("tiles are smaller now",))
    self.dreamed_with = settings
    return 1 - planes
sleeping.SleepingEngine.dream = dream
"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Studio]:
    """A scheduler on loopback without workers."""
    with studio(tmp_path / "studio", tls=False, workers=0) as running:
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that gives up, and tries again, soon."""
    for module, name, seconds in (
        (connection, "REACH_WITHIN_S", 0.5), (connection, "AGAIN_S", 0.1), (connection, "LOOK_EVERY_S", 0.1),
        (elsewhere, "LOOK_EVERY_S", 0.1), (backend, "POLL_S", 0.1),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, seconds)


def photographs(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        picture_file(folder / f"{number}.png", size=(40 + number, 32))
    return folder


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def machine(name: str, *sha256s: str, version: str = __version__, rests: str = "") -> dict[str, Any]:
    """Return a machine as `Cluster.machines` does, with a device for each hash of weights."""
    devices = [{**DEVICE, "weights": {"name": f"{name}'s", "sha256": sha256}} for sha256 in sha256s]
    return {
        "address": f"tcp://{name}",
        "host": name,
        "name": name,
        "version": version,
        "devices": devices,
        "rests": rests,
    }


@pytest.fixture
def imagined(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The machines of each `Cluster`, which connects to nobody."""
    seen: list[dict[str, Any]] = []
    client = SimpleNamespace(status="running", scheduler_comm=None)
    monkeypatch.setattr(Cluster, "_opened", lambda _self: client)
    monkeypatch.setattr(Cluster, "machines", lambda _self: seen)
    return seen


# The scheduler


def test_a_long_outage_leaves_no_thread_and_no_file_behind_and_ends(
    made: Studio, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0
    real = Cluster._opened

    def opened(self: Cluster) -> Any:
        nonlocal tries
        tries += 1
        return real(self)

    monkeypatch.setattr(Cluster, "_opened", opened)
    notes: list[str] = []
    cluster = Cluster(made.address, notes.append)
    assert cluster.client().status == "running"
    assert made.scheduler is not None
    made.scheduler.kill()
    made.scheduler.wait()
    until(lambda: not cluster.is_there)
    waiting = threading.Thread(target=cluster.client)
    waiting.start()
    own = psutil.Process()
    until(lambda: tries > 3)
    before = own.num_threads(), own.num_fds() if hasattr(own, "num_fds") else 0
    until(lambda: tries > 13)
    assert own.num_threads() <= before[0] + 2
    assert not hasattr(own, "num_fds") or own.num_fds() <= before[1] + 4
    made.start()
    waiting.join(30)
    assert cluster.client().status == "running"
    assert notes == [f"the cluster at {made.address} {word}" for word in (
        "does not answer; going on when it is back", "is back",
    )]  # fmt: skip
    cluster.close()


def test_a_cluster_that_is_off_leaves_nothing_behind(quick: None) -> None:
    def loops() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "cluster's event loop"]

    until(lambda: not loops())
    for _ in range(3):
        with pytest.raises(HelperError, match="does not answer"):
            Cluster("tcp://127.0.0.1:1")
    until(lambda: not loops())


def test_a_scheduler_that_refuses_at_once_is_not_asked_without_a_pause(
    imagined: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster("tcp://127.0.0.1:1")
    tries = 0

    def refused(_self: Cluster) -> None:
        nonlocal tries
        tries += 1
        raise HelperError("no file handles", "", "no_cluster")

    monkeypatch.setattr(Cluster, "_opened", refused)
    cluster._client.status = "closed"  # type: ignore[union-attr]
    cluster._client.close = lambda **_options: None  # type: ignore[union-attr,method-assign]

    def wait() -> None:
        with pytest.raises(HelperError):
            cluster.client()

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(1)
    cluster.stop()
    waiting.join()
    assert tries == 1


def test_progress_comes_again_after_dasks_client_has_connected_again(made: Studio) -> None:
    cluster = Cluster(made.address)
    begun = cluster.client()
    assert made.scheduler is not None
    made.scheduler.kill()
    made.scheduler.wait()
    made.start()
    until(lambda: cluster.client().status == "running")
    assert cluster.client() is begun, "Dask's client has connected again by itself"
    with cluster.following("a") as events:
        until(lambda: begun.log_event(PROGRESS, ["a", None]) or not events.empty(), pause_s=0.2)
        assert events.get() == ("begun", None)
    cluster.close()


def test_a_hot_folders_cluster_helps_again_after_an_outage(
    made: Studio, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "PATIENCE_S", 1.0)
    stand_in = made.stand_in("one")
    helping = elsewhere.Helping(made.address, lambda _text: None, 2)
    until(lambda: helping.at_once() == 2)
    assert made.scheduler is not None
    made.scheduler.kill()
    made.scheduler.wait()
    until(lambda: helping.at_once() == 0)
    assert helping._cluster is not None
    cluster = helping._cluster
    until(lambda: cluster._client is not None and cluster._client.status == "closed")
    time.sleep(2)
    made.start()
    until(lambda: helping.at_once() == 2)
    engine = helping.open()
    helping.close()
    with pytest.raises(HelperError, match="stopped while waiting"):
        engine.refresh()
    until(lambda: helping.at_once() == 0)
    assert stand_in.says("dreams for")


# Which machines dream


def test_the_same_weights_under_two_names_are_the_same(made: Studio, tmp_path: Path) -> None:
    made.stand_in("one")
    made.stand_in("two", OTHER_NAME)
    made.ready(2)
    done = made.dream(photographs(tmp_path / "in", 8), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "sending it again" not in done.stderr
    assert {seen["done"] > 0 for seen in made.seen()} == {True}


def test_machines_of_other_versions_end_a_command_only_before_its_first_picture(imagined: list[dict[str, Any]]) -> None:
    cluster = Cluster("tcp://127.0.0.1:1")
    imagined[:] = [machine("old", "a", version="0.0.9")]
    with pytest.raises(HelperError, match=r"old has version 0\.0\.9"):
        cluster.chosen()
    imagined[:] = [machine("old", "a", version="0.0.9"), machine("new", "b", "b"), machine("odd", "c")]
    assert cluster.chosen() == {"name": "new's", "sha256": "b"}
    engine = ClusterEngine(cluster, lambda _text: None)
    del imagined[1:]
    assert cluster.chosen() == {"name": "new's", "sha256": "b"}
    assert cluster.devices() == []
    assert f"old has version 0.0.9 of DeepDream, this program has version {__version__}" in engine._why()


def test_a_hot_folders_cluster_has_the_weights_of_its_machine(imagined: list[dict[str, Any]]) -> None:
    cluster = Cluster("tcp://127.0.0.1:1", patience_s=0.3)
    imagined[:] = [machine("one", "a", "a"), machine("two", "b")]
    assert cluster.chosen() == {"name": "one's", "sha256": "a"}
    cluster.restrict("b")
    engine = ClusterEngine(cluster, lambda _text: None)
    assert (engine.weights.sha256, len(cluster.devices())) == ("b", 1)
    cluster.restrict("c")
    assert cluster.devices() == []
    cluster.restrict("a")
    planes = np.zeros((3, 8, 8), np.float32)
    with pytest.raises(HelperError, match="has other weights now"):
        next(engine.dream(planes, DreamSettings()))
    engine.refresh()
    assert engine.weights.sha256 == "a"
    imagined.clear()
    with pytest.raises(HelperError, match=r"no machine of tcp://127\.0\.0\.1:1 takes pictures now"):
        engine.refresh()


def test_a_machines_own_trouble_is_not_charged_to_the_pictures(made: Studio, tmp_path: Path) -> None:
    made.stand_in("sick", SICK)
    made.stand_in("well")
    made.ready(2)
    done = made.dream(photographs(tmp_path / "in", 12), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "12 dreamed, 0 failed" in done.stderr
    tried = done.stderr.count("sick-0: CUDA error: an illegal memory access; trying again, elsewhere if possible")
    assert 1 <= tried <= 3, "it rests after each, longer each time"
    seen = {found["name"]: found for found in made.seen()}
    assert (seen["sick-0"]["done"], seen["well-0"]["done"]) == (0, 12)


def test_a_picture_fails_with_a_machines_error_when_no_machine_does_better(made: Studio, tmp_path: Path) -> None:
    made.stand_in("sick", SICK)
    made.ready(1)
    done = made.dream(photographs(tmp_path / "in", 1), tmp_path / "out")
    assert done.returncode == 6, done.stderr
    assert "sick-0: CUDA error: an illegal memory access" in done.stderr
    assert made.seen()[0]["rests"].startswith("CUDA error")


def test_a_machine_that_the_desk_cannot_reach_is_named_and_another_dreams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    with studio(tmp_path / "studio", tls=False, workers=0) as made:
        made.stand_in("behind-a-wall", UNREACHABLE)
        made.stand_in("open")
        made.ready(2)
        done = made.dream(photographs(tmp_path / "in", 6), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "behind-a-wall-0: the desk cannot reach it at tcp://127.0.0.1:9; trying again" in done.stderr
    assert len(contents(tmp_path / "out")) == 6


def test_a_name_that_no_text_can_hold_harms_no_worker(made: Studio, tmp_path: Path) -> None:
    made.stand_in("one")
    made.ready(1)
    folder = photographs(tmp_path / "in", 1)
    try:
        picture_file(folder / os.fsdecode(b"caf\xe9.png"), size=(64, 48))
    except (OSError, UnicodeError):
        pytest.skip("this file system wants UTF-8")
    done = made.dream(folder, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(contents(tmp_path / "out")) == 2
    assert made.workers["one"].poll() is None
    assert not made.machines[0].says("is gone")


def test_labels_are_printable() -> None:
    planes = np.zeros((3, 8, 8), np.float32)
    assert order_of("caf\udce9\n.jpg", planes, DreamSettings(), None, None, ()).label == "caf\\udce9\\n.jpg"


def test_a_machine_that_rests_gives_a_picture_back_instead_of_refusing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def dreamed(*_arguments: object) -> None:
        raise Reschedule

    dreaming = SimpleNamespace(__enter__=None)
    guest = SimpleNamespace(rests="", dreaming=lambda *_words: threading.Lock(), dream=dreaming)
    worker = SimpleNamespace(deepdream=guest, log_event=lambda *_words: None, name="one")
    monkeypatch.setattr(task, "get_worker", lambda: worker)
    monkeypatch.setattr(task, "_dreamed", dreamed)
    order = order_of("a", np.zeros((3, 8, 8), np.float32), DreamSettings(), None, None, ())
    with pytest.raises(Reschedule):
        task.dream(order, "key")


def test_notes_and_the_last_tiles_width_arrive_whatever_the_time_between_steps(made: Studio, tmp_path: Path) -> None:
    made.stand_in("one", NOTING)
    made.ready(1)
    done = made.dream(photographs(tmp_path / "in", 1), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("tiles are smaller now") == 1
    assert recipe_of(tmp_path / "out" / "0.dream.png", max_megapixels=1).machine.tile_px == 256


# Sheets

PARTLY = """
def dream(self, planes, settings, *more):
    if settings.seed == 2:
        raise errors.HelperError("this look is too much for it")
    return (yield from real(self, planes, settings, *more))
sleeping.SleepingEngine.dream = dream
guest.Guest.rest_after = lambda *_arguments: None
"""


def test_json_lines_of_several_threads_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            time.sleep(0.005)
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", slow := Slow())
    reporter = JsonReporter()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: reporter.note(f"{number}"), range(40)))
    assert sorted(int(json.loads(line)["text"]) for line in slow.getvalue().splitlines()) == list(range(40))


def test_a_look_that_is_refused_ends_neither_its_sheet_nor_the_next(made: Studio, tmp_path: Path) -> None:
    made.stand_in("one", PARTLY)
    made.ready(1)
    folder = photographs(tmp_path / "in", 2)
    words = ("looks", folder, "-o", tmp_path / "out", "--vary", "seed=1..4", "--side", "32", "--json")
    done = made.desk.run(*words, "--cluster", made.address)
    assert done.returncode == 8, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["looks"] for event in events if event["event"] == "done"] == [3, 3]
    assert [event["what"] for event in events if event["event"] == "error"] == [
        "one-0: this look is too much for it"
    ] * 2  # fmt: skip


# Workers that cannot connect


def test_a_worker_says_why_it_cannot_connect(tmp_path: Path) -> None:
    alone = Studio(tmp_path / "alone", tls=False)
    refused = alone.stand_in("one")
    with studio(tmp_path / "studio", tls=True, workers=0) as made:
        strangers = Studio(tmp_path / "strangers", tls=True)
        strangers.start()
        stranger = strangers.joined(strangers.machine("stranger"))
        try:
            until(lambda: refused.says("does not answer (Connection refused); trying again until it does"), 60)
            stranger.start("worker", made.address)
            until(lambda: re.search(r"does not answer \(.*certificate", stranger.log.read_text(), re.IGNORECASE), 60)
        finally:
            for one in (strangers.desk, stranger, refused):
                one.end()


def test_a_join_reads_what_windows_powershell_writes(tmp_path: Path) -> None:
    desk, other = Machine(tmp_path, "desk"), Machine(tmp_path, "other")
    found = "from deepdream_core.cluster import address; address.founded('studio', 8786); print(address.invitation())"
    desk.start(program=found).wait()
    (other.home / "anna.txt").write_bytes(desk.log.read_text().encode("utf-16"))
    done = other.run("cluster", "join", "anna.txt")
    assert done.returncode == 0, done.stderr
    assert "belongs to the cluster at tls://studio:8786" in done.stdout
