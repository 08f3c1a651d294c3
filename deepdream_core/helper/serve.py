"""`deepdream helper`: from the lock to the last line of the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from dataclasses import replace
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any

from deepdream_core import __version__
from deepdream_core.errors import DeepDreamError, HelperError, SettingsError
from deepdream_core.helper.dispatcher import TICK_S, Dispatcher
from deepdream_core.helper.door import Door
from deepdream_core.helper.endpoint import bind, check_silent, describe, lock_endpoint, place, polls, silent
from deepdream_core.helper.server import Server
from deepdream_core.helper.shared import remove_left_behind
from deepdream_core.link import client, private_files, user_folders, wire
from deepdream_core.link.endpoint import Endpoint, remove_endpoint, write_endpoint
from deepdream_core.machine.notify import Watchdog, notify

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deepdream_core.helper.endpoint import Lock
    from deepdream_core.settings import Config

ANSWER_WITHIN_S = 10.0
LOCK_WITHIN_S = 2.0
"""Seconds to wait for a helper that is ending; if it is still there, calls are passed on to it."""
SERVICE_IDLE_S = 7.0
"""Seconds that a service runs at least: its unit treats more than ten starts in a minute as a fault."""

log = logging.getLogger("deepdream.helper")


def serve(load: Callable[[], Config], *, on_demand: bool, say: Callable[[str], None]) -> None:
    """Be this user's helper until a signal or a call stops it; return at once if a helper runs already.

    If a service manager listens for the helper, the helper uses its sockets and ends when idle. `load` reads the
    configuration. Raises what `load` raises; `HelperError` if it cannot start, or a running helper does not answer.
    """
    if "LISTEN_FDS" in os.environ:
        from deepdream_core.helper import activation

        sockets = activation.inherited()
        if sockets:
            _serve_for_manager(load, sockets)
            return
    config = load()
    path = place()
    for _ in polls(ANSWER_WITHIN_S):  # a helper that is ending releases the lock, one that is starting answers soon
        lock = lock_endpoint(path)
        if lock is not None:
            break
        with contextlib.suppress(client.LinkError):
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
        asyncio.run(_serve(config, load, sockets, endpoint, lock, on_demand=on_demand))


def _serve_for_manager(load: Callable[[], Config], sockets: list[socket.socket]) -> None:
    """Be the helper that a service manager started because a client connected to these sockets.

    The client gets an answer in any case: from us, from the helper that has the lock already, or the reason why there is
    no helper. A problem is raised only when calls have stopped.
    """
    from deepdream_core.helper import activation, stand_in

    logfile = _start_log(on_demand=False)
    service, notice = activation.address(sockets)
    if notice:
        log.warning("%s", notice)
    endpoint = replace(describe(service.port, logfile), host=sockets[0].getsockname()[0], token=service.token)
    path = place()
    lock = None
    try:
        lock = lock_endpoint(path)
        if lock is None:
            _make_way(path)
            lock = stand_in.lock_within(path, LOCK_WITHIN_S) or stand_in.relayed(path, endpoint, sockets)
        if lock is None:
            return
        config = load()
        _allow_many_files()
        remove_left_behind()
        copies = [inherited.dup() for inherited in sockets]
        asyncio.run(_serve(config, load, copies, endpoint, lock, on_demand=True, inherited=sockets))
    except DeepDreamError as error:
        if lock is not None:
            lock.held.release(force=True)

        by_configuration = isinstance(error, SettingsError)

        def solved() -> bool:
            with contextlib.suppress(DeepDreamError):
                load()
                return by_configuration
            return False

        if not stand_in.refused(error, endpoint, sockets, solved):
            raise


def _make_way(path: Path) -> None:
    """End a helper of another version that has no jobs: programs of this version do not use it."""
    with contextlib.suppress(client.LinkError):
        other = client.connect(endpoint_file=path)
        if other.version != __version__ and not other.status()["jobs"]:
            other.shutdown()


def stop_running(say: Callable[[str], None]) -> None:
    """End this user's helper, and return when it has ended; raises `HelperError` if it does not answer or end."""
    path = place()
    try:
        running = client.connect(endpoint_file=path)
        running.shutdown()
    except client.NoHelper:
        check_silent(path)
        say("no helper runs")
        return
    except client.LinkError as error:
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
    """Log to a rotating file, and to stderr unless a client started us, as nobody reads it then."""
    folder = user_folders.state_folder()
    path = folder / "helper.log"
    log.setLevel(logging.INFO)
    log.propagate = False
    form = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
    handlers: list[logging.Handler] = [] if on_demand else [logging.StreamHandler(sys.stderr)]
    try:
        private_files.make_private_folder(folder)
        handlers.append(RotatingFileHandler(path, maxBytes=1_000_000, backupCount=3, encoding="utf-8"))
    except wire.WireError as error:
        raise HelperError(str(error)) from None
    except OSError as error:
        raise HelperError(f"{path}: {error.strerror}", "fix that, or set DEEPDREAM_STATE_DIR") from None
    for handler in handlers:
        handler.setFormatter(form)
        log.addHandler(handler)
        for other in ("uvicorn", "asyncio"):
            logging.getLogger(other).addHandler(handler)
            logging.getLogger(other).propagate = False
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # what any client can cause is not worth a line
    logging.raiseExceptions = False  # a full disk must not fill stderr with tracebacks
    return path


