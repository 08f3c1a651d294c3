"""The door: everything that stands between a socket and the application.

Any program of any user on this machine, and any web page in a browser on it, can reach a loopback port. So the door lets
through only who names the address literally (a page that had its own name point here cannot: DNS rebinding), comes from
no page (`Origin`), and bears the token. `hello` alone needs none; it is answered here, also while the application is still
being imported. `TimedProtocol` ends connections that take their time to say what they want.
"""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deepdream_core import __version__
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.link import wire
from deepdream_core.link.endpoint import prove, same_secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS_WITHIN_S = 10.0
LARGEST_HEADERS = 32 * 1024
BODY_WITHIN_S = 10.0
LARGEST_JSON = 64 * 1024
WRITE_WITHIN_S = 9.5  # a little less than streams.PIECE_WITHIN_S: a connection that is gone is no error
STRANGERS = 256
"""Connections without a token that may be open at once; other users of this machine can make as many as they like."""
KNOWN = "deepdream.known"
HELLO = "/v1/hello"
_NONCE = re.compile(r"(?:[0-9a-f]{2}){16,64}")


class Door:
    """An ASGI application that lets callers through to another one, which `load` imports meanwhile in a thread."""

    def __init__(self, token: str, port: int, load: Callable[[], Application]) -> None:
        self._token, self._port = token, port
        self._hosts = {f"{host}:{port}".encode() for host in ("127.0.0.1", "[::1]")}
        self._load = load
        self._application: asyncio.Future[Application] | None = None

    def open(self) -> None:
        """Begin to import the application."""
        self._application = asyncio.ensure_future(asyncio.to_thread(self._load))

    def failure(self) -> BaseException | None:
        """Return why the application could not be imported, or None."""
        done = self._application is not None and self._application.done()
        return self._application.exception() if done and self._application is not None else None

    def hello(self, nonce: str | None) -> dict[str, Any]:
        """Return what `GET /v1/hello` answers."""
        proof = None if nonce is None else prove(self._token, nonce, self._port)
        return {"name": "deepdream", "version": __version__, "protocol": wire.PROTOCOL, "proof": proof}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            return
        assert self._application is not None
        try:
            self._check_caller(scope)
            nonce = nonce_of(scope) if scope["path"] == HELLO else None
            if scope["path"] != HELLO:
                self._check_token(scope)
                scope.get(KNOWN, _forget_nobody)()
            elif not self._application.done():
                await answer(send, 200, self._early_hello(scope, nonce), {})
                return
            if scope["method"] != "PUT":
                receive = await _with_small_body(scope, receive)
            application = await self._imported()
        except RefusalError as refusal:
            await answer(send, refusal.status, refusal.body, {"connection": "close", **refusal.headers})
            return
        await application(scope, receive, send)

    async def _imported(self) -> Application:
        assert self._application is not None
        try:
            return await asyncio.shield(self._application)
        except Exception as failure:  # importing raises nearly anything
            missing = getattr(failure, "name", None) or type(failure).__name__
            raise RefusalError(500, "internal", f"the helper is broken ({missing})", "install it again") from None

    def _check_caller(self, scope: Scope) -> None:
        headers = scope["headers"]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            raise RefusalError(
                403, "bad_host", "the Host header is not this address", f"use http://127.0.0.1:{self._port}"
            )
        if any(name == b"origin" for name, _ in headers):
            raise RefusalError(403, "origin_refused", "web pages may not use the helper", "call it from a program")

    def _check_token(self, scope: Scope) -> None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
        if not same_secret(token.strip(), self._token) or scheme.lower() != "bearer":
            raise RefusalError(401, "unauthorized", "the token is missing or wrong", "send the endpoint file's token")

    def _early_hello(self, scope: Scope, nonce: str | None) -> dict[str, Any]:
        """Answer as the application will once it is there."""
        if scope["method"] != "GET":
            raise RefusalError(405, "method", f"{scope['method']} is not allowed here", "use GET")
        return self.hello(nonce)


def nonce_of(scope: Scope) -> str | None:
    """Return the nonce of a hello, if it has one; raises `RefusalError` for what is none, or several."""
    nonces = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("nonce", [])
    if len(nonces) > 1 or any(not _NONCE.fullmatch(nonce) for nonce in nonces):
        raise RefusalError(422, "invalid", "the nonce is not 16 to 64 bytes in lower-case hexadecimal", "send another")
    return nonces[0] if nonces else None


def _forget_nobody() -> None:
    """Stand in where no `TimedProtocol` counts strangers."""


