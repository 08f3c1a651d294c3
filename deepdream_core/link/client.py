"""Let the helper dream: find it or start it, hand over pixels, follow the job, fetch the picture.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
Every wait has an end, and whatever goes wrong is one of the errors drawn in `errors.py`. What the caller got wrong
(a buffer of the wrong length, an unknown dtype) is a `WireError`, before anything is sent.

Each call has a connection of its own, and the listener proves on it that it knows the token before it is told the token or
shown a picture: the port may have gone to another program since the last call. Objects may be used by several threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import connection, errors, helper_start, service_endpoint, wire

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from _typeshed import ReadableBuffer, WriteableBuffer

HELLO_S, CALL_S = 2.0, 30.0  # for all of the first hello; for each step of a later call
SERVICE_S = 5.0  # for a service's first hello: it may have to start for it
GAVE_WAY_S = 1.0  # how long one that ended because another was there waits for that one's answer, before a new start
ANSWER_LIMIT, LINE_LIMIT = connection.ANSWER_LIMIT, connection.LINE_LIMIT

LinkError = errors.LinkError
NoHelper = errors.NoHelper
HelperNotStarted = errors.HelperNotStarted
HelperVersion = errors.HelperVersion
HelperBusy = errors.HelperBusy
HelperRefused = errors.HelperRefused
HelperLost = errors.HelperLost
JobFailed = errors.JobFailed
JobCancelled = errors.JobCancelled
scrubbed = helper_start.scrubbed


@dataclass(frozen=True)
class Event:
    """One event of a job: its name and data as in the protocol."""

    name: str
    data: dict[str, Any]


def connect(
    *,
    start: bool = False,
    client: str | None = None,
    version: str | None = None,
    command: Sequence[str] | None = None,
    endpoint_file: str | os.PathLike[str] | None = None,
    service: wire.Endpoint | None = None,
    wait_s: float = 15.0,
    launching: Callable[[], object] | None = None,
) -> HelperClient:
    """Return a client of the running helper; with `start`, launch `command` if none runs and wait up to `wait_s` seconds.

    `client` is what this program calls itself (1…64 printable ASCII characters), `version` the only helper's version that
    will do, `endpoint_file` where to look instead of `wire.endpoint_path()`. Where no helper answers there, the `service`
    is asked, which starts one: the one given, or with `start` and without an `endpoint_file` that of this user.
    `launching` is called before a launch; what it raises ends the call. A last question may take 1 s beyond `wait_s`.
    Raises `NoHelper`, `HelperNotStarted` or `HelperVersion`; `WireError` for a `client` that cannot be sent.
    """
    client = _own_name() if client is None else client
    if not re.fullmatch(r"[ -~]{1,64}", client):
        raise wire.WireError(f"{client!r} cannot be a client's name: 1 to 64 printable ASCII characters")
    try:
        path = Path(endpoint_file) if endpoint_file else wire.endpoint_path()
    except wire.WireError as error:
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


def _own_service() -> wire.Endpoint | None:
    """Return this user's service, None where there is none; what is wrong with its file, `deepdream doctor` tells."""
    try:
        return service_endpoint.read_service(service_endpoint.service_path())
    except wire.WireError:
        return None


def _by_service(service: wire.Endpoint, path: Path, client: str, version: str | None, limit_s: float) -> HelperClient:
    """Return a client of the helper that the service starts, or has started, as its endpoint file has it where seen."""
    found = _proved(service, client, version, limit_s)
    with contextlib.suppress(wire.WireError):
        written = wire.read_endpoint(path)
        if written is not None and written.port == service.port and wire.same(written.token, service.token):
            found.endpoint = written
    return found


