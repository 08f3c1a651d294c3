"""The command `deepdream bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from deepdream_core.cli.options import ConfigFile, Device, Precision, given_of


def bench(
    device: Device = None,
    precision: Precision = None,
    repeats: Annotated[int, typer.Option(min=1, help="runs of each measurement; the fastest counts")] = 3,
    memory: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="instead: dream one step of a picture of this size and print the peak memory"),
    ] = None,
    via_helper: Annotated[
        bool,
        typer.Option("--via-helper", help="instead: measure how long sending 12 megapixels through the helper takes"),
    ] = False,
    hot_folder: Annotated[
        bool, typer.Option("--hot-folder", help="instead: measure how much of the engine's speed the hot folder keeps")
    ] = False,
    cluster: Annotated[
        bool,
        typer.Option("--cluster", help="instead: measure what a cluster adds to a picture, with stand-ins that sleep"),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="with --cluster: number of stand-ins for machines")] = 50,
    sleep: Annotated[float, typer.Option(min=0, help="with --cluster: seconds that a stand-in sleeps a picture")] = 0.1,
    pictures: Annotated[
        int, typer.Option(min=1, help="with --hot-folder: number of pictures of 2 megapixels; with --cluster: of 12")
    ] = 200,
    side: Annotated[
        list[int] | None,
        typer.Option(min=32, max=8192, metavar="PX", help="side of the square test pictures; may be repeated"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print the table as one JSON object")] = False,
    config: ConfigFile = None,
) -> None:
    """Measure this machine: the engine, the notebook's plain loop and the bare convolutions in one run."""
    from deepdream_core.config import load_config

    if via_helper:
        from deepdream_core.bench.helper import print_overhead

        print_overhead(repeats)
        return
    if hot_folder:
        from deepdream_core.bench.hotfolder import print_throughput

        print_throughput(load_config(config), pictures)
        return
    if cluster:
        from deepdream_core.cli.cluster import require

        require()
        from deepdream_core.bench.cluster import print_scaling

        print_scaling(workers, pictures, sleep)
        return
    from deepdream_core.bench import engine as measuring

    machine = load_config(config).engine_settings(given_of({"device": device, "precision": precision}))
    if memory is not None:
        measuring.print_memory(machine, memory)
    else:
        measuring.print_table(machine, repeats, side or measuring.SIDES, as_json=json)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(bench)
