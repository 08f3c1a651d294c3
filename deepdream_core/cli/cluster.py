"""The commands for a cluster of machines: `worker`, and `cluster start`, `invite`, `join`."""

from __future__ import annotations

import codecs
import socket
import sys
from pathlib import Path  # noqa: TC003  # typer itself looks at the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdream_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepdream_core.cluster.connection import Cluster
    from deepdream_core.work.backend import Backend
    from deepdream_core.work.several import AtOnce

IN_FLIGHT = 2
"""Pictures that are sent for each device: while it dreams one, the next is decoded and sent, or the last is encoded."""
cluster = typer.Typer(help="Several machines that dream together.", no_args_is_help=True)


def require() -> None:
    """Raise `SettingsError` where Dask is not installed."""
    try:
        import cryptography  # noqa: F401
        import distributed  # noqa: F401
    except ImportError as missing:
        raise SettingsError(
            f"a cluster needs the package {missing.name}", "install DeepDream with `python3 install app --with cluster`"
        ) from None


@cluster.command()
def start(
    host: Annotated[
        str | None, typer.Option(metavar="NAME", help="name or address by which other machines reach this one")
    ] = None,
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="port of the scheduler")] = 8786,
    dashboard: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="port of Dask's dashboard on this machine; 0: none")
    ] = 8787,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="let this machine's devices dream too")] = True,
) -> None:
    """Start a cluster on this machine, until Ctrl-C: its scheduler, and a worker."""
    require()
    from deepdream_core.cluster.worker import start as run

    run(host or _own_name(), port, dashboard, _say, with_worker=worker)


def _own_name() -> str:
    """Return the name of this machine in its network."""
    own = socket.getfqdn()
    return socket.gethostname() if own.startswith("localhost") or own.endswith(".arpa") else own


@cluster.command()
def invite(
    host: Annotated[
        str | None, typer.Option(metavar="NAME", help="another name by which that machine reaches this one")
    ] = None,
) -> None:
    """Print what one more machine needs: save it in a file, and give that to `deepdream cluster join` there."""
    require()
    from deepdream_core.cluster.address import invitation

    print(invitation(host), end="")


@cluster.command()
def join(
    file: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="an invitation; - for standard input")],
) -> None:
    """Let this machine belong to a cluster, as worker or to send pictures."""
    require()
    from deepdream_core.cluster.address import joined

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}", "give an invitation") from None
    # Windows PowerShell's > writes UTF-16.
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    membership = joined(data.decode("utf-16" if utf16 else "ascii", "replace"))
    print(f"this machine belongs to the cluster at {membership.address}; run: deepdream worker {membership.address}")


def worker(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="default: the cluster that was joined")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="default: this machine's name")] = None,
    quiet_hours: Annotated[
        str | None, typer.Option(metavar="HOURS", help="take no picture within these hours, as 22:00-07:00")
    ] = None,
) -> None:
    """Dream for a cluster with this machine's devices, until Ctrl-C."""
    require()
    from deepdream_core.cluster.worker import work

    work(address or own_address(), name, _say, quiet_hours)


def own_address() -> str:
    """Return the address of the cluster that this machine has joined; raises `SettingsError` if none."""
    from deepdream_core.cluster.address import membership

    own = membership()
    if own is None:
        raise SettingsError("which cluster?", "give its address, as tls://studio:8786")
    return own.address


class InFlight:
    """How many pictures a cluster gets at once: see `AtOnce`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.stop = cluster.stop

    def __call__(self) -> int:
        """Return how many."""
        return IN_FLIGHT * len(self._cluster.devices())


def remote_opener(
    address: str | None, computing: Mapping[str, Any], via_helper: str, note: Callable[[str], None],
    local: Callable[[], Backend],
) -> tuple[Callable[[], Backend] | None, AtOnce | None]:  # fmt: skip
    """Return a function that opens a cluster as a backend, and how many pictures to send it at once.

    Without an address, return what `backend_choice.remote_opener` does, and None. `computing` is as there: the machines
    have their own settings for that, too. Raises `SettingsError` together with such options, and as `Cluster` does.
    """
    if address is None:
        from deepdream_core.work import backend_choice

        return backend_choice.remote_opener(backend_choice.use_helper(via_helper), computing, note, local), None
    if "like" in computing:
        raise SettingsError("--cluster and --like: only the engine of a recipe repeats its dream", "leave one out")
    if computing or via_helper != "auto":
        given = ", ".join(f"--{key}" for key in (*computing, *(("via-helper",) if via_helper != "auto" else ())))
        raise SettingsError(
            f"--cluster and {given}: the cluster's machines have their own settings for that", "leave one out"
        )
    require()
    from deepdream_core.cluster.backend import ClusterEngine
    from deepdream_core.cluster.connection import Cluster

    cluster = Cluster(address, note)
    return lambda: ClusterEngine(cluster, note), InFlight(cluster)


def elsewhere(address: str, say: Callable[[str], None], *, open: bool = True) -> Any:
    """Return the cluster at an address for the hot folder; without `open`, only check the address and what it needs."""
    require()
    from deepdream_core.cluster.address import checked, security
    from deepdream_core.cluster.elsewhere import Helping

    security(checked(address))
    return Helping(address, say, IN_FLIGHT) if open else None


def status(address: str, *, as_json: bool) -> None:
    """Print the machines of a cluster, their devices and what each does; raises as `Cluster`."""
    require()
    from deepdream_core.cluster.connection import Cluster
    from deepdream_core.cluster.report import print_machines

    cluster = Cluster(address)
    try:
        print_machines(cluster, as_json=as_json)
    finally:
        cluster.close()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(cluster, name="cluster")
    app.command()(worker)