async def _with_small_body(scope: Scope, receive: Receive) -> Receive:
    """Read the body that a call other than an upload may have, and return what hands it on; raises `RefusalError`."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        raise RefusalError(411, "length_required", "a body needs a Content-Length", "send it in one piece, not chunked")
    text = headers.get(b"content-length", b"0").decode("latin-1")
    length = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else LARGEST_JSON + 1
    if length > LARGEST_JSON:
        raise RefusalError(413, "too_large", f"a body of {text[:20]} bytes is too large", f"{LARGEST_JSON} are allowed")
    body = b""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while len(body) < length:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                body += message.get("body", b"")
    except TimeoutError:
        raise RefusalError(408, "timeout", "the body took too long", "send it again") from None
    handed_on = False

    if body and scope["method"] == "POST":
        _check_json(body)

    async def again() -> MutableMapping[str, Any]:
        nonlocal handed_on
        if handed_on:
            return await receive()
        handed_on = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _check_json(body: bytes) -> None:
    """Refuse what is no JSON, and what programs read differently: a key twice, NaN; raises `RefusalError`."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = dict(pairs)
        if len(keys) < len(pairs):
            name = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
            raise ValueError(f"{name[:60]}: this key stands there twice")
        return keys

    def no_number(text: str) -> None:
        raise ValueError(f"{text} is no JSON number")

    try:
        json.loads(body.decode("utf-8"), object_pairs_hook=once, parse_constant=no_number)
    except RecursionError:
        raise RefusalError(422, "invalid", "the body is nested too deeply", "see openapi.json") from None
    except ValueError as error:
        raise RefusalError(422, "invalid", f"the body cannot be taken: {error}", "see openapi.json") from None


async def answer(send: Send, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
    """Answer a request with JSON."""
    text = json.dumps(body).encode()
    fixed = {"content-type": "application/json", "content-length": str(len(text)), "cache-control": "no-store"}
    if status == 401:
        fixed["www-authenticate"] = "Bearer"
    if status == 405:
        fixed["allow"] = "GET"
    pairs = [(name.encode(), value.encode()) for name, value in {**fixed, **headers}.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": text})


class TimedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with two limits that it lacks: how long request headers may take, and how large they may be.

    Without them a few hundred silent connections would be all that it takes to lock everybody out.
    """

    _strangers: ClassVar[dict[TimedProtocol, None]] = {}
    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _parsed_bytes = 0
    _in_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: a connection is made to say something. The oldest that has shown no token makes room."""
        super().connection_made(transport)
        self._wait_for_headers()
        strangers = self._strangers
        strangers[self] = None
        if len(strangers) > STRANGERS:
            next(iter(strangers)).turn_away()

    def turn_away(self) -> None:
        """End the connection at once."""
        self._strangers.pop(self, None)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._strangers.pop(self, None)
        self._stop_timer()
        self._stop_stalled()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before a request's headers are complete."""
        if not self._in_request:
            if self._timer is None:
                self._wait_for_headers()
            self._header_bytes += len(data)
        super().data_received(data)
        if not self._in_request and self._header_bytes > LARGEST_HEADERS and not self.transport.is_closing():
            self.send_400_response("the request's headers are too large")

    def send_400_response(self, msg: str) -> None:
        """Refuse in the form in which everything is refused, and close."""
        body = json.dumps(RefusalError(400, "invalid", msg.rstrip("."), "send HTTP/1.1 as openapi.json has it").body)
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + (head + body).encode())
        self.transport.close()

    def on_message_begin(self) -> None:
        """Start counting at zero; let the door say that the caller has shown the token."""
        super().on_message_begin()
        self._parsed_bytes = 0
        self.scope[KNOWN] = partial(self._strangers.pop, self, None)  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header: many may come in one piece."""
        self._count(name, value)
        super().on_header(name, value)

    def _count(self, *parts: bytes) -> None:
        self._parsed_bytes += sum(map(len, parts)) + 4
        if self._parsed_bytes > LARGEST_HEADERS:
            raise ValueError("headers too large")  # the parser makes a refusal of it

    def pause_writing(self) -> None:
        """Give up who does not read: closing would wait for them for ever, and keep what is not yet sent."""
        super().pause_writing()
        self._stalled = self.loop.call_later(WRITE_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        """They read."""
        self._stop_stalled()
        super().resume_writing()

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def on_headers_complete(self) -> None:
        """Stop the clock; the body's time is the application's business. Names of other hosts are not taken here either."""
        if not self.url.startswith(b"/") and self.url != b"*":
            raise ValueError("not a path")
        self._in_request, self._header_bytes = True, 0
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Be ready for the next request."""
        super().on_message_complete()
        self._in_request = False

    def _wait_for_headers(self) -> None:
        self._timer = self.loop.call_later(HEADERS_WITHIN_S, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()
