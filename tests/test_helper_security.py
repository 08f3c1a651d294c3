"""The helper's door against all who can reach a loopback port: web pages, other users, broken and hostile programs."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import io
import json
import os
import re
import selectors
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil
import pytest
from helper_process import ENDLESS, QUICK, Helper, followed, running_helper, submitted, until
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from deepdream_core.config import load_config
from deepdream_core.engine.weights import CONVOLUTIONS
from deepdream_core.helper import door, streams
from deepdream_core.helper.job import Job, Priority
from deepdream_core.helper.queue import Queue
from deepdream_core.link.endpoint import prove
from deepdream_core.link.npy import ArrayHeader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from deepdream_core.engine.weights import Weights

MAX_MEGAPIXELS = 13
WEIGHTS_FOLDER = "nobody-need-know-this-folder"
HELLO, STATUS, JOBS, UNKNOWN = "/v1/hello", "/v1/status", "/v1/jobs", "/v1/jobs/" + "a" * 22
SMALL = {"client": "hostile", "shape": [4, 4, 3], "dtype": "uint8"}
PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


class Answer(NamedTuple):
    """What came back until the helper closed the connection; status 0: nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of a refusal, whose whole form is checked in passing."""
        error = json.loads(self.body)["error"]
        assert self.headers["content-type"] == "application/json"
        assert error["what"]
        assert error["next_step"]
        assert all(isinstance(error[key], str) for key in ("code", "what", "next_step"))
        return str(error["code"])

    @property
    def said(self) -> str:
        """What a refusal tells people."""
        error = json.loads(self.body)["error"]
        return f"{error['what']} — {error['next_step']}"


def connected(helper: Helper, host: str = "127.0.0.1", limit_s: float = 5.0) -> socket.socket:
    return socket.create_connection((host, helper.endpoint.port), limit_s)


def exchange(helper: Helper, data: bytes, *, host: str = "127.0.0.1", end: bool = False) -> Answer:
    """Send bytes and read until the helper closes; `end`: say that nothing more will come."""
    with connected(helper, host) as connection:
        with contextlib.suppress(OSError):  # refused before all was sent
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        return answer_on(connection)


def answer_on(connection: socket.socket) -> Answer:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    status = int(first.split()[1]) if first else 0
    return Answer(status, {name.lower(): value.strip() for name, _, value in pairs}, body)


def request(
    helper: Helper,
    method: str,
    target: str,
    *more: str,
    body: bytes = b"",
    host: str | None = "",
    token: str | None = "",
) -> bytes:
    """A request's bytes. `host` and `token` are headers' values: "" the right one, None no such header."""
    lines = [f"{method} {target} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host or f'127.0.0.1:{helper.endpoint.port}'}")
    if token is not None:
        lines.append(f"Authorization: {token or f'Bearer {helper.endpoint.token}'}")
    return "\r\n".join([*lines, "Connection: close", *more, "", ""]).encode("latin-1") + body


def call(
    helper: Helper,
    method: str,
    target: str,
    *more: str,
    body: bytes = b"",
    host: str | None = "",
    token: str | None = "",
) -> Answer:
    return exchange(helper, request(helper, method, target, *more, body=body, host=host, token=token))


def posted(helper: Helper, text: str | bytes, target: str = JOBS) -> Answer:
    body = text if isinstance(text, bytes) else text.encode()
    lines = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return call(helper, "POST", target, *lines, body=body)


def announced(helper: Helper, **more: Any) -> str:
    """The id of a new job that waits for its pixels."""
    answer = posted(helper, json.dumps({**SMALL, **more}))
    assert answer.status == 201, answer
    return str(json.loads(answer.body)["id"])


def forget(helper: Helper, job: str) -> None:
    assert call(helper, "DELETE", f"{JOBS}/{job}").status == 204


def npy(array: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def put(helper: Helper, job: str, body: bytes, *, kind: str = "pixels", length: int | None = None) -> Answer:
    """Send an array; with a `length` that is more than the body, the connection is closed behind it."""
    lines = (f"Content-Length: {len(body) if length is None else length}",)
    data = request(helper, "PUT", f"{JOBS}/{job}/{kind}", *lines, body=body)
    return exchange(helper, data, end=length is not None)


def lives(helper: Helper) -> bool:
    answer = call(helper, "GET", STATUS)
    return answer.status == 200 and json.loads(answer.body)["pid"] == helper.process.pid


def calls_of(helper: Helper) -> list[tuple[str, str]]:
    """Every method and path of the OpenAPI document."""
    paths = json.loads(call(helper, "GET", "/v1/openapi.json").body)["paths"]
    filled = {path: path.replace("{id}", "a" * 22).replace("{kind}", "pixels") for path in paths}
    return [(method.upper(), filled[path]) for path, methods in paths.items() for method in methods]


def kept(helper: Helper) -> set[str]:
    """The pictures that the helper has in shared memory."""
    files = (link.readlink() for link in Path(f"/proc/{helper.process.pid}/fd").iterdir() if link.is_symlink())
    return {path.name for path in files if path.name.startswith("dd_")}


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory, oxford: Weights) -> Iterator[Helper]:
    """One helper for all, whose weights lie in a folder of the user's, and which other users may try to reach."""
    weights = tmp_path_factory.mktemp("weights") / WEIGHTS_FOLDER / "my-vgg19.safetensors"
    weights.parent.mkdir()
    named: dict[str, Any] = {}
    for layer in CONVOLUTIONS:
        weight, bias = oxford.convolutions[layer.name]
        named |= {f"features.{layer.index}.weight": weight, f"features.{layer.index}.bias": bias}
    save_file(named, weights)
    config = {
        "engine": {"devices": ["cpu"], "weights": str(weights), "max_megapixels": MAX_MEGAPIXELS},
        "helper": {"max_queued": 10_000},
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with running_helper(Path(folder) / "helper", config) as process:
            yield process


# Where it listens, and who may knock


def test_it_listens_on_loopback_addresses_only_and_on_both_with_one_port(helper: Helper) -> None:
    listening = [c for c in psutil.Process(helper.process.pid).net_connections("all") if c.status == "LISTEN"]
    assert {c.laddr.port for c in listening} == {helper.endpoint.port}
    assert {c.laddr.ip for c in listening} == ({"127.0.0.1", "::1"} if _has_ipv6() else {"127.0.0.1"})


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def test_it_answers_under_both_literal_addresses(helper: Helper) -> None:
    port = helper.endpoint.port
    for host in ("127.0.0.1", "::1") if _has_ipv6() else ("127.0.0.1",):
        for name in (f"127.0.0.1:{port}", f"[::1]:{port}"):
            answer = exchange(helper, request(helper, "GET", STATUS, host=name), host=host)
            assert answer.status == 200, (host, name)


@pytest.mark.parametrize(
    "name",
    [
        "localhost:{}", "LOCALHOST:{}", "evil.example", "evil.example:{}", "127.0.0.1", "[::1]", "127.0.0.1:1",
        "127.0.0.1:0{}", "::1:{}", "[::1%lo]:{}", "[0:0:0:0:0:0:0:1]:{}", "[::FFFF:127.0.0.1]:{}", "127.1:{}",
        "2130706433:{}", "0x7F.0.0.1:{}", "0.0.0.0:{}", "127.0.0.1.:{}", "127.0.0.1:{}.evil.example",
        "evil.example@127.0.0.1:{}", "127.0.0.1:{}, evil.example", "127.0.0.1:{}/", "\xb9\xb2\xb7.0.0.1:{}",
    ],
)  # fmt: skip
def test_only_who_names_the_literal_address_is_let_in(helper: Helper, name: str) -> None:
    for target in (HELLO, STATUS):
        answer = call(helper, "GET", target, host=name.format(helper.endpoint.port))
        assert (answer.status, answer.code) == (403, "bad_host")


def test_two_hosts_or_none_are_refused(helper: Helper) -> None:
    right = f"Host: 127.0.0.1:{helper.endpoint.port}"
    assert call(helper, "GET", HELLO, right).status in (400, 403)
    assert call(helper, "GET", HELLO, "Host: evil.example").status in (400, 403)
    assert call(helper, "GET", HELLO, host=None).status in (400, 403)
    assert exchange(helper, b"GET /v1/hello HTTP/1.0\r\n\r\n").status == 403


@pytest.mark.parametrize(
    "target", ["http://evil.example", "http://EVIL.example:{}", "https://127.0.0.1:{}", "//evil.example"]
)
def test_a_target_that_names_another_authority_is_refused(helper: Helper, target: str) -> None:
    """What stands in the request line counts more than Host, says HTTP."""
    for path in (HELLO, STATUS):
        assert call(helper, "GET", target.format(helper.endpoint.port) + path, token=None).status in (400, 401, 403)
    answer = call(helper, "GET", target.format(helper.endpoint.port) + STATUS)
    assert answer.status in (400, 403, 404)


@pytest.mark.parametrize("target", [HELLO, STATUS])
@pytest.mark.parametrize(
    "origin", ["null", "", "http://127.0.0.1:{}", "http://localhost", "https://evil.example", "chrome-extension://a"]
)
def test_web_pages_are_refused_wherever_they_come_from(helper: Helper, target: str, origin: str) -> None:
    answer = call(helper, "GET", target, f"Origin: {origin.format(helper.endpoint.port)}")
    assert (answer.status, answer.code) == (403, "origin_refused")


def test_no_answer_ever_allows_a_web_page_anything(helper: Helper) -> None:
    preflight = ("Access-Control-Request-Method: POST", "Access-Control-Request-Private-Network: true")
    answers = [call(helper, method, path) for method, path in calls_of(helper) if "shutdown" not in path]
    answers += [call(helper, "OPTIONS", path, *preflight) for _, path in calls_of(helper)]
    answers += [
        call(helper, "OPTIONS", path, *preflight, "Origin: https://evil.example") for _, path in calls_of(helper)
    ]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


# The token


@pytest.mark.parametrize(
    "case", ["none", "empty", "wrong", "truncated", "longer", "upper case", "other scheme", "bare", "non-ASCII", "two"]
)
def test_without_the_token_only_hello_answers_and_paths_stay_unknown(helper: Helper, case: str) -> None:
    token = helper.endpoint.token
    given = {
        "none": None, "empty": "Bearer ", "wrong": f"Bearer {'0' * 64}", "truncated": f"Bearer {token[:-1]}",
        "longer": f"Bearer {token}0", "upper case": f"Bearer {token.upper()}", "other scheme": f"Basic {token}",
        "bare": token, "non-ASCII": f"Bearer {token[:-1]}\xff", "two": f"Bearer {token}",
    }[case]  # fmt: skip
    twice = [f"Authorization: Bearer {token}"] if case == "two" else []
    unknown = [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/docs"),
        ("TRACE", STATUS),
        ("OPTIONS", JOBS),
        ("GET", HELLO + "/"),
    ]
    for method, path in [*calls_of(helper), ("GET", "/v1/openapi.json"), *unknown]:
        if path == HELLO:
            continue
        answer = call(helper, method, path, *twice, token=given)
        assert (answer.status, answer.code) == (401, "unauthorized"), (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert call(helper, "GET", HELLO, token=given).status == 200
    assert lives(helper)


def test_hello_proves_by_nonce_and_port_that_it_knows_the_token(helper: Helper) -> None:
    token, port = helper.endpoint.token, helper.endpoint.port
    proofs = []
    for nonce in ("ab" * 16, "ab" * 17, "cd" * 64):
        message = f"deepdream hello 1\n{nonce}\n{port}".encode()
        proof = json.loads(call(helper, "GET", f"{HELLO}?nonce={nonce}", token=None).body)["proof"]
        assert proof == hmac.new(bytes.fromhex(token), message, "sha256").hexdigest()
        assert proof != prove(token, nonce, port + 1)
        proofs.append(proof)
    assert len(set(proofs)) == 3
    assert json.loads(call(helper, "GET", HELLO, token=None).body)["proof"] is None


@pytest.mark.parametrize(
    "nonce", ["", "ab", "AB" * 16, "ab" * 65, "ab" * 16 + "c", "zz" * 16, "ab" * 16 + "%0a", "%00" * 16]
)
def test_hello_signs_only_a_nonce(helper: Helper, nonce: str) -> None:
    answer = call(helper, "GET", f"{HELLO}?nonce={nonce}", token=None)
    assert (answer.status, answer.code) == (422, "invalid")


async def knocked(load: Any, token: bytes) -> tuple[int, bytes]:
    """Come to a door with a token; return the status and the body of its answer."""
    told: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    entrance = door.Door("ab" * 32, 4711, load)
    entrance.open()
    headers = [(b"host", b"127.0.0.1:4711"), (b"authorization", b"Bearer " + token)]
    await entrance({"type": "http", "path": STATUS, "method": "GET", "headers": headers}, receive, send)
    return told[0]["status"], b"".join(message.get("body", b"") for message in told[1:])


def test_a_broken_installation_is_reported_as_such() -> None:
    def load() -> Any:
        raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")

    status, body = asyncio.run(knocked(load, b"ab" * 32))
    assert status == 500
    told = {"code": "internal", "what": "the helper is broken (fastapi)", "next_step": "install it again"}
    assert json.loads(body) == {"error": told}


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    honest = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return honest(a, b)

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    monkeypatch.setattr(hmac, "compare_digest", watched)
    for token, status in ((b"ab" * 32, 204), (b"ab" * 31 + b"ac", 401), (b"", 401), (b"\xff" * 64, 401)):
        compared.clear()
        assert asyncio.run(knocked(lambda: inside, token))[0] == status
        assert compared == [(token.decode("latin-1").encode(), b"ab" * 32)]


def test_the_token_is_only_in_the_endpoint_file(helper: Helper) -> None:
    followed(submitted(helper.client()))
    token = helper.endpoint.token
    calls_without = [call(helper, "GET", STATUS, token=f"Basic {token}"), call(helper, "GET", f"{UNKNOWN}?t={token}")]
    assert all(token.encode() not in answer.body for answer in calls_without)
    processes = [psutil.Process(helper.process.pid), *helper.children()]
    assert len(processes) >= 2, "the worker is looked at too"
    for process in processes:
        assert token not in " ".join(process.cmdline())
        assert token not in " ".join(f"{name}={value}" for name, value in process.environ().items())
    for path in helper.folder.rglob("*"):
        if path.is_file() and path != helper.endpoint_file:
            assert token.encode() not in path.read_bytes(), path
    assert token not in repr(helper.endpoint)


@pytest.mark.skipif(os.name != "posix", reason="on Windows the user's profile is closed by its access list")
def test_the_endpoint_file_is_its_users_alone(helper: Helper) -> None:
    for path, mode in (
        (helper.endpoint_file, 0o600),
        (helper.endpoint_file.parent, 0o700),
        (helper.folder / "state", 0o700),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
        assert path.stat().st_uid == os.geteuid()
    assert not [path for path in (helper.folder / "run").iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_another_user_can_read_nothing_and_call_only_hello(helper: Helper) -> None:
    program = """
import json, pathlib, sys, urllib.error, urllib.request
open_files = []
for path in sys.argv[2:]:
    try:
        folder = path.endswith("run")
        open_files.append(path + ": " + str(list(pathlib.Path(path).iterdir()) if folder else open(path).read()))
    except PermissionError:
        pass
statuses = {}
for call in ("hello", "status", "jobs/" + "a" * 22, "openapi.json"):
    try:
        statuses[call] = urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/v1/{call}").status
    except urllib.error.HTTPError as error:
        statuses[call] = error.code
print(json.dumps([open_files, statuses]))
"""
    files = [str(helper.endpoint_file), str(helper.endpoint_file.parent), str(helper.folder / "state" / "helper.log")]
    told = subprocess.run(
        ["/usr/bin/env", "python3", "-I", "-S", "-c", program, str(helper.endpoint.port), *files],
        user=65534, group=65534, extra_groups=[], cwd="/", capture_output=True, text=True, check=True,
        env={"PATH": os.defpath},
    )  # fmt: skip
    opened, statuses = json.loads(told.stdout)
    assert opened == []
    assert statuses == {"hello": 200, "status": 401, "jobs/" + "a" * 22: 401, "openapi.json": 401}


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_a_runtime_folder_that_others_can_read_is_closed_before_the_token_is_written(tmp_path: Path) -> None:
    for folder in ("run", "state"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder).chmod(0o777)
    with running_helper(tmp_path) as started:
        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        assert lives(started)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_runtime_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(0o700)
    os.chown(tmp_path / "run", 65534, 65534)
    started = Helper(tmp_path)
    assert started.process.wait(60) not in (0, None)
    assert "belongs to another user" in started.errors.read_text()
    assert not (tmp_path / "run" / "endpoint.json").exists()


# Uploads


def test_an_upload_without_a_length_is_refused(helper: Helper) -> None:
    job = announced(helper)
    target = f"{JOBS}/{job}/pixels"
    for lines in ([], ["Transfer-Encoding: chunked"]):
        answer = call(helper, "PUT", target, *lines)
        assert (answer.status, answer.code) == (411, "length_required"), lines
    assert call(helper, "PUT", target, "Transfer-Encoding: chunked", "Content-Length: 5").status in (400, 411)
    for length in ("-5", "+176", "0x10", "1e3", "176, 176", ""):
        assert call(helper, "PUT", target, f"Content-Length: {length}").status in (400, 411, 413), length
    forget(helper, job)


@pytest.mark.parametrize(
    ("length", "status", "code"),
    [
        (10**18, 413, "too_large"), (2**63, 413, "too_large"), (48 + 1025, 413, "too_large"),
        (63, 400, "bad_pixels"), (0, 400, "bad_pixels"),
    ],
)  # fmt: skip
def test_a_length_that_cannot_be_the_announced_picture_is_refused_before_the_body_comes(
    helper: Helper, length: int, status: int, code: str
) -> None:
    job = announced(helper)
    answer = call(helper, "PUT", f"{JOBS}/{job}/pixels", f"Content-Length: {length}")  # and no body
    if length >= 2**63 and answer.status == 400:
        return  # the parser refuses numbers that it cannot hold
    assert (answer.status, answer.code, answer.headers["connection"]) == (status, code, "close")
    forget(helper, job)


def test_only_the_announced_array_is_taken(helper: Helper) -> None:
    whole = npy(PIXELS)
    other_version = io.BytesIO()
    np.lib.format.write_array(other_version, PIXELS, version=(2, 0))
    wrong = {
        "another type": npy(PIXELS.astype(np.uint16)), "another shape of that size": npy(PIXELS.reshape(3, 4, 4)),
        "two axes": npy(PIXELS.reshape(4, 12)), "Fortran order": npy(np.asfortranarray(PIXELS)),
        "signed": npy(PIXELS.view(np.int8)), "objects": npy(PIXELS.astype(object), allow_pickle=True),
        "NPY 2": other_version.getvalue(), "an NPZ": b"PK\x03\x04" + whole[4:], "no NPY": b"\0" * len(whole),
        "trailing bytes": whole + b"\0", "a header that goes on": whole[:8] + b"\xf6\x03" + b"{" * 2000,
        "code in the header": whole.replace(b"False", b"0==1 "), "text": b"x" * len(whole),
    }  # fmt: skip
    for what, body in wrong.items():
        job = announced(helper)
        answer = put(helper, job, body)
        assert (answer.status, answer.code) in {(400, "bad_pixels"), (413, "too_large")}, what
        assert json.loads(call(helper, "GET", f"{JOBS}/{job}").body)["state"] == "created", what
        assert put(helper, job, whole).status == 204, f"after {what} the right one is taken"
        forget(helper, job)


def test_a_body_that_ends_early_leaves_nothing_behind(helper: Helper) -> None:
    before = kept(helper)
    job = announced(helper)
    whole = npy(PIXELS)
    for sent in (0, 5, 64, 128, 150):
        cut = whole[:sent]
        answer = until(lambda cut=cut: (a := put(helper, job, cut, length=len(whole))).status != 409 and a)  # type: ignore[misc]
        assert answer.status in (0, 400), "409: the one before has not been given up yet"
    assert until(lambda: kept(helper) <= before)
    assert put(helper, job, whole).status == 204
    forget(helper, job)


def test_a_part_comes_once_and_only_if_it_was_announced_for_a_job_that_exists(helper: Helper) -> None:
    job = announced(helper, mask="uint8")
    whole, mask = npy(PIXELS), npy(PIXELS[..., :1])
    assert put(helper, job, whole).status == 204
    again = put(helper, job, whole)
    assert (again.status, again.code) == (409, "conflict")
    unannounced = put(helper, job, npy(PIXELS.astype(np.float32)), kind="start")
    assert (unannounced.status, unannounced.code) == (409, "conflict")
    unknown = put(helper, "a" * 22, whole)
    assert (unknown.status, unknown.code) == (404, "not_found")
    assert put(helper, job, mask, kind="elsewhere").status == 422
    forget(helper, job)
    assert put(helper, job, mask, kind="mask").status in (404, 409)


def test_two_uploads_of_one_part_at_once_do_not_mix(helper: Helper) -> None:
    job = announced(helper)
    whole = npy(PIXELS)
    first = request(helper, "PUT", f"{JOBS}/{job}/pixels", f"Content-Length: {len(whole)}", body=whole[:100])
    with connected(helper) as slow:
        slow.sendall(first)
        refused = until(lambda: (a := put(helper, job, whole)).status == 409 and a)
        assert refused.code == "conflict"
        slow.sendall(whole[100:])
        assert answer_on(slow).status == 204
    forget(helper, job)


_HEADER = npy(PIXELS)[:128]


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A small array's NPY whose header had bytes changed, put in or taken out, or was cut."""
    header = bytearray(_HEADER)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(header) - 1)))
        match draw(st.sampled_from(["change", "insert", "remove", "cut"])):
            case "change" if header:
                header[at] = draw(st.sampled_from(b"\x00\x01\x02\n '(),0123456789:<>FTVbfiu|{}\xff"))
            case "insert":
                header[at:at] = draw(st.binary(min_size=1, max_size=16))
            case "remove":
                del header[at : at + draw(st.integers(1, 16))]
            case "cut":
                del header[max(at, 1) :]
    return bytes(header) + PIXELS.tobytes()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(npy(PIXELS))
@given(_mutated())
def test_no_header_however_mangled_harms_the_helper(helper: Helper, body: bytes) -> None:
    job = announced(helper, settings=QUICK)
    assert put(helper, job, body).status in (204, 400, 411, 413)
    forget(helper, job)
    assert helper.process.poll() is None


# JSON bodies


def test_a_picture_over_the_limit_is_refused_when_it_is_announced(helper: Helper) -> None:
    answer = posted(helper, json.dumps({**SMALL, "shape": [4000, 4000, 3]}))
    assert (answer.status, answer.code) == (413, "too_large")
    assert "16.0 megapixels, 13 are allowed" in answer.said
    for shape in (
        [0, 4, 3],
        [4, -1, 3],
        [4, 4, 5],
        [4, 4, 0],
        [4, 4],
        [4, 4, 3, 1],
        [10**30, 1, 3],
        [4.5, 4, 3],
        [True, 4, 3],
    ):
        answer = posted(helper, json.dumps({**SMALL, "shape": shape}))
        assert (answer.status, answer.code) == (422, "invalid"), shape


_OK = json.dumps(SMALL)[:-1]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("{", "", id="broken"),
        pytest.param("[" * 60_000, "", id="nested too deeply"),
        pytest.param(_OK + ', "settings": {"layers": ' + "[" * 20_000 + "]" * 20_000 + "}}", "", id="deep settings"),
        pytest.param(b"\xff\xfe" + _OK.encode(), "", id="not UTF-8"),
        pytest.param("[]", "", id="a list"),
        pytest.param("null", "", id="null"),
        pytest.param(_OK + ', "label": 5}', "label", id="wrong type"),
        pytest.param(_OK + ', "label": "a\\u0000b"}', "label", id="NUL"),
        pytest.param(_OK + ', "label": "\\ud800"}', "label", id="half a character"),
        pytest.param(_OK + ', "settings": {"\\ud800": 1}}', "settings", id="half a character as key"),
        pytest.param(_OK + ', "\\ud800": 1}', "", id="half a character as outer key"),
        pytest.param(_OK + ', "client": "x"}', "client", id="a key twice"),
        pytest.param(_OK + ', "colour": 1}', "colour", id="unknown key"),
        pytest.param(_OK + ', "preset": "clasic"}', "did you mean classic", id="unknown preset"),
        pytest.param(_OK + ', "priority": "urgent"}', "priority", id="unknown priority"),
        pytest.param(_OK + ', "settings": {"strength": 7}}', "settings.strength", id="out of range"),
        pytest.param(_OK + ', "settings": {"strength": "1"}}', "settings.strength", id="a text for a number"),
        pytest.param(_OK + ', "settings": {"strength": NaN}}', "", id="NaN"),
        pytest.param(_OK + ', "settings": {"strength": 1e999}}', "settings.strength", id="infinity"),
        pytest.param(_OK + ', "settings": {"layers": {"pool4": -Infinity}}}', "", id="minus infinity"),
        pytest.param(_OK + ', "settings": {"strenght": 1}}', "did you mean strength", id="misspelt setting"),
        pytest.param(_OK + ', "settings": {"seed": ' + "9" * 4000 + "}}", "settings.seed", id="4000 digits"),
        pytest.param(_OK + ', "settings": {"seed": ' + "9" * 5000 + "}}", "", id="5000 digits"),
        pytest.param(
            _OK + ', "settings": {"normalize": "' + "a" * 60_000 + '"}}', "settings.normalize", id="a long text"
        ),
        pytest.param(
            _OK + ', "settings": {"octaves": ' + "[[[[" * 200 + "]]]]" * 200 + "}}",
            "settings.octaves",
            id="nested value",
        ),
    ],
)
def test_invalid_values_are_refused_in_one_form_and_named(helper: Helper, text: str | bytes, named: str) -> None:
    answer = posted(helper, text)
    assert (answer.status, answer.code) == (422, "invalid"), answer
    assert named in answer.said
    assert len(answer.body) < 2000


