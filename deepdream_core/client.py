"""Let the helper dream: find it or start it, hand over pixels, follow the job, fetch the picture.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this file and of `wire.py`. Every wait has
an end, and whatever goes wrong is one of these, told like all errors as `what happened — what to do next`::

    HelperError
    ├── NoHelper             none runs, or what listens does not know the token
    │   └── HelperNotStarted it ended while starting, or did not answer in time: .log_path, .log_lines
    ├── HelperVersion        another version runs, or one that speaks another protocol
    ├── HelperBusy           its queue is full: .retry_after_s
    ├── HelperRefused        it said no: .code, .status, .exit_code
    ├── HelperLost           it had answered once; then the connection broke, it fell silent or talked nonsense
    ├── JobFailed            .code, .exit_code
    └── JobCancelled         .why

What the caller got wrong (a buffer of the wrong length, an unknown dtype) is a `WireError`, before anything is sent.
Each call has a connection of its own, and the listener proves on it that it knows the token before it is told the token or
shown a picture: the port may have gone to another program since the last call. Objects may be used by several threads.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

if __package__:
    from . import wire
else:
    import wire  # type: ignore[import-not-found, no-redef]

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from _typeshed import ReadableBuffer, WriteableBuffer

HELLO_S, CALL_S = 2.0, 30.0  # for all of the first hello; for each step of a later call
ANSWER_LIMIT = LINE_LIMIT = 1 << 20  # bytes of a JSON answer, of one event

_PIECE = 1 << 20
_FOREIGN = (OSError, http.client.HTTPException, ValueError, RecursionError)  # what the border lets nobody see
_PYTHON = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"}
_SCRUBBED = {*_PYTHON, "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "GI_TYPELIB_PATH", "SSL_CERT_FILE"}


class HelperError(Exception):
    """Something between this program and the helper, told in one line: `what` happened and what to do `next_step`."""

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(f"{what} — {next_step}" if next_step else what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        """Return the one line, with control characters escaped."""
        text = super().__str__()
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


class NoHelper(HelperError):  # noqa: N818
    """No helper runs, or what listens in its place does not know the token."""


class HelperNotStarted(NoHelper):
    """The helper ended while starting, or did not answer in time; `log_lines` are the last, at most 5, of `log_path`."""

    def __init__(self, what: str, log_path: Path | None) -> None:
        self.log_path = log_path
        self.log_lines = _last_lines(log_path) if log_path else []
        said = f", and said: {' / '.join(self.log_lines)}" if self.log_lines else ""
        super().__init__(what + said, f"see {log_path}" if log_path else "try `deepdream helper` in a terminal")


class HelperVersion(HelperError):  # noqa: N818
    """Another version than the one wanted runs, or one that speaks another protocol."""


class HelperBusy(HelperError):  # noqa: N818
    """The helper's queue is full; `retry_after_s` is when it asks to be tried again, in seconds."""

    def __init__(self, what: str, next_step: str, retry_after_s: float) -> None:
        super().__init__(what, next_step)
        self.retry_after_s = retry_after_s


class HelperRefused(HelperError):  # noqa: N818
    """The helper said no: `code` as in the protocol, HTTP `status`, and `exit_code` where a command line would end so."""

    def __init__(self, what: str, next_step: str, code: str, status: int, exit_code: int | None = None) -> None:
        super().__init__(what, next_step)
        self.code = code
        self.status = status
        self.exit_code = exit_code


class HelperLost(HelperError):  # noqa: N818
    """The helper had answered once; then the connection broke, a time limit passed or its answer made no sense."""


class JobFailed(HelperError):  # noqa: N818
    """The job could not be done; `code` as in the protocol, `exit_code` as of the command line."""

    def __init__(self, what: str, next_step: str, code: str, exit_code: int) -> None:
        super().__init__(what, next_step)
        self.code = code
        self.exit_code = exit_code


