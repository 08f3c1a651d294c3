"""Bodies that are not JSON: pixels that are read and sent in pieces, and the stream of a job's events."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from deepdream_core.helper.job import LARGEST_GUIDE
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.helper.shared import SharedArray
from deepdream_core.link import wire
from deepdream_core.link.npy import HEADER_LIMIT, ArrayHeader, npy_header, npy_header_length, parse_npy_header

if TYPE_CHECKING:
    from starlette.requests import Request

    from deepdream_core.helper.dispatcher import Dispatcher
    from deepdream_core.helper.job import Job

PIECE_WITHIN_S = 10.0
SLOWEST_BYTES_PER_S = 1e6
PING_S = 1.0
"""Longest silence in a stream of events, in seconds, so that a client notices that the helper has ended."""
_PIECE = 1 << 20


def body_length(request: Request) -> int:
    """Return the body's length; raises `RefusalError` for a call that does not say it."""
    text = request.headers.get("content-length")
    if text is None or "transfer-encoding" in request.headers:
        raise RefusalError(
            411, "length_required", "an array needs a Content-Length", "send it in one piece, not chunked"
        )
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 1 << 60


def announced_length(request: Request, header: ArrayHeader) -> int:
    """Return the body's length, checked against the announced size before a byte is read; raises `RefusalError`."""
    length = body_length(request)
    expected = f"{_in_words(header)} and an NPY header"
    if length > header.nbytes + HEADER_LIMIT:
        raise RefusalError(413, "too_large", f"{_bytes(length)} are too many: {expected}", "send what was announced")
    if length < header.nbytes + 16:
        raise RefusalError(400, "bad_pixels", f"{_bytes(length)} are too few: {expected}", "send what was announced")
    return length


def _in_words(header: ArrayHeader) -> str:
    height, width, channels = header.shape
    return f"{height}×{width}×{channels} of {header.dtype} take {header.nbytes} bytes"


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"


async def read_array(request: Request, header: ArrayHeader) -> SharedArray:
    """Read an NPY body piece by piece into shared memory; it must be exactly what was announced.

    Raises `RefusalError` for anything else, for a body that takes too long, and if there is no memory.
    """
    return await _read(_Body(request), header, announced_length(request, header))


async def read_guide(request: Request) -> SharedArray:
    """Read a guide as `read_array` does: H×W×3 of any type, no larger than a guide may be."""
    most = f"send at most {wire.GUIDE_PIXELS / 1e6:g} megapixels"
    length = body_length(request)
    if length > LARGEST_GUIDE.nbytes + HEADER_LIMIT:
        raise RefusalError(413, "too_large", f"{_bytes(length)} are too many for a guide", most)
    body = _Body(request)
    try:
        async with asyncio.timeout(PIECE_WITHIN_S):
            header = await body.header()
    except TimeoutError:
        raise _too_slow() from None
    height, width, channels = header.shape
    if channels != 3:
        raise RefusalError(400, "bad_pixels", f"a guide of shape {header.shape}", "send [height, width, 3]")
    if height * width > wire.GUIDE_PIXELS:
        raise RefusalError(
            413, "too_large", f"a guide of {width}×{height} is {height * width / 1e6:.1f} megapixels", most
        )  # fmt: skip
    return await _read(body, header, length)


async def _read(body: _Body, header: ArrayHeader, length: int) -> SharedArray:
    try:
        array = await asyncio.to_thread(SharedArray, header)
    except MemoryError as error:
        raise RefusalError(507, "no_memory", f"no shared memory for {header.nbytes / 1e6:.0f} MB: {error}",
                      "close other programs, or use a smaller picture") from None  # fmt: skip
    try:
        with array as view:
            try:
                async with asyncio.timeout(PIECE_WITHIN_S + length / SLOWEST_BYTES_PER_S):
                    await body.fill(header, length, view)
            except TimeoutError:
                raise _too_slow() from None
            finally:
                view.release()
    except BaseException:
        array.close()
        raise
    return array


def _too_slow() -> RefusalError:
    return RefusalError(408, "timeout", "the body took too long", "send it again")


