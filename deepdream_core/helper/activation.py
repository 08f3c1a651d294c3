"""Sockets that a service manager listens on for the helper. Follows systemd's socket activation, sd_listen_fds(3).

The sockets stay the manager's: we never shut them down nor unlink them, and close only our copies.
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
"""The descriptor of the first socket that is passed."""
_INSTALL_AGAIN = "run `python3 install service` again"


def inherited() -> list[socket.socket]:
    """Return the sockets passed to this process, [] if it was started in another way.

    They become non-blocking, as a client may have disconnected before it is accepted, and programs that we start do not
    inherit them. Raises `HelperError` for anything but a socket that listens on this machine's loopback address.
    """
    pid, count = os.environ.get("LISTEN_PID", ""), os.environ.get("LISTEN_FDS", "")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for number in range(FIRST, FIRST + int(count)):
        try:
            os.set_inheritable(number, False)
            found = socket.socket(fileno=number)
            listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise HelperError(
                f"descriptor {number}, which was passed to the helper, is not a socket: {error.strerror}",
                _INSTALL_AGAIN,
            ) from None
        if found.family not in (socket.AF_INET, socket.AF_INET6) or not listens:
            raise HelperError(
                f"the socket passed as descriptor {number} does not listen for TCP connections", _INSTALL_AGAIN
            )
        if found.getsockname()[0] not in wire.LOOPBACK:
            raise HelperError(
                f"a passed socket listens at {found.getsockname()[0]}, where other machines reach it", _INSTALL_AGAIN
            )
        found.setblocking(False)
        sockets.append(found)
    if len({found.getsockname()[1] for found in sockets}) > 1:
        raise HelperError("the passed sockets listen on several ports", _INSTALL_AGAIN)
    return sockets


def address(sockets: list[socket.socket]) -> tuple[Endpoint, str]:
    """Return the service's endpoint at the port of these sockets, and a sentence about a problem with it.

    Raises `HelperError` if there is no service file and none can be written.
    """
    port = sockets[0].getsockname()[1]
    try:
        found, notice = service_endpoint.prepared(service_endpoint.service_path(), port)
    except wire.WireError as error:
        raise HelperError(*str(error).split(" — ", 1)) from None
    if notice:
        return found, f"{notice}; run `python3 install gimp` again, so that GIMP gets the new address"
    if found.port != port:
        return (
            found,
            f"the service listens on port {port}, but programs look for it on port {found.port} — {_INSTALL_AGAIN}",
        )
    return found, ""
