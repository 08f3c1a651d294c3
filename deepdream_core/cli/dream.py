"""The command `deepdream dream`."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path  # noqa: TC003  # typer itself looks at the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdream_core.cli import completion
from deepdream_core.cli.cluster import remote_opener
from deepdream_core.cli.options import (
    INTERRUPTED,
    ClusterAddress,
    ConfigFile,
    Device,
    Precision,
    Tile,
    ViaHelper,
    WeightsOption,
    White,
    another_engine,
    exit_with,
    given_of,
    takes_settings,
)
from deepdream_core.declaration import number_or_text
from deepdream_core.errors import SettingsError, nearest
from deepdream_core.photo.formats import WORDS, format_named, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.work.backend import Backend
    from deepdream_core.work.recipe import Recipe


@takes_settings
def dream(
    inputs: Annotated[
        list[Path] | None, typer.Argument(metavar="INPUT...", readable=False, help="pictures, or folders of them")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE|DIR", readable=False, help="result, or folder for results"),
    ] = None,
    noise: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="dream from noise of this size, without an INPUT")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="see: deepdream presets", show_default="classic", autocompletion=completion.preset
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", readable=False, help="replay the recipe of this dreamed picture"),
    ] = None,
    dreaming: dict[str, Any] | None = None,
    mask: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", readable=False, help="strength map: white dreams, black stays as it is"),
    ] = None,
    white: White = None,
    tile: Tile = None,
    device: Device = None,
    precision: Precision = None,
    weights: WeightsOption = None,
    via_helper: ViaHelper = "auto",
    cluster: ClusterAddress = None,
    config: ConfigFile = None,
    suffix: Annotated[str, typer.Option(metavar="TEXT", help="added to a result's name before its ending")] = ".dream",
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help=listed(WORDS),
            autocompletion=completion.one_of(*WORDS),
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(metavar="1-100", min=1, max=100, help="quality of lossy formats; default: the source's"),
    ] = None,
    strip: Annotated[
        bool, typer.Option("--strip", help="leave out EXIF, GPS, XMP, captions and file names; colours stay right")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="refuse to write a result that loses anything of the input")
    ] = False,
    recipe: Annotated[bool, typer.Option("--recipe/--no-recipe", help="store the recipe in the result")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace existing results")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object per event")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print only errors")] = False,
) -> None:
    """Dream pictures: photo.jpg becomes photo.dream.jpg beside it. With --noise, dream from nothing."""
    from deepdream_core.config import load_config
    from deepdream_core.photo import WriteOptions
    from deepdream_core.work import batch, jobs, replay
    from deepdream_core.work.guides import GuideFiles
    from deepdream_core.work.noise import Noise, with_boost
    from deepdream_core.work.report import ErrorReporter, JsonReporter
    from deepdream_core.work.text_report import TextReporter

    dreaming = dreaming or {}
    size = _noise_size(inputs, noise, like)
    computing = {"tile": tile and number_or_text(tile), "device": device, "precision": precision, "weights": weights}
    loaded = load_config(config)
    reporter = JsonReporter() if json else ErrorReporter() if quiet else TextReporter()
    options = jobs.OutputOptions(
        suffix=suffix, format=_format(format), overwrite=overwrite, recipe=recipe,
        write=WriteOptions(quality=quality, strip=strip, strict=strict),
    )  # fmt: skip
    given = {**given_of(computing), **given_of({"like": like}), **another_engine(config, loaded)}
    remote, at_once = remote_opener(
        cluster, given, via_helper, reporter.note, lambda: replay.open_engine(loaded.engine_settings({}))
    )
    open_engine: Callable[[], Backend]
    replayed = None if like is None else replay.replay_of(like, loaded, given_of(computing), masked=mask is not None)
    if replayed is not None:
        if preset is not None:
            raise SettingsError("--like and --preset: each says how to dream", "give only one")
        preset, settings = replayed.recipe.preset, replayed.settings(dreaming)
        preset_changed = replayed.changed(settings)
        open_engine = partial(replayed.open_engine, reporter.note)
        machine = replayed.machine
        white = white or replayed.recipe.source.white
        size = size or _size_again(inputs, replayed.recipe)
    else:
        preset = preset or "classic"
        settings = loaded.dream_settings(preset, with_boost(dreaming, loaded, preset) if size else dreaming)
        preset_changed = settings != loaded.dream_settings(preset, {})
        machine = loaded.engine_settings(given_of(computing))
        open_engine = remote or partial(replay.open_engine, machine)

    settings, guides = GuideFiles().read(settings, max_megapixels=machine.max_megapixels)
    if size:
        planned = jobs.plan_noise(Noise(*size, settings.seed), output, options)
    else:
        planned = jobs.plan(inputs or [], output, options, loaded.ignore)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        errors = batch.run(
            planned, settings, open_engine, reporter,
            preset=preset, preset_changed=preset_changed, mask_path=mask, guides=guides, options=options,
            max_megapixels=machine.max_megapixels, white=white, at_once=at_once,
        )  # fmt: skip
    except KeyboardInterrupt:
        reporter.interrupted()
        raise typer.Exit(INTERRUPTED) from None
    exit_with(errors)


def _noise_size(inputs: list[Path] | None, noise: str | None, like: Path | None) -> tuple[int, int] | None:
    """Return the size of the noise asked for, if any; raises `SettingsError` unless there is one thing to dream from."""
    from deepdream_core.work.noise import size_of

    if inputs and noise is not None:
        raise SettingsError(f"--noise {noise} and {inputs[0]}: each is a start for the dream", "give only one")
    if not inputs and noise is None and like is None:
        raise SettingsError(_NO_INPUT, "name a picture or a folder, or give --noise 1024x768")
    return None if noise is None else size_of(noise)


def _size_again(inputs: list[Path] | None, recipe: Recipe) -> tuple[int, int] | None:
    """Return the size of the noise that a recipe began with, where nothing else is given to dream from."""
    if inputs:
        return None
    if not recipe.source.noise:
        raise SettingsError(_NO_INPUT, "name the picture to dream as the recipe says")
    return recipe.source.width, recipe.source.height


_NO_INPUT = "INPUT is missing: there is nothing to dream from"


def _format(word: str | None) -> str | None:
    """Return the name of the format that a word means; raises `SettingsError` for an unknown word."""
    if word is None:
        return None
    name = format_named(word)
    if name is None:
        raise SettingsError(f"--format {word}: unknown format", nearest(word, WORDS))
    return name


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(dream)
