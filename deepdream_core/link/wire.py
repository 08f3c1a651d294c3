"""What the helper and its clients agree on: words, pixels on the wire, the endpoint file, and the proof of who listens.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder. The helper writes the endpoint
file, which only its user can read; whoever can read it may use the helper. A client sends the token only to a listener that
has proved to know it already, so that no other program on that port ever gets it.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import json
import os
import re
import secrets
import socket
import stat
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PROTOCOL = 1
LOOPBACK = ("127.0.0.1", "::1")
PRIORITIES = ("interactive", "preview", "batch")
UPLOADS = ("pixels", "mask", "start")
EVENTS = ("queued", "running", "paused", "progress", "octave", "note")
ENDINGS = ("done", "failed", "cancelled")
CANCELLED_WHY = ("asked", "lease", "replaced", "stopping")
ATTACH_WITHIN_S = 10.0
"""How long a job waits for somebody to follow its events, since it was created or its last upload ended."""
REATTACH_WITHIN_S = 2.0
"""How long a job whose events were followed lives on when their connection breaks."""

DTYPES: dict[str, str] = {"uint8": "|u1", "uint16": "<u2", "float16": "<f2", "float32": "<f4"}  # name → descr in NPY
HEADER_LIMIT, SIDE_LIMIT, ENDPOINT_LIMIT = 1024, 1_000_000, 64 * 1024

_MAGIC = b"\x93NUMPY\x01\x00"
_NAMES = {descr: name for name, descr in DTYPES.items()}
_SIDE = rb"([1-9][0-9]{0,6})"
_HEADER = re.compile(
    rb"\{'descr': '(\|u1|<u2|<f2|<f4)', 'fortran_order': False, 'shape': \("
    + _SIDE
    + rb", "
    + _SIDE
    + rb", ([1-4])\), \} *\n"
)
_TOKEN = re.compile(r"[0-9a-f]{64}")
_NONCE = re.compile(r"(?:[0-9a-f]{2}){16,64}")
_OURS = re.compile(
    r"endpoint\.json|service\.json|\.endpoint-[0-9a-f]+\.tmp|helper\.lock|helper\.log.*|helper-start\.log"
    r"|run-[A-Za-z0-9_-]*|hotfolder|watch\.log.*"
    r"|config\.yaml|weights|\.DS_Store"  # the user's, which macOS has in one folder with the logs
)
_WINDOWS = os.name == "nt"


class WireError(ValueError):
    """Something read or to be sent does not follow the protocol; the text is one sentence for people."""


@dataclass(frozen=True)
class ArrayHeader:
    """An array on the wire: `dtype` a key of DTYPES, `shape` (height, width, channels), C order, little-endian."""

    dtype: str
    shape: tuple[int, int, int]

    @property
    def nbytes(self) -> int:
        """The bytes that follow the header."""
        height, width, channels = self.shape
        return height * width * channels * int(DTYPES[self.dtype][-1])


def npy_header(dtype: str, shape: tuple[int, int, int]) -> bytes:
    """Return the NPY 1.0 header that numpy writes for a C-ordered array; the raw samples follow it.

    Raises `WireError` for a dtype that is not in DTYPES, or for a shape other than H×W×1…4 with sides 1…1 000 000.
    """
    if dtype not in DTYPES:
        raise WireError(f"{dtype!r} is none of the sample types {', '.join(DTYPES)}")
    _check_shape(shape)
    sides = ", ".join(map(str, shape))
    words = f"{{'descr': '{DTYPES[dtype]}', 'fortran_order': False, 'shape': ({sides}), }}"
    words += " " * (21 - len(str(shape[0])))  # numpy leaves room for the first axis to grow
    words += " " * (64 - (len(_MAGIC) + 2 + len(words) + 1) % 64) + "\n"
    return _MAGIC + len(words).to_bytes(2, "little") + words.encode("ascii")


def npy_header_length(first_ten: bytes) -> int:
    """Return how many bytes the whole header has, these first ten included.

    Raises `WireError` when they are not the beginning of NPY 1.0, or the header would have more than 1024 bytes.
    """
    if len(first_ten) < 10 or first_ten[:8] != _MAGIC:
        raise WireError("these bytes do not begin with the header of an NPY 1.0 array")
    length = 10 + int.from_bytes(first_ten[8:10], "little")
    if length > HEADER_LIMIT or length % 16:
        raise WireError(f"an NPY header of {length} bytes: neither numpy nor DeepDream writes such a one")
    return length


def parse_npy_header(data: bytes) -> ArrayHeader:
    """Read a complete header (magic to newline, nothing after it); raises `WireError` for all that numpy would not write.

    Nothing in it is evaluated. Refused are also Fortran order, big-endian and every other dtype, and other shapes than
    H×W×1…4.
    """
    length = npy_header_length(data[:10])
    if len(data) != length:
        raise WireError(f"an NPY header of {length} bytes was announced, {len(data)} are here")
    match = _HEADER.fullmatch(data, 10)
    if not match:
        raise WireError(f"an NPY header that is not H×W×1…4 of {', '.join(DTYPES)} in C order: {data[10:90]!r}")
    shape = (int(match[2]), int(match[3]), int(match[4]))
    _check_shape(shape)
    return ArrayHeader(_NAMES[match[1].decode("ascii")], shape)


def _check_shape(shape: tuple[int, int, int]) -> None:
    whole = len(shape) == 3 and all(type(side) is int and 1 <= side <= SIDE_LIMIT for side in shape)
    if not whole or shape[2] > 4:
        raise WireError(f"a shape of {shape}: only height × width × 1…4 with sides up to {SIDE_LIMIT} can be sent")


@dataclass(frozen=True)
class Endpoint:
    """Where the helper listens and what it takes to be let in: the content of the endpoint file.

    `host` is 127.0.0.1 or ::1, `token` 64 hexadecimal digits, `version` the package's, `log` the path of its log file.
    `pid` is 0 where it is not known: of a service that was found without an endpoint file.
    """

    host: str
    port: int
    token: str = field(repr=False)
    pid: int
    version: str
    protocol: int
    log: str

    def __post_init__(self) -> None:
        """Raise `WireError` for a value that no helper writes."""
        numbers = {"port": (1, 65535), "pid": (0, 2**32), "protocol": (1, 2**16)}
        for name, (low, high) in numbers.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise WireError(f"an endpoint whose {name} is not a whole number from {low} to {high}")
        if self.host not in LOOPBACK:
            raise WireError(f"an endpoint that is not on this machine's {' or '.join(LOOPBACK)}")
        if not isinstance(self.token, str) or not _TOKEN.fullmatch(self.token):
            raise WireError("an endpoint whose token is not 64 hexadecimal digits")
        if not isinstance(self.version, str) or not re.fullmatch(r"[!-~]{1,64}", self.version):
            raise WireError("an endpoint whose version is not up to 64 printable characters")
        if not isinstance(self.log, str) or len(self.log) > 4096 or "\0" in self.log:
            raise WireError("an endpoint whose log is not a path")


def runtime_folder() -> Path:
    """Return the folder for the endpoint file, not yet made: private to this user on this machine.

    A home may lie on a network share that several machines see, hence the host's name where the system has no run-time
    folder. Raises `WireError` when DEEPDREAM_RUNTIME_DIR is not absolute or there is no home folder.
    """
    chosen = _from_environment("DEEPDREAM_RUNTIME_DIR")
    if chosen:
        return chosen
    session = session_folder()
    if session is not None:
        return session / "deepdream"
    host = socket.gethostname().split(".")[0]  # without the domain, which changes with the network
    return state_folder() / f"run-{re.sub(r'[^A-Za-z0-9_-]', '-', host)[:64]}"


def session_folder() -> Path | None:
    """Return the run-time folder that the system has for this user, None where there is none: only Linux has such.

    XDG_RUNTIME_DIR counts if that folder is this user's, as its specification demands: `su` and `sudo` leave another's in
    it. A plug-in or cron job may lack it.
    """
    if sys.platform.startswith("linux"):
        for name in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.geteuid()}"):
            with contextlib.suppress(OSError, ValueError):
                if os.path.isabs(name) and Path(name).stat().st_uid == os.geteuid():  # noqa: PTH117
                    return Path(name)
    return None


def state_folder() -> Path:
    """Return the folder for logs, not yet made; raises `WireError` like `runtime_folder`."""
    chosen = _from_environment("DEEPDREAM_STATE_DIR")
    if chosen:
        return chosen
    try:
        if _WINDOWS:
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local", "deepdream", "state")
        if sys.platform == "darwin":  # the program lies beside it: to most disks DeepDream and deepdream are one name
            return Path.home() / "Library" / "Application Support" / "deepdream" / "state"
        state = os.environ.get("XDG_STATE_HOME", "")
        return Path(state if os.path.isabs(state) else Path.home() / ".local" / "state", "deepdream")  # noqa: PTH117
    except RuntimeError:
        raise WireError("this user has no home folder — set HOME to one") from None


def endpoint_path() -> Path:
    """Return where the endpoint file is."""
    return runtime_folder() / "endpoint.json"


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    if value and not os.path.isabs(value):  # noqa: PTH117
        raise WireError(f"{name} is {value!r} — give it a path that begins at the root, or unset it")
    return Path(value) if value else None


def make_private_folder(path: Path) -> None:
    """Make the folder and its parents, or check the one that is there: ours, and closed to everybody else (0700).

    One that others can open is closed, if it holds nothing but what DeepDream writes. Raises `WireError`, path included,
    when it holds more than that, cannot be made, is another user's, a link of or to another user's, or stays open.
    """
    another = f"set {_variable(path)} to a folder"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(0o700)
        if not path.is_dir():
            raise WireError(f"{path} is not a folder — move it away, or {another}")
        if _WINDOWS:
            return  # what lies below a user's profile is closed by the profile's own access list
        if {path.lstat().st_uid, path.stat().st_uid} != {_user_id()}:
            raise WireError(f"{path} belongs to another user — {another} of your own")
        if path.stat().st_mode & 0o077:
            other = next((one.name for one in path.iterdir() if not _OURS.fullmatch(one.name)), None)
            if other is not None:
                holds = f"{path} is open to other users and holds more than DeepDream's files: {other!r}"
                raise WireError(f"{holds} — {another} for DeepDream alone, or close it yourself with chmod 700")
            path.chmod(0o700)
        if path.stat().st_mode & 0o077:
            raise WireError(f"{path} is open to other users — {another} that can be closed")
    except OSError as error:
        reason = error.strerror or error
        raise WireError(f"{path} cannot be made private: {reason} — mend that, or {another} of your own") from None


def _user_id() -> int:
    if sys.platform == "win32":
        return 0
    return os.geteuid()


def _variable(folder: Path) -> str:
    """Return the name of what can be set to have another folder than this one."""
    with contextlib.suppress(WireError):
        if folder == state_folder():
            return "DEEPDREAM_STATE_DIR"
    return "DEEPDREAM_RUNTIME_DIR"


def read_private(path: Path) -> bytes | None:
    """Return what a file holds that only this user can read, or None when there is none.

    Raises `WireError` when it is not ours alone (POSIX: another owner, readable by others, a link), or too long.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise WireError(f"{path} is a link — remove it") from None
        raise WireError(f"{path} cannot be read: {error.strerror or error} — mend that, or remove it") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise WireError(f"{path} is not a file — remove it")
        if not _WINDOWS and (status.st_uid != _user_id() or status.st_mode & 0o077):
            raise WireError(f"{path} belongs to another user, or others can read it — remove it")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(ENDPOINT_LIMIT + 1)
    except OSError as error:
        raise WireError(f"{path} cannot be read: {error.strerror or error} — mend that, or remove it") from None
    finally:
        os.close(descriptor)
    if len(data) > ENDPOINT_LIMIT:
        raise WireError(f"{path} is too long for an endpoint file — remove it")
    return data


