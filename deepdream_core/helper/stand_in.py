"""When the helper that a service manager has started cannot be this user's helper just now: another one is, or none can be.

Whoever has connected must be answered: the manager would start us again for a connection that nobody takes, until it gives
the socket up. So a `Relay` hands calls on to the helper that has the lock, until that ends; a `Refusal` tells every caller
what is wrong. Both prove to know the service's token first, as every helper does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

import h11

from deepdream_core.helper.door import HELLO, Door, answer, nonce_of
from deepdream_core.helper.endpoint import lock_endpoint, polls, silent
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.helper.server import Server
from deepdream_core.link import wire
from deepdream_core.link.endpoint import Endpoint, new_nonce, prove, read_endpoint, same_secret
from deepdream_core.machine.notify import notify, watchdog_s

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deepdream_core.errors import DeepDreamError
    from deepdream_core.helper.door import Receive, Scope, Send
    from deepdream_core.helper.endpoint import Lock

HELLO_WITHIN_S = 2.0
LOOK_EVERY_S = 0.25
LOOK_AGAIN_S = 1.0
QUIET_S, LONGEST_S = 7.0, 60.0
"""A refusal ends when nobody has come for so long, or after so long anyhow: what was wrong may have been mended.

Not sooner, as the unit's start limit would be reached by whoever connects again and again, and the socket be given up.
"""
_PIECE = 1 << 16
_HANDED_ON = {b"content-type", b"content-length", b"accept", b"last-event-id"}
_NOT_BACK = {b"connection", b"transfer-encoding", b"keep-alive"}

log = logging.getLogger("deepdream.helper")


class Relay:
    """Hands calls on to the helper whose endpoint file is at `path`; over when that has given the lock free.

    `lock` is it then.
    """

    def __init__(self, path: Path, own: Endpoint, door: Callable[[], Door]) -> None:
        self._path, self._own, self._door = path, own, door
        self.lock: Lock | None = None
        self.status = "another helper runs; calls are handed on to it"

    def over(self) -> bool:
        """Say whether the other one is gone."""
        self.lock = self.lock or lock_endpoint(self._path)
        return self.lock is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a call that the door has let through."""
        upstream = None
        try:
            holder = self._holder()
            if scope["path"] == HELLO:
                theirs = {} if holder is None else {"version": holder.version, "protocol": holder.protocol}
                await answer(send, 200, {**self._door().hello(nonce_of(scope)), **theirs}, {})
                return
            if holder is None:
                raise _unavailable(silent(self._path))
            upstream = await _Upstream.opened(holder)
            await upstream.hand_on(scope, receive, send)
        except RefusalError as refusal:
            await answer(send, refusal.status, refusal.body, {"connection": "close"})
        finally:
            if upstream is not None:
                upstream.close()

    def _holder(self) -> Endpoint | None:
        """Return where the other helper listens; None while that is not known, as it starts or ends."""
        try:
            holder = read_endpoint(self._path)
        except wire.WireError:
            return None
        # Our own address is what the service's last helper left there when it was killed.
        return None if holder is None or same_secret(holder.token, self._own.token) else holder


