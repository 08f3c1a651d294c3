"""The endpoint file: where the helper listens, and the token that lets its user's programs in.

The helper writes the file, which only its user can read; whoever can read it may use the helper. A client sends the token
only to a listener that has proved that it knows the token, so that no other program on that port ever gets it. Standard
library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import re
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .private_files import read_private, write_private
from .wire import LOOPBACK, WireError

if TYPE_CHECKING:
    from pathlib import Path

_TOKEN = re.compile(r"[0-9a-f]{64}")
_NONCE = re.compile(r"(?:[0-9a-f]{2}){16,64}")


@dataclass(frozen=True)
class Endpoint:
    """Where the helper listens, and the token that it demands: the content of the endpoint file.

    `host` is 127.0.0.1 or ::1, `token` 64 hexadecimal digits, `version` the package's, `log` the path of its log file.
    `pid` is 0 if it is unknown, for a service that was found without an endpoint file.
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


def read_endpoint(path: Path) -> Endpoint | None:
    """Read the endpoint file; return None if there is none.

    Raises `WireError` like `read_private`, and if the file is malformed.
    """
    data = read_private(path)
    if data is None:
        return None
    try:
        values: Any = json.loads(data.decode("utf-8"))
        endpoint = Endpoint(**{name: values[name] for name in Endpoint.__dataclass_fields__})
        if endpoint.pid == 0:
            raise WireError("an endpoint of no process")
    except WireError as error:
        raise WireError(f"{path} contains {error} — remove it") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WireError(f"{path} is not a complete endpoint file — remove it") from None
    return endpoint


def write_endpoint(path: Path, endpoint: Endpoint) -> None:
    """Write the endpoint file as `write_private` does."""
    write_private(path, json.dumps(asdict(endpoint), indent=1).encode("ascii"), "DEEPDREAM_RUNTIME_DIR")


def remove_endpoint(path: Path, endpoint: Endpoint) -> None:
    """Remove the file if it still contains this endpoint's token, and not that of a helper started since."""
    with contextlib.suppress(OSError, WireError):
        found = read_endpoint(path)
        if found is not None and same_secret(found.token, endpoint.token):
            path.unlink()


def new_token() -> str:
    """Return a new secret for an endpoint: 32 random bytes as 64 hexadecimal digits."""
    return secrets.token_hex(32)


def new_nonce() -> str:
    """Return a random text that a client sends with one hello."""
    return secrets.token_hex(32)


def prove(token: str, nonce: str, port: int) -> str:
    """Return the proof in the answer to a hello: HMAC-SHA256 of nonce and port, keyed with the token, in hexadecimal.

    The port is part of it, so that another listener cannot pass on the helper's answer as its own. Raises `WireError` for
    a token that is not 64 hexadecimal digits, or a nonce that is not 16…64 bytes in lower-case hexadecimal digits.
    """
    if not _TOKEN.fullmatch(token):
        raise WireError("a token that is not 64 hexadecimal digits")
    if not _NONCE.fullmatch(nonce):
        raise WireError("a nonce that is not 16 to 64 bytes in lower-case hexadecimal digits")
    message = b"deepdream hello 1\n" + nonce.encode("ascii") + b"\n" + str(port).encode("ascii")
    return hmac.new(bytes.fromhex(token), message, "sha256").hexdigest()


def same_secret(a: str, b: str) -> bool:
    """Compare two secrets in a time that does not depend on where they differ."""
    return hmac.compare_digest(a.encode("utf-8", "surrogatepass"), b.encode("utf-8", "surrogatepass"))
