"""The helper on systems without socket activation: programs start it when needed, and it ends itself when idle."""

from __future__ import annotations

import contextlib

from deepdream_core.link import client
from deepdream_core.service.interface import HELPER, Part


def part() -> Part:
    """Return its state, without starting it."""
    try:
        helper = client.connect()
        status = helper.status()
    except client.NoHelper as error:
        if error.hung_pid is not None:
            return Part(HELPER, "failed", error.what, pid=error.hung_pid, next_step=error.next_step)
        return Part(HELPER, "waits", "programs start it when they need it")
    except client.LinkError as error:
        return Part(HELPER, "failed", error.what, next_step=error.next_step)
    return Part(HELPER, "runs", f"listening on port {helper.endpoint.port}", status["uptime_s"], status["pid"])


def end() -> None:
    """End it if it is running."""
    with contextlib.suppress(client.LinkError):
        client.connect().shutdown()
