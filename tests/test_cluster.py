"""A cluster of machines on Dask: real schedulers, workers and helpers, each in a home of its own."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from cluster_machines import DYING, FAULTY, OTHER_VERSION, Machine, Studio, studio
from conftest import picture_file
from helper_process import until
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from test_weights import state

from deepdream_core.cli import cluster as cli
from deepdream_core.cluster import address, worker
from deepdream_core.cluster.address import checked
from deepdream_core.cluster.order import order_of
from deepdream_core.cluster.packed import packed, unpacked
from deepdream_core.errors import OutputError, SettingsError
from deepdream_core.photo import read_photo
from deepdream_core.settings import DreamSettings
from deepdream_core.work.recipe import recipe_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from deepdream_core.engine.weights import Weights

QUICK = ("--layer", "relu2_2", "--finest", "64", "--octaves", "1", "--iterations", "2")


def photographs(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True)
    return [
        picture_file(folder / f"{number:03}.png", size=(64 + number % 30, 40 + number // 30)) for number in range(count)
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A cluster on loopback with one worker."""
    with studio(tmp_path_factory.mktemp("small"), tls=False, workers=1) as made:
        yield made


# What travels


@given(st.integers(1, 255), st.sampled_from([np.uint8, np.uint16]), st.integers(0, 2**31))
def test_planes_of_a_file_travel_in_its_own_depth_and_come_out_the_same(side: int, kind: type, seed: int) -> None:
    white = np.iinfo(kind).max
    samples: NDArray[Any] = np.random.default_rng(seed).integers(0, white, (3, 2, side), endpoint=True).astype(kind)
    planes = np.multiply(samples, np.float32(1 / white), dtype=np.float32)
    sent = packed(planes)
    assert sent.dtype.itemsize <= samples.dtype.itemsize
    np.testing.assert_array_equal(unpacked(sent), planes)


@given(st.lists(st.floats(-2, 3, width=32), min_size=1, max_size=20))
def test_any_planes_come_out_the_same(values: list[float]) -> None:
    planes = np.array(values, np.float32).reshape(1, 1, -1)
    np.testing.assert_array_equal(unpacked(packed(planes)), planes)


def test_planes_that_are_no_numbers_travel_silently() -> None:
    planes = np.full((3, 2, 2), np.nan, np.float32)
    np.testing.assert_array_equal(packed(planes), planes)


def test_a_photographs_planes_travel_as_bytes(tmp_path: Path) -> None:
    planes = read_photo(picture_file(tmp_path / "a.png", size=(40, 30)), max_megapixels=1).frames[0].floats()
    assert packed(planes).dtype == np.uint8


def test_an_order_holds_no_path_and_its_key_holds_all_that_changes_the_dream() -> None:
    planes = np.zeros((3, 8, 8), np.float32)
    guide = [{"file": "/home/anna/cat.jpg", "weight": 1.0, "layers": {}, "sha256": "a" * 64}]
    settings = DreamSettings(layers={}, guides=guide)
    order = order_of("a.jpg", planes, settings, None, None, [planes])
    assert "anna" not in repr(order)
    others = [
        order_of("a.jpg", planes, settings.model_copy(update={"seed": 1}), None, None, [planes]),
        order_of("a.jpg", planes, settings, planes[0], None, [planes]),
        order_of("a.jpg", planes, settings, None, planes, [planes]),
        order_of("a.jpg", planes, settings, None, None, [planes + 1]),
        order_of("a.jpg", planes + 1, settings, None, None, [planes]),
    ]
    assert len({order.key(), *(other.key() for other in others)}) == 6
    assert order_of("b.jpg", planes, settings, None, None, [planes]).key() == order.key()


# Addresses and certificates


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("tls://studio", "tls://studio:8786"), ("tls://studio:99/", "tls://studio:99"),
        ("tcp://127.0.0.1:5", "tcp://127.0.0.1:5"), ("tls://[fe80::1]:7", "tls://[fe80::1]:7"),
    ],
)  # fmt: skip
def test_addresses(given: str, meant: str) -> None:
    assert checked(given) == meant