def test_a_large_json_body_is_refused_unread(helper: Helper) -> None:
    lines = ("Content-Type: application/json", f"Content-Length: {door.LARGEST_JSON + 1}")
    for path in (JOBS, "/v1/warm"):
        answer = call(helper, "POST", path, *lines)  # and no body
        assert (answer.status, answer.code) == (413, "too_large")
    answer = call(helper, "POST", JOBS, "Content-Type: application/json", "Transfer-Encoding: chunked")
    assert (answer.status, answer.code) == (411, "length_required")


def test_a_form_from_a_web_page_is_not_accepted_as_json(helper: Helper) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        body = json.dumps(SMALL).encode()
        answer = call(helper, "POST", JOBS, f"Content-Type: {kind}", f"Content-Length: {len(body)}", body=body)
        assert (answer.status, answer.code) == (422, "invalid"), kind


# Bytes that are no HTTP


ENDLESS_LINE = b"GET /" + b"a" * 400_000
MANY_HEADERS = "".join(f"X-{number}: a\r\n" for number in range(5000)).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /v1/hello HTTP/1.1\r\nX: " + b"a" * 400_000, id="endless header"),
        pytest.param(b"GET /v1/hello HTTP/1.1\r\n" + MANY_HEADERS * 20, id="headers without end"),
        pytest.param(ENDLESS_LINE, id="endless request line"),
        pytest.param(b"A" * 400_000, id="endless method"),
        pytest.param(b"\0" * 1000, id="zeros"),
        pytest.param(bytes(range(256)) * 40, id="all bytes"),
        pytest.param(bytes.fromhex("1603010200010001fc0303") + b"\x11" * 500, id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9, id="HTTP/2"),
        pytest.param(b"GET /v1/hello HTTP/9.9\r\n\r\n", id="HTTP/9.9"),
        pytest.param(b"GET /v1/hello\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n", id="CONNECT"),
        pytest.param(b"GET /v1/hello HTTP/1.1\r\nHo st: x\r\n\r\n", id="a space in a header's name"),
        pytest.param(b"GET /v1/hello HTTP/1.1\r\nX: a\r\n folded\r\n\r\n", id="folded"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="SSH"),
    ],
)
def test_a_malformed_request_is_refused_and_the_connection_closed(helper: Helper, data: bytes) -> None:
    answer = exchange(helper, data, end=True)
    assert answer.status in (0, 400, 403), "0: closed so soon that the refusal was lost"
    if answer.status == 400:
        assert answer.code == "invalid"
    assert lives(helper)


