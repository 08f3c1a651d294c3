"""`deepdream worker`: this machine's devices in a cluster, until a signal; it survives the scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import warnings
from typing import TYPE_CHECKING

from distributed import Scheduler
from distributed.comm.core import connect
from pydantic import TypeAdapter, ValidationError

from deepdream_core.cluster import guest
from deepdream_core.cluster.address import checked, founded, security
from deepdream_core.cluster.dask_settings import QuietScheduler, QuietWorker, reason_of, silence
from deepdream_core.cluster.order import RESOURCE
from deepdream_core.errors import HelperError, SettingsError
from deepdream_core.setting_values import Hours

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from distributed import Security

AGAIN_S = 2.0
"""Seconds between two tries to reach the scheduler."""
REACH_WITHIN_S = 5.0


def work(address: str, name: str | None, say: Callable[[str], None], quiet_hours: str | None = None) -> None:
    """Dream for the cluster at an address until Ctrl-C or SIGTERM, but not within `quiet_hours`.

    Raises `SettingsError` for wrong hours, a wrong address or a missing certificate, and what starting the helper raises.
    """
    try:
        TypeAdapter(Hours | None).validate_python(quiet_hours)
    except ValidationError:
        raise SettingsError(f"--quiet-hours {quiet_hours}: not hours", "write them as 22:00-07:00") from None
    address = checked(address)
    secured = security(address)
    count = len(guest.devices())
    say(f"connecting to {address}")
    _until_signal(keep_working(address, secured, name or socket.gethostname(), count, say, quiet_hours))


def start(host: str, port: int, dashboard: int, say: Callable[[str], None], *, with_worker: bool) -> None:
    """Run a scheduler, and this machine's worker, until Ctrl-C or SIGTERM; raises as `work`."""
    count = len(guest.devices()) if with_worker else 0
    loopback = host in ("127.0.0.1", "localhost")
    address = checked(f"tcp://{host}:{port}") if loopback else founded(host, port).address
    secured = security(address)

    async def run() -> None:
        options = (
            {"dashboard_address": f"127.0.0.1:{dashboard}", "dashboard": True} if dashboard else {"dashboard": False}
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the dashboard has another port; a line below gives it
                scheduler = (Scheduler if dashboard else QuietScheduler)(
                    host="127.0.0.1" if loopback else None, port=port, protocol=address.partition(":")[0],
                    security=secured, **options,
                )  # fmt: skip
                await scheduler
        except (OSError, RuntimeError) as error:
            raise SettingsError(
                f"port {port}: {reason_of(error)}", "end what uses it, or give another --port"
            ) from None
        say(f"the cluster is at {address}{', for this machine alone' if loopback else ''}")
        if dashboard:
            there = scheduler.services["dashboard"].port
            say(f"Dask's dashboard: http://127.0.0.1:{there}/status, on this machine alone")
        try:
            own = checked(f"{address.partition(':')[0]}://127.0.0.1:{port}")
            await (
                keep_working(own, secured, socket.gethostname(), count, say) if with_worker else scheduler.finished()
            )
        finally:
            await scheduler.close()

    _until_signal(run())


async def keep_working(
    address: str, secured: Security | None, name: str, count: int, say: Callable[[str], None],
    quiet_hours: str | None = None,
) -> None:  # fmt: skip
    """Keep a worker in the cluster."""
    problem, was_there = "", False
    while True:
        worker = None
        try:
            await _reached(address, secured)
            worker = QuietWorker(
                address, security=secured, name=name, host=None if secured else "127.0.0.1",
                nthreads=count, resources={RESOURCE: 0}, memory_limit=0,
                preload=["deepdream_core.cluster.guest"], dashboard=False, death_timeout=30,
            )  # fmt: skip
            await worker
            worker.deepdream.quiet_hours = quiet_hours  # type: ignore[attr-defined]
            was_there = True
            say(f"{name} dreams for {address} on {count} {'device' if count == 1 else 'devices'}")
            problem = ""
            await worker.finished()
            say(f"the cluster at {address} is gone; trying again until it is back")
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            why = reason_of(error)
            # The scheduler may take a while to notice that this worker's last connection is broken.
            if "name taken" in why and not was_there:
                raise HelperError(f"the cluster has a worker named {name}", "end it, or give another --name") from None
            if why != problem:
                say(f"the cluster at {address} does not answer ({why}); trying again until it does")
                problem = why
        finally:
            if worker is not None:
                with contextlib.suppress(Exception):
                    await worker.close(reason="deepdream worker ends")
        await asyncio.sleep(AGAIN_S)


async def _reached(address: str, secured: Security | None) -> None:
    """Raise `OSError` if nobody answers at an address; Dask's worker would try for long, and not give the reason."""
    arguments = secured.get_connection_args("worker") if secured else {}
    (await connect(address, timeout=REACH_WITHIN_S, **arguments)).abort()


def _until_signal(running: Coroutine[None, None, None]) -> None:
    """Run a coroutine until it ends, or until SIGINT or SIGTERM."""
    silence()

    async def run() -> None:
        task = asyncio.ensure_future(running)
        loop = asyncio.get_running_loop()
        before = {
            number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(task.cancel))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    asyncio.run(run())