def _started(
    path: Path, client: str, version: str | None, command: Sequence[str] | None, wait_s: float, until: float
) -> HelperClient:
    """Launch the helper and return a client of it, or of the one to which it gave way.

    That one may have been ending, and then nobody answers and the helper is launched again.
    """
    process, log = helper_start.start(command)
    starts, pause_s, gave_way_at = 1, 0.02, None
    while True:
        time.sleep(max(0.0, min(pause_s, until - time.monotonic())))
        pause_s = min(pause_s * 1.5, 0.2)
        ended = process.returncode  # set by the thread that waits; 0: another helper was there
        try:
            return _reach(path, client, version, min(HELLO_S, max(1.0, until - time.monotonic())))
        except NoHelper as missing:
            now = time.monotonic()
            if ended or now >= until:
                what = _vain(starts, ended, wait_s, missing)
                next_step = missing.next_step if missing.hung_pid else ""
                raise HelperNotStarted(what, log, process.log_from, next_step, missing.hung_pid) from None
            if ended == 0 and gave_way_at is None:
                gave_way_at = now
            if gave_way_at is not None and now - gave_way_at >= GAVE_WAY_S:
                process, log = helper_start.start(command)
                starts, pause_s, gave_way_at = starts + 1, 0.02, None


def _vain(starts: int, ended: int | None, wait_s: float, missing: NoHelper) -> str:
    """Say what was seen of a helper that did not come to answer; `ended` is the last one's exit code."""
    helper = f"the helper, started {starts} times," if starts > 1 else "the helper"
    if ended:
        hung = f" ({missing.what})" if missing.hung_pid else ""
        return f"{helper} ended with exit code {ended} while starting{hung}"
    if ended == 0:
        return f"{helper} ended as if another one ran, but none answered within {wait_s:g} s ({missing.what})"
    return f"{helper} did not answer within {wait_s:g} s ({missing.what})"


def _own_name() -> str:
    script = Path(getattr(sys, "argv", [""])[0])
    program = script.parent.name if script.name == "__main__.py" else script.stem
    return f"{re.sub('[^!-~]', '_', program.strip('-'))[:48] or 'python'}-{os.getpid()}"


def _reach(path: Path, client: str, version: str | None, limit_s: float) -> HelperClient:
    """Return a client of the helper that the endpoint file tells of, once it has proved itself within the limit."""
    try:
        endpoint = wire.read_endpoint(path)
    except wire.WireError as error:
        raise NoHelper(str(error)) from None
    if endpoint is None:
        raise NoHelper("no helper is running", "start one with `deepdream helper`")
    return _proved(endpoint, client, version, limit_s)


def _proved(endpoint: wire.Endpoint, client: str, version: str | None, limit_s: float) -> HelperClient:
    """Return a client of what listens there, once it has proved within the limit to know the token."""
    try:
        with connection.Connection(endpoint, limit_s) as opened:
            running, protocol = opened.version, opened.protocol
    except connection.FOREIGN as error:
        why, port, pid = connection.reason(error, round(limit_s, 1)), endpoint.port, endpoint.pid
        if connection.timed_out(error) and _lives(pid):
            what = f"process {pid} does not answer at port {port} ({why}); it may be a helper that hangs"
            raise NoHelper(what, f"if it is one, end it with `kill -9 {pid}`, then try again", pid) from None
        raise NoHelper(f"no helper answers at port {port}: {why}", "start one with `deepdream helper`") from None
    if protocol != wire.PROTOCOL or version not in (None, running):
        what = f"a helper of version {running}, protocol {protocol}, is running"
        wanted = f"version {version}, " if version else ""
        next_step = f"`deepdream helper --stop`, then try again ({wanted}protocol {wire.PROTOCOL} is needed)"
        raise HelperVersion(what, next_step)
    return HelperClient(endpoint if endpoint.pid else replace(endpoint, version=running), client, running)


def _lives(pid: int) -> bool:
    """Say whether a process of this user has the number; the helper that had it may be gone, and another one have it."""
    if os.name != "posix" or pid in (0, os.getpid()):
        return False  # Windows' os.kill would end the process; 0 is none
    with contextlib.suppress(OSError, OverflowError):
        os.kill(pid, 0)
        return True
    return False