class JobCancelled(HelperError):  # noqa: N818
    """The job was cancelled; `why` is asked, lease, replaced or stopping."""

    def __init__(self, why: str) -> None:
        what = {
            "asked": "the job was cancelled",
            "lease": "the helper cancelled the job because nobody followed it any more",
            "replaced": "the job made place for a newer one",
            "stopping": "the helper is stopping and cancelled the job",
        }
        super().__init__(what.get(why, "the helper cancelled the job"))
        self.why = why


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
    wait_s: float = 15.0,
) -> HelperClient:
    """Return a client of the running helper; with `start`, launch `command` if none runs and wait up to `wait_s` seconds.

    `client` is what this program calls itself (1…64 printable ASCII characters), `version` the only helper's version that
    will do, `endpoint_file` where to look instead of `wire.endpoint_path()`. Raises `NoHelper`, `HelperNotStarted` or
    `HelperVersion`; `WireError` for a `client` that cannot be sent.
    """
    client = _own_name() if client is None else client
    if not re.fullmatch(r"[ -~]{1,64}", client):
        raise wire.WireError(f"{client!r} cannot be a client's name: 1 to 64 printable ASCII characters")
    try:
        path = Path(endpoint_file) if endpoint_file else wire.endpoint_path()
    except wire.WireError as error:
        raise NoHelper(str(error)) from None
    try:
        return _reach(path, client, version, HELLO_S)
    except NoHelper:
        if not start:
            raise
    until = time.monotonic() + wait_s
    process, log = _launch(command)
    pause_s = 0.02
    while True:
        time.sleep(max(0.0, min(pause_s, until - time.monotonic())))
        pause_s = min(pause_s * 1.5, 0.2)
        ended = process.returncode  # set by the thread that waits; 0: another helper had been faster
        try:
            return _reach(path, client, version, max(0.05, min(HELLO_S, until - time.monotonic())))
        except NoHelper as missing:
            if ended:
                raise HelperNotStarted(f"the helper ended with exit code {ended} while starting", log) from None
            if time.monotonic() >= until:
                what = f"the helper did not answer {wait_s:g} s after its start ({missing.what})"
                raise HelperNotStarted(what, log) from None


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what a host such as GIMP sets for its own Python and libraries."""
    return {name: value for name, value in environ.items() if name.upper() not in _SCRUBBED}


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
    try:
        with _Connection(endpoint, limit_s) as connection:
            running, protocol = connection.version, connection.protocol
    except _FOREIGN as error:
        what = f"no helper answers at port {endpoint.port}: {_reason(error)}"
        raise NoHelper(what, "start one with `deepdream helper`") from None
    if protocol != wire.PROTOCOL or version not in (None, running):
        what = f"a helper of version {running}, protocol {protocol}, is running"
        wanted = f"version {version}, " if version else ""
        next_step = f"`deepdream helper --stop`, then try again ({wanted}protocol {wire.PROTOCOL} is needed)"
        raise HelperVersion(what, next_step)
    return HelperClient(endpoint, client, running)


def _launch(command: Sequence[str] | None) -> tuple[subprocess.Popen[bytes], Path]:
    """Start the helper so that it outlives this program and shares neither its console, signals, files nor environment."""
    environment = scrubbed(os.environ)
    if command is None:
        command = [sys.executable or "", "-m", "deepdream_core", "helper", "--on-demand"]
        environment["PYTHONSAFEPATH"] = "1"  # -m would look for modules in the home folder first
    log: Path | None = None
    try:
        wire.make_private_folder(wire.state_folder())
        log = wire.state_folder() / "helper-start.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(log, flags, 0o600), "wb") as output:
            if hasattr(os, "fchmod"):
                os.fchmod(output.fileno(), 0o600)
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=_somewhere_lasting(),
                env=environment,
                close_fds=True,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
                | getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except (OSError, ValueError) as error:
        raise HelperNotStarted(f"the helper could not be started: {error}", log) from None
    # A child that nobody waits for stays as a zombie as long as this program lives.
    threading.Thread(target=process.wait, name="deepdream helper's end", daemon=True).start()
    return process, log


def _somewhere_lasting() -> str:
    with contextlib.suppress(RuntimeError, OSError):
        if Path.home().is_dir() and os.access(Path.home(), os.X_OK):
            return str(Path.home())
    return os.path.abspath(os.sep)  # noqa: PTH100


def _last_lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            text = file.read(16384).decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip()[:300] for line in text.splitlines() if line.strip()][-5:]


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
            with contextlib.suppress(HelperError):
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
            return _object(response)

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
            with _Connection(self.endpoint, limit_s) as connection:
                response = connection.ask(method, path, pieces, headers or {}, limit_s)
                if response.status != status:
                    raise _refusal(response, status)
                yield response
        except _FOREIGN as error:
            raise self._lost(error, limit_s) from None

    def _lost(self, error: BaseException | str, limit_s: float = CALL_S) -> HelperLost:
        reason = error if isinstance(error, str) else _reason(error, limit_s)
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
        connection that breaks is made anew once. Closing the generator closes the connection, which cancels the job.
        """
        last = -1
        for attempt in ("first", "again"):
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last >= 0 else {})}
            try:
                with self._client._asked("GET", f"{self._path}/events", 200, (), headers, timeout_s) as response:
                    for number, event in _events(response):
                        if number is not None:
                            if number <= last:
                                continue  # told before the connection broke
                            last = number
                        _raise_bad_end(event)
                        yield event
                        if event.name == "done":
                            return
            except HelperRefused as error:
                if attempt == "first":
                    raise
                raise self._client._lost(f"the connection broke, and made anew: {error.what}") from None
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
        view = _flat(buffer, expected)
        if view.readonly:
            raise wire.WireError("a buffer that cannot be written to")
        with self._client._asked("GET", self._path + call, 200) as response:
            announced = response.length
            begin = response.read(10)
            begin += response.read(wire.npy_header_length(begin) - 10)
            if wire.parse_npy_header(begin) != expected or announced != len(begin) + expected.nbytes:
                raise wire.WireError("a picture of another size or sample type than asked for")
            done = 0
            while done < len(view):
                count = response.readinto(view[done:])
                if not count:
                    raise wire.WireError(f"a picture that ends after {done} of {len(view)} bytes")
                done += count