def read_endpoint(path: Path) -> Endpoint | None:
    """Return what the endpoint file says, or None when there is none.

    Raises `WireError` like `read_private`, and when it is malformed.
    """
    data = read_private(path)
    if data is None:
        return None
    try:
        words: Any = json.loads(data.decode("utf-8"))
        endpoint = Endpoint(**{name: words[name] for name in Endpoint.__dataclass_fields__})
        if endpoint.pid == 0:
            raise WireError("an endpoint of no process")
    except WireError as error:
        raise WireError(f"{path} holds {error} — remove it") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WireError(f"{path} is not an endpoint file, or a truncated one — remove it") from None
    return endpoint


def write_endpoint(path: Path, endpoint: Endpoint) -> None:
    """Write the endpoint file as `write_private` does."""
    write_private(path, json.dumps(asdict(endpoint), indent=1).encode("ascii"), "DEEPDREAM_RUNTIME_DIR")


def write_private(path: Path, data: bytes, variable: str) -> None:
    """Write the file completely or not at all, readable by this user alone; its folder must exist.

    Raises `WireError` when the folder or the disk refuses, naming the `variable` that chooses the folder; nothing is left
    behind then.
    """
    temporary = path.with_name(f".endpoint-{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except OSError as error:
        next_step = f"mend that, or set {variable} to another folder"
        raise WireError(f"{path} cannot be written: {error.strerror or error} — {next_step}") from None


def _replace(temporary: Path, path: Path) -> None:
    """Rename; Windows refuses that for the moment in which a client reads the old file."""
    for _ in range(50 if _WINDOWS else 0):
        with contextlib.suppress(PermissionError):
            temporary.replace(path)
            return
        time.sleep(0.02)
    temporary.replace(path)


def remove_endpoint(path: Path, endpoint: Endpoint) -> None:
    """Remove the file if it still holds this endpoint's token and not the one of a helper started since."""
    with contextlib.suppress(OSError, WireError):
        there = read_endpoint(path)
        if there is not None and same(there.token, endpoint.token):
            path.unlink()


def new_token() -> str:
    """Return a fresh secret for an endpoint: 32 random bytes as 64 hexadecimal digits."""
    return secrets.token_hex(32)


def new_nonce() -> str:
    """Return what a client asks a listener to prove itself with, good for one hello."""
    return secrets.token_hex(32)


def proof(token: str, nonce: str, port: int) -> str:
    """Return the answer to a hello: HMAC-SHA256 of nonce and listening port, keyed with the token, in hexadecimal.

    The port is part of it, so that another listener cannot pass on the helper's answer as its own. Raises `WireError` for
    a token that is not 64 hexadecimal digits or a nonce that is not 16…64 bytes in lower-case ones.
    """
    if not _TOKEN.fullmatch(token):
        raise WireError("a token that is not 64 hexadecimal digits")
    if not _NONCE.fullmatch(nonce):
        raise WireError("a nonce that is not 16 to 64 bytes in lower-case hexadecimal digits")
    message = b"deepdream hello 1\n" + nonce.encode("ascii") + b"\n" + str(port).encode("ascii")
    return hmac.new(bytes.fromhex(token), message, "sha256").hexdigest()


def same(a: str, b: str) -> bool:
    """Compare two secrets in a time that does not depend on where they differ."""
    return hmac.compare_digest(a.encode("utf-8", "surrogatepass"), b.encode("utf-8", "surrogatepass"))
