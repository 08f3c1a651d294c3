"""The command `deepdream channels`: what a layer's feature channels like, and which of them a photo has most of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdream_core.cli import completion
from deepdream_core.cli.options import ConfigFile, Device, Precision, WeightsOption, White, given_of
from deepdream_core.declaration import number_or_text
from deepdream_core.errors import PictureError, SettingsError
from deepdream_core.layers import BLOCKS, LAYERS, Layer, find_layer

if TYPE_CHECKING:
    from deepdream_core.machine_settings import EngineSettings
    from deepdream_core.settings import DreamSettings

SHEETS = Path(__file__).resolve().parents[1] / "channels"
"""The shipped pictures, LAYER.webp, made by docs/make_channels.py."""
_SHOWN = 16
_USEFUL = [layer for layer in LAYERS if layer.kind != "conv" and not layer.name.endswith("1_1")]


def channels(
    layer: Annotated[
        str | None,
        typer.Argument(
            metavar="[LAYER]", help="show where the pictures of its channels are",
            autocompletion=completion.one_of(*(layer.name for layer in LAYERS)),
        ),
    ] = None,
    photo: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="list its strongest channels of LAYER")
    ] = None,
    finest: Annotated[
        str | None, typer.Option(metavar="full|PX", help="short side in px at which the photo is seen, as in a dream")
    ] = None,
    white: White = None,
    device: Device = None,
    precision: Precision = None,
    weights: WeightsOption = None,
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="print it as JSON, all channels of the photo")] = False,
) -> None:  # fmt: skip
    """List layers and their feature channels, show what the channels like, or which of them a photo has most of."""
    from deepdream_core.config import load_config

    if layer is None:
        if photo is not None:
            raise SettingsError(f"--photo {photo}: the channels of which layer?", "name it, such as pool4")
        _list(json=json)
        return
    found = find_layer(layer)
    if photo is None:
        _show(found, json=json)
        return
    loaded = load_config(config)
    given = given_of({"device": device, "precision": precision, "weights": weights})
    seen = given_of({"finest": finest and number_or_text(finest)})
    means = _means(photo, found, loaded.dream_settings("classic", seen), loaded.engine_settings(given), white)
    _rank(found, means, json=json)


def sheet_of(layer: Layer) -> Path | None:
    """Return the pictures of a layer's channels; a convolution shares them with its ReLU and the pool after it."""
    block = int(layer.name[4])
    number = BLOCKS[block - 1][0] if layer.kind == "pool" else layer.name[6:]
    path = SHEETS / f"conv{block}_{number}.webp"
    return path if path.exists() else None


def _facts(layer: Layer) -> dict[str, Any]:
    sheet = sheet_of(layer)
    facts = {"layer": layer.name, "channels": layer.channels, "receptive_field_px": layer.receptive_field}
    return {**facts, "sheet": None if sheet is None else str(sheet)}


def _list(*, json: bool) -> None:
    layers = [_facts(layer) for layer in _USEFUL]
    if json:
        _print_json(layers)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("layer", "channels", "each sees px", "pictures", box=None, pad_edge=False)
    for facts in layers:
        pictures = f"deepdream channels {facts['layer']}" if facts["sheet"] else ""
        table.add_row(facts["layer"], str(facts["channels"]), str(facts["receptive_field_px"]), pictures)
    Console().print(table)


def _show(layer: Layer, *, json: bool) -> None:
    facts = _facts(layer)
    if json:
        _print_json(facts)
        return
    print(f"{layer.name} has {layer.channels} channels, from 0 to {layer.channels - 1}: --channel {layer.name}:0")
    if facts["sheet"]:
        print(f"their pictures: {facts['sheet']}")
    else:
        shown = ", ".join(each.name for each in _USEFUL if sheet_of(each))
        print(f"their pictures: only for {shown}")
    print(f"on a photo: deepdream looks --layer {layer.name} --channels 0-31 PHOTO")


def _means(
    photo: Path, layer: Layer, settings: DreamSettings, machine: EngineSettings, white: float | None
) -> list[float]:
    """Return each channel's mean activation over a photo; raises `PictureError` for one that cannot be used."""
    from deepdream_core.photo import read_photo
    from deepdream_core.photo.scale import advice, beyond_white
    from deepdream_core.work.replay import open_engine

    frame = read_photo(photo, max_megapixels=machine.max_megapixels, white=white).frames[0]
    if beyond := frame.beyond:
        print(f"{photo}: {beyond_white(beyond, frame.white)}; {advice(beyond)}", file=sys.stderr)
    try:
        return open_engine(machine).mean_activations(frame.floats(), layer.name, settings)
    except PictureError as error:
        raise PictureError(f"{photo}: {error.what}", error.next_step) from None


def _rank(layer: Layer, means: list[float], *, json: bool) -> None:
    average = sum(means) / len(means)
    strongest = sorted(range(len(means)), key=lambda number: -means[number])
    rows: list[dict[str, Any]] = [
        {"channel": number, "mean": means[number], "times_average": means[number] / average if average > 0 else None}
        for number in strongest
    ]
    if json:
        _print_json({"layer": layer.name, "average": average, "channels": rows})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(f"channel of {layer.name}", "mean activation", "times the average", box=None, pad_edge=False)
    for row in rows[:_SHOWN]:
        times = "" if row["times_average"] is None else f"{row['times_average']:.1f}"
        table.add_row(str(row["channel"]), f"{row['mean']:.4g}", times)
    Console().print(table)


def _print_json(content: object) -> None:
    from json import dumps

    print(dumps(content))


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(channels)