async def _serve(
    config: Config,
    reload: Callable[[], Config],
    sockets: list[socket.socket],
    endpoint: Endpoint,
    lock: Lock,
    *,
    on_demand: bool,
    inherited: Sequence[socket.socket] = (),
) -> None:
    """Serve on `sockets` and close them at the end; `inherited` are those that a service manager holds open too.

    `reload` reads the configuration that is in force now, for its presets.
    """
    dispatcher = Dispatcher(config, on_demand=on_demand)
    server: Server

    def load() -> Any:
        from deepdream_core.helper.app import build

        return build(dispatcher, door.hello, server.stop, reload)

    door = Door(endpoint.token, endpoint.port, load)
    server = Server(door, dispatcher.stop)
    door.open()
    if inherited:  # a client that has connected already reads the file once it is answered
        _publish(lock, endpoint)
    ticking = _tick(dispatcher, server, door, sockets, inherited, endpoint, lock)
    try:
        outcome = await server.serve_while(ticking, sockets)
    finally:
        remove_endpoint(lock.endpoint, endpoint)
        dispatcher.close()
        log.info("helper stopped")
    if isinstance(outcome, Exception):
        log.error(
            "the helper ended because of an error", exc_info=None if isinstance(outcome, HelperError) else outcome
        )
        raise outcome


def _publish(lock: Lock, endpoint: Endpoint) -> None:
    try:
        write_endpoint(lock.endpoint, endpoint)
    except OSError as error:
        raise HelperError(f"{lock.endpoint}: {error.strerror}", "fix that, or set DEEPDREAM_RUNTIME_DIR") from None
    except wire.WireError as error:
        raise HelperError(str(error)) from None


async def _tick(
    dispatcher: Dispatcher,
    server: Server,
    door: Door,
    sockets: Sequence[socket.socket],
    inherited: Sequence[socket.socket],
    endpoint: Endpoint,
    lock: Lock,
) -> None:
    """Publish the endpoint once the sockets listen; then do what is due, four times a second.

    Returns when the helper is to end. Raises `HelperError` if it cannot continue.
    """
    await server.listening(sockets)
    if not inherited:
        _publish(lock, endpoint)
    log.info("helper %s listens on http://%s:%d, process %d", __version__, endpoint.host, endpoint.port, endpoint.pid)
    notify(f"READY=1\nSTATUS=listening on port {endpoint.port}")
    watchdog = Watchdog()
    while True:
        dispatcher.tick()
        if (failure := door.failure()) is not None:
            raise HelperError(f"the helper is broken: {failure}", "install it again") from failure
        if lock.lost(endpoint):
            log.error("%s was removed or belongs to another helper: this one ends", lock.endpoint.parent)
            return
        if watchdog.is_due():
            notify("WATCHDOG=1")
        if dispatcher.on_demand and await _may_end(dispatcher, server, inherited):
            log.info("idle for %.0f s: the helper ends itself", dispatcher.idle_s)
            return
        await asyncio.sleep(TICK_S)


async def _may_end(dispatcher: Dispatcher, server: Server, inherited: Sequence[socket.socket]) -> bool:
    """Return whether the helper has been idle long enough; with a service manager, it then accepts no more connections."""
    limit_s = dispatcher.limits.idle_exit_s
    if not inherited:
        return dispatcher.idle_s > limit_s
    return dispatcher.idle_s > max(limit_s, SERVICE_IDLE_S) and await server.rest(inherited)
