"""Checks of the helper: whether it answers, is of this version, and has its port."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import TYPE_CHECKING

from deepdream_core.doctor.check import Finding, Repair, failing, passed, skipped
from deepdream_core.link import client, connection, wire
from deepdream_core.link.endpoint import Endpoint, read_endpoint

if TYPE_CHECKING:
    from pathlib import Path

    import psutil

START_S = 8.0
"""How long the service may take to start the helper when a program connects."""
STOP_IT = "`deepdream helper --stop`; it starts again when it is needed"


def check_helper(endpoint: Path, service: Endpoint | None, version: str) -> Finding:
    """Check that the helper answers and is of this version; only the service's socket may start one.

    `endpoint` is the path of a running helper's endpoint file, `service` the address of the service's helper.
    """
    try:
        running = client.connect(endpoint_file=endpoint, client="deepdream-doctor")
    except client.NoHelper as error:
        if error.hung_pid is not None:
            return failing(error.what, error.next_step)
        return _by_service(endpoint, service, version)
    except client.HelperVersion as error:
        return failing(error.what, error.next_step)
    at = f"process {running.endpoint.pid} on port {running.endpoint.port}"
    if running.version == version:
        return _works(running, f"{version}, {at}")
    repair = Repair("stop the idle helper of another version", running.shutdown)
    what = f"a helper of version {running.version} is running ({at}), but this is {version}"
    return failing(what, STOP_IT, repair if _is_idle(running) else None)


def _by_service(endpoint: Path, service: Endpoint | None, version: str) -> Finding:
    if service is None:
        return skipped("not running; programs start it when they need it")
    try:
        with connection.Connection(service, START_S) as opened:
            found, protocol = opened.version, opened.protocol
    except connection.FOREIGN as error:
        why = connection.reason(error, START_S)
        if isinstance(error, ConnectionRefusedError):
            return failing(f"nothing listens on the service's port {service.port}", "`deepdream service start`")
        if not _is_ours(listener(service.port)):
            return failing(f"no helper on the service's port {service.port}: {why}", "see the check of the port")
        return failing(f"no answer on the service's port {service.port}: {why}", "see `deepdream service logs`")
    if (found, protocol) != (version, wire.PROTOCOL):
        return failing(f"the service's helper is version {found}, but this is {version}", STOP_IT)
    try:
        running = client.connect(endpoint_file=endpoint, service=service, client="deepdream-doctor")
    except client.LinkError as error:
        return failing(error.what, error.next_step)
    return _works(running, f"{version}, on the service's port {service.port}")


def _works(running: client.HelperClient, what: str) -> Finding:
    """Check that the helper answers more than a hello: one that cannot start answers that too."""
    try:
        running.status()
    except client.LinkError as error:
        return failing(error.what, error.next_step or "see `deepdream service logs`")
    return passed(what)


def check_port(endpoint: Path, service: Endpoint | None, chosen: int, install: str) -> Finding:
    """Check that no other program has the helper's port: the service's, or `chosen`, the one in config.yaml.

    `install` is the command that reinstalls the service, then on another port.
    """
    port = service.port if service else chosen
    if port == 0:
        return skipped("any free port")
    if not _listens(port):
        return passed(f"{port} is free for the helper")
    own = service
    with contextlib.suppress(wire.WireError):
        found = read_endpoint(endpoint)
        own = found if found is not None and found.port == port else service
    if own is not None:
        try:
            connection.Connection(own, START_S).close()
            return passed(f"the helper has {port}")
        except connection.FOREIGN as error:
            if _is_ours(listener(port)):
                return passed(f"the helper has {port}, but: {connection.reason(error, START_S)}")
    step = f"stop that program, or {install} to get another port" if service else (
        "stop that program, or set another helper.port in config.yaml"
    )  # fmt: skip
    who = listener(port)
    return failing(f"another program has port {port}{f': {who.name()}, process {who.pid}' if who else ''}", step)


def listener(port: int) -> psutil.Process | None:
    """Return the process that listens on a port, if the system shows it: it usually hides other users' programs."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
                return psutil.Process(one.pid)
    return None


def _is_ours(process: psutil.Process | None) -> bool:
    """Return whether it is this user's helper, or the service manager that listens in its place."""
    if process is None:
        return False
    import psutil

    with contextlib.suppress(psutil.Error):
        command = process.cmdline()
        ours = sys.platform == "win32" or process.uids().real == os.geteuid()
        return ours and (process.name() == "systemd" or ("deepdream_core" in command and "helper" in command))
    return False


def _listens(port: int) -> bool:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as asking:
            asking.settimeout(2.0)
            asking.connect((host, port))
            return True
    return False


def _is_idle(running: client.HelperClient) -> bool:
    with contextlib.suppress(client.LinkError):
        return not [job for job in running.status()["jobs"] if job["state"] not in ("done", "failed", "cancelled")]
    return False
