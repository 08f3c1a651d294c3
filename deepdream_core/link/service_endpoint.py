"""The address of the helper as a service: a port and a token that stay the same from one start of the helper to the next.

`python3 install service` creates them (`python -m deepdream_core.link.service_endpoint`) and lets the service manager
listen on that port: a connection starts the helper. So even a sandboxed GIMP finds it, which sees no endpoint file and
cannot start programs. Standard library only and Python 3.9, because the GIMP plug-in carries a copy.
"""

from __future__ import annotations

import contextlib
import errno
import json
import secrets
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import private_files, user_folders, wire
from .endpoint import Endpoint, new_token

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = "service.json"
PORTS = range(15_000, 49_152)
"""Candidates for the port, without those that the system gives to outgoing connections."""
PROVE_WITHIN_S = 10.0
"""A listener on our port must prove by then that it is ours; a helper that has to start for it needs a moment."""
TRIES = 200


def service_path() -> Path:
    """Return the path of the service file; raises `WireError` for a user without a home folder."""
    return user_folders.state_folder() / FILE


def endpoint_of(values: Any, log: Path) -> Endpoint:
    """Return the endpoint with the `host`, `port` and `token` of a mapping; raises `WireError` for anything else.

    Its `pid` is 0 and its `version` unknown, as only a running helper knows them.
    """
    try:
        host, port, token = values["host"], values["port"], values["token"]
    except (TypeError, KeyError):
        raise wire.WireError("no host, port and token of a service") from None
    return Endpoint(host=host, port=port, token=token, pid=0, version="unknown", protocol=wire.PROTOCOL, log=str(log))


def read_service(path: Path) -> Endpoint | None:
    """Return the service's endpoint, or None if there is no file; raises `WireError` like `read_endpoint`."""
    data = private_files.read_private(path)
    if data is None:
        return None
    try:
        return endpoint_of(json.loads(data.decode("utf-8")), path.with_name("helper.log"))
    except wire.WireError as error:
        raise wire.WireError(f"{path} contains {error} — run `python3 install service` again") from None
    except (ValueError, RecursionError):
        raise wire.WireError(f"{path} is damaged — run `python3 install service` again") from None


def words_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the part of the endpoint that is in the file, and in `deepdream.json` beside the plug-in."""
    return {"host": endpoint.host, "port": endpoint.port, "token": endpoint.token}


def prepared(path: Path, port: int | None = None) -> tuple[Endpoint, str]:
    """Return the service's endpoint, created if there is none, and a sentence if an old one had to be replaced.

    An endpoint stays as long as its port is free, or a helper that knows the token answers there. With the `port` on which
    the service manager already listens, that is not checked. Raises `WireError` if the file cannot be written, or no port
    is free.
    """
    notice = ""
    try:
        found = read_service(path)
    except wire.WireError as error:
        found, notice = None, f"{str(error).partition(' — ')[0]}; DeepDream made a new one"
    if found is not None:
        if port is not None or _free(found.port, reuse=True) or _ours(found):
            return found, notice
        notice = f"another program listens on port {found.port}; the service has another port now"
    private_files.make_private_folder(path.parent)
    values = {"host": wire.LOOPBACK[0], "port": port or _chosen_port(), "token": new_token()}
    made = endpoint_of(values, path.with_name("helper.log"))
    private_files.write_private(path, json.dumps(values, indent=1).encode("ascii") + b"\n", "DEEPDREAM_STATE_DIR")
    return made, notice


def _chosen_port() -> int:
    """Return a port that is free on both loopback addresses and that the system gives to no outgoing connection."""
    low, high = _ephemeral()
    random = secrets.SystemRandom()
    candidates = [port for port in PORTS if not low <= port <= high] or list(PORTS)
    for port in random.sample(candidates, TRIES):
        if _free(port, reuse=False):
            return port
    raise wire.WireError(f"none of {TRIES} ports tried on this machine is free — end programs that hold them")


def _ephemeral() -> tuple[int, int]:
    """Return the first and the last port that the system gives to outgoing connections."""
    with contextlib.suppress(OSError, ValueError):
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()
        return int(low), int(high)
    return 49_152, 65_535


def _free(port: int, *, reuse: bool) -> bool:
    """Return whether no program has the port; with `reuse`, connections that have just ended do not matter."""
    for host in wire.LOOPBACK:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as candidate:
                if reuse and sys.platform != "win32":
                    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                candidate.bind((host, port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in _errors(("EAFNOSUPPORT", "EADDRNOTAVAIL")):
                continue  # a machine without IPv6
            return False
    return True


def _errors(names: Iterable[str]) -> set[int]:
    return {getattr(errno, prefix + name) for name in names for prefix in ("", "WSA") if hasattr(errno, prefix + name)}


def _ours(endpoint: Endpoint) -> bool:
    """Return whether the listener knows the token; the check starts a helper for which a service manager listens."""
    from . import connection  # not at the top: the plug-in's dialog opens sooner without it

    try:
        connection.Connection(endpoint, PROVE_WITHIN_S).close()
    except connection.FOREIGN:
        return False
    return True


def main() -> int:
    """Create the file if there is none, and print its path, host and port as JSON, never the token; return 0 or 1."""
    try:
        path = service_path()
        endpoint, notice = prepared(path)
    except wire.WireError as error:
        print(error, file=sys.stderr)
        return 1
    if notice:
        print(notice, file=sys.stderr)
    print(json.dumps({"path": str(path), "host": endpoint.host, "port": endpoint.port}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
