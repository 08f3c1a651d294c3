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
from deepdream_core.helper.endpoint import LOCK, bind, describe, lock_endpoint, polls
from deepdream_core.helper.notify import notify, watchdog_s

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator
    from pathlib import Path

    from deepdream_core.settings import Config

KEEP_ALIVE_S = 30
CONNECTIONS = 512
STOP_WITHIN_S = 1

log = logging.getLogger("deepdream.helper")


def serve(config: Config, *, on_demand: bool, say: Callable[[str], None]) -> None:
    """Be this user's helper until told to stop; return at once when there is one already.

    Raises `HelperError` when it cannot start.
    """
    path = wire.endpoint_path()
    lock = lock_endpoint(path)
    if lock is None:
        say(_who_runs(path))
        return
    with lock:
        logfile = _start_log(on_demand=on_demand)
        sockets = bind(config.helper.port)
        endpoint = describe(sockets[0].getsockname()[1], logfile)
        asyncio.run(_serve(config, sockets, endpoint, path, on_demand=on_demand))


def stop_running(say: Callable[[str], None]) -> None:
    """End this user's helper, and return when it is gone."""
    path = wire.endpoint_path()
    try:
        running = client.connect(endpoint_file=path)
        running.shutdown()
    except client.NoHelper:
        say("no helper runs")
        return
    for _ in polls(10.0):
        if (lock := lock_endpoint(path)) is not None:
            lock.release()
            say(f"helper stopped, process {running.endpoint.pid}")
            return
    raise HelperError(f"process {running.endpoint.pid} does not end", f"end it yourself: kill {running.endpoint.pid}")


def _who_runs(path: Path) -> str:
    """Return what to tell somebody who starts a second helper; the first may still be starting."""
    for _ in polls(5.0):
        with contextlib.suppress(client.HelperError):
            found = client.connect(endpoint_file=path).endpoint
            return f"a helper runs already: process {found.pid}, http://{found.host}:{found.port}, log {found.log}"
    return f"a helper is starting or stopping just now — see {wire.state_folder() / 'helper.log'}"


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
    except (OSError, wire.WireError) as error:
        raise HelperError(
            f"{path}: {getattr(error, 'strerror', None) or error}", "mend that, or set DEEPDREAM_STATE_DIR"
        ) from None
    for handler in handlers:
        handler.setFormatter(form)
        log.addHandler(handler)
        logging.getLogger("uvicorn").addHandler(handler)
    logging.getLogger("uvicorn").setLevel(
        logging.ERROR
    )  # what anybody can cause by talking nonsense is not worth a line
    return path


async def _serve(
    config: Config, sockets: list[socket.socket], endpoint: wire.Endpoint, path: Path, *, on_demand: bool
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
            timeout_keep_alive=KEEP_ALIVE_S, limit_concurrency=CONNECTIONS, server_header=False, date_header=False,
            timeout_graceful_shutdown=STOP_WITHIN_S, proxy_headers=False,
        ),
        dispatcher,
    )  # fmt: skip
    door.open()
    ticking = asyncio.ensure_future(_tick(dispatcher, server, door, endpoint, path))
    try:
        await server.serve(sockets)
        if (failure := door.failure()) is not None:
            raise HelperError(f"the helper is broken: {failure}", "install it again") from failure
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        wire.remove_endpoint(path, endpoint)
        dispatcher.close()
        log.info("helper stopped")


async def _tick(dispatcher: Dispatcher, server: _Server, door: Door, endpoint: wire.Endpoint, path: Path) -> None:
    """Publish the endpoint once the sockets listen; then look after what time brings, four times a second."""
    while not server.started:
        await asyncio.sleep(0.001)
    try:
        wire.write_endpoint(path, endpoint)
    except (OSError, wire.WireError) as error:
        log.error("%s cannot be written: %s", path, error)
        server.stop()
        return
    lock = path.with_name(LOCK)
    watched = lock.stat().st_ino
    log.info("helper %s listens on http://%s:%d, process %d", __version__, endpoint.host, endpoint.port, endpoint.pid)
    notify(f"READY=1\nSTATUS=listening on port {endpoint.port}")
    period = watchdog_s()
    loop = asyncio.get_running_loop()
    next_sign = loop.time()
    while True:
        dispatcher.tick()
        if door.failure() is not None:
            server.stop()
            return
        if not _still_ours(lock, watched, endpoint, path):
            log.error("%s was removed or belongs to another helper: this one ends", path.parent)
            server.stop()
            return
        if period is not None and loop.time() >= next_sign:
            notify("WATCHDOG=1")
            next_sign = loop.time() + period / 3
        if dispatcher.on_demand and dispatcher.idle_s > dispatcher.limits.idle_exit_s:
            log.info("idle for %.0f s: the helper ends itself", dispatcher.idle_s)
            server.stop()
            return
        await asyncio.sleep(TICK_S)


def _still_ours(lock: Path, inode: int, endpoint: wire.Endpoint, path: Path) -> bool:
    """Say whether clients still find this helper; a missing endpoint file is written again.

    Somebody may have emptied the folder, or removed it; another helper could then start beside this one.
    """
    try:
        if lock.stat().st_ino != inode:
            return False
        if not path.exists():
            wire.write_endpoint(path, endpoint)
        found = wire.read_endpoint(path)
    except (OSError, wire.WireError):
        return False
    return found is not None and found.token == endpoint.token


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
