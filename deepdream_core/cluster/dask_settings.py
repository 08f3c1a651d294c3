"""How Dask runs here; imported before anything of Dask is made."""

from __future__ import annotations

import logging

import dask
from distributed import Scheduler, Worker

dask.config.set({
    # Each connection remembers so many of its last messages, for debugging, and they hold pictures.
    "distributed.admin.low-level-log-length": 0,
    # A large picture in the graph is meant: scattered, it would be lost with its worker.
    "distributed.admin.large-graph-warning-threshold": "1TB",
    # A worker that is unplugged takes pictures with it that did nothing to it.
    "distributed.scheduler.allowed-failures": 3,
    # One that is frozen, or whose cable is out, keeps its connection open.
    "distributed.scheduler.worker-ttl": "60 s",
})  # fmt: skip


def silence() -> None:
    """Let Dask log nothing: other words report it. Its loggers have levels of their own."""
    for name in ["distributed", *logging.root.manager.loggerDict]:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class QuietWorker(Worker):
    """A Dask worker without web pages: Dask's are open to the whole network."""

    def start_http_server(self, *_arguments: object, **_options: object) -> None:
        """Start none."""


class QuietScheduler(Scheduler):
    """A Dask scheduler without web pages."""

    def start_http_server(self, *_arguments: object, **_options: object) -> None:
        """Start none."""


def reason_of(error: BaseException) -> str:
    """Return in one line why Dask failed: the last line of the first cause that says anything."""
    reason = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        reason = getattr(cause, "strerror", None) or str(cause).strip() or reason
        cause = cause.__cause__
    return reason.splitlines()[-1]
