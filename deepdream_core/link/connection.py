"""One connection to a listener that has proved that it knows the token, and how its answers are read.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy. All errors here are among `FOREIGN`;
`reason` puts them into words, and `client` and `helper_client` translate them.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import time
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

from . import wire
from .endpoint import Endpoint, new_nonce, prove, same_secret
from .npy import ArrayHeader, npy_header_length, parse_npy_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _typeshed import ReadableBuffer, WriteableBuffer

ANSWER_LIMIT = LINE_LIMIT = 1 << 20  # bytes of a JSON answer, of one event
FOREIGN = (OSError, http.client.HTTPException, ValueError, RecursionError)  # WireError is a ValueError

_PIECE = 1 << 20
_GREETINGS = 3  # a helper that strangers besiege may close a new connection before it has read the hello


class _Socket(socket.socket):
    """A socket with a limit in seconds for each step, and optionally for all steps together."""

    idle_s = until = float("inf")

    def limit(self, idle_s: float, total_s: float = float("inf")) -> None:
        self.idle_s, self.until = idle_s, time.monotonic() + total_s

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        self._arm()
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        self._arm()
        super().sendall(data, flags)

    def answered(self) -> bool:
        """Return whether data or the connection's end has arrived."""
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


class Connection:
    """One connection, on which the listener has proved within `limit_s` that it knows the token; raises `FOREIGN` errors.

    `version` and `protocol` are the helper's.
    """

    def __init__(self, endpoint: Endpoint, limit_s: float) -> None:
        self._endpoint = endpoint
        self._response: http.client.HTTPResponse | None = None
        until = time.monotonic() + limit_s
        for left in reversed(range(_GREETINGS)):
            try:
                self._open(max(until - time.monotonic(), 0.001))
                self.version, self.protocol = self._hello()
            except ConnectionResetError:
                self.close()
                if not left:
                    raise
            except BaseException:
                self.close()
                raise
            else:
                return

    def _open(self, limit_s: float) -> None:
        endpoint = self._endpoint
        self._http = http.client.HTTPConnection(endpoint.host, endpoint.port)
        self._http.auto_open = 0  # never a second connection without a proof
        self._socket = _Socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_STREAM)
        self._socket.limit(limit_s, limit_s)
        self._socket.settimeout(limit_s)
        self._socket.connect((endpoint.host, endpoint.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._http.sock = self._socket

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and the answer that is being read."""
        if self._response:
            self._response.close()
        self._http.close()
        self._socket.close()

    def ask(
        self, method: str, path: str, pieces: Sequence[bytes | memoryview], headers: Mapping[str, str], limit_s: float
    ) -> http.client.HTTPResponse:
        """Send a call with the token and its body in pieces, and return the beginning of the answer."""
        self._socket.limit(limit_s)
        return self._exchange(method, path, pieces, {"Authorization": f"Bearer {self._endpoint.token}", **headers})

    def _hello(self) -> tuple[str, int]:
        nonce = new_nonce()
        response = self._exchange("GET", f"/v1/hello?nonce={nonce}", (), {})
        answer = read_object(response) if response.status == 200 else {}
        version, protocol, proof = answer.get("version"), answer.get("protocol"), answer.get("proof")
        if answer.get("name") != "deepdream" or not isinstance(version, str) or type(protocol) is not int:
            raise wire.WireError("another program listens there, or the helper is too busy or stopping")
        expected = prove(self._endpoint.token, nonce, self._endpoint.port)
        if not isinstance(proof, str) or not same_secret(proof, expected):
            raise wire.WireError("the program that listens there does not know the helper's token")
        return version[:64], protocol

    def _exchange(
        self, method: str, path: str, pieces: Sequence[bytes | memoryview], headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        host = f"[{self._endpoint.host}]" if ":" in self._endpoint.host else self._endpoint.host
        self._http.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        self._http.putheader("Host", f"{host}:{self._endpoint.port}")
        for name, value in headers.items():
            self._http.putheader(name, value)
        if method in ("POST", "PUT", "PATCH"):
            self._http.putheader("Content-Length", str(sum(map(len, pieces))))
        # A refusal comes before the body is read, and may be read even if sending the rest fails.
        with contextlib.suppress(ConnectionError):
            self._http.endheaders()
            for piece in pieces:
                for begin in range(0, len(piece), _PIECE):
                    if self._socket.answered():
                        break
                    self._http.send(piece[begin : begin + _PIECE])
        self._response = self._http.getresponse()
        return self._response


def read_object(response: http.client.HTTPResponse) -> dict[str, Any]:
    """Read a JSON object to its end, {} for an answer that may be empty; raises `WireError` for anything else."""
    announced = response.length
    data = response.read(ANSWER_LIMIT + 1)
    if len(data) > ANSWER_LIMIT or (announced is not None and len(data) < announced):
        raise wire.WireError("an answer that is too long or ends too early")
    return {} if not data and response.status in (202, 204) else _loaded(data)


def read_events(response: http.client.HTTPResponse) -> Iterator[tuple[int | None, str, dict[str, Any]]]:
    """Yield number, name and data of each server-sent event until the connection ends or breaks.

    Raises `WireError` for anything else.
    """
    if response.headers.get_content_type() != "text/event-stream":
        raise wire.WireError("an answer that is not an event stream")
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
                raise wire.WireError("an event whose number is not a number")
            number = int(value)
        elif key == b"event":
            name = value.decode("utf-8")
        elif key == b"data":
            data += value + b"\n"
        elif line in (b"\n", b"\r\n"):
            if data:
                yield number, name, _loaded(data)
            number, name, data = None, "message", b""


def read_array(response: http.client.HTTPResponse, expected: ArrayHeader, samples: memoryview) -> None:
    """Read an NPY body into `samples`, which have the expected length; raises `WireError` for any other body."""
    announced = response.length
    begin = response.read(10)
    begin += response.read(npy_header_length(begin) - 10)
    if parse_npy_header(begin) != expected or announced != len(begin) + expected.nbytes:
        raise wire.WireError("a picture of another size or sample type than asked for")
    done = 0
    while done < len(samples):
        count = response.readinto(samples[done:])
        if not count:
            raise wire.WireError(f"a picture that ends after {done} of {len(samples)} bytes")
        done += count


def flat(buffer: ReadableBuffer, header: ArrayHeader) -> memoryview:
    """Return the buffer's bytes without a copy; raises `WireError` unless their number is the header's."""
    try:
        view = memoryview(buffer)
        if not view.c_contiguous:
            raise wire.WireError("a buffer that is not C-contiguous")
        samples = PickleBuffer(buffer).raw()  # nothing is pickled: memoryview.cast refuses float16 before Python 3.12
    except (TypeError, BufferError) as error:
        raise wire.WireError(f"not a buffer of samples: {error}") from None
    if len(samples) != header.nbytes:
        raise wire.WireError(
            f"a buffer of {len(samples)} bytes for {header.shape} {header.dtype}, {header.nbytes} are needed"
        )
    return samples


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise wire.WireError("an answer that is not JSON") from None
    if not isinstance(value, dict):
        raise wire.WireError("an answer that is not a JSON object")
    return value


def timed_out(error: BaseException) -> bool:
    """Return whether one of the `FOREIGN` errors means that a time limit passed."""
    return isinstance(error, socket.timeout)  # before Python 3.10 no TimeoutError


def reason(error: BaseException, limit_s: float) -> str:
    """Return in a few words what one of the `FOREIGN` errors means; `limit_s` is the time limit that was set."""
    if isinstance(error, wire.WireError):
        return str(error)
    if timed_out(error):
        return f"no answer within {limit_s:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "no program listens there"
    if isinstance(error, (ConnectionError, http.client.NotConnected, http.client.IncompleteRead)):
        return "the connection broke"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"an answer that is not HTTP ({type(error).__name__})"
