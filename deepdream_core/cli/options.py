"""Options that several commands share, and the exit of those commands."""

from __future__ import annotations

import inspect
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from deepdream_core.cli import completion
from deepdream_core.declaration import Flag, Group, declared, kinds_of, number_or_text, schemas_of, words_of
from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.machine_settings import EngineSettings, FolderSettings
from deepdream_core.settings import DreamSettings, as_option

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pydantic import BaseModel

    from deepdream_core.settings import Config

INTERRUPTED = 130


def option_of(model: type[BaseModel], key: str) -> Any:
    """Return the option of a setting, made from its declaration."""
    help = model.model_fields[key].description
    group = declared(model, key, Group)
    name = as_option(key)
    if kinds_of(model, key) == {"boolean"}:
        return typer.Option(f"{name}/--no-{name.removeprefix('--')}", help=help, rich_help_panel=group)
    words = words_of(model, key)
    metavars = [_METAVARS[kind] for part in schemas_of(model)[key] if (kind := part.get("type")) in _METAVARS]
    flag = declared(model, key, Flag) or Flag("|".join([*metavars, *words]))
    complete = completion.one_of(*(flag.completions or words))
    names = [name, flag.also] if flag.also else [name]
    return typer.Option(*names, metavar=flag.metavar, help=help, rich_help_panel=group, autocompletion=complete)


_METAVARS = {"integer": "N", "number": "F"}


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each setting of `DreamSettings`, in the place of its parameter `dreaming`.

    The command receives the options that were given by the settings' keys: numbers as numbers, other words unchanged. Lists
    and mappings have an option that may be repeated.
    """
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name != "dreaming":
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
            continue
        for key in DreamSettings.model_fields:
            kinds = kinds_of(DreamSettings, key)
            kind: Any = list[str] if kinds & {"array", "object"} else bool if kinds == {"boolean"} else str
            hint = Annotated[kind | None, option_of(DreamSettings, key)]
            parameters.append(inspect.Parameter(key, parameter.kind, default=None, annotation=hint))

    @wraps(command)
    def taking(**values: Any) -> None:
        given = {key: values.pop(key) for key in DreamSettings.model_fields}
        command(**values, dreaming={key: _value(key, value) for key, value in given.items() if value not in (None, [])})

    taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    taking.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del taking.__wrapped__
    return taking


def _value(key: str, given: bool | str | list[str]) -> object:
    """Return a setting's value for what its option was given."""
    if isinstance(given, bool):
        return given
    if isinstance(given, str):
        return number_or_text(given)
    return _weighted(key, given) if "object" in kinds_of(DreamSettings, key) else given


def _weighted(key: str, given: list[str]) -> dict[str, float]:
    weighted: dict[str, float] = {}
    for text in given:
        name, _, weight = text.partition("=")
        if name in weighted:
            raise SettingsError(f"{as_option(key)} {text}: {name} is given twice", "give it once, with its weight")
        try:
            weighted[name] = float(weight) if weight else 1.0
        except ValueError:
            raise SettingsError(
                f"{as_option(key)} {text}: {weight!r} is not a number", "write NAME or NAME=WEIGHT"
            ) from None
    return weighted


Inputs = Annotated[list[Path], typer.Argument(metavar="INPUT...", readable=False, help="pictures, or folders of them")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", readable=False, help="your config.yaml, which overrides the built-in one"),
]
Device = Annotated[str | None, option_of(EngineSettings, "device")]
Precision = Annotated[str | None, option_of(EngineSettings, "precision")]
Tile = Annotated[str | None, option_of(EngineSettings, "tile")]
WeightsOption = Annotated[str | None, option_of(EngineSettings, "weights")]
ViaHelper = Annotated[
    str,
    typer.Option(
        metavar="auto|yes|no",
        help="let the helper compute the dream; auto: if it runs",
        autocompletion=completion.one_of("auto", "yes", "no"),
    ),
]


ClusterAddress = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ADDRESS", help="let the machines of a cluster dream, as tls://studio:8786"),
]


def _checked_white(white: float | None) -> float | None:
    if white is not None and not 0 < white <= 1e30:
        raise SettingsError(f"--white {white:g} is not allowed", "give the value of white, such as 255")
    return white


White = Annotated[
    float | None,
    typer.Option(metavar="F", help=FolderSettings.model_fields["white"].description, callback=_checked_white),
]


def another_engine(config: Path | None, loaded: Config) -> dict[str, Path]:
    """Return the configuration file as an option that says how to compute, if its engine settings are unusual."""
    from deepdream_core.config import load_config

    return {} if config is None or loaded.engine == load_config(None).engine else {"config": config}


def given_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {key: value for key, value in values.items() if value is not None}


def exit_with(errors: Collection[DeepDreamError]) -> None:
    """Exit with the code of the errors, or 1 if their codes differ; do nothing if there are none."""
    codes = {error.exit_code for error in errors}
    if codes:
        raise typer.Exit(codes.pop() if len(codes) == 1 else DeepDreamError.exit_code)