@pytest.mark.parametrize(
    "more", [("X: " + "a" * 33_000,), tuple(f"X-{number}: a" for number in range(5000))], ids=["one", "many"]
)
def test_large_headers_are_refused_also_when_they_come_in_one_piece_and_with_the_token(
    helper: Helper, more: tuple[str, ...]
) -> None:
    assert call(helper, "GET", STATUS, *more).status in (0, 400)
    assert call(helper, "GET", STATUS + "?" + more[0][:3] * 11_000).status in (0, 400)
    assert call(helper, "GET", STATUS, *(f"X-{number}: a" for number in range(1000))).status == 200
    assert lives(helper)


def test_garbage_behind_a_good_request_spoils_only_itself(helper: Helper) -> None:
    good = request(helper, "GET", HELLO, token=None).replace(b"Connection: close\r\n", b"")
    answer = exchange(helper, good + b"\0garbage\r\n\r\n" * 100)
    assert answer.status in (200, 400)
    many = good * 50 + request(helper, "GET", HELLO)
    assert exchange(helper, many).body.count(b"HTTP/1.1 200") == 50, "pipelined requests are answered in turn"
    smuggled = request(
        helper, "GET", HELLO, "Content-Length: 40", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + good
    )
    assert exchange(helper, smuggled).status in (400, 411)
    assert lives(helper)