class _Socket(socket.socket):
    """A socket whose every step has a limit in seconds, and optionally all of them together."""

    idle_s, until = CALL_S, float("inf")

    def limit(self, idle_s: float, total_s: float = float("inf")) -> None:
        self.idle_s, self.until = idle_s, time.monotonic() + total_s

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        self._arm()
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        self._arm()
        super().sendall(data, flags)

    def answered(self) -> bool:
        """Say whether something has arrived already, be it the connection's end."""
        self.setblocking(False)
        try:
            self.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        return True

    def _arm(self) -> None:
        left_s = min(self.idle_s, self.until - time.monotonic())
        if left_s <= 0:
            raise socket.timeout("timed out")  # noqa: UP041 - two classes before Python 3.10
        self.settimeout(left_s)


class _Connection:
    """One connection, on which the listener has proved to know the token; raises _FOREIGN errors."""

    def __init__(self, endpoint: wire.Endpoint, limit_s: float) -> None:
        self._endpoint = endpoint
        self._http = http.client.HTTPConnection(endpoint.host, endpoint.port)
        self._http.auto_open = 0  # never a second connection that has proved nothing
        self._socket = _Socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_STREAM)
        self._response: http.client.HTTPResponse | None = None
        try:
            self._socket.limit(limit_s, limit_s)
            self._socket.settimeout(limit_s)
            self._socket.connect((endpoint.host, endpoint.port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._http.sock = self._socket
            self.version, self.protocol = self._hello()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._response:
            self._response.close()
        self._http.close()
        self._socket.close()

    def ask(
        self, method: str, path: str, pieces: Sequence[bytes | memoryview], headers: Mapping[str, str], limit_s: float
    ) -> http.client.HTTPResponse:
        """Send a call with the token, its body in pieces that are never joined, and return the answer's beginning."""
        self._socket.limit(limit_s)
        return self._exchange(method, path, pieces, {"Authorization": f"Bearer {self._endpoint.token}", **headers})

    def _hello(self) -> tuple[str, int]:
        nonce = wire.new_nonce()
        response = self._exchange("GET", f"/v1/hello?nonce={nonce}", (), {})
        answer = _object(response) if response.status == 200 else {}
        version, protocol, proof = answer.get("version"), answer.get("protocol"), answer.get("proof")
        if answer.get("name") != "deepdream" or not isinstance(version, str) or type(protocol) is not int:
            raise wire.WireError("another program listens there, or the helper is too busy or stopping")
        expected = wire.proof(self._endpoint.token, nonce, self._endpoint.port)
        if not isinstance(proof, str) or not wire.same(proof, expected):
            raise wire.WireError("what listens there does not know the helper's token")
        return version[:64], protocol

    def _exchange(
        self, method: str, path: str, pieces: Sequence[bytes | memoryview], headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        host = f"[{self._endpoint.host}]" if ":" in self._endpoint.host else self._endpoint.host
        self._http.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        self._http.putheader("Host", f"{host}:{self._endpoint.port}")
        for name, value in headers.items():
            self._http.putheader(name, value)
        if method in ("POST", "PUT"):
            self._http.putheader("Content-Length", str(sum(map(len, pieces))))
        with contextlib.suppress(
            ConnectionError
        ):  # a refusal comes before the body is read; it is there to be read all the same
            self._http.endheaders()
            for piece in pieces:
                for begin in range(0, len(piece), _PIECE):
                    if self._socket.answered():
                        break
                    self._http.send(piece[begin : begin + _PIECE])
        self._response = self._http.getresponse()
        return self._response


def _flat(buffer: ReadableBuffer, header: wire.ArrayHeader) -> memoryview:
    """Return the buffer's bytes without copying them; raises `WireError` unless they are as many as the header says."""
    try:
        view = memoryview(buffer)
        if not view.c_contiguous:
            raise wire.WireError("a buffer that is not C-contiguous")
        flat = PickleBuffer(buffer).raw()  # nothing is pickled: memoryview.cast refuses float16 before Python 3.12
    except (TypeError, BufferError) as error:
        raise wire.WireError(f"not a buffer of samples: {error}") from None
    if len(flat) != header.nbytes:
        raise wire.WireError(
            f"a buffer of {len(flat)} bytes for {header.shape} {header.dtype}, {header.nbytes} are needed"
        )
    return flat


def _framed(buffer: ReadableBuffer, dtype: str, shape: tuple[int, int, int]) -> tuple[bytes | memoryview, ...]:
    begin = wire.npy_header(dtype, shape)
    return begin, _flat(buffer, wire.ArrayHeader(dtype, shape))


def _dumped(value: object) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise wire.WireError(f"settings that cannot be sent: {error}") from None


def _object(response: http.client.HTTPResponse) -> dict[str, Any]:
    """Read a JSON object to its end, {} for an answer that may be empty; raises `WireError` for anything else."""
    announced = response.length
    data = response.read(ANSWER_LIMIT + 1)
    if len(data) > ANSWER_LIMIT or (announced is not None and len(data) < announced):
        raise wire.WireError("an answer that is too long or ends too early")
    return {} if not data and response.status in (202, 204) else _loaded(data)


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise wire.WireError("an answer that is not JSON") from None
    if not isinstance(value, dict):
        raise wire.WireError("an answer that is not a JSON object")
    return value


def _refusal(response: http.client.HTTPResponse, expected: int) -> HelperError:
    """Return the error that an answer with another status than the expected one stands for."""
    status = response.status
    try:
        told = _object(response).get("error")
    except _FOREIGN:
        told = None
    told = told if isinstance(told, dict) else {}
    what = _text(told, "what", f"the helper answered with status {status} instead of {expected} and did not say why")
    next_step = _text(told, "next_step", "")
    if status == 429:
        after = re.fullmatch(r"[0-9]{1,6}", response.headers.get("Retry-After", ""))
        return HelperBusy(what, next_step, float(after[0]) if after else 1.0)
    exit_code = told.get("exit_code")
    return HelperRefused(
        what, next_step, _text(told, "code", "unknown"), status, exit_code if type(exit_code) is int else None
    )


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[int | None, Event]]:
    """Read server-sent events until the connection ends or breaks; raises `WireError` for what is none."""
    if response.headers.get_content_type() != "text/event-stream":
        raise wire.WireError("events that are no event stream")
    number: int | None = None
    name, data = "message", b""
    while True:
        try:
            line = response.readline(LINE_LIMIT + 1)
        except (ConnectionError, http.client.IncompleteRead):
            return
        if len(line) + len(data) > LINE_LIMIT:
            raise wire.WireError("an event that is too long")
        if not line.endswith(b"\n"):
            return
        key, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if key == b"id":
            if not re.fullmatch(rb"[0-9]{1,15}", value):
                raise wire.WireError("an event whose number is none")
            number = int(value)
        elif key == b"event":
            name = value.decode("utf-8")
        elif key == b"data":
            data += value + b"\n"
        elif line in (b"\n", b"\r\n"):
            if data:
                yield number, Event(name, _loaded(data))
            number, name, data = None, "message", b""


def _raise_bad_end(event: Event) -> None:
    if event.name == "failed":
        exit_code = event.data.get("exit_code")
        what = _text(event.data, "what", "the job failed")
        next_step = _text(event.data, "next_step", "")
        code = _text(event.data, "code", "internal")
        raise JobFailed(what, next_step, code, exit_code if type(exit_code) is int else 1)
    if event.name == "cancelled":
        raise JobCancelled(_text(event.data, "why", "stopping"))


def _text(told: Mapping[str, Any], key: str, default: str) -> str:
    value = told.get(key)
    return value[:2000] if isinstance(value, str) and value else default


def _reason(error: BaseException, limit_s: float = HELLO_S) -> str:
    """Say in a few words what went wrong at the border."""
    if isinstance(error, wire.WireError):
        return str(error)
    if isinstance(error, socket.timeout):  # before Python 3.10 no TimeoutError
        return f"no answer within {limit_s:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, (ConnectionError, http.client.NotConnected, http.client.IncompleteRead)):
        return "the connection broke"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"an answer that is not HTTP ({type(error).__name__})"
