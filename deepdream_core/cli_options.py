"""Options that several commands share, and how those commands end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepdream_core import completion
from deepdream_core.completion import one_of
from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.settings import DreamSettings, EngineSettings, FolderSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from deepdream_core.settings import Config

INTERRUPTED = 130


def help_of(key: str) -> str:
    """Return a setting's description, declared once in `settings`."""
    fields = {**DreamSettings.model_fields, **EngineSettings.model_fields}
    return str(fields[key].description)


ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", readable=False, help="config.yaml over the built-in one")
]
Device = Annotated[
    str | None,
    typer.Option(metavar="auto|cpu|cuda[:N]|mps", help=help_of("device"), autocompletion=one_of(*completion.DEVICES)),
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="auto|fp32|bf16|fp16", help=help_of("precision"), autocompletion=one_of(*completion.PRECISIONS)
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="oxford|torchvision|PATH", help=help_of("weights"), autocompletion=one_of(*completion.WEIGHTS)
    ),
]
ViaHelper = Annotated[
    str,
    typer.Option(
        metavar="auto|yes|no",
        help="let the helper compute; auto: when it runs",
        autocompletion=one_of("auto", "yes", "no"),
    ),
]


def _checked_white(white: float | None) -> float | None:
    if white is not None and not 0 < white <= 1e30:
        raise SettingsError(f"--white {white:g} is not allowed", "give the value that is white, as 255")
    return white


White = Annotated[
    float | None,
    typer.Option(metavar="F", help=FolderSettings.model_fields["white"].description, callback=_checked_white),
]


def another_engine(config: Path | None, loaded: Config) -> dict[str, Path]:
    """Return the configuration file as an option of computing, if its engine is not the usual one's."""
    from deepdream_core.config import load_config

    return {} if config is None or loaded.engine == load_config(None).engine else {"config": config}


def given_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {key: value for key, value in values.items() if value is not None}


def exit_with(errors: Collection[DeepDreamError]) -> None:
    """End the program with the exit code of the errors, if there are any: 1 where they have several."""
    codes = {error.exit_code for error in errors}
    if codes:
        raise typer.Exit(codes.pop() if len(codes) == 1 else DeepDreamError.exit_code)