# Slow and silent ones


@pytest.mark.slow("faults")
@pytest.mark.alone
def test_a_slow_client_is_dropped_after_ten_seconds_and_delays_no_other(helper: Helper) -> None:
    jobs = [announced(helper) for _ in range(2)]
    put_heads = [request(helper, "PUT", f"{JOBS}/{job}/pixels", "Content-Length: 176") for job in jobs]
    post_head = request(helper, "POST", JOBS, "Content-Type: application/json", "Content-Length: 500")
    keep_alive = request(helper, "GET", HELLO).replace(b"Connection: close\r\n", b"")
    drip = b"GET /v1/hello HTTP/1.1\r\nX: " + b"a" * 1000
    cases = {
        "silent": (b"", b""),
        "drips headers": (b"", drip),
        "drips after keep-alive": (keep_alive, drip),
        "stops amid headers": (drip[:20], b""),
        "stops before the JSON": (post_head, b""),
        "drips JSON": (post_head, b"{" + b" " * 1000),
        "stops before the pixels": (put_heads[0], b""),
        "drips pixels": (put_heads[1], npy(PIXELS)),
    }
    ended = _ended_after(helper, cases, silent=200, other=lambda: lives(helper))
    assert not {name: seconds for name, seconds in ended.items() if not 9 < seconds < 13}
    for job in jobs:
        forget(helper, job)