@pytest.mark.parametrize(
    "given", ["studio", "http://studio", "tls://", "tls://a:70000", "tls://a b", "", "tcp://studio:1"]
)
def test_wrong_addresses(given: str) -> None:
    with pytest.raises(SettingsError):
        checked(given)


def test_dask_is_imported_for_a_cluster_alone(tmp_path: Path) -> None:
    code = (
        "import sys; from deepdream_core.cli import main; from deepdream_core.hotfolder import serve;"
        "assert not {'dask', 'distributed', 'cryptography'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_an_expired_certificate_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(address, "_YEARS", 0)
    own = address.founded("studio", 8786)
    with pytest.raises(SettingsError, match="this machine's certificate expired on 20"):
        address.security(own.address)


def test_damaged_keys_get_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))
    own = address.founded("studio", 8786)
    kept = tmp_path / "state" / "cluster"
    for name, content in (("membership.json", {**own.__dict__, "key": "x"}), ("membership.json", {"address": 1})):
        (kept / name).write_text(json.dumps(content))
        with pytest.raises(SettingsError, match="it is damaged"):
            address.membership()
    (kept / "membership.json").unlink()
    address.founded("studio", 8786)
    (kept / "authority.json").write_text("{")
    with pytest.raises(SettingsError, match=r"authority\.json: it is damaged"):
        address.invitation()


def test_who_has_joined_another_cluster_neither_invites_nor_founds_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "theirs"))
    theirs = address.founded("studio", 8786)
    invitation = address.invitation()
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "ours"))
    own = address.founded("desk", 8786)
    assert address.founded("desk", 8786) == own
    address.joined(invitation)
    with pytest.raises(SettingsError, match="joined another cluster"):
        address.invitation()
    with pytest.raises(
        SettingsError, match=r"has joined the cluster at tls://studio:8786 — to leave that, remove /.*json"
    ):
        address.founded("desk", 8786)
    kept = address.membership()
    assert kept is not None
    assert kept.authority == theirs.authority
    (tmp_path / "ours" / "cluster" / "membership.json").unlink()
    assert address.founded("desk", 8786).authority == own.authority


def test_a_disk_that_refuses_is_reported_with_the_variable_for_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="No space left on device — fix that, or set DEEPDREAM_STATE_DIR to another"):
        address.founded("studio", 8786)


def test_hours_of_a_worker_are_checked_as_those_of_a_folder() -> None:
    with pytest.raises(SettingsError, match="--quiet-hours 22:00-22:00: not hours"):
        worker.work("tcp://127.0.0.1:1", None, print, "22:00-22:00")


