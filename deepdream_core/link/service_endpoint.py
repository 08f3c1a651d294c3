"""The address of the helper as a service: a port and a token that stay the same from one start of the helper to the next.

`python3 install service` has them made (`python -m deepdream_core.link.service_endpoint`) and tells the service manager to
listen on that port: whoever connects there starts the helper. So also a sandboxed GIMP, which sees no endpoint file and
can start no program, finds it. Standard library only and Python 3.9, because the GIMP plug-in carries a copy.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = "service.json"
PORTS = range(15_000, 49_152)
"""Where a port is looked for; those that the system gives to outgoing connections are left out."""
PROVE_WITHIN_S = 10.0
"""Who has our port already must prove by then to be ours: a helper that has to start for it needs a moment."""
TRIES = 200


def service_path() -> Path:
    """Return where the file is; raises `WireError` for a user without a home folder."""
    return wire.state_folder() / FILE


def endpoint_of(words: Any, log: Path) -> wire.Endpoint:
    """Return the endpoint that `host`, `port` and `token` of a mapping stand for; raises `WireError` for anything else.

    What only a running helper knows is not in it: `pid` is 0, `version` unknown.
    """
    try:
        host, port, token = words["host"], words["port"], words["token"]
    except (TypeError, KeyError):
        raise wire.WireError("no host, port and token of a service") from None
    return wire.Endpoint(
        host=host, port=port, token=token, pid=0, version="unknown", protocol=wire.PROTOCOL, log=str(log)
    )


def read_service(path: Path) -> wire.Endpoint | None:
    """Return the service's endpoint, or None when there is no such file; raises `WireError` like `wire.read_endpoint`."""
    data = wire.read_private(path)
    if data is None:
        return None
    try:
        return endpoint_of(json.loads(data.decode("utf-8")), path.with_name("helper.log"))
    except wire.WireError as error:
        raise wire.WireError(f"{path} holds {error} — run `python3 install service` again") from None
    except (ValueError, RecursionError):
        raise wire.WireError(f"{path} is damaged — run `python3 install service` again") from None


def words_of(endpoint: wire.Endpoint) -> dict[str, Any]:
    """Return what the file, and `deepdream.json` beside the plug-in, hold of the endpoint."""
    return {"host": endpoint.host, "port": endpoint.port, "token": endpoint.token}


def prepared(path: Path, port: int | None = None) -> tuple[wire.Endpoint, str]:
    """Return the service's endpoint, made and written where there is none, and a sentence where one had to be replaced.

    One that is there is kept as long as its port is free or a helper answers there that knows the token. `port` is the one
    that the service manager listens on already: then that is not looked into. Raises `WireError` when the file cannot be
    written, or no port is free.
    """
    said = ""
    try:
        found = read_service(path)
    except wire.WireError as error:
        found, said = None, f"{str(error).partition(' — ')[0]}; it was made again"
    if found is not None:
        if port is not None or _free(found.port, reuse=True) or _ours(found):
            return found, said
        said = f"another program listens on port {found.port}; the service has another port now"
    wire.make_private_folder(path.parent)
    words = {"host": wire.LOOPBACK[0], "port": port or _chosen_port(), "token": wire.new_token()}
    made = endpoint_of(words, path.with_name("helper.log"))
    wire.write_private(path, json.dumps(words, indent=1).encode("ascii") + b"\n", "DEEPDREAM_STATE_DIR")
    return made, said


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
    """Return the first and the last of the ports that the system takes for outgoing connections."""
    with contextlib.suppress(OSError, ValueError):
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()
        return int(low), int(high)
    return 49_152, 65_535


def _free(port: int, *, reuse: bool) -> bool:
    """Say whether nobody has the port; with `reuse`, connections that have just ended do not matter."""
    for host in wire.LOOPBACK:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                if reuse and os.name == "posix":
                    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind((host, port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in _without(("EAFNOSUPPORT", "EADDRNOTAVAIL")):
                continue  # a machine without IPv6
            return False
    return True


def _without(names: Iterable[str]) -> set[int]:
    return {getattr(errno, prefix + name) for name in names for prefix in ("", "WSA") if hasattr(errno, prefix + name)}


def _ours(endpoint: wire.Endpoint) -> bool:
    """Say whether who listens there knows the token; that starts a helper for whose sake a service manager listens."""
    from . import connection  # not above: the plug-in's dialog opens sooner without

    try:
        connection.Connection(endpoint, PROVE_WITHIN_S).close()
    except connection.FOREIGN:
        return False
    return True


def main() -> int:
    """Make the file where it is not there, and print its path, host and port as JSON, never the token; return 0 or 1."""
    try:
        path = service_path()
        endpoint, said = prepared(path)
    except wire.WireError as error:
        print(error, file=sys.stderr)
        return 1
    if said:
        print(said, file=sys.stderr)
    print(json.dumps({"path": str(path), "host": endpoint.host, "port": endpoint.port}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