def _ended_after(helper: Helper, cases: dict[str, tuple[bytes, bytes]], silent: int, other: Any) -> dict[str, float]:
    """Seconds after which the helper closed each connection; meanwhile `other` is answered within half a second."""
    ended: dict[str, float] = {}
    sent: dict[str, int] = dict.fromkeys(cases, 0)
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        connections = {name: stack.enter_context(connected(helper)) for name in cases}
        connections |= {f"silent {n}": stack.enter_context(connected(helper)) for n in range(silent)}
        begun = time.monotonic()
        for name, connection in connections.items():
            connection.sendall(cases.get(name, (b"", b""))[0])
            selector.register(connection, selectors.EVENT_READ, name)
        while len(ended) < len(connections) and time.monotonic() - begun < 20:
            asked = time.monotonic()
            assert other()
            assert time.monotonic() - asked < 0.5
            for name, (_, drip) in cases.items():
                if name not in ended and sent[name] < len(drip):
                    with contextlib.suppress(OSError):
                        connections[name].send(drip[sent[name] : sent[name] + 1])
                    sent[name] += 1
            for key, _ in selector.select(0.2):
                gone = True
                with contextlib.suppress(ConnectionResetError):
                    gone = key.fileobj.recv(1 << 16) == b""  # type: ignore[union-attr]
                if gone:
                    ended[key.data] = time.monotonic() - begun
                    selector.unregister(key.fileobj)
            time.sleep(0.05)  # a drop at a time
    assert ended.keys() == connections.keys(), "some were never ended"
    return ended


