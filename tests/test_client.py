"""The helper's client against real sockets: every way in which the other side can answer, or fail to."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_wire import LINK, interpreter

from deepdream_core.errors import OutOfMemoryError
from deepdream_core.link import client, connection, errors, helper_start, user_folders, wire
from deepdream_core.link.client import (
    Event,
    HelperBusy,
    HelperClient,
    HelperJob,
    HelperLost,
    HelperNotStarted,
    HelperRefused,
    HelperVersion,
    JobCancelled,
    JobFailed,
    LinkError,
    NoHelper,
    connect,
)
from deepdream_core.link.endpoint import Endpoint, new_token, prove, write_endpoint
from deepdream_core.link.npy import npy_header
from deepdream_core.work.remote import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Answer = bytes | Iterable[bytes] | None  # None closes the connection

SHAPE = (4, 5, 3)
PIXELS = np.arange(60, dtype=np.uint8).reshape(SHAPE)


class Request:
    """One request; its body is only read when asked for."""

    def __init__(self, connection: socket.socket, head: bytes, rest: bytes) -> None:
        self.head = head.decode("latin-1")
        self.method, self.target, _ = self.head.split("\r\n")[0].split(" ")
        self.headers = dict(line.split(": ", 1) for line in self.head.split("\r\n")[1:] if line)
        self.length = int(self.headers.get("Content-Length", 0))
        self.connection, self._rest = connection, rest

    def body(self) -> bytes:
        while len(self._rest) < self.length:
            self._rest += self.connection.recv(1 << 16)
        return self._rest

    @property
    def body_was_read(self) -> bool:
        return len(self._rest) >= self.length


class Listener:
    """A program on a loopback port that answers each request as it is told, keeping connections open in between."""

    def __init__(self, answer: Callable[[Request], Answer], port: int = 0) -> None:
        self._answer = answer
        self.heard = b""
        self.requests: list[Request] = []
        self.ended = threading.Event()  # a client has closed a connection
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._socket.close()
        for accepted in self._connections:
            with contextlib.suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for accepted in self._connections:
            accepted.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._connections.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while self._serve_one(connection):
                pass
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def _serve_one(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(1 << 16)
            self.heard += more
            if not more:
                self.ended.set()
                return False
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        request = Request(connection, head, rest)
        self.requests.append(request)
        answer = self._answer(request)
        if answer is None:
            return False
        for piece in [answer] if isinstance(answer, bytes) else answer:
            connection.sendall(piece)
        return request.body_was_read and b"Content-Length" in (answer if isinstance(answer, bytes) else b"")


def http_answer(status: int, body: object = b"", *, headers: str = "") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} Some Reason\r\nContent-Length: {len(content)}\r\n{headers}\r\n".encode() + content


def refusal(status: int, code: str, *, headers: str = "", **more: object) -> bytes:
    return http_answer(
        status, {"error": {"code": code, "what": "it is so", "next_step": "do this", **more}}, headers=headers
    )


class Helper(Listener):
    """A helper that knows its token; `routes` says how "METHOD /path" is answered: bytes, pieces, or a function."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self._route)
        self.token = new_token()
        self.version, self.protocol = "0.1.0", wire.PROTOCOL
        self.routes: dict[str, Any] = {}
        self.file = folder / "endpoint.json"
        self.endpoint = Endpoint("127.0.0.1", self.port, self.token, os.getpid(), "0.1.0", 1, "/log/helper.log")
        write_endpoint(self.file, self.endpoint)

    def hello(self, request: Request) -> bytes:
        proof = prove(self.token, request.target.partition("?nonce=")[2], self.port)
        return http_answer(
            200, {"name": "deepdream", "version": self.version, "protocol": self.protocol, "proof": proof}
        )

    def _route(self, request: Request) -> Answer:
        if request.target.startswith("/v1/hello"):
            assert "Authorization" not in request.headers
            return self.hello(request)
        assert request.headers["Authorization"] == f"Bearer {self.token}"
        assert request.headers["Host"] == f"127.0.0.1:{self.port}"
        assert "Origin" not in request.headers
        answer = self.routes.get(f"{request.method} {request.target}", refusal(404, "not_found"))
        found: Answer = answer(request) if callable(answer) else answer
        return found

    def connect(self, **options: Any) -> HelperClient:
        return connect(endpoint_file=self.file, **options)

    def job(self) -> HelperJob:
        return HelperJob(self.connect(), "j1", "uint8", SHAPE)

    def calls(self) -> list[str]:
        return [f"{one.method} {one.target}" for one in self.requests if not one.target.startswith("/v1/hello")]


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    with Helper(tmp_path) as one:
        yield one


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPDREAM_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))