class _Body:
    """An NPY body that comes in pieces."""

    def __init__(self, request: Request) -> None:
        self._pieces = request.stream().__aiter__()
        self._beginning = b""
        self._header: ArrayHeader | None = None
        self._offset = 0
        self._ended = False

    async def _next(self) -> bytes | None:
        """Return the next piece, None at the end."""
        try:
            async with asyncio.timeout(PIECE_WITHIN_S):
                return await anext(self._pieces)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            raise _too_slow() from None

    async def header(self) -> ArrayHeader:
        """Return the array's header; raises `RefusalError` for anything but NPY 1.0."""
        while self._header is None:
            begun = self._beginning
            try:
                self._offset = npy_header_length(begun[:10]) if len(begun) >= 10 or self._ended else len(begun) + 1
                if len(begun) >= self._offset:
                    self._header = parse_npy_header(begun[: self._offset])
                    break
            except wire.WireError as error:
                raise RefusalError(400, "bad_pixels", str(error), "send NPY 1.0 as numpy.save writes it") from None
            if self._ended:
                raise RefusalError(
                    400, "bad_pixels", f"the body ends within its NPY header of {_bytes(self._offset)}", "send it whole"
                )
            piece = await self._next()
            self._ended = piece is None
            self._beginning += piece or b""
        return self._header

    async def fill(self, header: ArrayHeader, length: int, view: memoryview) -> None:
        """Write the samples into `view`; raises `RefusalError` for another array than `header` in a body of `length`."""
        found = await self.header()
        if found != header:
            raise RefusalError(
                400, "bad_pixels", f"{found.dtype} {found.shape} was not announced", "send what was announced"
            )
        if length != self._offset + header.nbytes:
            what = f"the body has {_bytes(length)}, but {_in_words(header)} after an NPY header of {self._offset}"
            raise RefusalError(400, "bad_pixels", what, "send exactly these bytes")
        piece: bytes | None = self._beginning[self._offset :]
        self._beginning = b""
        position = 0
        while piece is not None:
            view[position : position + len(piece)] = piece
            position += len(piece)
            piece = await self._next()
        if position != header.nbytes:
            raise RefusalError(400, "bad_pixels", "the body ended early", "send it again")


class ArrayAnswer(Response):
    """An NPY body sent from shared memory in pieces; a client that does not read is disconnected."""

    media_type = "application/octet-stream"

    def __init__(self, array: SharedArray, *, close: bool = False, headers: dict[str, str] | None = None) -> None:
        self._array, self._close = array, close
        self._npy = npy_header(array.header.dtype, array.header.shape)
        length = str(len(self._npy) + array.header.nbytes)
        super().__init__(headers={"content-length": length, "cache-control": "no-store", **(headers or {})})
        array.__enter__()  # held from now on, also until the answer is sent

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        view = self._array.view()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._npy, "more_body": True})
            for begin in range(0, len(view), _PIECE):
                async with asyncio.timeout(PIECE_WITHIN_S):
                    piece = view[begin : begin + _PIECE]
                    await send({"type": "http.response.body", "body": piece, "more_body": begin + _PIECE < len(view)})
        finally:
            view.release()
            self._array.__exit__()
            if self._close:
                self._array.close()


class EventStream(Response):
    """A job's events as server-sent events, and the lease on the job: while this answer is sent, a client wants the job.

    `hold`: the answer goes on after `done`, so that the result is kept.
    """

    media_type = "text/event-stream"

    def __init__(self, dispatcher: Dispatcher, job: Job, after: int, *, hold: bool = False) -> None:
        self._dispatcher, self._job, self._after, self._hold = dispatcher, job, after, hold
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send events until the last one, or until the client disconnects."""
        job = self._job
        job.attached = True
        job.hold()
        watching = asyncio.ensure_future(_gone(receive))
        changed = asyncio.Event()
        stop_listening = job.listen(changed.set)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            sending = asyncio.ensure_future(self._send_events(send, changed))
            await asyncio.wait({watching, sending}, return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        finally:
            stop_listening()
            watching.cancel()
            job.release(time.monotonic())

    async def _send_events(self, send: Any, changed: asyncio.Event) -> None:
        """Send the events since `after`, then each new event, and a ping when there is none."""
        job, position = self._job, None
        while True:
            changed.clear()
            news = [event for event in job.events if event.number > self._after]
            text = "".join(f"id: {event.number}\nevent: {event.name}\ndata: {_json(event.data)}\n\n" for event in news)
            if news:
                self._after = news[-1].number
            elif job.state == "queued" and (now := self._dispatcher.queue.position(job)) != position:
                position = now
                text = f"event: queued\ndata: {_json({'position': now})}\n\n"
            last = job.state.ended and not self._held()
            async with asyncio.timeout(PIECE_WITHIN_S):
                await send(
                    {"type": "http.response.body", "body": (text or ": ping\n\n").encode(), "more_body": not last}
                )
            if last:
                return
            try:
                async with asyncio.timeout(PING_S):
                    await changed.wait()
            except TimeoutError:
                pass

    def _held(self) -> bool:
        return self._hold and self._job.state == "done" and self._dispatcher.keeps(self._job)


async def _gone(receive: Any) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))
