"""`deepdream status`: the state of the helper and the hot folders, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deepdream_core.errors import HelperError
from deepdream_core.helper.endpoint import is_locked, place, polls, silent
from deepdream_core.hotfolder import shared_state
from deepdream_core.hotfolder.terminal import drawn
from deepdream_core.hotfolder.unwatched_state import unwatched
from deepdream_core.link import client
from deepdream_core.work.report import clock

if TYPE_CHECKING:
    from collections.abc import Callable

STARTS_WITHIN_S = 5.0
"""How long to wait for a helper that holds the lock and cannot be found yet: it is starting or ending."""


def print_status(*, as_json: bool) -> None:
    """Print the state of the helper, its workers and jobs, and the drop folders. If no helper runs, that is shown too.

    Raises `HelperError`, after printing the drop folders, when a helper does not answer or has another protocol.
    """
    folders = shared_state.states()
    folders += unwatched(folders)
    try:
        helper = _connect()
        status = helper.status()
    except client.NoHelper as error:
        _print_none(error.what, as_json=as_json, folders=folders)
        return
    except (client.LinkError, HelperError) as error:
        if as_json:
            print(json.dumps({"helper": "silent", "why": error.what, "watching": folders}))
        else:
            _print_folders(folders, Console(highlight=False))
        raise HelperError(error.what, error.next_step) from None
    endpoint = helper.endpoint
    if as_json:
        address = {"host": endpoint.host, "port": endpoint.port, "log": endpoint.log, "endpoint": str(place())}
        print(json.dumps({"helper": "running", **address, **status, "watching": folders}))
        return
    console = Console(highlight=False)
    ends = ", exits when idle" if status["on_demand"] else ""
    console.print(
        f"helper {escape(status['version'])} runs as process {status['pid']} since {clock(status['uptime_s'])}, "
        f"http://{endpoint.host}:{endpoint.port}{ends}; log {escape(endpoint.log)}, "
        f"endpoint file {escape(str(place()))}",
        soft_wrap=True,
    )
    console.print(_table(("device", "precision", "weights", "state", "memory", ""), _worker_row, status["workers"]))
    jobs = [job for job in status["jobs"] if job["state"] not in ("failed", "cancelled")]
    if jobs:
        console.print(_table(("job", "picture", "how", "state", "progress", "time"), _job_row, jobs))
    else:
        console.print("no jobs")
    if status["memory_bytes"]:
        console.print(f"{megabytes(status['memory_bytes'])} in pictures")
    _print_folders(folders, console)


def _connect() -> client.HelperClient:
    """Return a client of the running helper, even while it starts.

    Raises `NoHelper` where none runs, `HelperError` where it does not answer.
    """
    for _ in polls(STARTS_WITHIN_S):
        try:
            return client.connect()
        except client.NoHelper as error:
            if not is_locked(place()):
                raise
            if error.hung_pid:
                break
    raise silent(place())


def _print_none(why: str, *, as_json: bool, folders: list[dict[str, Any]]) -> None:
    if as_json:
        print(json.dumps({"helper": "none", "why": why, "watching": folders}))
        return
    console = Console(highlight=False)
    console.print(f"no helper runs ({escape(why)}); programs start it when they need it", soft_wrap=True)
    _print_folders(folders, console)


def _print_folders(states: list[dict[str, Any]], console: Console) -> None:
    """Print each daemon's report of its drop folders."""
    if not states:
        console.print("no drop folder is watched; run `deepdream watch`")
    for state in states:
        for part in drawn(state):
            console.print(part)


def _table(
    titles: tuple[str, ...], row: Callable[[dict[str, Any]], tuple[str, ...]], entries: list[dict[str, Any]]
) -> Table:
    table = Table(*titles, box=None, pad_edge=False)
    for entry in entries:
        table.add_row(*(escape(text) for text in row(entry)))
    return table


def _worker_row(worker: dict[str, Any]) -> tuple[str, ...]:
    name = f"{worker['device']} ({worker['name']})" if worker["name"] else worker["device"]
    unloads = worker["unloads_in_s"]
    after = "" if unloads is None else f"frees its memory in {clock(unloads)}"
    return (
        name,
        worker["precision"],
        worker["weights"]["name"],
        worker["state"],
        megabytes(worker["memory_bytes"]),
        after,
    )


def _job_row(job: dict[str, Any]) -> tuple[str, ...]:
    height, width, _ = job["shape"]
    progress = job["progress"]
    state = f"{job['state']}, place {job['position']}" if job["position"] else job["state"]
    done = (
        f"{progress['fraction']:.0%}, octave {progress['octave']}/{progress['octaves']}, "
        f"iteration {progress['iteration']}/{progress['iterations']}"
        if progress and job["state"] != "done"
        else ""
    )
    took = job["waited_s"] if job["ran_s"] is None else job["ran_s"]
    called = f"{job['label']} " if job["label"] else ""
    return (
        f"{job['id'][:6]} {job['client']}", f"{called}{width}×{height}", f"{job['about']}, {job['priority']}", state, done,
        clock(took),
    )  # fmt: skip


def megabytes(count: int) -> str:
    """Return a number of bytes as text, in MB or GB."""
    return "none" if not count else f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
