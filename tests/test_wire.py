"""What helper and clients agree on: the NPY header, the endpoint file, the proof, and that old interpreters can read it."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.link import private_files, user_folders, wire
from deepdream_core.link.endpoint import (
    Endpoint,
    new_nonce,
    new_token,
    prove,
    read_endpoint,
    remove_endpoint,
    same_secret,
    write_endpoint,
)
from deepdream_core.link.npy import DTYPES, SIDE_LIMIT, ArrayHeader, npy_header, npy_header_length, parse_npy_header
from deepdream_core.link.wire import WireError

SIDES = st.integers(1, SIDE_LIMIT)
HEADERS = st.builds(ArrayHeader, st.sampled_from(sorted(DTYPES)), st.tuples(SIDES, SIDES, st.integers(1, 4)))
LINK = Path(wire.__file__).parent
MODULES = sorted(LINK.glob("*.py"))

posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")


def numpy_header(descr: object, shape: object, *, fortran_order: object = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": fortran_order, "shape": shape})
    return file.getvalue()


def framed(text: str, align: int = 64) -> bytes:
    words = text.encode("latin-1")
    words += b" " * (-(len(words) + 11) % align) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(words).to_bytes(2, "little") + words


def endpoint(**changes: Any) -> Endpoint:
    words = {
        "host": "127.0.0.1",
        "port": 4711,
        "token": "ab" * 32,
        "pid": 99,
        "version": "0.1.0",
        "protocol": 1,
        "log": "/l",
    }
    return Endpoint(**{**words, **changes})


@given(HEADERS)
def test_the_header_is_numpys_to_the_byte_and_comes_back(header: ArrayHeader) -> None:
    written = npy_header(header.dtype, header.shape)
    assert written == numpy_header(DTYPES[header.dtype], header.shape)
    assert npy_header_length(written[:10]) == len(written)
    assert parse_npy_header(written) == header


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_numpy_and_this_module_read_each_others_files(dtype: str) -> None:
    pixels = np.arange(5 * 7 * 3).reshape(5, 7, 3).astype(dtype)
    file = io.BytesIO()
    np.save(file, pixels)
    data = file.getvalue()
    length = npy_header_length(data[:10])
    header = parse_npy_header(data[:length])
    assert header == ArrayHeader(dtype, (5, 7, 3))
    assert header.nbytes == pixels.nbytes == len(data) - length
    again = np.load(io.BytesIO(npy_header(dtype, (5, 7, 3)) + pixels.tobytes()), allow_pickle=False)
    np.testing.assert_array_equal(again, pixels)


def test_a_header_of_an_older_numpy_is_read() -> None:
    old = framed("{'descr': '<f4', 'fortran_order': False, 'shape': (480, 640, 3), }", align=16)
    assert len(old) % 64 != 0
    assert parse_npy_header(old) == ArrayHeader("float32", (480, 640, 3))


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        parse_npy_header(data)


@given(
    HEADERS, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4), st.integers(-3, 3)
)
def test_a_mutated_header_is_refused_or_means_what_it_says(
    header: ArrayHeader, changes: list[tuple[int, int]], longer: int
) -> None:
    data = bytearray(npy_header(header.dtype, header.shape))
    for place, value in changes:
        data[place % len(data)] = value
    data = data[:longer] if longer < 0 else data + b" " * longer
    try:
        read = parse_npy_header(bytes(data))
    except WireError:
        return
    assert numpy_header(DTYPES[read.dtype], read.shape).split() == bytes(data).split()


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(numpy_header("|O", (2, 2, 3)), id="pickled objects"),
        pytest.param(numpy_header("<f4", (2, 2, 3), fortran_order=True), id="Fortran order"),
        pytest.param(numpy_header([("r", "<f4"), ("g", "<f4")], (2, 2, 3)), id="structured"),
        pytest.param(numpy_header(">f4", (2, 2, 3)), id="big-endian"),
        pytest.param(numpy_header("<f8", (2, 2, 3)), id="double"),
        pytest.param(numpy_header("|b1", (2, 2, 3)), id="bool"),
        pytest.param(numpy_header("<f4", ()), id="0-d"),
        pytest.param(numpy_header("<f4", (2, 2)), id="2-d"),
        pytest.param(numpy_header("<f4", (1, 2, 2, 3)), id="4-d"),
        pytest.param(numpy_header("<f4", (2, 2, 5)), id="five channels"),
        pytest.param(numpy_header("<f4", (2, 2, 0)), id="no channels"),
        pytest.param(numpy_header("<f4", (0, 2, 3)), id="empty"),
        pytest.param(numpy_header("<f4", (-1, 2, 3)), id="negative"),
        pytest.param(numpy_header("<f4", (1_000_001, 2, 3)), id="too long a side"),
        pytest.param(numpy_header("<f4", (2**63, 2**63, 3)), id="huge"),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': False, 'shape': (02, 2, 3), }"), id="leading zero"),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': False, 'shape': (1_0, 2, 3), }"), id="underscore"),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 2L, 3L), }"), id="Python 2"),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': False, 'shape': (²0, 2, 3), }"), id="odd digits"),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 2, 3), }"), id="0 for False"),
        pytest.param(framed("{'fortran_order': False, 'descr': '<f4', 'shape': (2, 2, 3), }"), id="another order"),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3)}"), id="no last comma"),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3), 'x': 1, }"), id="more keys"),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3), }\t"), id="tab"),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3), }\n"), id="two newlines"),
        pytest.param(
            framed("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3), }")[:-1] + b" ", id="no newline"
        ),
        pytest.param(framed("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3), }", align=1), id="unaligned"),
        pytest.param(framed("__import__('os').system('touch pwned')"), id="import"),
        pytest.param(
            framed("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').getpid(), 2, 3), }"), id="call"
        ),
        pytest.param(framed("(" * 900), id="deep nesting"),
        pytest.param(
            framed("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 3), }" + " " * 2000), id="too long"
        ),
        pytest.param(b"\x93NUMPY\x02\x00" + numpy_header("<f4", (2, 2, 3))[8:], id="version 2"),
        pytest.param(b"\x93NUMPZ" + numpy_header("<f4", (2, 2, 3))[6:], id="magic"),
        pytest.param(numpy_header("<f4", (2, 2, 3)) + b"\0", id="samples behind it"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_headers_of_other_arrays_are_refused(written: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WireError):
        parse_npy_header(written)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("float64", (2, 2, 3)),
        ("<f4", (2, 2, 3)),
        ("uint8", (2, 2)),
        ("uint8", (0, 2, 3)),
        ("uint8", (2, 2, 5)),
        ("uint8", (True, 2, 3)),
        ("uint8", (2.0, 2, 3)),
        ("uint8", (SIDE_LIMIT + 1, 2, 3)),
    ],
)
def test_unsendable_pixels_get_no_header(dtype: str, shape: Any) -> None:
    with pytest.raises(WireError):
        npy_header(dtype, shape)


def test_an_endpoint_file_comes_back_and_only_its_user_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    written = endpoint(host="::1", log="/home/\udcff/“log”")  # a path that is not UTF-8
    assert read_endpoint(path) is None
    write_endpoint(path, written)
    assert read_endpoint(path) == written
    assert [file.name for file in tmp_path.iterdir()] == ["endpoint.json"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_token_does_not_show_when_an_endpoint_is_printed() -> None:
    assert endpoint().token not in repr(endpoint())


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_an_endpoint_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "endpoint.json"
    write_endpoint(path, endpoint())
    path.chmod(mode)
    with pytest.raises(WireError, match="others can read it"):
        read_endpoint(path)


@posix
def test_an_endpoint_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "endpoint.json"
    write_endpoint(path, endpoint())
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(WireError, match="another user"):
        read_endpoint(path)


@posix
def test_links_pipes_and_folders_are_not_endpoint_files(tmp_path: Path) -> None:
    write_endpoint(tmp_path / "real.json", endpoint())
    (tmp_path / "link").symlink_to("real.json")
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name in ("link", "pipe", "folder"):
        with pytest.raises(WireError, match=name):
            read_endpoint(tmp_path / name)


def _private(path: Path, content: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"7",
        b'"text"',
        b"\xff\xfe{}",
        b"[" * 60_000,
        b'{"port": ' + b"9" * 60_000 + b"}",
        b" " * (private_files.FILE_LIMIT + 1),
    ],
)
def test_invalid_endpoints_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(WireError, match="remove it"):
        read_endpoint(_private(tmp_path / "endpoint.json", content))


def test_a_truncated_endpoint_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    write_endpoint(path, endpoint())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WireError):
            read_endpoint(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "0.0.0.0"),
        ("host", "localhost"),
        ("host", "192.168.0.1"),
        ("host", None),
        ("host", ["127.0.0.1"]),
        ("port", 0),
        ("port", 65536),
        ("port", "80"),
        ("port", 80.0),
        ("port", True),
        ("token", "AB" * 32),
        ("token", "ab" * 31),
        ("token", "ab" * 32 + "\n"),
        ("token", None),
        ("pid", -1),
        ("pid", None),
        ("version", ""),
        ("version", "1\r\nX: y"),
        ("version", 1),
        ("protocol", "1"),
        ("protocol", 0),
        ("log", 7),
        ("log", "a\0b"),
        ("log", "x" * 5000),
    ],
)
def test_an_endpoint_with_a_wrong_value_is_refused(tmp_path: Path, name: str, value: object) -> None:
    words = {**endpoint().__dict__, name: value}
    with pytest.raises(WireError, match="endpoint"):
        read_endpoint(_private(tmp_path / "e.json", json.dumps(words).encode()))
    with pytest.raises(WireError):
        endpoint(**{name: value})


def test_an_endpoint_file_may_say_more_than_this_version_knows(tmp_path: Path) -> None:
    words = {**endpoint().__dict__, "since": "yesterday"}
    assert read_endpoint(_private(tmp_path / "e.json", json.dumps(words).encode())) == endpoint()


def test_a_reader_during_a_replacement_sees_the_old_or_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    ones = [endpoint(token=digit * 64, log=digit * 4000) for digit in "ab"]
    write_endpoint(path, ones[0])
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            for one in ones:
                write_endpoint(path, one)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        assert all(read_endpoint(path) in ones for _ in range(300))
    finally:
        stop.set()
        writer.join()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "endpoint.json"
    write_endpoint(path, endpoint())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WireError, match="No space left"):
        write_endpoint(path, endpoint(port=1))
    assert read_endpoint(path) == endpoint()
    assert [file.name for file in tmp_path.iterdir()] == ["endpoint.json"]
    with pytest.raises(WireError, match="cannot be written"):
        write_endpoint(tmp_path / "nowhere" / "endpoint.json", endpoint())


def test_a_helper_removes_only_its_own_endpoint_file(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    remove_endpoint(path, endpoint())
    write_endpoint(path, endpoint())
    remove_endpoint(path, endpoint(token="cd" * 32))
    assert path.exists()
    remove_endpoint(path, endpoint(pid=1))
    assert not path.exists()
    _private(path, b"{")
    remove_endpoint(path, endpoint())
    assert path.exists()


@posix
def test_a_private_folder_is_made_or_closed(tmp_path: Path) -> None:
    made = tmp_path / "a" / "b"
    private_files.make_private_folder(made)
    private_files.make_private_folder(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    made.chmod(0o755)
    private_files.make_private_folder(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(made)
    private_files.make_private_folder(tmp_path / "link")  # a link of our own to a folder of our own


@posix
def test_a_folder_with_nothing_but_our_files_is_closed(tmp_path: Path) -> None:
    write_endpoint(tmp_path / "endpoint.json", endpoint())
    names = ["helper.lock", "helper.log", "helper.log.1", "helper-start.log", f".endpoint-{'0a' * 8}.tmp", "run-b-ro-7"]
    names += ["config.yaml", "weights", ".DS_Store"]  # on macOS they lie in one folder
    for name in names:
        (tmp_path / name).touch()
    tmp_path.chmod(0o777)
    private_files.make_private_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o755, 0o710, 0o1777])
@pytest.mark.parametrize("name", ["letter.odt", ".hidden", "helper.lock~", "endpoint.json.bak", "my weights"])
def test_a_folder_with_other_things_is_not_closed_to_others_but_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: int
) -> None:
    folder = tmp_path / "Downloads"
    folder.mkdir()
    write_endpoint(folder / "endpoint.json", endpoint())
    (folder / name).touch()
    folder.chmod(mode)
    for variable, path in (("DEEPDREAM_RUNTIME_DIR", tmp_path / "logs"), ("DEEPDREAM_STATE_DIR", folder)):
        monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(path))
        with pytest.raises(
            WireError, match=f"contains other files than DeepDream's: .*— set {variable} to a folder"
        ) as caught:
            private_files.make_private_folder(folder)
        assert str(caught.value).count(str(folder)) == 1
        assert repr(name) in str(caught.value)
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    folder.chmod(0o700)
    private_files.make_private_folder(folder)  # the user has closed it


def test_a_file_error_is_one_sentence_with_the_path_once_and_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))
    file, empty, wrong = tmp_path / "file", tmp_path / "empty", tmp_path / "wrong"
    file.touch()
    write_endpoint(wrong, endpoint())
    wrong.write_text(wrong.read_text().replace("127.0.0.1", "127.0.0.2"))
    _private(empty, b"")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def told(call: Any, path: Path, *more: object) -> str:
        with pytest.raises(WireError) as caught:
            call(path, *more)
        what, dash, next_step = str(caught.value).partition(" — ")
        assert what.startswith(f"{path} ")
        assert str(caught.value).count(str(path)) == 1
        assert dash
        assert next_step
        return what.replace(f"{path} ", "")

    assert told(private_files.make_private_folder, file) == "is not a folder"
    assert told(private_files.make_private_folder, file / "below").startswith("cannot be made private: ")
    assert told(write_endpoint, file / "below", endpoint()).startswith("cannot be written: ")
    assert told(read_endpoint, empty) == "is not a complete endpoint file"
    assert told(read_endpoint, wrong).startswith("contains an endpoint that is not on this machine's ")
    monkeypatch.setattr(os, "open", full)
    assert told(read_endpoint, wrong) == "cannot be read: No space left on device"
    assert told(write_endpoint, wrong, endpoint()) == "cannot be written: No space left on device"


@posix
def test_a_folder_that_is_not_ours_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("missing/deeper")
    for name in ("file", "nowhere", "file/below"):
        with pytest.raises(WireError, match=r"file|nowhere"):
            private_files.make_private_folder(tmp_path / name)
    folder = tmp_path / "folder"
    folder.mkdir(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "chmod", lambda *_: None)  # a file system without modes
        with pytest.raises(WireError, match="open to other users"):
            private_files.make_private_folder(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
        with pytest.raises(WireError, match="another user"):
            private_files.make_private_folder(folder)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_a_link_to_or_of_another_user_is_refused(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir(0o700)
    ours.mkdir(0o700)
    os.chown(theirs, 12345, 12345)
    (tmp_path / "to theirs").symlink_to(theirs)
    (tmp_path / "of theirs").symlink_to(ours)
    os.chown(tmp_path / "of theirs", 12345, 12345, follow_symlinks=False)
    for name in ("theirs", "to theirs", "of theirs"):
        with pytest.raises(WireError, match="another user"):
            private_files.make_private_folder(tmp_path / name)


@pytest.fixture
def no_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's folders")
def test_where_the_endpoint_file_is(no_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)  # nobody, who has no /run/user
    monkeypatch.setattr(socket, "gethostname", lambda: "büro/7.example.org")
    state = no_folders / ".local" / "state" / "deepdream"
    assert user_folders.state_folder() == state
    assert user_folders.runtime_folder() == state / "run-b-ro-7"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert user_folders.state_folder() == state
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert user_folders.state_folder() == Path("/state/deepdream")
    monkeypatch.setenv("DEEPDREAM_RUNTIME_DIR", "/elsewhere")
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", "/logs")
    assert user_folders.endpoint_path() == Path("/elsewhere/endpoint.json")
    assert user_folders.state_folder() == Path("/logs")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's folders")
def test_the_sessions_folder_is_found_without_its_variable(no_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.stat
    mine = Path(f"/run/user/{os.geteuid()}")
    monkeypatch.setattr(Path, "stat", lambda self, **how: real(no_folders if self == mine else self, **how))
    assert user_folders.runtime_folder() == mine / "deepdream"


@pytest.mark.parametrize("name", ["DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR"])
@pytest.mark.usefixtures("no_folders")
def test_a_relative_folder_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "here")
    with pytest.raises(WireError, match=name):
        user_folders.runtime_folder() if "RUNTIME" in name else user_folders.state_folder()


HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(HEX, HEX, HEX, st.integers(1, 65535), st.integers(1, 65535))
def test_a_proof_is_of_this_token_this_nonce_and_this_port(
    token: str, other: str, nonce: str, port: int, elsewhere: int
) -> None:
    proof = prove(token, nonce, port)
    assert re.fullmatch("[0-9a-f]{64}", proof)
    assert same_secret(proof, prove(token, nonce, port))
    assert same_secret(proof, prove(token, nonce, elsewhere)) == (port == elsewhere)
    assert same_secret(proof, prove(other, nonce, port)) == (token == other)
    assert same_secret(proof, prove(token, other, port)) == (nonce == other)
    assert token not in proof


def test_the_proof_stays_the_same() -> None:
    assert prove("00" * 32, "11" * 16, 4711) == "b6d79b42cb86dde4d2f57a9fdfc1f80bce992b32080596c27a7847e3d8ba664b"


@pytest.mark.parametrize("nonce", ["", "ab" * 15, "ab" * 65, "abc" * 11, "AB" * 16, "ab" * 16 + "\n", "é" * 32])
def test_an_invalid_nonce_gets_no_proof(nonce: str) -> None:
    with pytest.raises(WireError, match="nonce"):
        prove("ab" * 32, nonce, 1)
    with pytest.raises(WireError, match="token"):
        prove("ab" * 31, "ab" * 16, 1)


def test_secrets_are_fresh_and_fit() -> None:
    assert new_token() != new_token()
    assert new_nonce() != new_nonce()
    endpoint(token=new_token())
    prove(new_token(), new_nonce(), 1)
    assert not same_secret("é\udcff", "e")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_python_3_9_can_read_it(module: Path) -> None:
    ast.parse(module.read_text(encoding="utf-8"), feature_version=(3, 9))


EXERCISE = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
from link import client, connection, errors, helper_start, private_files, service_endpoint, user_folders, wire
from link.endpoint import Endpoint, new_token, prove, read_endpoint, remove_endpoint, write_endpoint
from link.npy import ArrayHeader, npy_header, npy_header_length, parse_npy_header
ours = {"link"}
if sys.version_info >= (3, 10):
    new = {name.partition(".")[0] for name in set(sys.modules) - before} - ours
    assert new <= sys.stdlib_module_names, new - sys.stdlib_module_names
import array, pathlib
assert connection.wire is helper_start.wire is wire
assert client.NoHelper is errors.NoHelper and issubclass(helper_start.errors.HelperNotStarted, client.NoHelper)
header = npy_header("float16", (2, 3, 4))
assert npy_header_length(header[:10]) == len(header)
assert parse_npy_header(header) == ArrayHeader("float16", (2, 3, 4))
folder = pathlib.Path(sys.argv[1], "run")
private_files.make_private_folder(folder)
path = folder / "endpoint.json"
one = Endpoint("127.0.0.1", 9, new_token(), 1, "0.1.0", wire.PROTOCOL, "log")
write_endpoint(path, one)
assert read_endpoint(path) == one
assert len(connection.flat(array.array("f", [0] * 6), ArrayHeader("float32", (1, 2, 3)))) == 24
assert helper_start.scrubbed({"PYTHONHOME": "x", "A": "b"}) == {"A": "b"}
try:
    client.connect(endpoint_file=path)
except client.NoHelper as error:
    assert "no program listens" in str(error), error
else:
    raise SystemExit("nobody should answer")
remove_endpoint(path, one)
assert read_endpoint(path) is None
user_folders.runtime_folder(), user_folders.state_folder()
print(prove("00" * 32, "11" * 16, 4711))
"""


def interpreter(minor: int) -> str | None:
    found = sorted(Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin/python3.{minor}"))
    candidates = [*map(str, found), shutil.which(f"python3.{minor}")]
    for candidate in filter(None, candidates):
        answer = subprocess.run([candidate, "-V"], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.startswith(f"Python 3.{minor}."):
            return candidate
    return None


@pytest.mark.parametrize("minor", range(9, 15))
def test_they_work_alone_in_a_folder_of_a_hosts_python(minor: int, tmp_path: Path) -> None:
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"no Python 3.{minor} on this machine")
    shutil.copytree(LINK, tmp_path / "link", ignore=shutil.ignore_patterns("__pycache__"))
    answer = subprocess.run(
        [python, "-I", "-S", "-W", "error", "-c", EXERCISE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == prove("00" * 32, "11" * 16, 4711)