def sse(*events: tuple[int, str, object]) -> bytes:
    return b"".join(f"id: {n}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode() for n, name, data in events)


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"
QUEUED, RUNNING, DONE = (1, "queued", {"position": 1}), (2, "running", {"device": "cpu"}), (3, "done", {"seconds": 1.5})
TOLD = [Event(name, data) for _, name, data in (QUEUED, RUNNING, DONE)]


# --- a whole job ---


def test_a_picture_goes_there_and_back(helper: Helper) -> None:
    received: dict[str, bytes] = {}

    def take(request: Request) -> bytes:
        received[request.target] = request.body()
        return http_answer(201, {"id": "j1", "state": "created"}) if request.method == "POST" else http_answer(204)

    pixels = np.random.default_rng(1).random((7, 9, 4)).astype(np.float16)
    mask, start = np.ones((7, 9, 1), np.uint16), np.zeros((7, 9, 3), np.float32)
    npy = npy_header("float16", (7, 9, 4)) + (pixels * 2).tobytes()
    helper.routes = {
        "POST /v1/jobs": take,
        **{f"PUT /v1/jobs/j1/{part}": take for part in ("pixels", "mask", "start")},
        "GET /v1/jobs/j1/events": [STREAM, sse(QUEUED, RUNNING), b": ping\n\n", sse(DONE)],
        "GET /v1/jobs/j1/result?so_far=1": refusal(409, "not_ready"),
        "GET /v1/jobs/j1/result": http_answer(200, npy),
        "DELETE /v1/jobs/j1": http_answer(204),
    }
    job = helper.connect(client="test 1").submit(
        pixels.data,
        dtype="float16",
        shape=(7, 9, 4),
        priority="batch",
        preset="fur",
        settings={"strength": 0.5},
        mask=mask.data,
        mask_dtype="uint16",
        start=start.data,
        previews=True,
        label="Hündchen",
    )
    assert json.loads(received["/v1/jobs"]) == {
        "client": "test 1",
        "label": "Hündchen",
        "priority": "batch",
        "preset": "fur",
        "settings": {"strength": 0.5},
        "shape": [7, 9, 4],
        "dtype": "float16",
        "mask": "uint16",
        "start": True,
        "previews": True,
    }
    assert received["/v1/jobs/j1/pixels"] == npy_header("float16", (7, 9, 4)) + pixels.tobytes()
    assert received["/v1/jobs/j1/mask"] == npy_header("uint16", (7, 9, 1)) + mask.tobytes()
    assert received["/v1/jobs/j1/start"] == npy_header("float32", (7, 9, 3)) + start.tobytes()
    result = np.empty_like(pixels)
    assert not job.so_far_into(result.data)
    assert list(job.events()) == TOLD
    job.result_into(result.data)
    np.testing.assert_array_equal(result, pixels * 2)
    assert job.result() == (pixels * 2).tobytes()
    helper.routes["GET /v1/jobs/j1/result?so_far=1"] = http_answer(200, npy)
    assert job.so_far_into(bytearray(pixels.nbytes))
    job.forget()
    assert helper.calls()[-1] == "DELETE /v1/jobs/j1"


def test_the_other_calls(helper: Helper) -> None:
    helper.routes = {
        "GET /v1/status": http_answer(200, {"jobs": []}),
        "POST /v1/warm": lambda request: http_answer(
            *((200, {"workers": [1]}) if b"true" in request.body() else (202,))
        ),
        "POST /v1/shutdown": http_answer(202),
    }
    one = helper.connect()
    assert one.version == "0.1.0"
    assert one.endpoint == helper.endpoint
    assert one.client.endswith(f"-{os.getpid()}")
    assert one.status() == {"jobs": []}
    assert one.warm() == {"workers": [1]}
    assert one.warm(wait=False) == {}
    one.shutdown()


def test_proxies_are_not_asked(helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    helper.routes["GET /v1/status"] = http_answer(200, {})
    assert helper.connect().status() == {}


@pytest.mark.parametrize(("times", "reaches"), [(0, True), (2, True), (3, False)])
def test_a_client_that_a_besieged_helper_turns_away_before_its_hello_is_read_greets_again(
    helper: Helper, monkeypatch: pytest.MonkeyPatch, times: int, reaches: bool
) -> None:
    answers = iter([None] * times)
    hello = helper.hello
    monkeypatch.setattr(helper, "hello", lambda request: next(answers, hello(request)))
    if reaches:
        assert helper.connect().version == "0.1.0"
    else:
        with pytest.raises(NoHelper, match="the connection broke"):
            helper.connect()
    assert len(helper.requests) == min(times + 1, 3)


def test_ipv6(tmp_path: Path) -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server:
        port = server.getsockname()[1]
        write_endpoint(tmp_path / "e", Endpoint("::1", port, "ab" * 32, 1, "1", 1, ""))
        heard: list[bytes] = []

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(4096))
            server.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NoHelper):
            connect(endpoint_file=tmp_path / "e")
        thread.join()
    assert f"Host: [::1]:{port}\r\n".encode() in heard[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"pixels": PIXELS.tobytes()[:-1]},
        {"pixels": PIXELS.tobytes() + b"\0"},
        {"pixels": PIXELS.astype(np.float32)},
        {"pixels": PIXELS[:, ::-1]},
        {"pixels": np.asfortranarray(PIXELS)},
        {"pixels": "text"},
        {"pixels": None},
        {"dtype": "float64"},
        {"shape": (4, 5, 5)},
        {"shape": (0, 5, 3)},
        {"priority": "urgent"},
        {"label": "x" * 201},
        {"settings": {"strength": float("nan")}},
        {"settings": {"strength": {1}}},
        {"mask": bytes(20)},
        {"mask_dtype": "uint8"},
        {"mask": bytes(19), "mask_dtype": "uint8"},
        {"mask": bytes(20), "mask_dtype": "bool"},
        {"start": bytes(239)},
    ],
    ids=str,
)
def test_a_callers_mistake_is_reported_before_anything_is_sent(helper: Helper, wrong: dict[str, Any]) -> None:
    one = helper.connect()
    with pytest.raises(wire.WireError):
        one.submit(**{"pixels": PIXELS, "dtype": "uint8", "shape": SHAPE, "priority": "batch", **wrong})
    assert helper.calls() == []


@pytest.mark.parametrize("buffer", [bytes(60), bytearray(59), bytearray(61), np.zeros((2, 60), np.uint8)[:, ::2], 7])
def test_a_buffer_of_the_wrong_size_is_reported_before_the_result_is_requested(helper: Helper, buffer: Any) -> None:
    with pytest.raises(wire.WireError):
        helper.job().result_into(buffer)
    assert helper.calls() == []


@pytest.mark.parametrize("name", ["", "x" * 65, "a\r\nX: y", "Hündchen"])
def test_a_client_needs_a_name_that_can_be_sent(name: str) -> None:
    with pytest.raises(wire.WireError, match="name"):
        connect(client=name)


# --- who listens ---


def test_no_endpoint_file_means_no_helper(tmp_path: Path) -> None:
    with pytest.raises(NoHelper, match="no helper is running — start one"):
        connect()
    with pytest.raises(NoHelper):
        connect(endpoint_file=tmp_path / "missing" / "endpoint.json")


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_an_endpoint_file_that_others_can_read_is_not_used(helper: Helper) -> None:
    helper.file.chmod(0o644)
    with pytest.raises(NoHelper, match="others can read it"):
        helper.connect()
    assert helper.heard == b""


def test_a_folder_variable_without_a_path_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPDREAM_RUNTIME_DIR", "here")
    with pytest.raises(NoHelper, match="DEEPDREAM_RUNTIME_DIR"):
        connect()


