"""The command `deepdream looks`."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path  # noqa: TC003  # typer itself looks at the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from deepdream_core.cli import completion
from deepdream_core.cli.cluster import remote_opener
from deepdream_core.cli.options import (
    INTERRUPTED,
    ClusterAddress,
    ConfigFile,
    Device,
    Inputs,
    Precision,
    ViaHelper,
    WeightsOption,
    White,
    another_engine,
    exit_with,
    given_of,
)
from deepdream_core.errors import SettingsError
from deepdream_core.layers import LAYERS
from deepdream_core.looks import SIDE

_LAYERS = [layer.name for layer in LAYERS]

if TYPE_CHECKING:
    from deepdream_core.looks.choice import Choice
    from deepdream_core.settings import Config


def looks(
    inputs: Inputs,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", readable=False, help="folder for pages and sheets"),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="instead of the presets: every layer alone")] = False,
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="the layer of --channels", autocompletion=completion.one_of(*_LAYERS)),
    ] = None,
    channels: Annotated[
        str | None, typer.Option(metavar="N-N,N", help="instead of the presets: channels of --layer, such as 0-63,100")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="instead of the presets: a setting's values, such as step=1..4, step=1..4/7 or pooling=max,average; "
            "two settings give a table",
            autocompletion=completion.setting,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="the preset that --layers, --channels and --vary start from", show_default="classic",
            autocompletion=completion.preset,
        ),
    ] = None,
    side: Annotated[int, typer.Option(metavar="PX", min=32, max=4096, help="short side of a tile")] = SIDE,
    white: White = None,
    device: Device = None,
    precision: Precision = None,
    weights: WeightsOption = None,
    via_helper: ViaHelper = "auto",
    cluster: ClusterAddress = None,
    config: ConfigFile = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace existing files that show something else")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object per event")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print only errors")] = False,
) -> None:  # fmt: skip
    """Show a picture in every preset, small, in photo.looks.html and photo.looks.jpg beside it."""
    from deepdream_core.config import load_config
    from deepdream_core.looks import report, run
    from deepdream_core.work import replay

    loaded = load_config(config)
    choice = _choice(loaded, preset, vary, side, layers=layers, layer=layer, channels=channels)
    given = given_of({"device": device, "precision": precision, "weights": weights})
    machine = loaded.engine_settings(given)
    words = [word for key, value in given.items() for word in (f"--{key}", str(value))]
    words += [] if white is None else ["--white", f"{white:g}"]
    words += [] if config is None else ["--config", str(config)]
    given |= another_engine(config, loaded)
    reporter = report.Json() if json else report.Quiet() if quiet else report.Text()
    local = partial(replay.open_engine, machine)
    remote, at_once = remote_opener(cluster, given, via_helper, reporter.note, local)
    order = run.Order(choice, side, tuple(words), overwrite, white, at_once)
    planned = run.plan(inputs, output, loaded.ignore)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        errors = run.run(planned, order, remote or local, reporter, max_megapixels=machine.max_megapixels)
    except KeyboardInterrupt:
        reporter.interrupted()
        raise typer.Exit(INTERRUPTED) from None
    exit_with(errors)


def _choice(
    config: Config, preset: str | None, vary: list[str] | None, side: int, *, layers: bool, layer: str | None,
    channels: str | None,
) -> Choice:  # fmt: skip
    from deepdream_core.looks import choice
    from deepdream_core.looks.vary import of_variations

    given = {"--layers": layers, "--channels": channels is not None, "--vary": bool(vary)}
    sheets = [name for name, wanted in given.items() if wanted]
    if len(sheets) > 1:
        raise SettingsError(f"{' and '.join(sheets)}: each makes its own sheet", "give only one")
    if channels is not None and layer is None:
        raise SettingsError(f"--channels {channels[:40]}: of which layer?", "add it, such as --layer pool4")
    if channels is not None and layer is not None:
        return choice.of_channels(config, preset, layer, channels)
    if layer is not None:
        raise SettingsError(f"--layer {layer}: which channels of it?", "add them, such as --channels 0-63")
    if vary:
        return of_variations(config, preset, vary, side)
    if layers:
        return choice.of_layers(config, preset)
    if preset is not None:
        raise SettingsError(
            f"--preset {preset}: the sheet shows every preset", "leave it out, or add --layers, --channels or --vary"
        )
    return choice.of_presets(config)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(looks)
