"""uvicorn's HTTP protocol with limits of time and size, so that silent or slow clients do not lock out others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deepdream_core.helper.refusal import RefusalError

if TYPE_CHECKING:
    import asyncio

HEADERS_WITHIN_S = 10.0
LARGEST_HEADERS = 32 * 1024
WRITE_WITHIN_S = 9.5  # a little less than streams.PIECE_WITHIN_S: a closed connection is no error
STRANGERS = 256
"""Connections without a token that may be open at once, and as many again that have asked something already, as a client
does before it sends its token; other users of this machine can make as many as they like."""
KNOWN = "deepdream.known"
"""The key in a request's scope of the function that takes the connection off the strangers."""


class TimedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits for the time and size of request headers, for strangers, and for slow readers.

    Without them a few hundred silent connections would lock everybody out.
    """

    _silent: ClassVar[dict[TimedProtocol, None]] = {}
    _asked: ClassVar[dict[TimedProtocol, None]] = {}
    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _parsed_bytes = 0
    _in_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the headers; with too many silent strangers, the oldest is disconnected."""
        super().connection_made(transport)
        self._wait_for_headers()
        self._join(self._silent)

    def _join(self, strangers: dict[TimedProtocol, None]) -> None:
        strangers[self] = None
        if len(strangers) > STRANGERS:
            next(iter(strangers)).turn_away()

    def turn_away(self) -> None:
        """Close the connection at once."""
        self._is_known()
        self.transport.abort()

    def _is_known(self) -> None:
        self._silent.pop(self, None)
        self._asked.pop(self, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._is_known()
        self._stop_timer()
        self._stop_stalled()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes that come before a request's headers are complete."""
        if not self._in_request:
            if self._timer is None:
                self._wait_for_headers()
            self._header_bytes += len(data)
        super().data_received(data)
        if not self._in_request and self._header_bytes > LARGEST_HEADERS and not self.transport.is_closing():
            self.send_400_response("the request's headers are too large")

    def send_400_response(self, msg: str) -> None:
        """Refuse the request in the helper's usual form, and close the connection."""
        body = json.dumps(RefusalError(400, "invalid", msg.rstrip("."), "send HTTP/1.1 as openapi.json has it").body)
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + (head + body).encode())
        self.transport.close()

    def on_message_begin(self) -> None:
        """Count from zero; let the door report that the caller has sent the token."""
        super().on_message_begin()
        self._parsed_bytes = 0
        self.scope[KNOWN] = self._is_known  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; many may come in one piece."""
        self._count(name, value)
        super().on_header(name, value)

    def _count(self, *parts: bytes) -> None:
        self._parsed_bytes += sum(map(len, parts)) + 4
        if self._parsed_bytes > LARGEST_HEADERS:
            raise ValueError("headers too large")  # the parser turns it into a refusal

    def pause_writing(self) -> None:
        """Give a client time to read, then close: a normal close would wait for it for ever and keep the unsent data."""
        super().pause_writing()
        self._stalled = self.loop.call_later(WRITE_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the clock: the client reads."""
        self._stop_stalled()
        super().resume_writing()

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def on_headers_complete(self) -> None:
        """Stop the clock, as the application limits the body's time; refuse targets that name a host."""
        if not self.url.startswith(b"/") and self.url != b"*":
            raise ValueError("not a path")
        self._in_request, self._header_bytes = True, 0
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Prepare for the next request; a stranger's first one counts."""
        super().on_message_complete()
        self._in_request = False
        if self in self._silent:
            del self._silent[self]
            self._join(self._asked)

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
