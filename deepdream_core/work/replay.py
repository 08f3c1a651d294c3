"""Dreams again as a recipe says, with its settings, weights and precision; notes say where this machine differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepdream_core.declaration import validated
from deepdream_core.errors import DeviceError, SettingsError
from deepdream_core.objective_values import guide_keys
from deepdream_core.settings import DreamSettings, as_option, overlaid
from deepdream_core.work.guides import hash_of
from deepdream_core.work.recipe import Recipe, recipe_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deepdream_core.engine.engine import Engine
    from deepdream_core.machine_settings import EngineSettings
    from deepdream_core.settings import Config
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
        """Return the recipe's settings overlaid by `overrides`; raises `SettingsError` naming the override.

        Guides that are the recipe's by their hash, wherever they are now, are taken for those, with the recipe's layers and
        weight where the override names neither.
        """
        own = self.recipe.settings
        if (
            self.recipe.asked is not None and "channels" in overrides
        ):  # to be picked from the layers that were asked for
            own = self.recipe.as_asked
        wanted = validated(DreamSettings, overlaid(own.model_dump(), overrides), as_option)
        others = {key: value for key, value in overrides.items() if key != "guides"}
        found = _by_hash(overrides["guides"], wanted.guides) if "guides" in overrides else {}
        if found and found.keys() <= {guide["sha256"] for guide in overlaid(own.model_dump(), others)["guides"]}:
            guides = _given_again(own.guides, found)
            wanted = validated(DreamSettings, overlaid({**own.model_dump(), "guides": guides}, others), as_option)
        return wanted

    def changed(self, settings: DreamSettings) -> bool:
        """Return whether settings are others than the preset's, as the recipe's may be; a guide may have moved."""
        theirs, own = (
            {**each.model_dump(), "guides": [{**guide, "file": ""} for guide in each.guides]}
            for each in (settings, self.recipe.settings)
        )
        return self.recipe.preset_changed or theirs != own

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


def _by_hash(given: object, guides: list[dict[str, Any]]) -> dict[str | None, list[dict[str, Any]]]:
    """Return the guides without a hash by that of their file; those that were given as a file alone hold only that."""
    found: dict[str | None, list[dict[str, Any]]] = {}
    for raw, guide in zip(given if isinstance(given, list) else [given], guides, strict=True):
        if guide["sha256"] is None:
            alone = guide_keys(raw) == {"file"}
            found.setdefault(hash_of(guide), []).append({"file": guide["file"]} if alone else guide)
    return found


def _given_again(own: list[dict[str, Any]], found: dict[str | None, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a recipe's guides with the files, and with the layers and weights, that were given for them."""
    guides: list[dict[str, Any]] = []
    done = set[str]()
    for guide in own:
        again = found.get(guide["sha256"], [guide])
        if all(each.keys() == {"file"} for each in again):
            guides.append({**guide, "file": again[0]["file"]})
        elif guide["sha256"] is None or guide["sha256"] not in done:
            done.add(guide["sha256"])
            guides += [{**guide, **each, "sha256": guide["sha256"]} for each in again]
    return guides


def open_engine(machine: EngineSettings) -> Engine:
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
