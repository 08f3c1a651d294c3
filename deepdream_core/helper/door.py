"""The door: the checks that every request passes before the application gets it.

Any program of any user on this machine, and any web page in a browser on it, can reach a loopback port. So the door lets
through only requests that name the address literally (a web page whose name points here cannot: DNS rebinding), come from
no page (`Origin`), and have the token. Only `hello` needs no token; the door answers it even while the application is being
imported. `timed_protocol` ends connections that are too slow to make a request.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from deepdream_core import __version__
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.helper.timed_protocol import KNOWN
from deepdream_core.link import wire
from deepdream_core.link.endpoint import prove, same_secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_WITHIN_S = 10.0
LARGEST_JSON = 64 * 1024
HELLO = "/v1/hello"
_NONCE = re.compile(r"(?:[0-9a-f]{2}){16,64}")


class Door:
    """An ASGI application that passes requests on to another one, which `load` imports in a thread."""

    def __init__(self, token: str, port: int, load: Callable[[], Application]) -> None:
        self._token, self._port = token, port
        self._hosts = {f"{host}:{port}".encode() for host in ("127.0.0.1", "[::1]")}
        self._load = load
        self._application: asyncio.Future[Application] | None = None

    def open(self) -> None:
        """Begin to import the application."""
        self._application = asyncio.ensure_future(asyncio.to_thread(self._load))

    def failure(self) -> BaseException | None:
        """Return the error of the import, or None."""
        done = self._application is not None and self._application.done()
        return self._application.exception() if done and self._application is not None else None

    def hello(self, nonce: str | None) -> dict[str, Any]:
        """Return the answer to `GET /v1/hello`."""
        proof = None if nonce is None else prove(self._token, nonce, self._port)
        return {"name": "deepdream", "version": __version__, "protocol": wire.PROTOCOL, "proof": proof}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or answer a request, or pass it on."""
        if scope["type"] != "http":
            return
        assert self._application is not None
        try:
            self._check_caller(scope)
            nonce = nonce_of(scope) if scope["path"] == HELLO else None
            if scope["path"] != HELLO:
                self._check_token(scope)
                scope.get(KNOWN, _no_strangers)()
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
        except Exception as failure:  # an import can raise nearly anything
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
        """Answer as the application will once it is imported."""
        if scope["method"] != "GET":
            raise RefusalError(405, "method", f"{scope['method']} is not allowed here", "use GET")
        return self.hello(nonce)


def nonce_of(scope: Scope) -> str | None:
    """Return the nonce of a hello, if it has one; raises `RefusalError` for a wrong one, or several."""
    nonces = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("nonce", [])
    if len(nonces) > 1 or any(not _NONCE.fullmatch(nonce) for nonce in nonces):
        raise RefusalError(422, "invalid", "the nonce is not 16 to 64 bytes in lower-case hexadecimal", "send another")
    return nonces[0] if nonces else None


def _no_strangers() -> None:
    """Do nothing: without `TimedProtocol` no connection is counted as a stranger's."""


async def _with_small_body(scope: Scope, receive: Receive) -> Receive:
    """Read the body of a call other than an upload; return a `receive` that repeats it; raises `RefusalError`."""
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

    if body and scope["method"] in ("POST", "PATCH"):
        _check_json(body)

    async def again() -> MutableMapping[str, Any]:
        nonlocal handed_on
        if handed_on:
            return await receive()
        handed_on = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _check_json(body: bytes) -> None:
    """Raise `RefusalError` for anything but JSON, and for JSON that programs read differently: a key twice, NaN."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = dict(pairs)
        if len(keys) < len(pairs):
            name = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
            raise ValueError(f"{name[:60]}: this key is given twice")
        return keys

    def no_number(text: str) -> None:
        raise ValueError(f"{text} is not a JSON number")

    try:
        json.loads(body.decode("utf-8"), object_pairs_hook=once, parse_constant=no_number)
    except RecursionError:
        raise RefusalError(422, "invalid", "the body is nested too deeply", "see openapi.json") from None
    except ValueError as error:
        raise RefusalError(422, "invalid", f"the body cannot be used: {error}", "see openapi.json") from None


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
