"""A connection to another helper, to which calls are passed on, and from which answers are returned as they come."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import h11

from deepdream_core.helper.door import HELLO
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.link.endpoint import new_nonce, prove, same_secret

if TYPE_CHECKING:
    from deepdream_core.helper.door import Receive, Scope, Send
    from deepdream_core.link.endpoint import Endpoint

HELLO_WITHIN_S = 2.0
_PIECE = 1 << 16
_FORWARDED = {b"content-type", b"content-length", b"accept", b"last-event-id"}
_NOT_RETURNED = {b"connection", b"transfer-encoding", b"keep-alive"}


class Upstream:
    """A connection to another helper, which has proved that it knows its token."""

    def __init__(self, helper: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._helper, self._reader, self._writer = helper, reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)

    @classmethod
    async def opened(cls, helper: Endpoint) -> Upstream:
        """Connect; raises `RefusalError` if the helper does not answer, or cannot prove itself."""
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                reader, writer = await asyncio.open_connection(helper.host, helper.port)
                upstream = cls(helper, reader, writer)
                try:
                    await upstream._check_proof()
                except BaseException:
                    writer.close()
                    raise
                return upstream
        except (OSError, ValueError, h11.RemoteProtocolError):  # TimeoutError is an OSError
            what = f"another helper, process {helper.pid}, has just ended or does not answer"
            step = f"try again; if this message appears again: kill -9 {helper.pid}"
            raise RefusalError(503, "unavailable", what, step) from None

    def close(self) -> None:
        """Close the connection, which ends what the other helper does for it."""
        self._writer.close()

    async def _check_proof(self) -> None:
        nonce = new_nonce()
        self._send(h11.Request(method="GET", target=f"{HELLO}?nonce={nonce}", headers=[(b"host", self._host())]))
        self._send(h11.EndOfMessage())
        body = b""
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            body += event.data if isinstance(event, h11.Data) else b""
        hello = json.loads(body)
        expected = prove(self._helper.token, nonce, self._helper.port)
        if not isinstance(hello, dict) or not same_secret(str(hello.get("proof")), expected):
            raise ValueError("it does not know the token")
        self._http.start_next_cycle()

    def _host(self) -> bytes:
        host = f"[{self._helper.host}]" if ":" in self._helper.host else self._helper.host
        return f"{host}:{self._helper.port}".encode()

    def _send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._http.send(event) or b"")

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_PIECE))
        if isinstance(event, h11.ConnectionClosed):
            raise ConnectionError("it ended early")
        return event

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a call, and return its answer as it comes; if the caller disconnects, the call ends.

        A refusal comes before the body is read, and is returned even if sending the rest fails.
        """
        headers = [pair for pair in scope["headers"] if pair[0] in _FORWARDED]
        headers += [(b"host", self._host()), (b"authorization", f"Bearer {self._helper.token}".encode())]
        path, query = scope["raw_path"], scope["query_string"]
        target = path + b"?" + query if query else path
        self._send(h11.Request(method=scope["method"], target=target, headers=headers))
        sending = asyncio.ensure_future(self._send_body(receive))
        returning = asyncio.ensure_future(self._return_answer(send))
        try:
            await asyncio.wait((sending, returning), return_when=asyncio.FIRST_COMPLETED)
            if not returning.done() and sending.exception() is not None:
                await asyncio.wait((returning,))
        finally:
            for task in (sending, returning):
                task.cancel()
            _, outcome = await asyncio.gather(sending, returning, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    async def _send_body(self, receive: Receive) -> None:
        """Send the body, then wait until the caller disconnects."""
        ended = False
        while (message := await receive())["type"] == "http.request":
            if ended:
                continue
            self._send(h11.Data(data=message.get("body", b"")))
            await self._writer.drain()
            ended = not message.get("more_body")
            if ended:
                self._send(h11.EndOfMessage())
                await self._writer.drain()

    async def _return_answer(self, send: Send) -> None:
        started = False
        try:
            while not isinstance(event := await self._next(), h11.EndOfMessage):
                if isinstance(event, h11.Response):
                    headers = [(name, value) for name, value in event.headers if name not in _NOT_RETURNED]
                    started = True
                    await send({"type": "http.response.start", "status": event.status_code, "headers": headers})
                elif isinstance(event, h11.Data):
                    await send({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
        except (OSError, h11.RemoteProtocolError):
            if started:
                raise  # the broken connection informs the caller
            what = f"the helper, process {self._helper.pid}, ended before it answered"
            raise RefusalError(503, "unavailable", what, "try again") from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})