class Refusal:
    """Tells every caller what is wrong; over when that is mended, or nobody has asked for a while."""

    def __init__(self, error: DeepDreamError, door: Callable[[], Door], mended: Callable[[], bool]) -> None:
        self._error, self._door, self._mended = error, door, mended
        self._look_at = time.monotonic() + LOOK_AGAIN_S
        self.is_mended = False
        self._began = self._asked = time.monotonic()
        self.status = f"cannot work: {error}"

    def over(self) -> bool:
        """Say whether it is time to see whether it has been mended."""
        now = time.monotonic()
        if now >= self._look_at and not self.is_mended:
            self._look_at = now + LOOK_AGAIN_S
            self.is_mended = self._mended()
        return self.is_mended or now - self._asked > QUIET_S or now - self._began > LONGEST_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a call that the door has let through."""
        self._asked = time.monotonic()
        if scope["path"] == HELLO:
            await answer(send, 200, self._door().hello(nonce_of(scope)), {})
            return
        refusal = _unavailable(self._error)
        await answer(send, refusal.status, refusal.body, {"connection": "close"})


def _unavailable(error: DeepDreamError) -> RefusalError:
    return RefusalError(503, "unavailable", error.what, error.next_step, exit_code=error.exit_code)


def relayed(path: Path, endpoint: Endpoint, sockets: Sequence[socket.socket]) -> Lock | None:
    """Hand calls on to the helper that has the lock; return the lock once it is free, None when told to stop."""

    async def run() -> Lock | None:
        relay = Relay(path, endpoint, lambda: door)
        door = Door(endpoint.token, endpoint.port, lambda: relay)
        told_to_stop = await _serve(door, relay, sockets)
        if relay.lock is not None and told_to_stop:
            relay.lock.held.release()
            return None
        return relay.lock

    return asyncio.run(run())


def refused(
    error: DeepDreamError,
    endpoint: Endpoint,
    sockets: Sequence[socket.socket],
    mended: Callable[[], bool] = lambda: False,
) -> bool:
    """Tell whoever connects what is wrong until nobody does; return whether it was `mended`, or we were stopped."""

    async def run() -> bool:
        refusal = Refusal(error, lambda: door, mended)
        door = Door(endpoint.token, endpoint.port, lambda: refusal)
        return await _serve(door, refusal, sockets) or refusal.is_mended

    return asyncio.run(run())


async def _serve(door: Door, application: Relay | Refusal, sockets: Sequence[socket.socket]) -> bool:
    """Serve until the application is over; return whether we were told to stop."""

    async def farewell() -> None:
        pass

    server = Server(door, farewell)
    door.open()
    copies = [one.dup() for one in sockets]
    ticking = asyncio.ensure_future(_tick(server, application, sockets, copies))
    ticking.add_done_callback(lambda _: server.stop())
    try:
        await server.serve(copies)
    finally:
        ticking.cancel()
        (outcome,) = await asyncio.gather(ticking, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome
    return server.told_to_stop


async def _tick(
    server: Server,
    application: Relay | Refusal,
    sockets: Sequence[socket.socket],
    copies: Sequence[socket.socket],
) -> None:
    """Tell the service manager that we are there; return when the application is over and nobody is being answered."""
    await server.listening(copies)
    log.warning("%s", application.status)
    notify(f"READY=1\nSTATUS={application.status}")
    period = watchdog_s()
    next_sign = 0.0
    while not (application.over() and await server.rest(sockets)):
        if period is not None and time.monotonic() >= next_sign:
            notify("WATCHDOG=1")
            next_sign = time.monotonic() + period / 3
        await asyncio.sleep(LOOK_EVERY_S)


class _Upstream:
    """A connection to another helper, which has proved to know its token."""

    def __init__(self, holder: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._holder, self._reader, self._writer = holder, reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)

    @classmethod
    async def opened(cls, holder: Endpoint) -> _Upstream:
        """Connect; raises `RefusalError` when it does not answer, or cannot prove itself."""
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                reader, writer = await asyncio.open_connection(holder.host, holder.port)
                made = cls(holder, reader, writer)
                try:
                    await made._prove()
                except BaseException:
                    writer.close()
                    raise
                return made
        except (OSError, ValueError, h11.RemoteProtocolError):  # TimeoutError is an OSError
            what = f"another helper, process {holder.pid}, has just ended or does not answer"
            step = f"try again; if that is all it ever says: kill -9 {holder.pid}"
            raise RefusalError(503, "unavailable", what, step) from None

    def close(self) -> None:
        """End the connection, and with it what the other one does for it."""
        self._writer.close()

    async def _prove(self) -> None:
        nonce = new_nonce()
        self._say(h11.Request(method="GET", target=f"{HELLO}?nonce={nonce}", headers=[(b"host", self._host())]))
        self._say(h11.EndOfMessage())
        said = b""
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            said += event.data if isinstance(event, h11.Data) else b""
        told = json.loads(said)
        expected = prove(self._holder.token, nonce, self._holder.port)
        if not isinstance(told, dict) or not same_secret(str(told.get("proof")), expected):
            raise ValueError("it does not know the token")
        self._http.start_next_cycle()

    def _host(self) -> bytes:
        host = f"[{self._holder.host}]" if ":" in self._holder.host else self._holder.host
        return f"{host}:{self._holder.port}".encode()

    def _say(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._http.send(event) or b"")

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_PIECE))
        if isinstance(event, h11.ConnectionClosed):
            raise ConnectionError("it ended early")
        return event

    async def hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a call, and hand its answer back as it comes; who called and goes away ends it.

        A refusal comes before the body is read, and is handed back even if sending the rest fails.
        """
        headers = [pair for pair in scope["headers"] if pair[0] in _HANDED_ON]
        headers += [(b"host", self._host()), (b"authorization", f"Bearer {self._holder.token}".encode())]
        path, query = scope["raw_path"], scope["query_string"]
        target = path + b"?" + query if query else path
        self._say(h11.Request(method=scope["method"], target=target, headers=headers))
        asking = asyncio.ensure_future(self._body(receive))
        answering = asyncio.ensure_future(self._answer(send))
        try:
            await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and asking.exception() is not None:
                await asyncio.wait((answering,))
        finally:
            for task in (asking, answering):
                task.cancel()
            _, outcome = await asyncio.gather(asking, answering, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    async def _body(self, receive: Receive) -> None:
        """Send the body, then wait until who called is gone."""
        ended = False
        while (message := await receive())["type"] == "http.request":
            if ended:
                continue
            self._say(h11.Data(data=message.get("body", b"")))
            await self._writer.drain()
            ended = not message.get("more_body")
            if ended:
                self._say(h11.EndOfMessage())
                await self._writer.drain()

    async def _answer(self, send: Send) -> None:
        started = False
        try:
            while not isinstance(event := await self._next(), h11.EndOfMessage):
                if isinstance(event, h11.Response):
                    headers = [(name, value) for name, value in event.headers if name not in _NOT_BACK]
                    started = True
                    await send({"type": "http.response.start", "status": event.status_code, "headers": headers})
                elif isinstance(event, h11.Data):
                    await send({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
        except (OSError, h11.RemoteProtocolError):
            if started:
                raise  # the connection is broken off, which tells the caller
            what = f"the helper, process {self._holder.pid}, ended meanwhile"
            raise RefusalError(503, "unavailable", what, "try again") from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def lock_within(path: Path, seconds: float) -> Lock | None:
    """Return the lock, or None when another helper keeps it for so long."""
    for _ in polls(seconds):
        if (lock := lock_endpoint(path)) is not None:
            return lock
    return None