def test_an_endpoint_that_outlived_its_helper_means_no_helper(helper: Helper) -> None:
    helper.close()
    with pytest.raises(NoHelper, match="no program listens there"):
        helper.connect()


def squatted(tmp_path: Path, squatter: Listener, token: str) -> Path:
    path = tmp_path / "endpoint.json"
    write_endpoint(path, Endpoint("127.0.0.1", squatter.port, token, 1, "0.1.0", 1, ""))
    return path


HELLO = {"name": "deepdream", "version": "0.1.0", "protocol": 1}


@pytest.mark.parametrize(
    "answer",
    [
        http_answer(200, {**HELLO, "proof": "ab" * 32}),
        http_answer(200, {**HELLO, "proof": None}),
        http_answer(200, {**HELLO, "proof": 7}),
        http_answer(200, {**HELLO, "proof": "\udcff"}),
        http_answer(200, {**HELLO, "name": "other"}),
        http_answer(200, {**HELLO, "version": 1}),
        http_answer(200, {**HELLO, "protocol": "1"}),
        http_answer(200, []),
        http_answer(200, b"[" * 100_000),
        http_answer(200, b"x" * (connection.ANSWER_LIMIT + 2)),
        http_answer(200),
        http_answer(302, headers="Location: http://127.0.0.1:1/\r\n"),
        http_answer(404),
        http_answer(503, b"not json"),
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"",
        None,
    ],
)
def test_a_squatter_never_gets_the_token(tmp_path: Path, answer: bytes | None) -> None:
    token = new_token()
    pieces = None if answer is None else [answer]  # a list: the connection is closed behind it
    with Listener(lambda _: pieces) as squatter, pytest.raises(NoHelper) as caught:
        connect(endpoint_file=squatted(tmp_path, squatter, token))
    assert b"/v1/hello?nonce=" in squatter.heard
    assert token.encode() not in squatter.heard
    assert b"Authorization" not in squatter.heard
    assert token not in str(caught.value)


def test_a_squatter_cannot_pass_on_the_helpers_answers(helper: Helper, tmp_path: Path) -> None:
    def relay(request: Request) -> bytes:
        real = http.client.HTTPConnection("127.0.0.1", helper.port, timeout=60)
        real.request("GET", request.target)
        with contextlib.closing(real), real.getresponse() as answer:
            return http_answer(answer.status, answer.read())

    (tmp_path / "squatted").mkdir()
    with Listener(relay) as squatter, pytest.raises(NoHelper, match="does not know the helper's token"):
        connect(endpoint_file=squatted(tmp_path / "squatted", squatter, helper.token))
    assert len(helper.requests) == 1
    assert helper.token.encode() not in squatter.heard


def test_who_takes_the_port_after_the_helper_gets_neither_token_nor_picture(helper: Helper) -> None:
    one = helper.connect()
    helper.close()
    with Listener(lambda _: http_answer(200, {"id": "j1", **HELLO, "proof": "ab" * 32}), helper.port) as squatter:
        with pytest.raises(HelperLost, match="does not know the helper's token"):
            one.submit(PIXELS.data, dtype="uint8", shape=SHAPE, priority="batch")
        with pytest.raises(HelperLost):
            one.status()
    assert helper.token.encode() not in squatter.heard
    assert b"jobs" not in squatter.heard


def test_a_helper_that_closes_after_its_proof_is_not_called_again_unproved(helper: Helper) -> None:
    one = helper.connect()
    hello = helper.hello
    helper.hello = lambda request: hello(request).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)  # type: ignore[method-assign]
    with pytest.raises(HelperLost, match="the connection broke"):
        one.status()
    assert helper.calls() == []


@pytest.mark.parametrize("drip", [False, True], ids=["silent", "dripping"])
def test_a_listener_that_never_finishes_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drip: bool
) -> None:
    monkeypatch.setattr(client, "HELLO_S", 0.4)
    stop = threading.Event()

    def never(_: Request) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while not stop.wait(0.02):
            yield b"X" if drip else b""

    with Listener(never) as squatter:
        began = time.monotonic()
        with pytest.raises(NoHelper, match="no answer within"):
            connect(endpoint_file=squatted(tmp_path, squatter, new_token()))
        assert time.monotonic() - began < 30
        stop.set()


def test_another_version_or_protocol_is_reported(helper: Helper) -> None:
    assert helper.connect(version="0.1.0").version == "0.1.0"
    with pytest.raises(HelperVersion, match=r"0\.1\.0.*deepdream helper --stop.*version 0\.2\.0"):
        helper.connect(version="0.2.0", start=True)
    helper.protocol = 2
    with pytest.raises(HelperVersion, match="protocol 2"):
        helper.connect()


# --- what the helper refuses, and how it breaks ---


def test_a_refusal_has_the_helpers_words(helper: Helper) -> None:
    helper.routes["POST /v1/warm"] = refusal(503, "weights", exit_code=5)
    with pytest.raises(HelperRefused, match=r"^it is so — do this$") as caught:
        helper.connect().warm()
    assert (caught.value.code, caught.value.status, caught.value.exit_code) == ("weights", 503, 5)


@pytest.mark.parametrize(
    "answer",
    [
        http_answer(500, b"<html>"),
        http_answer(500),
        http_answer(500, {"error": {"code": 7, "what": [], "next_step": None, "exit_code": "1"}}),
        http_answer(500, {"error": "no"}),
        http_answer(500, ["error"]),
    ],
)
def test_a_refusal_without_a_text_is_still_a_refusal(helper: Helper, answer: bytes) -> None:
    helper.routes["GET /v1/status"] = answer
    with pytest.raises(HelperRefused, match="status 500") as caught:
        helper.connect().status()
    assert (caught.value.code, caught.value.status, caught.value.exit_code) == ("unknown", 500, None)


