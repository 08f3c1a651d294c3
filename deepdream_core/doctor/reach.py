"""Checks of the helper: does it answer, is it of this version, and has a stranger its port."""

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
"""How long the service may take to start the helper when somebody connects."""
STOP_IT = "`deepdream helper --stop`; it starts again when it is needed"


def check_helper(endpoint: Path, service: Endpoint | None, version: str) -> Finding:
    """Look whether the helper answers and is of this version; none is started but by the service's own socket.

    `endpoint` is where a running helper's endpoint file is, `service` the address at which the service's can be reached.
    """
    try:
        running = client.connect(endpoint_file=endpoint, client="deepdream-doctor")
    except client.NoHelper as error:
        if error.hung_pid is not None:
            return failing(error.what, error.next_step)
        return _by_service(endpoint, service, version)
    except client.HelperVersion as error:
        return failing(error.what, error.next_step)
    at = f"process {running.endpoint.pid} at port {running.endpoint.port}"
    if running.version == version:
        return _works(running, f"{version}, {at}")
    repair = Repair("stop the helper of another version, which has nothing to do", running.shutdown)
    what = f"a helper of version {running.version} runs ({at}), and this is {version}"
    return failing(what, STOP_IT, repair if _is_idle(running) else None)


def _by_service(endpoint: Path, service: Endpoint | None, version: str) -> Finding:
    if service is None:
        return skipped("none runs; programs start one when they need it")
    try:
        with connection.Connection(service, START_S) as opened:
            found, protocol = opened.version, opened.protocol
    except connection.FOREIGN as error:
        why = connection.reason(error, START_S)
        if isinstance(error, ConnectionRefusedError):
            return failing(f"nobody listens at the service's port {service.port}", "`deepdream service start`")
        if not _is_ours(listener(service.port)):
            return failing(f"no helper at the service's port {service.port}: {why}", "see the check of the port")
        return failing(f"no answer at the service's port {service.port}: {why}", "`deepdream service logs` says more")
    if (found, protocol) != (version, wire.PROTOCOL):
        return failing(f"the service's helper is of version {found}, and this is {version}", STOP_IT)
    try:
        running = client.connect(endpoint_file=endpoint, service=service, client="deepdream-doctor")
    except client.LinkError as error:
        return failing(error.what, error.next_step)
    return _works(running, f"{version}, reached at the service's port {service.port}")


def _works(running: client.HelperClient, what: str) -> Finding:
    """Ask for more than a hello, which a stand-in for a helper that cannot start sends too."""
    try:
        running.status()
    except client.LinkError as error:
        return failing(error.what, error.next_step or "`deepdream service logs` says more")
    return passed(what)


def check_port(endpoint: Path, service: Endpoint | None, chosen: int, install: str) -> Finding:
    """Look whether a stranger has the port that is the helper's: the service's, or `chosen`, that of config.yaml.

    `install` is the command that installs the service again, on another port then.
    """
    port = service.port if service else chosen
    if port == 0:
        return skipped("any free one")
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
    step = f"end that program, or {install} to have another port" if service else (
        "end that program, or set another helper.port in config.yaml"
    )  # fmt: skip
    who = listener(port)
    return failing(f"another program has port {port}{f': {who.name()}, process {who.pid}' if who else ''}", step)


def listener(port: int) -> psutil.Process | None:
    """Return who listens at a port, as far as the system says: it usually hides other users' programs."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
                return psutil.Process(one.pid)
    return None


def _is_ours(process: psutil.Process | None) -> bool:
    """Say whether it is a helper of this user, or the service manager that listens in its place."""
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
