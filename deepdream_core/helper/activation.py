"""Sockets that a service manager listens on for the helper: systemd's socket activation, sd_listen_fds(3).

They stay the manager's: they are never shut down nor unlinked, and what we close is our copy of them.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from deepdream_core.errors import HelperError
from deepdream_core.link import service_endpoint, wire

if TYPE_CHECKING:
    from deepdream_core.link.endpoint import Endpoint

FIRST = 3
"""The number of the first file that is handed over."""
_MEND = "run `python3 install service` again"


def inherited() -> list[socket.socket]:
    """Return the sockets handed over to this very process, [] when it was started in another way.

    They are made non-blocking, as a client may be gone by the time it is let in, and closed to programs that we start.
    Raises `HelperError` for what is no socket that listens on this machine's loopback address.
    """
    pid, count = os.environ.get("LISTEN_PID", ""), os.environ.get("LISTEN_FDS", "")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    found = []
    for number in range(FIRST, FIRST + int(count)):
        try:
            os.set_inheritable(number, False)
            one = socket.socket(fileno=number)
            listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise HelperError(f"file {number}, which was handed over, is no socket: {error.strerror}", _MEND) from None
        if one.family not in (socket.AF_INET, socket.AF_INET6) or not listens:
            raise HelperError(f"the socket handed over as file {number} does not listen for TCP connections", _MEND)
        if one.getsockname()[0] not in wire.LOOPBACK:
            raise HelperError(f"a socket handed over listens at {one.getsockname()[0]}, for other machines", _MEND)
        one.setblocking(False)
        found.append(one)
    if len({one.getsockname()[1] for one in found}) > 1:
        raise HelperError("the sockets handed over listen on several ports", _MEND)
    return found


def address(sockets: list[socket.socket]) -> tuple[Endpoint, str]:
    """Return the service's endpoint at the port of these sockets, and a sentence about what is not as it should be.

    Raises `HelperError` when there is no service file and none can be made.
    """
    port = sockets[0].getsockname()[1]
    try:
        found, said = service_endpoint.prepared(service_endpoint.service_path(), port)
    except wire.WireError as error:
        raise HelperError(*str(error).split(" — ", 1)) from None
    if said:
        return found, f"{said}; run `python3 install gimp` again, so that GIMP knows the new one"
    if found.port != port:
        return found, f"the service listens on port {port}, programs look for it on port {found.port} — {_MEND}"
    return found, ""