@pytest.mark.parametrize(
    ("header", "after_s"), [("Retry-After: 7\r\n", 7.0), ("", 1.0), ("Retry-After: soon\r\n", 1.0)]
)
def test_a_busy_helper_says_when_to_come_again(helper: Helper, header: str, after_s: float) -> None:
    helper.routes["POST /v1/jobs"] = lambda request: request.body() and refusal(429, "busy", headers=header)
    with pytest.raises(HelperBusy, match="it is so") as caught:
        helper.connect().submit(PIXELS.data, dtype="uint8", shape=SHAPE, priority="preview")
    assert caught.value.retry_after_s == after_s
    assert helper.calls() == ["POST /v1/jobs"]


@pytest.mark.parametrize("linger", [False, True], ids=["closed at once", "left open"])
def test_an_upload_that_is_refused_before_it_is_read_says_why(helper: Helper, linger: bool) -> None:
    shape, release = (2048, 4096, 4), threading.Event()

    def refuse(request: Request) -> Iterator[bytes]:
        yield refusal(413, "too_large")
        release.wait(5 if linger else 0)

    helper.routes = {
        "POST /v1/jobs": lambda request: request.body() and http_answer(201, {"id": "j1"}),
        "PUT /v1/jobs/j1/pixels": refuse,
        "DELETE /v1/jobs/j1": http_answer(204),
    }
    with pytest.raises(HelperRefused) as caught:
        helper.connect().submit(bytearray(2048 * 4096 * 4), dtype="uint8", shape=shape, priority="batch")
    release.set()
    assert caught.value.code == "too_large"
    assert helper.calls()[-1] == "DELETE /v1/jobs/j1"


