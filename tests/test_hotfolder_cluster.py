"""A drop folder with a cluster: which pictures this machine dreams, which the cluster, and whose trouble stops what."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from in_process import Drop, Engine
from watching import photograph

from deepdream_core.errors import DeviceError, HelperError
from deepdream_core.hotfolder.engines import LOCAL, Engines
from deepdream_core.hotfolder.rest import Backoff
from deepdream_core.hotfolder.spare_memory import SpareMemory

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.work.backend import Backend

ADDRESS = "tls://studio:8786"


class There(Engine):
    """A cluster's engine: it is slower than this machine's, and counts its pictures."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def refresh(self) -> None:
        """Count."""
        self._cluster.refreshed += 1

    def dream(self, planes: Any, *more: object) -> Any:
        self._cluster.begun += 1
        if self._cluster.error is not None:
            raise self._cluster.error
        return (yield from super().dream(planes, *more))


class Cluster:
    """A cluster that takes some pictures at once."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count, self.error = count, error
        self.begun = self.refreshed = 0
        self.sha256 = ""
        self.closed = False

    def open(self) -> Backend:
        return There(self)

    def at_once(self) -> int:
        return self.count

    def restrict(self, weights_sha256: str) -> None:
        self.sha256 = weights_sha256

    def close(self) -> None:
        self.closed = True


def drop_of(folder: Path, cluster: Cluster, pictures: int) -> Drop:
    drop = Drop(folder, settle_s=0.1, cluster=ADDRESS)
    drop.elsewhere = lambda _address: cluster
    for seed in range(pictures):
        photograph(drop.root / f"{seed}.png", seed)
    return drop


def test_a_cluster_goes_on_while_this_machine_has_no_memory_to_spare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpareMemory, "shortage", lambda *_: "other programs need the device")
    cluster = Cluster(2)
    drop = drop_of(tmp_path, cluster, 5)
    drop.watched(lambda state: state["done"] == 5)
    assert cluster.begun == 5


def test_a_cluster_goes_on_while_this_machines_helper_cannot_start(tmp_path: Path) -> None:
    def broken(_before: object) -> Backend:
        raise HelperError("the helper cannot start")

    cluster = Cluster(2)
    drop = drop_of(tmp_path, cluster, 5)
    drop.engine = broken
    drop.watched(lambda state: state["done"] == 5)
    assert cluster.begun == 5
    assert "this machine rests for 5 s: the helper cannot start" in drop.said
    assert not [line for line in drop.said if line.startswith(str(drop.root)) and "rests for" in line]


@pytest.mark.parametrize("error", [DeviceError("CUDA error"), HelperError("its disk is full")])
def test_a_machine_of_the_cluster_that_is_sick_stops_no_folder(tmp_path: Path, error: Exception) -> None:
    """This machine dreams the pictures in the end."""
    cluster = Cluster(1, error)
    drop = drop_of(tmp_path, cluster, 2 * LOCAL)
    gate = threading.Event()

    class Waiting(Engine):
        def dream(self, planes: Any, *more: object) -> Any:
            gate.wait(5)
            return (yield from super().dream(planes, *more))

    drop.engine = lambda _before: Waiting()
    threading.Timer(1, gate.set).start()
    drop.watched(lambda state: state["done"] == 2 * LOCAL)
    assert cluster.begun > 0
    assert not [line for line in drop.said if "rests for" in line]


def test_a_picture_whose_cluster_is_away_waits_and_loses_no_try(tmp_path: Path) -> None:
    cluster = Cluster(2, HelperError("no machine takes pictures now", "", "no_cluster"))
    drop = drop_of(tmp_path, cluster, 1)

    def broken(_before: object) -> Backend:
        if cluster.begun < 5:
            raise HelperError("the helper cannot start")
        return Engine()

    drop.engine = broken
    drop.watched(lambda state: state["done"] == 1)
    assert cluster.begun >= 5


def test_a_cluster_has_the_weights_of_this_machine_and_is_closed_when_no_folder_has_it() -> None:
    cluster = Cluster(1)
    here = SimpleNamespace(weights=SimpleNamespace(sha256="a"))
    engines = Engines(lambda _before: here, lambda _address: cluster, lambda _text: None)
    places = [engines.place(ADDRESS) for _ in range(LOCAL)]
    assert places == [None] * LOCAL
    assert not engines.free(ADDRESS), "which weights all get is unknown"
    engines.engine(None)
    assert cluster.sha256 == "a"
    assert engines.free(ADDRESS)
    place = engines.place(ADDRESS)
    assert place is cluster
    assert not engines.free(ADDRESS)
    engines.engine(place)
    engines.engine(place)
    assert cluster.refreshed == 1, "its weights may be others now"
    here.weights.sha256 = "b"
    engines.engine(None)
    assert cluster.sha256 == "b"
    engines.keep([None])
    assert cluster.closed
    engines.leave(place)


def test_pauses_grow_until_something_succeeds() -> None:
    now = 0.0
    backoff = Backoff(lambda: now)
    assert backoff.begin("no disk") == 5
    assert (backoff.begin("no helper"), backoff.problem()) == (0, "no disk")
    now = 5.0
    assert backoff.problem() == ""
    assert backoff.begin("no helper") == 10
    backoff.end()
    assert backoff.problem() == ""
    assert backoff.begin("no disk") == 5
