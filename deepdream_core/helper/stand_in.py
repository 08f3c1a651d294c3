"""What a service manager's helper does while it cannot be this user's helper: another helper runs, or none can.

It must answer everybody who connects: for a connection that nobody accepts, the manager would start it again and again, and
then give the socket up. So `Relay` passes calls on to the helper that has the lock, until that ends, and `Refusal` answers
every call with the problem. Both first prove that they know the service's token, as every helper does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from deepdream_core.helper.door import HELLO, Door, answer, nonce_of
from deepdream_core.helper.endpoint import lock_endpoint, polls, silent
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.helper.server import Server
from deepdream_core.helper.upstream import Upstream
from deepdream_core.link import wire
from deepdream_core.link.endpoint import Endpoint, read_endpoint, same_secret
from deepdream_core.machine.notify import Watchdog, notify

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deepdream_core.errors import DeepDreamError
    from deepdream_core.helper.door import Receive, Scope, Send
    from deepdream_core.helper.endpoint import Lock

LOOK_EVERY_S = 0.25
LOOK_AGAIN_S = 1.0
QUIET_S, LONGEST_S = 7.0, 60.0
"""A refusal ends when nobody has called for `QUIET_S`, and after `LONGEST_S` anyway: the problem may be solved.

It does not end sooner: a client that connects again and again would reach the unit's start limit, and the manager would
give the socket up.
"""
log = logging.getLogger("deepdream.helper")


class Relay:
    """Passes calls on to the helper whose endpoint file is at `path`; over when that helper releases the lock.

    `lock` is the lock from then on.
    """

    def __init__(self, path: Path, own: Endpoint, door: Callable[[], Door]) -> None:
        self._path, self._own, self._door = path, own, door
        self.lock: Lock | None = None
        self.status = "another helper runs; calls are passed on to it"

    def over(self) -> bool:
        """Return whether the other helper has ended."""
        self.lock = self.lock or lock_endpoint(self._path)
        return self.lock is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a call that the door has let through."""
        upstream = None
        try:
            other = self._other_helper()
            if scope["path"] == HELLO:
                about = {} if other is None else {"version": other.version, "protocol": other.protocol}
                await answer(send, 200, {**self._door().hello(nonce_of(scope)), **about}, {})
                return
            if other is None:
                raise _unavailable(silent(self._path))
            upstream = await Upstream.opened(other)
            await upstream.forward(scope, receive, send)
        except RefusalError as refusal:
            await answer(send, refusal.status, refusal.body, {"connection": "close"})
        finally:
            if upstream is not None:
                upstream.close()

    def _other_helper(self) -> Endpoint | None:
        """Return the other helper's endpoint, None while it is unknown, as that helper starts or ends."""
        try:
            other = read_endpoint(self._path)
        except wire.WireError:
            return None
        # Our own endpoint is what the service's last helper left when it was killed.
        return None if other is None or same_secret(other.token, self._own.token) else other


class Refusal:
    """Answers every call with a problem; over when `solved` says so, or nobody has called for a while."""

    def __init__(self, error: DeepDreamError, door: Callable[[], Door], solved: Callable[[], bool]) -> None:
        self._error, self._door, self._solved = error, door, solved
        self._look_at = time.monotonic() + LOOK_AGAIN_S
        self.is_solved = False
        self._began = self._called = time.monotonic()
        self.status = f"cannot work: {error}"

    def over(self) -> bool:
        """Return whether the problem is solved, or it is time to try again."""
        now = time.monotonic()
        if now >= self._look_at and not self.is_solved:
            self._look_at = now + LOOK_AGAIN_S
            self.is_solved = self._solved()
        return self.is_solved or now - self._called > QUIET_S or now - self._began > LONGEST_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a call that the door has let through."""
        self._called = time.monotonic()
        if scope["path"] == HELLO:
            await answer(send, 200, self._door().hello(nonce_of(scope)), {})
            return
        refusal = _unavailable(self._error)
        await answer(send, refusal.status, refusal.body, {"connection": "close"})


def _unavailable(error: DeepDreamError) -> RefusalError:
    return RefusalError(503, "unavailable", error.what, error.next_step, exit_code=error.exit_code)


def relayed(path: Path, endpoint: Endpoint, sockets: Sequence[socket.socket]) -> Lock | None:
    """Pass calls on to the helper that has the lock; return the lock once it is free, None after a signal to stop."""

    async def run() -> Lock | None:
        relay = Relay(path, endpoint, lambda: door)
        door = Door(endpoint.token, endpoint.port, lambda: relay)
        stopped = await _serve(door, relay, sockets)
        if relay.lock is not None and stopped:
            relay.lock.held.release()
            return None
        return relay.lock

    return asyncio.run(run())


def refused(
    error: DeepDreamError,
    endpoint: Endpoint,
    sockets: Sequence[socket.socket],
    solved: Callable[[], bool] = lambda: False,
) -> bool:
    """Answer every call with a problem until nobody calls; return whether it was `solved`, or a signal stopped us."""

    async def run() -> bool:
        refusal = Refusal(error, lambda: door, solved)
        door = Door(endpoint.token, endpoint.port, lambda: refusal)
        return await _serve(door, refusal, sockets) or refusal.is_solved

    return asyncio.run(run())


async def _serve(door: Door, application: Relay | Refusal, sockets: Sequence[socket.socket]) -> bool:
    """Serve until the application is over; return whether a signal stopped us."""

    async def farewell() -> None:
        pass

    server = Server(door, farewell)
    door.open()
    copies = [inherited.dup() for inherited in sockets]
    outcome = await server.serve_while(_tick(server, application, sockets, copies), copies)
    if isinstance(outcome, Exception):
        raise outcome
    return server.signalled


async def _tick(
    server: Server, application: Relay | Refusal, sockets: Sequence[socket.socket], copies: Sequence[socket.socket]
) -> None:
    """Report to the service manager that we are ready; return when the application is over and all calls are answered."""
    await server.listening(copies)
    log.warning("%s", application.status)
    notify(f"READY=1\nSTATUS={application.status}")
    watchdog = Watchdog()
    while not (application.over() and await server.rest(sockets)):
        if watchdog.is_due():
            notify("WATCHDOG=1")
        await asyncio.sleep(LOOK_EVERY_S)


def lock_within(path: Path, seconds: float) -> Lock | None:
    """Return the lock, or None if another helper keeps it for so long."""
    for _ in polls(seconds):
        if (lock := lock_endpoint(path)) is not None:
            return lock
    return None
