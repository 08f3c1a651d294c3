"""Checks of the cluster: whether its packages are there, its certificates hold, and a drop folder's cluster answers."""

from __future__ import annotations

import datetime
import importlib
import importlib.util
import json
from typing import TYPE_CHECKING

from deepdream_core.doctor.check import Finding, failing, passed, skipped
from deepdream_core.machine.folders import STAMP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INSTALL = "`python3 install app --with cluster`"
NAMES = ("distributed", "cryptography")


def is_wanted(version: Path) -> bool:
    """Return whether the installer was asked for the cluster, for the version in this folder."""
    try:
        return "cluster" in json.loads((version / STAMP).read_text("utf-8"))["extras"]
    except (OSError, ValueError, TypeError, KeyError):
        return False


def loads() -> bool:
    """Return whether there are packages of a cluster to import."""
    return all(importlib.util.find_spec(name) for name in NAMES)


def check_packages(asked_for: str) -> Finding:
    """Check that a cluster's packages load; `asked_for` says who wants them, "" if nobody does."""
    for name in NAMES:
        try:
            importlib.import_module(name)
        except Exception as error:
            if not asked_for:
                return skipped("not installed, and nothing asks for it")
            missing = isinstance(error, ModuleNotFoundError) and error.name == name
            why = "is missing" if missing else f"cannot load: {error}"
            return failing(f"{asked_for}, but the package {name} {why}", INSTALL)
    return passed(f"{' and '.join(NAMES)} load")


def check_membership() -> Finding:
    """Check that this machine's certificates for its cluster are private and have not expired."""
    from deepdream_core.cluster import address

    own = address.membership()
    if own is None:
        return skipped("this machine belongs to no cluster")
    founder = address.authority()
    expires = min(map(address.expires, (own.certificate, own.authority)))
    step = "run `deepdream cluster start` again" if founder == own.authority else (
        "run `deepdream cluster invite` where the cluster was started, and here `deepdream cluster join`"
    )  # fmt: skip
    left = expires - datetime.datetime.now(datetime.UTC)
    if left < address.RENEWED_WITHIN:
        return failing(f"the certificate for {own.address} {_expired(left)} on {expires:%Y-%m-%d}", step)
    return passed(f"{own.address}, until {expires:%Y-%m-%d}")


def _expired(left: datetime.timedelta) -> str:
    return "expired" if left < datetime.timedelta(0) else "expires"


def check_answers(address: str) -> Finding:
    """Check that the cluster of a drop folder answers and has a machine of this version."""
    from deepdream_core.cluster.connection import Cluster

    cluster = Cluster(address)
    try:
        cluster.chosen()
        machines, devices = cluster.machines(), cluster.devices()
    finally:
        cluster.close()
    if not machines:
        return failing(f"{cluster.address} has no machine", "run `deepdream worker` on one")
    return passed(f"{cluster.address}: {_count(machines, 'machine')}, {_count(devices, 'device')} ready")


def _count(found: Sequence[object], word: str) -> str:
    return f"{len(found)} {word}{'' if len(found) == 1 else 's'}"
