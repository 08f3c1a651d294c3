"""The commands for the process that owns the devices: `status`, `helper`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from deepdream_core.cli.options import ConfigFile  # noqa: TC001  # typer itself looks at the annotations


def status(
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="ADDRESS", help="show the machines of a cluster instead")
    ] = None,
) -> None:
    """Show the helper's devices, memory, jobs and progress, and the state of the drop folders."""
    if cluster is not None:
        from deepdream_core.cli.cluster import status

        status(cluster, as_json=json)
        return
    from deepdream_core.cli.status import print_status

    print_status(as_json=json)


def helper(
    on_demand: Annotated[
        bool, typer.Option("--on-demand", help="exit when idle and print nothing (how programs start it)")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="stop the running helper")] = False,
    config: ConfigFile = None,
) -> None:
    """Run the local process that owns the GPU for GIMP, the hot folder and other programs, until Ctrl-C."""
    from deepdream_core.config import load_config
    from deepdream_core.helper import serve

    if stop:
        serve.stop_running(partial(print, file=sys.stderr))
    else:
        serve.serve(partial(load_config, config), on_demand=on_demand, say=partial(print, file=sys.stderr))


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (status, helper):
        app.command()(command)
