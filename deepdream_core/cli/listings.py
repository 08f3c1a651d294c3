"""The commands that list presets and layers and show recipes: `presets`, `recipe`, `layers`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # typer itself looks at the annotations
from typing import Annotated

import typer

from deepdream_core.cli import completion
from deepdream_core.cli.options import ConfigFile  # noqa: TC001  # typer itself looks at the annotations


def presets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|save",
            help="show this preset's settings, to paste into config.yaml; save: make a preset of the picture --from",
            autocompletion=completion.preset_or_save,
        ),
    ] = None,
    new: Annotated[str | None, typer.Argument(metavar="NEW", help="save: the new preset's name")] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--from", metavar="IMAGE", readable=False, help="save: a dreamed picture, or its .dream.yaml"),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="save: replace the preset of this name")] = False,
    config: ConfigFile = None,
) -> None:
    """List the presets, show one, or save a picture's recipe as one of your own."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from deepdream_core.config import load_config
    from deepdream_core.work.recipe import preset_text

    if name == "save" or replace or new is not None or picture is not None:
        _save(name, new, picture, config, replace=replace)
        return
    loaded = load_config(config)
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


def _save(name: str | None, new: str | None, picture: Path | None, config: Path | None, *, replace: bool) -> None:
    from deepdream_core.config import load_config, user_config_path
    from deepdream_core.errors import PictureError, SettingsError
    from deepdream_core.work.guides import GuideFiles
    from deepdream_core.work.recipe import preset_of, recipe_of
    from deepdream_core.work.saved_presets import save_preset

    if name != "save" or new is None or picture is None:
        raise SettingsError("a preset is saved with a name and a picture", "deepdream presets save NAME --from IMAGE")
    own = config or user_config_path()
    most = load_config(config if config and config.exists() else None).engine.max_megapixels
    found = recipe_of(picture, max_megapixels=most)
    try:
        settings, _ = GuideFiles().read(found.settings, max_megapixels=most)
    except PictureError as error:
        raise PictureError(error.what, "put the guide back there: a preset finds it by its path") from None
    save_preset(new, preset_of(found.description, settings), own, replace=replace)
    print(f"saved the preset {new} in {own}")


def recipe(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", readable=False, help="a dreamed picture, or its .dream.yaml")
    ],
    preset: Annotated[bool, typer.Option("--yaml", help="print a preset to paste into config.yaml")] = False,
    json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
    config: ConfigFile = None,
) -> None:
    """Print the recipe of a dreamed picture."""
    from deepdream_core.config import load_config
    from deepdream_core.work.recipe import recipe_of

    found = recipe_of(image, max_megapixels=load_config(config).engine.max_megapixels)
    if preset:
        print(found.as_preset(), end="")
    elif json:
        from json import dumps

        print(dumps(found.model_dump(mode="json")))  # ASCII: programs read it, in any encoding
    else:
        print(found.text(), end="")


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


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (presets, recipe, layers):
        app.command()(command)
