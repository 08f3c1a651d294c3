"""`deepdream helper`: from the lock to the last line of the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any

import uvicorn

from deepdream_core import __version__, client, wire
from deepdream_core.errors import HelperError
from deepdream_core.helper.dispatcher import TICK_S, Dispatcher
from deepdream_core.helper.door import Door, TimedProtocol
from deepdream_core.helper.endpoint import bind, check_silent, describe, lock_endpoint, place, polls, silent
from deepdream_core.helper.notify import notify, watchdog_s
from deepdream_core.helper.shared import remove_left_behind

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator
    from pathlib import Path

    from deepdream_core.helper.endpoint import Lock
    from deepdream_core.settings import Config

KEEP_ALIVE_S = 30
ANSWER_WITHIN_S = 10.0
STOP_WITHIN_S = 1
ACCEPTED_AT_ONCE, WAITING = 32, 2048
"""Connections taken in one turn of the event loop, before `TimedProtocol` can turn any away: each is an open file; and
those that the system keeps waiting for their turn."""

log = logging.getLogger("deepdream.helper")


def serve(config: Config, *, on_demand: bool, say: Callable[[str], None]) -> None:
    """Be this user's helper until told to stop; return at once when there is one already.

    Raises `HelperError` when it cannot start, and when the one there is does not answer.
    """
    path = place()
    for _ in polls(ANSWER_WITHIN_S):  # one that is ending gives the place free, one that is starting answers soon
        lock = lock_endpoint(path)
        if lock is not None:
            break
        with contextlib.suppress(client.HelperError):
            found = client.connect(endpoint_file=path).endpoint
            say(f"a helper runs already: process {found.pid}, http://{found.host}:{found.port}, log {found.log}")
            return
    else:
        raise silent(path)
    with lock.held:
        _allow_many_files()
        logfile = _start_log(on_demand=on_demand)
        remove_left_behind()
        sockets = bind(config.helper.port)
        endpoint = describe(sockets[0].getsockname()[1], logfile)
        asyncio.run(_serve(config, sockets, endpoint, lock, on_demand=on_demand))


def stop_running(say: Callable[[str], None]) -> None:
    """End this user's helper, and return when it is gone; raises `HelperError` when it does not answer or end."""
    path = place()
    try:
        running = client.connect(endpoint_file=path)
        running.shutdown()
    except client.NoHelper:
        check_silent(path)
        say("no helper runs")
        return
    except client.HelperError as error:
        raise HelperError(error.what, error.next_step) from None
    for _ in polls(ANSWER_WITHIN_S):
        if (lock := lock_endpoint(path)) is not None:
            lock.held.release()
            say(f"helper stopped, process {running.endpoint.pid}")
            return
    raise silent(path)