def test_a_host_that_is_given_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(socket, "getfqdn", lambda: pytest.fail("the network may be slow to answer"))
    monkeypatch.setattr(worker, "start", lambda host, *_words, **_options: started.append(host))
    cli.start(host="studio")
    assert started == ["studio"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cluster", "invite"), "no cluster was started on this machine"),
        (("cluster", "join", "nothing"), "nothing: No such file"),
        (("cluster", "join", "half"), "not a whole invitation"),
        (("cluster", "join", "a.png"), "not a whole invitation"),
        (("worker",), "which cluster?"),
        (("worker", "tcp://127.0.0.1:1", "--quiet-hours", "late"), "--quiet-hours late: not hours"),
        (("worker", "tls://127.0.0.1:1"), "no certificate of a cluster"),
        (("dream", "a.png", "--cluster", "tcp://127.0.0.1:1"), "does not answer"),
        (("dream", "a.png", "--cluster", "tcp://127.0.0.1:1", "--device", "cpu"), "--cluster and --device"),
        (("dream", "a.png", "--cluster", "tcp://127.0.0.1:1", "--like", "a.png"), "--cluster and --like"),
        (("status", "--cluster", "studio"), "not the address of a cluster"),
        (("watch", "--cluster", "tcp://studio"), "without TLS"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    machine = Machine(tmp_path, "one")
    (machine.home / "half").write_text("-----BEGIN DEEPDREAM INVITATION-----\nabc\n")
    picture_file(machine.home / "a.png")
    done = machine.run(*words)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == (8 if said == "does not answer" else 2)


# A small cluster


def test_pictures_are_the_same_as_alone(small: Studio, tmp_path: Path) -> None:
    photographs(tmp_path / "in", 5)
    alone = small.desk.run("dream", tmp_path / "in", "-o", tmp_path / "alone", *QUICK, "--via-helper", "no")
    assert alone.returncode == 0, alone.stderr
    done = small.desk.run("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK, "--cluster", small.address)
    assert done.returncode == 0, done.stderr
    assert "5 dreamed, 0 failed" in done.stderr
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert len(contents(tmp_path / "out")) == 5


def test_no_picture_takes_the_place_of_another_of_the_same_run(small: Studio, tmp_path: Path) -> None:
    same = [picture_file(tmp_path / f"a.{ending}") for ending in ("png", "tif", "bmp")]
    how = ("-o", tmp_path / "out", "--format", "png", "--overwrite", *QUICK, "--cluster", small.address)
    done = small.desk.run("dream", *same, *how)
    assert done.returncode == 4
    assert "1 dreamed, 2 failed" in done.stderr
    assert done.stderr.count("another picture of this run has that name") == 2


def test_a_fault_of_a_machine_fails_its_picture_alone(tmp_path: Path) -> None:
    made = Studio(tmp_path, tls=False)
    machine = made.machine("faulty")
    (tmp_path / "in").mkdir()
    for width, name in enumerate(("memory", "disk", "well"), 64):
        picture_file(tmp_path / "in" / f"{name}.png", size=(width, 48))
    try:
        made.start()
        made.work(machine, FAULTY)
        until(lambda: machine.says("dreams for"), 60)
        done = made.desk.run("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK, "--cluster", made.address)
        assert done.returncode == 8, done.stderr
        assert "1 dreamed, 2 failed" in done.stderr
        assert "faulty: MemoryError: too large" in done.stderr
        assert "faulty: OSError: [Errno 28] No space left on device" in done.stderr
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["well.dream.png"]
    finally:
        machine.end()
        made.desk.end()


@pytest.mark.slow("cluster")
def test_a_sheet_is_the_same_as_alone(small: Studio, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png", size=(64, 48))
    words = ("looks", tmp_path / "a.png", "--vary", "seed=1..4", "--side", "32")
    alone = small.desk.run(*words, "-o", tmp_path / "alone", "--via-helper", "no")
    assert alone.returncode == 0, alone.stderr
    done = small.desk.run(*words, "-o", tmp_path / "out", "--cluster", small.address)
    assert done.returncode == 0, done.stderr
    sheets = [sorted(folder.glob("*.jpg")) for folder in (tmp_path / "alone", tmp_path / "out")]
    assert [sheet.read_bytes() for sheet in sheets[0]] == [sheet.read_bytes() for sheet in sheets[1]] != []


def test_a_hot_folder_hands_on_what_the_machine_cannot_do_soon(small: Studio, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    photographs(drop, 12)
    quick = {"layers": "relu2_2", "finest": 64, "octaves": 1, "iterations": 2}
    folder = {"path": str(drop), "settle_s": 0.1, "cluster": small.address}
    watcher = small.machine("watcher", {"dream": quick, "folders": [folder]})
    try:
        watcher.start("watch", "--plain")
        until(lambda: len(list((drop / "out").glob("*.png"))) == 12, 120)
        status = json.loads(small.desk.run("status", "--cluster", small.address, "--json").stdout)
        assert status["machines"][0]["done"] > 0
    finally:
        watcher.end()


def test_status_shows_machines_devices_and_what_each_does(small: Studio) -> None:
    until(lambda: all(machine["rests"] == "" for machine in small.seen()))
    done = small.desk.run("status", "--cluster", small.address)
    assert done.returncode == 0, done.stderr
    assert "1 machine, 1 device" in done.stdout
    assert re.search(r"worker0 .*(idle|rests)", done.stdout)
    seen = json.loads(small.desk.run("status", "--cluster", small.address, "--json").stdout)
    assert seen["machines"][0]["devices"][0]["device"] == "cpu"


def test_without_tls_and_a_dashboard_nothing_listens_but_on_loopback(small: Studio) -> None:
    assert small.scheduler is not None
    for process in (small.scheduler, *small.workers.values()):
        heard = [one.laddr for one in psutil.Process(process.pid).net_connections("tcp") if one.status == "LISTEN"]
        assert [address.ip for address in heard] == ["127.0.0.1"]
    assert json.loads(small.desk.run("status", "--cluster", small.address, "--json").stdout)["dashboard"] is None


def test_a_machine_whose_owner_pauses_takes_no_picture(small: Studio, tmp_path: Path) -> None:
    machine: Machine = small.machines[0]

    def rests() -> str:
        seen = json.loads(small.desk.run("status", "--cluster", small.address, "--json").stdout)
        found: str = seen["machines"][0]["rests"]
        return found

    photographs(tmp_path / "in", 2)
    assert machine.run("pause").returncode == 0
    try:
        until(lambda: rests() == "paused")
        small.desk.start("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK, "--cluster", small.address)
        time.sleep(3)
        assert not (tmp_path / "out").exists() or not contents(tmp_path / "out")
    finally:
        machine.run("resume")
    until(lambda: (tmp_path / "out").exists() and len(contents(tmp_path / "out")) == 2, 60)


def test_a_worker_of_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    made = Studio(tmp_path, tls=False)
    machine = made.machine("old")
    photographs(tmp_path / "in", 5)
    try:
        made.start()
        made.work(machine, OTHER_VERSION)
        until(lambda: machine.says("dreams for"), 60)
        until(lambda: "0.0.9" in made.desk.run("status", "--cluster", made.address).stdout, 60)
        done = made.desk.run("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK, "--cluster", made.address)
        assert done.returncode == 8
        assert "0.0.9" in done.stderr
        assert done.stderr.count("install the same version") == 1, "not for each picture"
    finally:
        machine.end()
        made.desk.end()


@pytest.fixture(scope="module")
def other_weights(oxford: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("weights") / "other.safetensors"
    save_file(state(oxford), path, {"made": "for a test"})
    return path


@pytest.mark.slow("cluster")
def test_pictures_go_to_the_weights_that_most_devices_have(other_weights: Path, tmp_path: Path) -> None:
    """Also when the others are more, later: one command's pictures all have the same weights."""
    made = Studio(tmp_path, tls=False)
    machines = [made.machine("a"), made.machine("b"), *(made.weighing(name, other_weights) for name in ("x", "y", "z"))]
    photographs(tmp_path / "in", 24)
    try:
        made.start()
        for machine in machines[:3]:
            made.work(machine)
        until(lambda: [machine["rests"] for machine in made.seen()] == [""] * 3, 60)
        words = ("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK[:-1], 12, "--cluster", made.address)
        client = made.desk.start(*words)
        until(lambda: (tmp_path / "out").exists() and contents(tmp_path / "out"), 60)
        for machine in machines[3:]:
            made.work(machine)
        until(lambda: len(made.seen()) == 5 or client.poll() is not None, 60)
        client.wait(timeout=300)
        assert len(contents(tmp_path / "out")) == 24
        assert {recipe_of(path, max_megapixels=1).weights.name for path in (tmp_path / "out").iterdir()} == {"oxford"}
        done = {machine["name"]: machine["done"] for machine in made.seen()}
        assert done["a"] + done["b"] == 24
    finally:
        for machine in (made.desk, *machines):
            machine.end()


@pytest.mark.slow("cluster")
def test_what_waits_for_a_machine_that_is_paused_goes_to_another_or_waits(tmp_path: Path) -> None:
    photographs(tmp_path / "in", 12)
    with studio(tmp_path, tls=False, workers=2) as made:
        words = ("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK[:-1], 30, "--cluster", made.address)
        client = made.desk.start(*words)
        until(lambda: (tmp_path / "out").exists() and contents(tmp_path / "out"), 60)
        assert made.machines[0].run("pause").returncode == 0
        until(lambda: len(contents(tmp_path / "out")) == 12, 60)
        assert client.wait(60) == 0
        assert made.machines[1].run("pause").returncode == 0
        words = (*words[:3], tmp_path / "again", *words[4:])
        client = made.desk.start(*words)
        assert made.machines[0].run("resume").returncode == 0
        until(lambda: (tmp_path / "again").exists() and contents(tmp_path / "again"), 60)
        assert made.machines[0].run("pause").returncode == 0
        until(lambda: [(machine["rests"], machine["doing"]) for machine in made.seen()] == [("paused", [])] * 2, 60)
        assert client.poll() is None
        assert made.machines[0].run("resume").returncode == 0
        until(lambda: client.poll() is not None, 60)
        assert len(contents(tmp_path / "again")) == 12


@pytest.mark.slow("cluster")
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be frozen")
def test_the_pictures_of_a_frozen_machine_go_to_another(tmp_path: Path) -> None:
    photographs(tmp_path / "in", 12)
    with studio(tmp_path, tls=False, workers=2) as made:
        words = ("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK[:-1], 30, "--cluster", made.address)
        client = made.desk.start(*words)
        until(lambda: (tmp_path / "out").exists() and contents(tmp_path / "out"), 60)
        frozen = made.workers["worker0"]
        frozen.send_signal(signal.SIGSTOP)
        try:
            until(lambda: client.poll() is not None, 150)
        finally:
            frozen.send_signal(signal.SIGCONT)
        assert client.returncode == 0
        assert len(contents(tmp_path / "out")) == 12


@pytest.mark.slow("cluster")
def test_a_picture_that_ends_helpers_on_two_machines_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    photographs(tmp_path / "in", 6)
    picture_file(tmp_path / "in" / "poison.png", size=(400, 300))
    with studio(tmp_path, tls=False, workers=2) as made:
        over = threading.Event()

        def end_what_dreams_the_poison() -> None:
            while not over.wait(0.02):
                for machine in made.machines:
                    status = machine.helper().status()
                    running = {job["id"] for job in status["jobs"] if job["label"] == "poison.png" and job["progress"]}
                    for worker in status["workers"]:
                        if worker["job"] in running:
                            os.kill(worker["pid"], signal.SIGKILL)

        killer = threading.Thread(target=end_what_dreams_the_poison)
        killer.start()
        try:
            words = ("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK[:-1], 12, "--cluster", made.address)
            done = made.desk.run(*words)
        finally:
            over.set()
            killer.join()
        assert len(contents(tmp_path / "out")) == 6
        assert re.search(r"this picture ended the helper's process on worker[01] and on worker[01] — ", done.stderr)
        assert done.returncode == 8


@pytest.mark.slow("cluster")
def test_a_picture_that_ends_workers_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    photographs(tmp_path / "in", 6)
    picture_file(tmp_path / "in" / "poison.png")
    made = Studio(tmp_path, tls=False)
    machines = [made.machine(f"worker{number}") for number in range(2)]
    over = threading.Event()

    def start_again() -> None:
        while not over.wait(0.1):
            for machine in machines:
                if made.workers[machine.name].poll() is not None:
                    made.work(machine, DYING)

    made.start()
    for machine in machines:
        made.work(machine, DYING)
    keeper = threading.Thread(target=start_again)
    keeper.start()
    try:
        done = made.desk.run("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK, "--cluster", made.address)
        assert len(contents(tmp_path / "out")) == 6
        assert "4 workers ended with this picture" in done.stderr
        assert done.stderr.count("workers ended") == 1
        assert done.returncode == 8
    finally:
        over.set()
        keeper.join()
        for machine in (made.desk, *machines):
            machine.end()


# Hardship


def test_ctrl_c_ends_a_command_that_waits_for_a_scheduler_that_is_gone(tmp_path: Path) -> None:
    with studio(tmp_path, tls=False, workers=1) as made:
        photographs(tmp_path / "in", 40)
        client = made.desk.start("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK, "--cluster", made.address)
        until(lambda: (tmp_path / "out").exists() and contents(tmp_path / "out"), 60)
        assert made.scheduler is not None
        made.scheduler.kill()
        made.scheduler.wait()
        until(lambda: made.desk.says("does not answer") or client.poll() is not None, 60)
        client.send_signal(signal.SIGINT)
        assert client.wait(timeout=60) == 130
        assert not [path for path in (tmp_path / "out").iterdir() if not path.name.endswith(".dream.png")]


def test_ctrl_c_ends_a_command_and_its_pictures(small: Studio, tmp_path: Path) -> None:
    photographs(tmp_path / "in", 4)
    words = ("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK[:-1], 5000, "--cluster", small.address)
    client = small.desk.start(*words)
    until(lambda: any(machine["doing"] for machine in small.seen()), 60)
    client.send_signal(signal.SIGINT)
    assert client.wait(timeout=60) == 130
    until(lambda: not any(machine["doing"] for machine in small.seen()), 60)


@pytest.mark.slow("cluster")
def test_a_stranger_without_a_certificate_gets_nothing(tmp_path: Path) -> None:
    with studio(tmp_path, tls=True, workers=1) as made:
        stranger = made.machine("stranger")
        other = Studio(tmp_path / "other", tls=True)
        try:
            other.start()
            picture_file(stranger.home / "a.png", size=(32, 32))
            for address in (made.address, made.address.replace("tls", "tcp").replace(made.host, "127.0.0.1")):
                done = stranger.run("dream", "a.png", "--cluster", address, *QUICK)
                assert done.returncode in (2, 8), done.stderr
                assert not (stranger.home / "a.dream.png").exists()
            other.joined(stranger)  # a certificate of another cluster
            done = stranger.run("dream", "a.png", "--cluster", made.address, *QUICK)
            assert done.returncode == 8, done.stderr
            assert made.joined(made.machine("guest")).run("status", "--cluster", made.address).returncode == 0
        finally:
            other.desk.end()


@pytest.mark.slow("cluster")
def test_300_pictures_while_workers_scheduler_and_client_are_killed(tmp_path: Path) -> None:
    photographs(tmp_path / "in", 300)
    dice = random.Random(7)
    with studio(tmp_path, tls=True, workers=3) as made:
        alone = made.desk.run("dream", tmp_path / "in", "-o", tmp_path / "alone", *QUICK, "--via-helper", "no")
        assert alone.returncode == 0, alone.stderr
        wanted, over = contents(tmp_path / "alone"), threading.Event()

        def kill_workers() -> None:
            while not over.wait(4):
                machine = dice.choice(made.machines)
                made.workers[machine.name].kill()
                made.workers[machine.name].wait()
                made.work(machine)

        killer = threading.Thread(target=kill_workers)
        killer.start()
        words = ("dream", tmp_path / "in", "-o", tmp_path / "out", *QUICK, "--cluster", made.address)
        try:
            for attempt in range(20):
                client = made.desk.start(*words)
                time.sleep(dice.uniform(1.5, 3))
                client.kill()
                client.wait()
                if attempt == 10:
                    assert made.scheduler is not None
                    made.scheduler.kill()
                    made.scheduler.wait()
                    made.start()
            for left in (tmp_path / "out").glob("*"):
                assert left.name in wanted or left.name.startswith("."), left
            client = made.desk.start(*words)
            time.sleep(3)
            assert made.scheduler is not None
            made.scheduler.kill()
            made.scheduler.wait()
            time.sleep(1)
            made.start()
            client.wait(timeout=600)
        finally:
            over.set()
            killer.join()
        assert contents(tmp_path / "out") == wanted
