"""What `deepdream doctor` says of a cluster: real certificates, a real scheduler and a worker."""

from __future__ import annotations

import datetime
import json
import sys
from typing import TYPE_CHECKING

import pytest
from cluster_machines import Machine, free_port, studio
from helper_process import until

from deepdream_core.cluster import address
from deepdream_core.doctor import cluster
from deepdream_core.doctor.check import Check, outcome
from deepdream_core.machine.folders import STAMP

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def test_packages_that_nobody_asks_for_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.check_packages("").ok
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert cluster.check_packages("").ok is None
    found = cluster.check_packages("a drop folder has the cluster tls://studio")
    assert found.what.startswith("a drop folder has the cluster tls://studio, but the package distributed ")
    assert found.fix == "`python3 install app --with cluster`"


def test_the_installer_was_asked_for_the_cluster_or_not(tmp_path: Path) -> None:
    assert not cluster.is_wanted(tmp_path)
    for extras in ([], ["cluster"]):
        (tmp_path / STAMP).write_text(json.dumps({"extras": extras}))
        assert cluster.is_wanted(tmp_path) == bool(extras)


def test_a_certificate_holds_until_it_expires(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.check_membership().ok is None
    own = address.founded("studio", 8786)
    found = cluster.check_membership()
    assert found.what == f"tls://studio:8786, until {address.expires(own.certificate):%Y-%m-%d}"
    later = address.expires(own.certificate) - datetime.timedelta(days=2)

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Later:
            return cls.fromtimestamp(later.timestamp(), tz)

    with monkeypatch.context() as patched:
        patched.setattr(datetime, "datetime", Later)
        found = cluster.check_membership()
        assert found.what.startswith("the certificate for tls://studio:8786 expires on ")
        assert found.fix == "run `deepdream cluster start` again"
        later += datetime.timedelta(days=3)
        assert "expired on" in cluster.check_membership().what
        invitation = address.invitation()
        assert address.founded("studio", 8786) != own
        assert cluster.check_membership().ok
    (state / "cluster" / "authority.json").unlink()
    address.joined(invitation)
    monkeypatch.setattr(address, "RENEWED_WITHIN", datetime.timedelta(days=365 * 30))
    assert "`deepdream cluster invite` where" in cluster.check_membership().fix


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_certificates_that_others_can_read_are_told(state: Path) -> None:
    address.founded("studio", 8786)
    (state / "cluster" / "membership.json").chmod(0o644)
    found = outcome(Check("certificate", cluster.check_membership))
    assert found.ok is False
    assert "membership.json" in found.what


@pytest.mark.slow("cluster")
def test_a_drop_folders_cluster_answers_or_not(tmp_path: Path) -> None:
    nobody = f"tcp://127.0.0.1:{free_port()}"
    lonely = Machine(tmp_path, "lonely", {"folders": [{"path": str(tmp_path / "drop"), "cluster": nobody}]})
    told = {check["check"]: check for check in json.loads(lonely.run("doctor", "--json").stdout)["checks"]}
    assert told["cluster"]["ok"] is True
    assert told["certificate"]["ok"] is None
    assert told["cluster answers"]["ok"] is False
    assert nobody in told["cluster answers"]["what"]
    with studio(tmp_path, tls=False, workers=1) as made:
        until(lambda: [machine["rests"] for machine in made.seen()] == [""])
        found = cluster.check_answers(made.address)
        assert found.what == f"{made.address}: 1 machine, 1 device ready"
