"""uvicorn's server as the helper needs it: it ends in order, and it can end while clients come without losing one."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import uvicorn

from deepdream_core.helper.door import Door, TimedProtocol
from deepdream_core.machine.notify import notify

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Generator, Sequence

KEEP_ALIVE_S = 30
STOP_WITHIN_S = 1
ACCEPTED_AT_ONCE, WAITING = 32, 2048
"""Connections taken in one turn of the event loop, before `TimedProtocol` can turn any away: each is an open file; and
those that the system keeps waiting for their turn."""
ACCEPTING_TURNS = 10
"""Turns of the event loop after which whoever was let in last has shown up among the connections; asyncio takes three."""


class Server(uvicorn.Server):
    """A server behind a door, which calls `farewell` before it ends, and for which a signal to stop is no failure."""

    def __init__(self, door: Door, farewell: Callable[[], Awaitable[None]]) -> None:
        super().__init__(
            uvicorn.Config(
                door, http=TimedProtocol, ws="none", lifespan="off", log_config=None, access_log=False, loop="asyncio",
                timeout_keep_alive=KEEP_ALIVE_S, server_header=False, date_header=False,
                timeout_graceful_shutdown=STOP_WITHIN_S, proxy_headers=False, backlog=ACCEPTED_AT_ONCE,
            )
        )  # fmt: skip
        self._farewell = farewell
        self.told_to_stop = False

    def stop(self) -> None:
        """End the main loop soon."""
        self.should_exit = True

    def _told(self) -> None:
        self.told_to_stop = True
        self.stop()

    async def listening(self, sockets: Sequence[socket.socket]) -> None:
        """Wait until the sockets listen; let the system keep many waiting."""
        while not self.started:
            await asyncio.sleep(0.001)
        for one in sockets:
            one.listen(WAITING)  # asyncio takes as many at once as it lets wait

    async def rest(self, inherited: Sequence[socket.socket]) -> bool:
        """Let nobody in any more, and return True; but go on and return False while anybody is in.

        `inherited` are the sockets that a service manager holds open too: it keeps whoever comes from now on waiting, and
        starts the next helper for them.
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
        for one in inherited:
            copy = one.dup()
            self.servers.append(
                await loop.create_server(self._protocol, sock=copy, backlog=ACCEPTED_AT_ONCE)
            )  # fmt: skip
            copy.listen(WAITING)
        return False

    def _protocol(self) -> asyncio.Protocol:
        return TimedProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take signals as the wish to stop; a second one changes nothing, it takes less than five seconds.

        What nohup or a script's & has us ignore stays ignored; SIGTERM always counts.
        """
        numbers = [signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        wanted = [signal.SIGTERM, *(number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN)]
        before = {number: signal.signal(number, lambda *_: self._told()) for number in wanted}
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
        await self._farewell()
        await super().shutdown(sockets)
