"""The words that may follow an option, for shells that complete them; without any, shells offer files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002  # typer itself looks at the annotation

if TYPE_CHECKING:
    from collections.abc import Callable

Completion = tuple[str, str]
"""A word and its explanation."""


def one_of(*words: str | Completion) -> Callable[[str], list[str | Completion]]:
    """Return what completes one of these words; a word may come with an explanation."""

    def complete(incomplete: str) -> list[str | Completion]:
        return [word for word in words if (word if isinstance(word, str) else word[0]).startswith(incomplete)]

    return complete


def preset(ctx: typer.Context, incomplete: str) -> list[Completion]:
    """Return the matching presets, including the user's own; none if the configuration is not valid."""
    from deepdream_core.config import load_config
    from deepdream_core.errors import DeepDreamError

    given = ctx.params.get("config")
    try:
        known = load_config(Path(given) if given else None).presets
    except (DeepDreamError, OSError):  # shown when a command runs; here it would appear in the line being typed
        return []
    return [(name, preset.description) for name, preset in known.items() if name.startswith(incomplete)]


def preset_or_save(ctx: typer.Context, incomplete: str) -> list[Completion]:
    """Return what may follow `deepdream presets`."""
    save = [("save", "make a preset of a dreamed picture")] if "save".startswith(incomplete) else []
    return [*preset(ctx, incomplete), *save]


def setting(incomplete: str) -> list[Completion]:
    """Return the matching settings, each with = and its description."""
    from deepdream_core.settings import DreamSettings

    fields = DreamSettings.model_fields.items()
    return [(f"{name}=", str(field.description)) for name, field in fields if name.startswith(incomplete)]
