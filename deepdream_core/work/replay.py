"""Dreams again as a recipe says, with its settings, weights and precision; notes tell where this machine differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepdream_core.declaration import validated
from deepdream_core.errors import DeviceError, SettingsError
from deepdream_core.settings import DreamSettings, as_option
from deepdream_core.work.recipe import Recipe, recipe_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deepdream_core.settings import Config, EngineSettings
    from deepdream_core.work.backend import Backend

_NAMED_WEIGHTS = ("oxford", "torchvision")


@dataclass(frozen=True)
class Replay:
    """A recipe on this machine. The user should read the `notes` first."""

    recipe: Recipe
    machine: EngineSettings
    precision_given: bool
    notes: tuple[str, ...]

    def settings(self, overrides: Mapping[str, Any]) -> DreamSettings:
        """Return the recipe's settings overlaid by `overrides`; raises `SettingsError` naming the override."""
        return validated(DreamSettings, {**self.recipe.settings.model_dump(), **overrides}, as_option)

    def open_engine(self, note: Callable[[str], None]) -> Backend:
        """Open the engine that comes closest to the recipe's and note the differences; raises as `Engine` does."""
        for text in self.notes:
            note(text)
        used = self.recipe.machine
        try:
            engine = open_engine(self.machine)
        except DeviceError:
            if self.precision_given:
                raise
            engine = open_engine(self.machine.model_copy(update={"precision": "auto"}))
        if engine.weights.sha256 != self.recipe.weights.sha256:
            note("these are not the recipe's weights: the picture will look different")
        elif (engine.precision, engine.device_name) != (used.precision, used.name):
            note(f"the recipe was made in {used.precision} on {used.name}: the look is the same, the pixels are not")
        return engine


def open_engine(machine: EngineSettings) -> Backend:
    """Open the engine; imports torch."""
    from deepdream_core.engine.engine import Engine
    from deepdream_core.engine.fetch import fetched_path

    return Engine(machine, fetched=fetched_path())


def replay_of(picture: Path, config: Config, computing: Mapping[str, Any], *, masked: bool) -> Replay:
    """Return the replay of a dreamed picture's recipe; `computing` holds the engine settings that the user gave.

    Raises `PictureError` when there is no recipe, `SettingsError` when its weights have no known name.
    """
    recipe = recipe_of(picture, max_megapixels=config.engine.max_megapixels)
    notes: list[str] = []
    overrides = {"precision": recipe.machine.precision, "weights": recipe.weights.name, **computing}
    if "weights" not in computing and recipe.weights.name not in _NAMED_WEIGHTS:
        raise SettingsError(
            f"--like {picture}: was dreamed with the weights file {recipe.weights.name}",
            "give that file with --weights",
        )
    if recipe.mask is not None and not masked:
        called = f", {recipe.mask.file}" if recipe.mask.file else ""
        notes.append(f"the recipe used a mask{called}; give it with --mask to dream only there")
    return Replay(recipe, config.engine_settings(overrides), "precision" in computing, tuple(notes))