class HelperClient:
    """What a program asks of a helper that has proved to know the token of `endpoint`; `version` is the helper's.

    All methods raise `HelperLost`, `HelperRefused` or `HelperBusy`.
    """

    def __init__(self, endpoint: wire.Endpoint, client: str, version: str) -> None:
        self.endpoint = endpoint
        self.client = client
        self.version = version

    def status(self) -> dict[str, Any]:
        """Return what the helper says about itself, its devices and its queue."""
        return self._json("GET", "/v1/status", 200)

    def warm(self, wait: bool = True, timeout_s: float = 120.0) -> dict[str, Any]:
        """Have the model loaded; with `wait` return {"workers": [...]} when it is, else return at once.

        Raises `HelperRefused` with `exit_code` when it cannot be loaded, `HelperLost` when that takes over `timeout_s`.
        """
        return self._json("POST", "/v1/warm", 200 if wait else 202, {"wait": wait}, timeout_s)

    def shutdown(self) -> None:
        """Ask the helper to stop; it cancels its jobs and ends on its own."""
        self._json("POST", "/v1/shutdown", 202)

    def submit(
        self,
        pixels: ReadableBuffer,
        *,
        dtype: str,
        shape: tuple[int, int, int],
        priority: str,
        preset: str | None = None,
        settings: Mapping[str, Any] | None = None,
        mask: ReadableBuffer | None = None,
        mask_dtype: str | None = None,
        start: ReadableBuffer | None = None,
        previews: bool = False,
        label: str = "",
    ) -> HelperJob:
        """Send a picture to be dreamed and return its job, which ends unless its events are followed within 10 s.

        `pixels`: C-contiguous buffer of `dtype` (a key of `wire.DTYPES`, native little-endian) and `shape` H×W×C, C from 1
        gray, 2 gray+alpha, 3 RGB to 4 RGB+alpha. `mask`: H×W×1 of `mask_dtype`. `start`: H×W×3 float32 to dream on from.
        `priority`: of `wire.PRIORITIES`. Nothing is copied. Raises `WireError` (a ValueError) before anything is sent when
        a buffer's length or a word is wrong.
        """
        if priority not in wire.PRIORITIES:
            raise wire.WireError(f"{priority!r} is none of the priorities {', '.join(wire.PRIORITIES)}")
        if len(label) > 200:
            raise wire.WireError("a label of more than 200 characters")
        if (mask is None) != (mask_dtype is None):
            raise wire.WireError("mask and mask_dtype go together")
        height, width, _ = shape = (shape[0], shape[1], shape[2])
        parts = {"pixels": _framed(pixels, dtype, shape)}
        if mask is not None and mask_dtype is not None:
            parts["mask"] = _framed(mask, mask_dtype, (height, width, 1))
        if start is not None:
            parts["start"] = _framed(start, "float32", (height, width, 3))
        request = {
            "client": self.client,
            "label": label,
            "priority": priority,
            "preset": preset,
            "settings": dict(settings or {}),
            "shape": list(shape),
            "dtype": dtype,
            "mask": mask_dtype,
            "start": start is not None,
            "previews": previews,
        }
        answer = self._json("POST", "/v1/jobs", 201, request)
        name = answer.get("id")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise self._lost(wire.WireError("a job without a usable id"))
        job = HelperJob(self, name, dtype, shape)
        try:
            for part, body in parts.items():
                self._json("PUT", f"/v1/jobs/{name}/{part}", 204, body)
        except (HelperRefused, HelperBusy):
            with contextlib.suppress(LinkError):
                job.cancel()
            raise
        return job

    def _json(
        self, method: str, path: str, status: int, body: object = None, limit_s: float = CALL_S
    ) -> dict[str, Any]:
        """Make one call and return the object that it answers with, {} for none; `body` is JSON, or pieces to be sent."""
        pieces = body if isinstance(body, tuple) else () if body is None else (_dumped(body),)
        kind = "application/octet-stream" if isinstance(body, tuple) else "application/json"
        headers = {"Content-Type": kind} if pieces else {}
        with self._asked(method, path, status, pieces, headers, limit_s) as response:
            return connection.read_object(response)

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        status: int,
        pieces: Sequence[bytes | memoryview] = (),
        headers: Mapping[str, str] | None = None,
        limit_s: float = CALL_S,
    ) -> Iterator[http.client.HTTPResponse]:
        """Make one call and hand over its answer to be read, with `limit_s` for each step; foreign errors end here."""
        try:
            with connection.Connection(self.endpoint, limit_s) as opened:
                response = opened.ask(method, path, pieces, headers or {}, limit_s)
                if response.status != status:
                    raise _refusal(response, status)
                yield response
        except connection.FOREIGN as error:
            raise self._lost(error, limit_s) from None

    def _lost(self, error: BaseException | str, limit_s: float = CALL_S) -> HelperLost:
        reason = error if isinstance(error, str) else connection.reason(error, limit_s)
        return HelperLost(f"lost the helper: {reason}", f"try again; its log is {self.endpoint.log}")


