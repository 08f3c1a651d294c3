"""uvicorn's server as the helper needs it: it shuts down in order, and loses no client that connects during that."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

import uvicorn

from deepdream_core.helper.timed_protocol import TimedProtocol
from deepdream_core.machine.notify import notify

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from deepdream_core.helper.door import Door

KEEP_ALIVE_S = 30
STOP_WITHIN_S = 1
ACCEPTED_AT_ONCE, WAITING = 32, 2048
"""Connections accepted in one turn of the event loop, before `TimedProtocol` can turn any away: each is an open file; and
connections that the system keeps waiting."""
ACCEPTING_TURNS = 10
"""After so many turns of the event loop, the last accepted client is among the connections; asyncio takes three."""


class Server(uvicorn.Server):
    """A server behind a door; it calls `farewell` before it ends. `signalled`: a signal stopped it, which is no failure."""

    def __init__(self, door: Door, farewell: Callable[[], Awaitable[None]]) -> None:
        super().__init__(
            uvicorn.Config(
                door, http=TimedProtocol, ws="none", lifespan="off", log_config=None, access_log=False, loop="asyncio",
                timeout_keep_alive=KEEP_ALIVE_S, server_header=False, date_header=False,
                timeout_graceful_shutdown=STOP_WITHIN_S, proxy_headers=False, backlog=ACCEPTED_AT_ONCE,
            )
        )  # fmt: skip
        self._farewell = farewell
        self.signalled = False

    def stop(self) -> None:
        """Let the main loop end."""
        self.should_exit = True

    async def serve_while(self, ticking: Awaitable[None], sockets: Sequence[socket.socket]) -> BaseException | None:
        """Serve until `ticking` or the server ends; return what `ticking` raised."""
        task = asyncio.ensure_future(ticking)
        task.add_done_callback(lambda _: self.stop())
        try:
            await self.serve(list(sockets))
        finally:
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
        return outcome

    def _on_signal(self) -> None:
        self.signalled = True
        self.stop()

    async def listening(self, sockets: Sequence[socket.socket]) -> None:
        """Wait until the sockets listen; let the system keep many connections waiting."""
        while not self.started:
            await asyncio.sleep(0.001)
        for listening in sockets:
            listening.listen(WAITING)  # asyncio accepts as many at once as it lets wait

    async def rest(self, inherited: Sequence[socket.socket]) -> bool:
        """Stop accepting connections and return True; but if there are any, continue and return False.

        `inherited` are the sockets that a service manager holds open too: it keeps new clients waiting, and starts the next
        helper for them.
        """
        if self.server_state.connections:
            return False
        for server in self.servers:
            server.close()
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        if not self.server_state.connections:
            return True
        loop = asyncio.get_running_loop()
        for listening in inherited:
            copy = listening.dup()
            self.servers.append(await loop.create_server(self._protocol, sock=copy, backlog=ACCEPTED_AT_ONCE))
            copy.listen(WAITING)
        return False

    def _protocol(self) -> asyncio.Protocol:
        return TimedProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop at a signal; a second signal changes nothing, as that takes less than five seconds.

        Signals that nohup or a script's & made us ignore stay ignored; SIGTERM always counts.
        """
        numbers = [signal.SIGINT]
        if sys.platform != "win32":
            numbers.append(signal.SIGHUP)
        wanted = [signal.SIGTERM, *(number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN)]
        before = {number: signal.signal(number, lambda *_: self._on_signal()) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Inform clients, end workers, and then let uvicorn close all connections."""
        notify("STOPPING=1")
        for server in self.servers:
            server.close()
        await self._farewell()
        await super().shutdown(sockets)
