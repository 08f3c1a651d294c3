"""Find the helper or start it, and return a client of it, which sends pictures, follows their jobs and fetches results.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
Every wait has an end, and everything that goes wrong is one of the errors drawn in `errors.py`. A mistake of the caller
(a buffer of the wrong length, an unknown dtype) is a `WireError`, raised before anything is sent.

Each call has a connection of its own. On it the listener proves that it knows the token before it gets the token or a
picture: another program may have the port since the last call. Several threads may use an object.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import connection, helper_start, service_endpoint, user_folders
from .endpoint import Endpoint, read_endpoint, same_secret
from .errors import (
    HelperBusy,
    HelperLost,
    HelperNotStarted,
    HelperRefused,
    HelperVersion,
    JobCancelled,
    JobFailed,
    LinkError,
    NoHelper,
)
from .helper_client import Guide, HelperClient
from .helper_job import Event, HelperJob
from .wire import PROTOCOL, WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Event", "Guide", "HelperBusy", "HelperClient", "HelperJob", "HelperLost", "HelperNotStarted", "HelperRefused",
    "HelperVersion", "JobCancelled", "JobFailed", "LinkError", "NoHelper", "connect",
]  # fmt: skip

HELLO_S = 2.0  # for the first hello, start to end
SERVICE_S = 5.0  # for a service's first hello, for which the service may have to start
GAVE_WAY_S = (
    1.0  # after a start that ended because another helper ran, how long to wait for that one before a new start
)


def connect(
    *,
    start: bool = False,
    client: str | None = None,
    version: str | None = None,
    command: Sequence[str] | None = None,
    endpoint_file: str | os.PathLike[str] | None = None,
    service: Endpoint | None = None,
    wait_s: float = 15.0,
    launching: Callable[[], object] | None = None,
) -> HelperClient:
    """Return a client of the running helper; with `start`, launch `command` if none runs and wait up to `wait_s` seconds.

    `client` is this program's name (1…64 printable ASCII characters), `version` the only version of the helper that will
    do; `endpoint_file` is read instead of `user_folders.endpoint_path()`. If no helper answers there, the `service` starts
    one when connected to: the given service, or with `start` and without an `endpoint_file` that of this user.
    `launching` is called before a launch; its exceptions end the call. The last attempt may take 1 s beyond `wait_s`.
    Raises `NoHelper`, `HelperNotStarted` or `HelperVersion`; `WireError` for a `client` that cannot be sent.
    """
    client = _own_name() if client is None else client
    if not re.fullmatch(r"[ -~]{1,64}", client):
        raise WireError(f"{client!r} cannot be a client's name: 1 to 64 printable ASCII characters")
    try:
        path = Path(endpoint_file) if endpoint_file else user_folders.endpoint_path()
    except WireError as error:
        raise NoHelper(str(error)) from None
    until = time.monotonic() + wait_s
    if service is None and start and not endpoint_file:
        service = _own_service()
    try:
        return _reach(path, client, version, HELLO_S)
    except NoHelper:
        if not start and service is None:
            raise
    if service is not None:
        try:
            return _by_service(service, path, client, version, min(SERVICE_S, wait_s) if start else wait_s)
        except NoHelper:
            if not start:
                raise
    if launching:
        launching()
    return _started(path, client, version, command, wait_s, until)


def _own_service() -> Endpoint | None:
    """Return this user's service, None if there is none; `deepdream doctor` reports what is wrong with its file."""
    try:
        return service_endpoint.read_service(service_endpoint.service_path())
    except WireError:
        return None


def _by_service(service: Endpoint, path: Path, client: str, version: str | None, limit_s: float) -> HelperClient:
    """Return a client of the helper that the service has started, with the endpoint from its file if that can be read."""
    found = _proved(service, client, version, limit_s)
    with contextlib.suppress(WireError):
        written = read_endpoint(path)
        if written is not None and written.port == service.port and same_secret(written.token, service.token):
            found.endpoint = written
    return found


