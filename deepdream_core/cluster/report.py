"""`deepdream status --cluster`: the machines of a cluster, for people and for programs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deepdream_core import __version__
from deepdream_core.printable import printable

if TYPE_CHECKING:
    from deepdream_core.cluster.connection import Cluster


def print_machines(cluster: Cluster, *, as_json: bool) -> None:
    """Print each machine's devices, what it dreams or why it rests, and its pictures per minute."""
    machines = sorted(cluster.machines(), key=lambda machine: machine["name"])
    port = cluster.client().scheduler_info()["services"].get("dashboard")
    dashboard = f"http://127.0.0.1:{port}/status" if port else None
    if as_json:
        print(json.dumps({"cluster": cluster.address, "dashboard": dashboard, "machines": machines}))
        return
    console = Console(highlight=False)
    devices = sum(len(machine["devices"]) for machine in machines)
    rate = sum(machine["per_minute"] for machine in machines)
    console.print(
        f"cluster {escape(cluster.address)}: {_count(len(machines), 'machine')}, {_count(devices, 'device')}, "
        f"{rate:.1f} pictures per minute", soft_wrap=True,
    )  # fmt: skip
    table = Table("machine", "device", "state", "done", "per minute", box=None, pad_edge=False)
    for machine in machines:
        names = ", ".join(f"{device['name']} ({device['precision']})" for device in machine["devices"])
        table.add_row(
            escape(printable(machine["name"])), escape(names), escape(_state(machine)), str(machine["done"]),
            f"{machine['per_minute']:.1f}",
        )  # fmt: skip
    console.print(table)
    if dashboard:
        console.print(f"Dask's dashboard: {escape(dashboard)}, on the scheduler's machine", soft_wrap=True)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _state(machine: dict[str, Any]) -> str:
    if machine["version"] != __version__:
        return f"has version {machine['version']} of DeepDream, this program has {__version__}"
    doing = [
        f"{printable(picture['label'])} {picture['fraction']:.0%} since {max(0.0, time.time() - picture['since']):.0f} s"
        for picture in machine["doing"]
    ]
    return "; ".join([*doing, *([f"rests: {machine['rests']}"] if machine["rests"] else [])]) or "idle"