class HelperJob:
    """A job that the helper has taken; its result has the `dtype` and `shape` of the pixels sent."""

    def __init__(self, client: HelperClient, name: str, dtype: str, shape: tuple[int, int, int]) -> None:
        self.id = name
        self.dtype = dtype
        self.shape = shape
        self._client = client
        self._path = f"/v1/jobs/{name}"

    def events(self, timeout_s: float = 30.0) -> Generator[Event, None, None]:
        """Yield the job's events up to and including `done`; following them is what keeps the job alive.

        Raises `JobFailed` or `JobCancelled` for the other ends, `HelperLost` when not even a ping came for `timeout_s`. A
        connection that breaks is opened once more. Closing the generator closes the connection, which cancels the job.
        """
        last = -1
        for attempt in ("first", "again"):
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last >= 0 else {})}
            try:
                with self._client._asked("GET", f"{self._path}/events", 200, (), headers, timeout_s) as response:
                    for number, name, data in connection.read_events(response):
                        if number is not None:
                            if number <= last:
                                continue  # told before the connection broke
                            last = number
                        if name == "failed":
                            raise errors.failure(data)
                        if name == "cancelled":
                            raise errors.cancellation(data)
                        yield Event(name, data)
                        if name == "done":
                            return
            except HelperRefused as error:
                if attempt == "first":
                    raise
                raise self._client._lost(f"the connection broke, and the new one was refused: {error.what}") from None
        raise self._client._lost("the connection broke twice")

    def result_into(self, buffer: WriteableBuffer) -> None:
        """Write the result into a writable C-contiguous buffer of exactly its length; half-written where that fails.

        Raises `WireError` for another buffer, `HelperRefused` when there is no result (code not_ready, conflict or gone).
        """
        self._fetch("/result", buffer)

    def result(self) -> bytearray:
        """Return the result's samples, little-endian and C-ordered."""
        buffer = bytearray(wire.ArrayHeader(self.dtype, self.shape).nbytes)
        self.result_into(buffer)
        return buffer

    def so_far_into(self, buffer: WriteableBuffer) -> bool:
        """Write what the job has come to like `result_into`, or return False when there is nothing to see yet."""
        try:
            self._fetch("/result?so_far=1", buffer)
        except HelperRefused as error:
            if error.code == "not_ready":
                return False
            raise
        return True

    def cancel(self) -> None:
        """Cancel the job, or forget a finished one; one that the helper does not know is as good."""
        try:
            self._client._json("DELETE", self._path, 204)
        except HelperRefused as error:
            if error.status != 404:
                raise

    def forget(self) -> None:
        """Let the helper drop the result once it is fetched."""
        self.cancel()

    def _fetch(self, call: str, buffer: WriteableBuffer) -> None:
        expected = wire.ArrayHeader(self.dtype, self.shape)
        samples = connection.flat(buffer, expected)
        if samples.readonly:
            raise wire.WireError("a buffer that cannot be written to")
        with self._client._asked("GET", self._path + call, 200) as response:
            connection.read_array(response, expected, samples)


def _framed(buffer: ReadableBuffer, dtype: str, shape: tuple[int, int, int]) -> tuple[bytes | memoryview, ...]:
    begin = wire.npy_header(dtype, shape)
    return begin, connection.flat(buffer, wire.ArrayHeader(dtype, shape))


def _dumped(value: object) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise wire.WireError(f"settings that cannot be sent: {error}") from None


def _refusal(response: http.client.HTTPResponse, expected: int) -> LinkError:
    """Return the error that an answer with another status than the expected one stands for."""
    try:
        answer = connection.read_object(response)
    except connection.FOREIGN:
        answer = {}
    return errors.refusal(response.status, expected, answer, response.headers.get("Retry-After", ""))