def _started(
    path: Path, client: str, version: str | None, command: Sequence[str] | None, wait_s: float, until: float
) -> HelperClient:
    """Launch the helper and return a client of it, or of the helper to which it gave way.

    If that one was ending, nobody answers, and the helper is launched again.
    """
    process, log = helper_start.start(command)
    starts, pause_s, gave_way_at = 1, 0.02, None
    while True:
        time.sleep(max(0.0, min(pause_s, until - time.monotonic())))
        pause_s = min(pause_s * 1.5, 0.2)
        ended = process.returncode  # set by the thread that waits; 0: another helper ran
        try:
            return _reach(path, client, version, min(HELLO_S, max(1.0, until - time.monotonic())))
        except NoHelper as missing:
            now = time.monotonic()
            if ended or now >= until:
                what = _why_no_answer(starts, ended, wait_s, missing)
                next_step = missing.next_step if missing.hung_pid else ""
                raise HelperNotStarted(what, log, process.log_from, next_step, missing.hung_pid) from None
            if ended == 0 and gave_way_at is None:
                gave_way_at = now
            if gave_way_at is not None and now - gave_way_at >= GAVE_WAY_S:
                process, log = helper_start.start(command)
                starts, pause_s, gave_way_at = starts + 1, 0.02, None


def _why_no_answer(starts: int, ended: int | None, wait_s: float, missing: NoHelper) -> str:
    """Return what happened to a helper that does not answer; `ended` is its last exit code."""
    helper = f"the helper, started {starts} times," if starts > 1 else "the helper"
    if ended:
        hung = f" ({missing.what})" if missing.hung_pid else ""
        return f"{helper} ended with exit code {ended} while starting{hung}"
    if ended == 0:
        return f"{helper} ended because another helper ran, but none answered within {wait_s:g} s ({missing.what})"
    return f"{helper} did not answer within {wait_s:g} s ({missing.what})"


def _own_name() -> str:
    script = Path(getattr(sys, "argv", [""])[0])
    program = script.parent.name if script.name == "__main__.py" else script.stem
    return f"{re.sub('[^!-~]', '_', program.strip('-'))[:48] or 'python'}-{os.getpid()}"


def _reach(path: Path, client: str, version: str | None, limit_s: float) -> HelperClient:
    """Return a client of the helper in the endpoint file, after it has proved itself within the limit."""
    try:
        endpoint = read_endpoint(path)
    except WireError as error:
        raise NoHelper(str(error)) from None
    if endpoint is None:
        raise NoHelper("no helper is running", "start one with `deepdream helper`")
    return _proved(endpoint, client, version, limit_s)


def _proved(endpoint: Endpoint, client: str, version: str | None, limit_s: float) -> HelperClient:
    """Return a client of the listener, after it has proved within the limit that it knows the token."""
    try:
        with connection.Connection(endpoint, limit_s) as opened:
            running, protocol = opened.version, opened.protocol
    except connection.FOREIGN as error:
        why, port, pid = connection.reason(error, round(limit_s, 1)), endpoint.port, endpoint.pid
        if connection.timed_out(error) and _lives(pid):
            what = f"process {pid} does not answer at port {port} ({why}); it may be a helper that hangs"
            raise NoHelper(what, f"if it is one, end it with `kill -9 {pid}`, then try again", pid) from None
        raise NoHelper(f"no helper answers at port {port}: {why}", "start one with `deepdream helper`") from None
    if protocol != PROTOCOL or version not in (None, running):
        what = f"a helper of version {running}, protocol {protocol}, is running"
        wanted = f"version {version}, " if version else ""
        next_step = f"`deepdream helper --stop`, then try again ({wanted}protocol {PROTOCOL} is needed)"
        raise HelperVersion(what, next_step)
    return HelperClient(endpoint if endpoint.pid else replace(endpoint, version=running), client, running)


def _lives(pid: int) -> bool:
    """Return whether a process of this user has the number, which may have passed from the helper to another process."""
    if sys.platform == "win32" or pid in (0, os.getpid()):
        return False  # Windows' os.kill would end the process; 0 is none
    with contextlib.suppress(OSError, OverflowError):
        os.kill(pid, 0)
        return True
    return False