MALFORMED = [
    None,
    [b""],
    [b"HTTP/1.1 200 OK\r\n"],
    [b"HTTP/9.9 abc\r\n\r\n"],
    [b"\xff\xfe\r\n\r\n"],
    [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000],
    [b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"],
    [b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n{"],
    [b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{"],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{"],
    http_answer(200),
    http_answer(200, b"nonsense"),
    http_answer(200, b"\xff"),
    http_answer(200, [1]),
    http_answer(200, b"[" * 100_000),
]


@pytest.mark.parametrize("answer", MALFORMED)
def test_a_senseless_answer_is_a_lost_helper(helper: Helper, answer: Any) -> None:
    helper.routes = dict.fromkeys(["GET /v1/status", "GET /v1/jobs/j1/events", "GET /v1/jobs/j1/result"], answer)
    job = helper.job()
    for call in (helper.connect().status, lambda: list(job.events()), job.result):
        with pytest.raises(HelperLost, match=r"lost the helper: .* — try again; its log is /log/helper\.log"):
            call()


def test_anything_that_may_be_answered_ends_in_one_of_the_errors(tmp_path: Path) -> None:
    heads = [
        b"",
        STREAM,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 429 ",
    ]
    words = st.one_of(
        st.binary(max_size=60), st.sampled_from([b"data: {}\n", b"id: 1\n", b"event: done\n", b"\n", b"3\r\n", b"\r\n"])
    )
    with Helper(tmp_path) as helper:
        job = helper.job()

        @settings(max_examples=60)
        @given(st.sampled_from(heads), st.lists(words, max_size=8))
        def answers(head: bytes, pieces: list[bytes]) -> None:
            calls = ("GET /v1/jobs/j1/events", "GET /v1/jobs/j1/result", "DELETE /v1/jobs/j1")
            helper.routes = {call: [head, *pieces] for call in calls}
            for call in (lambda: list(job.events(timeout_s=5)), job.result, job.cancel):
                with contextlib.suppress(LinkError):
                    call()

        answers()


@pytest.mark.parametrize("answer", [{}, {"id": 7}, {"id": "../status"}, {"id": "a b"}, {"id": ""}], ids=str)
def test_a_job_without_a_usable_name_is_a_lost_helper(helper: Helper, answer: dict[str, object]) -> None:
    helper.routes["POST /v1/jobs"] = lambda request: request.body() and http_answer(201, answer)
    with pytest.raises(HelperLost, match="usable id"):
        helper.connect().submit(PIXELS.data, dtype="uint8", shape=SHAPE, priority="batch")


def test_a_helper_that_hangs_is_given_up(helper: Helper) -> None:
    stop = threading.Event()

    def hang(_: Request) -> None:
        stop.wait(5)

    helper.routes["POST /v1/warm"] = hang
    one = helper.connect()
    with pytest.raises(HelperLost, match=r"no answer within 0\.3 s"):
        one.warm(timeout_s=0.3)
    stop.set()


NPY = npy_header("uint8", SHAPE)


@pytest.mark.parametrize(
    "answer",
    [
        http_answer(200, NPY + bytes(59)),
        http_answer(200, NPY + bytes(61)),
        http_answer(200, NPY),
        http_answer(200, NPY[:50]),
        http_answer(200, NPY[:5]),
        http_answer(200),
        http_answer(200, npy_header("uint16", SHAPE) + bytes(120)),
        http_answer(200, npy_header("uint8", (5, 4, 3)) + bytes(60)),
        http_answer(200, bytes(188)),
        [http_answer(200, NPY + bytes(60))[:-1]],
        [b"HTTP/1.1 200 OK\r\n\r\n" + NPY + bytes(60)],
    ],
)
def test_an_incomplete_or_wrong_picture_is_never_taken(helper: Helper, answer: Any) -> None:
    helper.routes["GET /v1/jobs/j1/result"] = answer
    with pytest.raises(HelperLost):
        helper.job().result()


def test_a_picture_in_many_pieces_is_complete(helper: Helper) -> None:
    whole = http_answer(200, NPY + PIXELS.tobytes())
    helper.routes["GET /v1/jobs/j1/result"] = [whole[i : i + 7] for i in range(0, len(whole), 7)]
    assert helper.job().result() == PIXELS.tobytes()


@pytest.mark.parametrize(("status", "code"), [(409, "not_ready"), (409, "conflict"), (410, "gone")])
def test_the_reason_for_a_missing_picture_is_reported(helper: Helper, status: int, code: str) -> None:
    helper.routes["GET /v1/jobs/j1/result"] = helper.routes["GET /v1/jobs/j1/result?so_far=1"] = refusal(status, code)
    job = helper.job()
    with pytest.raises(HelperRefused) as caught:
        job.result()
    assert (caught.value.status, caught.value.code) == (status, code)
    if code == "not_ready":
        assert job.so_far_into(bytearray(60)) is False
    else:
        with pytest.raises(HelperRefused):
            job.so_far_into(bytearray(60))


def test_cancelling_twice_is_fine_and_a_failed_cancel_is_reported(helper: Helper) -> None:
    helper.routes["DELETE /v1/jobs/j1"] = http_answer(204)
    job = helper.job()
    job.cancel()
    helper.routes["DELETE /v1/jobs/j1"] = refusal(404, "not_found")
    job.cancel()
    helper.routes["DELETE /v1/jobs/j1"] = refusal(503, "stopping")
    with pytest.raises(HelperRefused):
        job.cancel()
    helper.close()
    with pytest.raises(HelperLost):
        job.cancel()


# --- events ---


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("chunked", [False, True], ids=["until the end", "chunked"])
def test_events_come_through_however_they_are_cut(helper: Helper, size: int, newline: bytes, chunked: bool) -> None:
    text = (
        b": ping\n\nretry: 5\n\n"
        + sse(QUEUED)
        + b'id:2\nevent:running\ndata:{\ndata:\ndata: "device":\ndata:"cpu"}\n\n'
    )
    text = (text + b"event: lonely\n\n:\n" + sse(DONE)).replace(b"\n", newline)
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    if chunked:
        head = STREAM.replace(b"Connection: close", b"Transfer-Encoding: chunked")
        pieces = [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    else:
        head = STREAM
    helper.routes["GET /v1/jobs/j1/events"] = [head, *pieces]
    assert list(helper.job().events()) == TOLD


def test_a_failure_and_a_cancellation_are_raised(helper: Helper) -> None:
    data = {"code": "poisonous", "what": "twice\x1b", "next_step": "leave it", "exit_code": 3}
    helper.routes["GET /v1/jobs/j1/events"] = [STREAM, sse(QUEUED, (2, "failed", data))]
    seen: list[Event] = []
    with pytest.raises(JobFailed, match=r"^twice\\x1b — leave it$") as failed:
        seen.extend(helper.job().events())
    assert (failed.value.code, failed.value.exit_code, failed.value.next_step) == ("poisonous", 3, "leave it")
    for why in (*errors.CANCELLED_WHY, "never heard of"):
        helper.routes["GET /v1/jobs/j1/events"] = [STREAM, sse((1, "cancelled", {"why": why}))]
        with pytest.raises(JobCancelled, match="job") as cancelled:
            list(helper.job().events())
        assert cancelled.value.why == why
    helper.routes["GET /v1/jobs/j1/events"] = [STREAM, sse((1, "failed", {"code": 1, "exit_code": "x"}))]
    with pytest.raises(JobFailed, match="the job failed"):
        list(helper.job().events())


def attaches(helper: Helper) -> list[str | None]:
    return [one.headers.get("Last-Event-ID") for one in helper.requests if one.target.endswith("/events")]


@pytest.mark.parametrize("told_again", [True, False])
@pytest.mark.parametrize("broken", [b"", b"id: 3\nevent: done\ndata: {}", b"id: 3\nevent: done\ndata: {}\n"])
def test_a_broken_connection_is_opened_once_more_and_no_event_comes_twice(
    helper: Helper, told_again: bool, broken: bytes
) -> None:
    answers = iter([[STREAM, sse(QUEUED, RUNNING), broken], [STREAM, sse(*([QUEUED, RUNNING] * told_again), DONE)]])
    helper.routes["GET /v1/jobs/j1/events"] = lambda _: next(answers)
    assert list(helper.job().events()) == TOLD
    assert attaches(helper) == [None, "2"]


def test_events_without_numbers_arrive_too(helper: Helper) -> None:
    answers = iter([[STREAM, b"event: note\ndata: {}\n\n"], [STREAM, b"event: done\ndata: {}\n\n"]])
    helper.routes["GET /v1/jobs/j1/events"] = lambda _: next(answers)
    assert [event.name for event in helper.job().events()] == ["note", "done"]


def test_a_connection_that_breaks_twice_is_a_lost_helper(helper: Helper) -> None:
    helper.routes["GET /v1/jobs/j1/events"] = [STREAM, sse(QUEUED)]
    seen: list[Event] = []
    with pytest.raises(HelperLost, match="twice"):
        seen.extend(helper.job().events())
    assert seen == TOLD[:1]
    assert attaches(helper) == [None, "1"]


def test_a_job_that_is_gone_after_reconnecting_is_a_lost_helper(helper: Helper) -> None:
    answers = iter([[STREAM, sse(QUEUED)], refusal(404, "not_found")])
    helper.routes["GET /v1/jobs/j1/events"] = lambda _: next(answers)
    with pytest.raises(HelperLost, match="it is so"):
        list(helper.job().events())
    helper.routes["GET /v1/jobs/j1/events"] = refusal(404, "not_found")
    with pytest.raises(HelperRefused):
        list(helper.job().events())


def test_a_helper_that_dies_while_it_dreams_is_a_lost_helper(helper: Helper) -> None:
    more = threading.Event()

    def stream(_: Request) -> Iterator[bytes]:
        yield STREAM + sse(QUEUED)
        more.wait(5)

    helper.routes["GET /v1/jobs/j1/events"] = stream
    events = helper.job().events()
    assert next(events) == TOLD[0]
    more.set()
    helper.close()
    with pytest.raises(HelperLost, match="no program listens"):
        next(events)


def test_pings_keep_the_connection_and_silence_ends_it(helper: Helper) -> None:
    stop = threading.Event()

    def stream(_: Request) -> Iterator[bytes]:
        yield STREAM
        for _pings in range(8):
            time.sleep(0.1)
            yield b": ping\n\n"
        yield sse(QUEUED)
        stop.wait(5)

    helper.routes["GET /v1/jobs/j1/events"] = stream
    events = helper.job().events(timeout_s=0.4)
    assert next(events) == TOLD[0]
    with pytest.raises(HelperLost, match=r"no answer within 0\.4 s"):
        next(events)
    stop.set()
    assert attaches(helper) == [None]


def test_closing_the_generator_closes_the_connection(helper: Helper) -> None:
    def stream(request: Request) -> Iterator[bytes]:
        yield STREAM + sse(QUEUED)
        if request.connection.recv(1) == b"":
            helper.ended.set()

    helper.routes["GET /v1/jobs/j1/events"] = stream
    job = helper.job()
    assert helper.ended.wait(60)  # the hello's connection
    helper.ended.clear()
    events = job.events()
    next(events)
    events.close()
    assert helper.ended.wait(60)
    assert attaches(helper) == [None]


@pytest.mark.parametrize(
    "text",
    [
        b"data: " + b"x" * connection.LINE_LIMIT + b"\n\n",
        b": " + b"x" * connection.LINE_LIMIT + b"\n\n",
        (b"data: " + b"x" * 1000 + b"\n") * 2000 + b"\n",
        b"id: -1\n",
        b"id: 99999999999999999999999999\n",
        b"event: \xff\n",
        b"data: nonsense\n\n",
        b"data: [1]\n\n",
        b"data: \xff\n\n",
    ],
    ids=["line", "comment", "data", "number", "huge number", "name", "no JSON", "no object", "no text"],
)
def test_a_senseless_event_is_a_lost_helper(helper: Helper, text: bytes) -> None:
    helper.routes["GET /v1/jobs/j1/events"] = [STREAM, text]
    with pytest.raises(HelperLost):
        list(helper.job().events())
    assert attaches(helper) == [None]


def test_an_answer_that_is_not_an_event_stream_is_a_lost_helper(helper: Helper) -> None:
    helper.routes["GET /v1/jobs/j1/events"] = http_answer(200, {})
    with pytest.raises(HelperLost, match="not an event stream"):
        list(helper.job().events())


# --- a host's own Python ---

HOST = """
import array, sys
sys.path.insert(0, sys.argv[1])
from link import client
one = client.connect(client="host", endpoint_file=sys.argv[2])
job = one.submit(array.array("f", range(12)), dtype="float32", shape=(2, 2, 3), priority="interactive", start=bytes(48))
events = job.events()
assert next(events) == client.Event("queued", {"position": 1})
assert [event.name for event in events] == ["running", "done"]
result = array.array("f", bytes(48))
job.result_into(result)
assert result == array.array("f", [1.0] * 12), result
for call, error, words in (
    (lambda: one.warm(timeout_s=0.2), client.HelperLost, "no answer within 0.2 s"),
    (lambda: job.so_far_into(result), client.HelperLost, "ends"),
    (one.status, client.HelperBusy, "it is so"),
    (lambda: client.connect(start=True, command=[sys.executable, "-c", "import sys; sys.exit('why')"]),
     client.HelperNotStarted, "why"),
):
    try:
        call()
    except error as caught:
        assert words in str(caught), caught
    else:
        raise SystemExit(words)
print("all done")
"""


@pytest.mark.parametrize("minor", range(9, 15))
def test_it_works_in_a_hosts_older_or_newer_python(helper: Helper, tmp_path: Path, minor: int) -> None:
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"no Python 3.{minor} on this machine")
    shutil.copytree(LINK, tmp_path / "host" / "link", ignore=shutil.ignore_patterns("__pycache__"))
    stop = threading.Event()
    npy = npy_header("float32", (2, 2, 3)) + np.ones(12, np.float32).tobytes()
    streams = iter([[STREAM, sse(QUEUED)], [STREAM, sse(QUEUED, RUNNING, DONE)]])
    helper.routes = {
        "POST /v1/jobs": lambda request: request.body() and http_answer(201, {"id": "j1"}),
        "PUT /v1/jobs/j1/pixels": lambda request: request.body() and http_answer(204),
        "PUT /v1/jobs/j1/start": lambda request: request.body() and http_answer(204),
        "GET /v1/jobs/j1/events": lambda _: next(streams),
        "GET /v1/jobs/j1/result": http_answer(200, npy),
        "GET /v1/jobs/j1/result?so_far=1": [http_answer(200, npy)[:-1]],
        "POST /v1/warm": lambda _: stop.wait(5) and None,
        "GET /v1/status": refusal(429, "busy"),
    }
    answer = subprocess.run(
        [python, "-I", "-S", "-W", "error", "-c", HOST, str(tmp_path / "host"), str(helper.file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    stop.set()
    assert answer.stdout == "all done\n", answer.stderr
    assert answer.stderr == ""


# --- starting one ---

SERVE = """
import http.server, json, os, sys, threading
from pathlib import Path
from pickle import PickleBuffer
sys.path.insert(0, str(Path(sys.argv[1]).parent))
from link import private_files, user_folders
from link.endpoint import Endpoint, new_token, prove, write_endpoint

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        proof = prove(token, self.path.partition("=")[2], port)
        hello = {"name": "deepdream", "version": "0.1.0", "protocol": 1, "proof": proof}
        self.answer(200, json.dumps(hello).encode())
    def do_POST(self):
        self.answer(202, b"")
        threading.Thread(target=server.shutdown).start()

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
token, port = new_token(), server.server_address[1]
path = user_folders.endpoint_path()
private_files.make_private_folder(path.parent)
seen = {"environ": dict(os.environ), "cwd": os.getcwd(), "stdin": sys.stdin.read()}
if hasattr(os, "getsid"):
    seen["leads its session"] = os.getsid(0) == os.getpid()
Path(sys.argv[2]).write_text(json.dumps(seen))
write_endpoint(path, Endpoint("127.0.0.1", port, token, os.getpid(), "0.1.0", 1, ""))
last_resort = threading.Timer(30, os._exit, [1])
last_resort.daemon = True
last_resort.start()
server.serve_forever()
server.server_close()
"""


def until(condition: Callable[[], bool], limit_s: float = 60.0) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def test_a_helper_is_started_apart_from_this_program_and_leaves_no_zombie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = ["PYTHONHOME", "PYTHONPATH", "PYTHONINSPECT", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH"]
    spoilt += ["GI_TYPELIB_PATH", "SSL_CERT_FILE", "NOTIFY_SOCKET", "LISTEN_FDS"]
    for name in spoilt:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    command = python(SERVE, Path(str(wire.__file__)).parent, tmp_path / "seen")
    one = connect(start=True, command=command, client="test")
    try:
        again = connect(start=True, command=["/nowhere"])  # found, not started
        assert again.endpoint == one.endpoint
    finally:
        one.shutdown()
    seen = json.loads((tmp_path / "seen").read_text())
    assert not set(spoilt) & set(seen["environ"])
    assert seen["environ"]["KEPT"] == "1"
    assert seen["stdin"] == ""
    assert seen.get("leads its session", True)
    assert Path(seen["cwd"]).samefile(tmp_path)
    assert until(lambda: not psutil.pid_exists(one.endpoint.pid)), "it stays as a zombie"
    if os.name == "posix":
        assert (tmp_path / "state" / "helper-start.log").stat().st_mode & 0o777 == 0o600
    with pytest.raises(NoHelper):
        connect()


def test_a_helper_that_fails_at_once_is_reported_with_its_last_output(tmp_path: Path) -> None:
    code = "import sys; print(*range(9), sep='\\n\\n'); sys.stdout.flush(); sys.exit('no module \\x1b named torch')"
    began = time.monotonic()
    with pytest.raises(
        HelperNotStarted, match=r"exit code 1 .*: 5 / 6 / 7 / 8 / no module \\x1b named torch — see "
    ) as caught:
        connect(start=True, command=python(code))
    assert time.monotonic() - began < 30
    assert caught.value.log_path == tmp_path / "state" / "helper-start.log"
    assert caught.value.log_lines == ["5", "6", "7", "8", "no module \x1b named torch"]
    assert "\n" not in str(caught.value)


def test_a_missing_program_is_reported(tmp_path: Path) -> None:
    with pytest.raises(HelperNotStarted, match="No such file") as caught:
        connect(start=True, command=[str(tmp_path / "missing")])
    assert caught.value.log_lines == []


def test_a_log_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(HelperNotStarted, match=r"could not be started: .*state is not a folder — ") as caught:
        connect(start=True, command=["/nowhere"])
    assert caught.value.log_path is None
    assert caught.value.next_step == "move it away, or set DEEPDREAM_STATE_DIR to a folder"
    assert str(caught.value).count(str(tmp_path)) == 1


@pytest.mark.skipif(os.name != "posix", reason="ends it with a signal")
def test_a_helper_that_hangs_while_starting_is_waited_for_only_so_long(tmp_path: Path) -> None:
    code = "import os, sys, time, pathlib; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(120)"
    began = time.monotonic()
    with pytest.raises(HelperNotStarted, match=r"the helper did not answer within 0\.8 s \(no helper is running\)"):
        connect(start=True, command=python(code, tmp_path / "pid"), wait_s=0.8)
    assert 0.7 < time.monotonic() - began < 60
    assert until(lambda: bool((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: not psutil.pid_exists(pid)), "it stays as a zombie"


def test_a_helper_that_finds_another_one_starting_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    late: list[Helper] = []
    timer = threading.Timer(0.5, lambda: late.append(Helper(tmp_path / "run")))
    timer.start()
    try:
        one = connect(start=True, command=python(""), wait_s=10)
    finally:
        timer.join()
        late[0].close()
    assert one.endpoint == late[0].endpoint


FIRST_TIME = """
import os, sys
try:
    os.close(os.open(sys.argv[3], os.O_CREAT | os.O_EXCL))
except FileExistsError:
    pass
else:
    print("another one is ending")
    sys.exit(int(sys.argv[4]))
"""


def test_a_helper_that_found_another_one_ending_is_launched_again(tmp_path: Path) -> None:
    command = python(FIRST_TIME + SERVE, Path(str(wire.__file__)).parent, tmp_path / "seen", tmp_path / "tried", 0)
    began = time.monotonic()
    one = connect(start=True, command=command, wait_s=60)
    took_s = time.monotonic() - began
    one.shutdown()
    assert client.GAVE_WAY_S < took_s < 50
    assert until(lambda: not psutil.pid_exists(one.endpoint.pid))


def test_a_helper_that_fails_is_not_launched_again(tmp_path: Path) -> None:
    command = python(FIRST_TIME + SERVE, Path(str(wire.__file__)).parent, tmp_path / "seen", tmp_path / "tried", 7)
    with pytest.raises(
        HelperNotStarted, match="ended with exit code 7 while starting, with the output: another one is ending"
    ):
        connect(start=True, command=command)
    assert not (tmp_path / "seen").exists()


def test_helpers_that_always_give_way_are_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = r"^the helper ended because another helper ran, but none answered within 0\.5 s \(no helper is running\)"
    with pytest.raises(HelperNotStarted, match=seen):
        connect(start=True, command=python(""), wait_s=0.5)
    monkeypatch.setattr(client, "GAVE_WAY_S", 0.2)
    code = "import sys; open(sys.argv[1], 'a').write('x')"
    with pytest.raises(
        HelperNotStarted, match=r"^the helper, started \d+ times, (ended because another|did not answer)"
    ) as caught:
        connect(start=True, command=python(code, tmp_path / "starts"), wait_s=2)
    assert until(lambda: f"started {len((tmp_path / 'starts').read_text())} times" in str(caught.value), 2)
    assert "within 2 s" in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="only there a process can be asked for harmlessly")
def test_a_hanging_helper_is_reported_with_how_to_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HELLO_S", 0.3)
    (tmp_path / "run").mkdir(mode=0o700)
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        subprocess.Popen(python("import time; time.sleep(60)")) as process,
    ):
        try:
            port = deaf.getsockname()[1]
            told = Endpoint("127.0.0.1", port, new_token(), process.pid, "0.1.0", 1, "")
            write_endpoint(user_folders.endpoint_path(), told)
            with pytest.raises(NoHelper) as caught:
                connect()
            assert str(caught.value) == (
                f"process {process.pid} does not answer at port {port} (no answer within 0.3 s); it may be a helper that "
                f"hangs — if it is one, end it with `kill -9 {process.pid}`, then try again"
            )
            assert caught.value.hung_pid == process.pid
            with pytest.raises(HelperNotStarted) as started:
                connect(start=True, command=python(""), wait_s=0.5)
            assert started.value.what.endswith(f"({caught.value.what})")
            assert started.value.next_step == f"{caught.value.next_step}; see {started.value.log_path}"
            assert started.value.hung_pid == process.pid
            with pytest.raises(HelperNotStarted) as started:
                connect(start=True, command=python("import sys; sys.exit('no place')"))
            assert started.value.what.startswith(
                f"the helper ended with exit code 1 while starting ({caught.value.what})"
            )
            assert started.value.what.endswith("with the output: no place")
            assert started.value.next_step == f"{caught.value.next_step}; see {started.value.log_path}"
            assert started.value.hung_pid == process.pid
        finally:
            process.kill()
        process.wait()
        for pid in (process.pid, 2**32, os.getpid()):  # gone, no process's, ours
            write_endpoint(user_folders.endpoint_path(), Endpoint(**{**vars(told), "pid": pid}))
            with pytest.raises(
                NoHelper, match=r"no helper answers at port \d+: no answer within 0\.3 s — start"
            ) as caught:
                connect()
            assert caught.value.hung_pid is None


def said(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def test_earlier_helpers_output_stays_and_is_not_attributed_to_this_one(tmp_path: Path) -> None:
    log = tmp_path / "state" / "helper-start.log"
    for words in ("one", "two"):
        with pytest.raises(HelperNotStarted) as caught:
            connect(start=True, command=python("import sys; sys.exit(sys.argv[1])", words))
        assert caught.value.log_lines == [words]
    assert said(log) == "one\ntwo\n"
    with pytest.raises(HelperNotStarted, match="exit code 3 while starting — see") as caught:
        connect(start=True, command=python("import sys; sys.exit(3)"))
    assert caught.value.log_lines == []


def test_two_starts_at_once_keep_each_others_words(tmp_path: Path) -> None:
    log = tmp_path / "state" / "helper-start.log"
    code = "import sys, time; print(sys.argv[1], flush=True); time.sleep(float(sys.argv[2])); print(sys.argv[1])"
    first, _ = helper_start.start(python(code, "one", 1.5))
    assert until(lambda: said(log) == "one\n")
    second, _ = helper_start.start(python(code, "two", 0))
    assert until(lambda: second.returncode == 0)
    assert said(log) == "one\ntwo\ntwo\n"
    assert until(lambda: first.returncode == 0)
    assert said(log) == "one\ntwo\ntwo\none\n"
    assert (first.log_from, second.log_from) == (0, 4)
    assert HelperNotStarted("it ended", log, second.log_from).log_lines == ["two", "two", "one"]
    log.write_text("new\n")  # emptied by a later start
    assert HelperNotStarted("it ended", log, 1000).log_lines == ["new"]


@pytest.mark.parametrize(("size", "kept"), [(helper_start.LOG_LIMIT, True), (helper_start.LOG_LIMIT + 1, False)])
def test_the_log_of_starts_does_not_grow_for_ever(tmp_path: Path, size: int, kept: bool) -> None:
    log = tmp_path / "state" / "helper-start.log"
    log.parent.mkdir(mode=0o700)
    log.write_bytes(b"x" * (size - 1) + b"\n")
    with pytest.raises(HelperNotStarted, match="with the output: why — ") as caught:
        connect(start=True, command=python("import sys; sys.exit('why')"))
    assert caught.value.log_lines == ["why"]
    assert log.stat().st_size == len("why\n") + (size if kept else 0)


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for Python")
def test_the_default_command_starts_this_pythons_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(HelperNotStarted) as caught:
        connect(start=True)
    assert caught.value.log_lines == ["-I -m deepdream_core helper --on-demand"]


def test_the_scrubbed_environment_is_a_copy() -> None:
    before = {"PYTHONHOME": "x", "Ld_Preload": "x", "PATH": "/bin"}
    assert helper_start.scrubbed(before) == {"PATH": "/bin"}
    assert len(before) == 3


def test_variables_of_a_host_or_service_manager_are_not_passed_on() -> None:
    words = """PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONUSERBASE PYTHONINSPECT PYTHONSAFEPATH __PYVENV_LAUNCHER__
        LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT DYLD_LIBRARY_PATH DYLD_INSERT_LIBRARIES GI_TYPELIB_PATH GIO_MODULE_DIR
        GIO_EXTRA_MODULES GTK_PATH GTK_EXE_PREFIX GTK_DATA_PREFIX GTK_IM_MODULE_FILE GDK_PIXBUF_MODULE_FILE
        GDK_PIXBUF_MODULEDIR SSL_CERT_FILE SSL_CERT_DIR NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID LISTEN_PID LISTEN_FDS
        LISTEN_FDNAMES"""
    ours = """PATH HOME USER TMPDIR XDG_RUNTIME_DIR XDG_STATE_HOME LANG LC_ALL CUDA_VISIBLE_DEVICES OMP_NUM_THREADS
        http_proxy HTTPS_PROXY no_proxy DEEPDREAM_RUNTIME_DIR DEEPDREAM_STATE_DIR SYSTEMROOT DISPLAY"""
    assert set(helper_start.scrubbed(dict.fromkeys(words.split() + ours.split(), "x"))) == set(ours.split())


def test_every_error_is_one_line_and_says_what_to_do() -> None:
    error = HelperRefused("a\nb", "c\x1b[2J", "code", 500)
    assert str(error) == "a\\nb — c\\x1b[2J"
    assert (error.what, error.next_step) == ("a\nb", "c\x1b[2J")
    assert str(LinkError("only this")) == "only this"


def test_an_error_that_is_kept_keeps_no_picture() -> None:
    pictures: list[weakref.ref[np.ndarray[Any, Any]]] = []

    def sent() -> None:
        planes = np.zeros((8, 8, 3), np.float32)
        pictures.append(weakref.ref(planes))
        view = PickleBuffer(planes.data).raw()
        try:
            raise OSError("no room")
        except OSError:
            raise HelperRefused(f"no room for {len(view)} bytes", "wait", "no_memory", 507) from None

    with pytest.raises(OutOfMemoryError, match="no room for 768 bytes") as kept, translated():
        sent()
    assert kept.value.__context__ is not None  # as Python keeps it, with all that its calls had in hand
    assert [picture() for picture in pictures] == [None]