@pytest.mark.slow("faults")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
def test_who_never_reads_a_result_is_given_up_and_the_memory_is_free_again(helper: Helper) -> None:
    """12 megapixels are more than fits into what lies between two sockets."""
    before = kept(helper)
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    quick = {**QUICK, "finest": 64}
    job = helper.client().submit(
        pixels.data, dtype="uint8", shape=pixels.shape, settings=quick, priority="batch", label="large"
    )
    followed(job)
    known = next(entry["id"] for entry in helper.status()["jobs"] if entry["label"] == "large")
    process = psutil.Process(helper.process.pid)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(5)
        deaf.connect(("127.0.0.1", helper.endpoint.port))
        port = deaf.getsockname()[1]
        begun = time.monotonic()
        deaf.sendall(request(helper, "GET", f"{JOBS}/{known}/result"))
        until(lambda: deaf.recv(100, socket.MSG_PEEK))
        forget(helper, known)
        assert kept(helper) > before, "what is being sent is kept"

        def given_up() -> bool:
            held = [other for other in process.net_connections("tcp") if other.raddr and other.raddr.port == port]
            return kept(helper) <= before and not held

        until(given_up, within_s=16, pause_s=0.2)
        assert time.monotonic() - begun > 8
    assert lives(helper)


def test_who_never_reads_events_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream itself, because a thousand events would fit between two sockets."""
    header = ArrayHeader("uint8", (4, 4, 3))
    chosen = load_config(None).dream_settings(None, {})
    job = Job("a" * 22, "deaf", "", Priority.BATCH, chosen, "pool4", {"pixels": header}, False, 0.0)
    job.publish("progress", fraction=0.5)
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def follow() -> None:
        stream = streams.EventStream(SimpleNamespace(queue=Queue()), job, 0)  # type: ignore[arg-type]
        await asyncio.wait_for(stream({}, receive, send), 5)

    monkeypatch.setattr(streams, "PIECE_WITHIN_S", 0.2)
    asyncio.run(follow())
    assert sent == ["http.response.start", "http.response.body"]
    assert job.holders == 0
    assert job.abandoned(time.monotonic() + 3)


# What answers tell


def test_ids_cannot_be_guessed_and_are_not_paths(helper: Helper) -> None:
    ids = [announced(helper) for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", job) for job in ids)
    for position in range(21):
        assert len({job[position] for job in ids}) > 20, "no place stands still"
    for job in ids:
        forget(helper, job)
    for path in (
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "%2e%2e/%2e%2e/status",
        "a%00b",
        "a" * 22 + "%0a",
        "a" * 21,
        "",
        ".",
    ):
        for method in ("GET", "DELETE"):
            answer = call(helper, method, f"{JOBS}/{path}")
            assert answer.status in (404, 405, 422), path
            assert b"root:" not in answer.body
    for path in ("/v1/../v1/status", "/v1//status", "/v1/status/", "/V1/status", "/v1/status%00"):
        assert call(helper, "GET", path).status == 404, path


def test_no_answer_contains_a_path_of_this_machine(helper: Helper) -> None:
    job = submitted(helper.client(), label="seen")
    told = [str(event) for event in job.events()]
    assert any("my-vgg19.safetensors" in text for text in told)
    answers = [call(helper, method, path) for method, path in calls_of(helper) if "shutdown" not in path]
    answers += [posted(helper, '{"wait": true}', "/v1/warm"), call(helper, "GET", STATUS)]
    told += [answer.body.decode() + str(answer.headers) for answer in answers]
    assert "my-vgg19.safetensors" in told[-1]
    for secret in (WEIGHTS_FOLDER, str(helper.folder), str(Path.home()) + "/", sys.prefix, "site-packages"):
        assert not [text for text in told if secret in text], secret
    assert WEIGHTS_FOLDER not in helper.log()


def test_a_job_can_be_used_by_whoever_has_its_id_and_the_token(helper: Helper) -> None:
    """All who have the token are programs of one user; the id keeps them out of each other's way."""
    job = submitted(helper.client("one"), settings=ENDLESS, label="one's")
    known = next(entry["id"] for entry in helper.status()["jobs"] if entry["label"] == "one's")
    assert json.loads(call(helper, "GET", f"{JOBS}/{known}").body)["client"] == "one"
    assert call(helper, "GET", f"{JOBS}/{known}", token=None).status == 401
    forget(helper, known)
    until(lambda: json.loads(call(helper, "GET", f"{JOBS}/{known}").body)["state"] == "cancelled")
    job.cancel()