def _allow_many_files() -> None:
    """Raise the limit of open files as far as this user may: every connection is one."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _start_log(*, on_demand: bool) -> Path:
    """Write the log to a rotating file, and to stderr unless a client started us: nobody would read it there."""
    folder = wire.state_folder()
    path = folder / "helper.log"
    log.setLevel(logging.INFO)
    log.propagate = False
    form = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
    handlers: list[logging.Handler] = [] if on_demand else [logging.StreamHandler(sys.stderr)]
    try:
        wire.make_private_folder(folder)
        handlers.append(RotatingFileHandler(path, maxBytes=1_000_000, backupCount=3, encoding="utf-8"))
    except wire.WireError as error:
        raise HelperError(str(error)) from None
    except OSError as error:
        raise HelperError(f"{path}: {error.strerror}", "mend that, or set DEEPDREAM_STATE_DIR") from None
    for handler in handlers:
        handler.setFormatter(form)
        log.addHandler(handler)
        for other in ("uvicorn", "asyncio"):
            logging.getLogger(other).addHandler(handler)
            logging.getLogger(other).propagate = False
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # what anybody can cause is not worth a line
    logging.raiseExceptions = False  # a full disk is no reason to fill another one with complaints
    return path


async def _serve(
    config: Config, sockets: list[socket.socket], endpoint: wire.Endpoint, lock: Lock, *, on_demand: bool
) -> None:
    dispatcher = Dispatcher(config, on_demand=on_demand)
    server: _Server

    def load() -> Any:
        from deepdream_core.helper.app import build

        return build(dispatcher, door.hello, server.stop)

    door = Door(endpoint.token, endpoint.port, load)
    server = _Server(
        uvicorn.Config(
            door, http=TimedProtocol, ws="none", lifespan="off", log_config=None, access_log=False, loop="asyncio",
            timeout_keep_alive=KEEP_ALIVE_S, server_header=False, date_header=False,
            timeout_graceful_shutdown=STOP_WITHIN_S, proxy_headers=False, backlog=ACCEPTED_AT_ONCE,
        ),
        dispatcher,
    )  # fmt: skip
    door.open()
    ticking = asyncio.ensure_future(_tick(dispatcher, server, door, sockets, endpoint, lock))
    ticking.add_done_callback(lambda _: server.stop())
    try:
        await server.serve(sockets)
    finally:
        ticking.cancel()
        (outcome,) = await asyncio.gather(ticking, return_exceptions=True)
        wire.remove_endpoint(lock.endpoint, endpoint)
        dispatcher.close()
        log.info("helper stopped")
    if isinstance(outcome, Exception):
        log.error("it ended because of this", exc_info=None if isinstance(outcome, HelperError) else outcome)
        raise outcome


async def _tick(
    dispatcher: Dispatcher,
    server: _Server,
    door: Door,
    sockets: list[socket.socket],
    endpoint: wire.Endpoint,
    lock: Lock,
) -> None:
    """Publish the endpoint once the sockets listen; then look after what time brings, four times a second.

    Returns when the helper shall end. Raises `HelperError` when it cannot go on.
    """
    while not server.started:
        await asyncio.sleep(0.001)
    for listening in sockets:
        listening.listen(WAITING)  # asyncio takes as many at once as it lets wait
    try:
        wire.write_endpoint(lock.endpoint, endpoint)
    except OSError as error:
        raise HelperError(f"{lock.endpoint}: {error.strerror}", "mend that, or set DEEPDREAM_RUNTIME_DIR") from None
    except wire.WireError as error:
        raise HelperError(str(error)) from None
    log.info("helper %s listens on http://%s:%d, process %d", __version__, endpoint.host, endpoint.port, endpoint.pid)
    notify(f"READY=1\nSTATUS=listening on port {endpoint.port}")
    period = watchdog_s()
    loop = asyncio.get_running_loop()
    next_sign = loop.time()
    while True:
        dispatcher.tick()
        if (failure := door.failure()) is not None:
            raise HelperError(f"the helper is broken: {failure}", "install it again") from failure
        if lock.lost(endpoint):
            log.error("%s was removed or belongs to another helper: this one ends", lock.endpoint.parent)
            return
        if period is not None and loop.time() >= next_sign:
            notify("WATCHDOG=1")
            next_sign = loop.time() + period / 3
        if dispatcher.on_demand and dispatcher.idle_s > dispatcher.limits.idle_exit_s:
            log.info("idle for %.0f s: the helper ends itself", dispatcher.idle_s)
            return
        await asyncio.sleep(TICK_S)


class _Server(uvicorn.Server):
    """uvicorn's server, which first lets clients know that it stops, and for which a signal to stop is no failure."""

    def __init__(self, config: uvicorn.Config, dispatcher: Dispatcher) -> None:
        super().__init__(config)
        self._dispatcher = dispatcher

    def stop(self) -> None:
        """End the main loop soon."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take SIGINT and SIGTERM as the wish to stop; a second one changes nothing, it takes less than five seconds."""
        numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell clients, end workers, and then let uvicorn close what is open."""
        notify("STOPPING=1")
        for server in self.servers:
            server.close()
        await self._dispatcher.stop()
        await super().shutdown(sockets)
