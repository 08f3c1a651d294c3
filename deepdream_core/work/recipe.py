"""Recipes: how a picture was dreamed. A recipe travels with the picture and can be replayed."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from deepdream_core import __version__
from deepdream_core.errors import PictureError
from deepdream_core.objective_values import Channels, Layers  # noqa: TC001 - pydantic looks at them
from deepdream_core.photo import recipe_text
from deepdream_core.printable import printable
from deepdream_core.settings import EARLIER, DreamSettings

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.photo import Photo
    from deepdream_core.work.backend import Backend

_LONGEST = 1 << 16  # bytes; a real recipe has a thousand
_LONGEST_PATH = 1000  # of a guide; with 16 of these and the most channels a recipe is not too long
_NOISE = "noise"


class _Part(BaseModel):
    """A frozen, checked part; keys of later versions are ignored, so that old programs read new recipes."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Source(_Part):
    """The picture that was dreamed: file name without folder (left out when stripped), size in pixels, SHA-256.

    `white`: the value that the user declared white in it, if any. `format` is `noise` where noise took its place; its seed
    is the settings', and the hash is that of its samples.
    """

    file: str | None = None
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    format: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    frames: int = Field(1, gt=0)
    white: float | None = Field(None, gt=0)

    @property
    def noise(self) -> bool:
        """Whether it was noise, which can be made again."""
        return self.format == _NOISE

    @model_serializer(mode="wrap")
    def _without_unset_white(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `white` out where it is unset, so that most recipes have the same bytes as before it existed."""
        return {key: value for key, value in dumped(self).items() if (key, value) != ("white", None)}


class Mask(_Part):
    """The strength map used."""

    file: str | None = None
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class WeightsUsed(_Part):
    """The network's weights: `oxford`, `torchvision` or a file's name, and the hash of their values."""

    name: str
    sha256: str


class Machine(_Part):
    """Where it was computed: device, the device's common name, number format, tile width in px (None: untiled), threads."""

    device: str
    name: str
    precision: Literal["fp32", "bf16", "fp16"]
    tile_px: int | None = None
    threads: int | None = None


class Asked(_Part):
    """The layers and channels that were asked for, where channels were picked for the photograph."""

    layers: Layers
    channels: Channels


def _as_it_was_made(settings: object) -> object:
    """Complete the settings of a recipe that is older than some of them."""
    return {**EARLIER, **settings} if isinstance(settings, dict) else settings


class Recipe(_Part):
    """All that is needed to dream the same picture again. `preset_changed`: `settings` differ from the preset's."""

    recipe: Literal[1] = 1
    preset: str | None = None
    preset_changed: bool = False
    settings: Annotated[DreamSettings, BeforeValidator(_as_it_was_made)]
    mask: Mask | None = None
    weights: WeightsUsed
    machine: Machine
    versions: dict[str, str]
    source: Source
    asked: Asked | None = None

    @model_serializer(mode="wrap")
    def _without_unset_asked(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `asked` out where nothing was picked, so that most recipes have the same bytes as before it existed."""
        return {key: value for key, value in dumped(self).items() if (key, value) != ("asked", None)}

    @property
    def as_asked(self) -> DreamSettings:
        """The settings before channels were picked."""
        return self.settings.model_copy(update=self.asked.model_dump() if self.asked else {})

    def text(self) -> str:
        """Return the recipe as YAML, the same bytes for the same recipe."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True, width=1000)

    def as_preset(self) -> str:
        """Return a preset to paste into config.yaml."""
        return preset_text(f"{self.preset or 'custom'}-again", self.description, self.settings)

    @property
    def description(self) -> str:
        """What a preset made of it is called in a list."""
        about = f"as in {self.source.file}" if self.source.file else "from a recipe"
        return f"{self.preset or 'custom'}, {about}"


def preset_text(name: str, description: str, settings: DreamSettings, family: str | None = None) -> str:
    """Return a preset as the text of a complete config.yaml."""
    body = preset_of(description, settings, family)
    return yaml.safe_dump({"presets": {name: body}}, sort_keys=False, allow_unicode=True)


def preset_of(description: str, settings: DreamSettings, family: str | None = None) -> dict[str, Any]:
    """Return a preset as config.yaml holds it. A guide in it is a path, whose picture may change."""
    body = {"description": description, **({"family": family} if family else {}), **settings.model_dump()}
    body["guides"] = [{key: guide[key] for key in ("file", "weight", "layers")} for guide in body["guides"]]
    return body


class _ReferenceError(yaml.YAMLError):
    """The YAML text contains an alias."""


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a recipe needs none, and a few lines of them can expand to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _ReferenceError
        return super().compose_node(parent, index)


def recipe_of(path: Path, *, max_megapixels: float) -> Recipe:
    """Return the recipe in a picture, in its sidecar, or in a `.dream.yaml` file.

    Raises `PictureError` when there is none or it cannot be used.
    """
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            with path.open("rb") as file:
                text: str | None = file.read(_LONGEST + 1).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text"
            raise PictureError(
                f"{path}: cannot be read: {reason}", "give a dreamed picture or its .dream.yaml"
            ) from None
    else:
        text = recipe_text(path, max_megapixels=max_megapixels)
    if text is None:
        raise PictureError(f"{path}: has no recipe", "give a picture dreamed without --no-recipe")
    return parsed(text, str(path))


def parsed(text: str, where: str) -> Recipe:
    """Return the recipe written in `text`; raises `PictureError` naming `where` for anything else."""
    step = "give a dreamed picture with a complete recipe"
    if len(text) > _LONGEST:
        raise PictureError(f"{where}: its recipe is too long", step)
    try:
        tree = yaml.load(text, Loader=_PlainLoader)
        if isinstance(tree, dict) and tree.get("recipe") not in (1, None):
            raise PictureError(f"{where}: its recipe is of a later version", "update deepdream")
        return Recipe.model_validate(tree)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "it"
        what = "is missing" if problem["type"] == "missing" else "has a value that is not allowed"
        raise PictureError(f"{where}: its recipe cannot be used: {key} {what}", step) from None
    except PictureError:
        raise
    except _ReferenceError:
        raise PictureError(f"{where}: its recipe cannot be used: references are not allowed", step) from None
    except Exception:  # besides YAMLError, its number and date parsers raise nearly anything
        raise PictureError(f"{where}: its recipe cannot be used: it is not YAML", step) from None


def make_recipe(
    photo: Photo, settings: DreamSettings, engine: Backend, *, asked: DreamSettings | None = None,
    preset: str | None, preset_changed: bool, mask: Mask | None, tile_px: int | None, private: bool,
) -> Recipe:  # fmt: skip
    """Return the recipe of a dream of `photo`; `private` leaves out file names, and the folders of guides.

    `settings` with the channels picked where they were `asked` for.
    """
    width, height = photo.size
    source = Source(
        file=None if private or photo.noise else printable(photo.path.name), sha256=photo.sha256,
        format=_NOISE if photo.noise else photo.format, width=width, height=height, frames=len(photo.frames),
        white=photo.white,
    )  # fmt: skip
    machine = Machine(
        device=str(engine.device), name=engine.device_name, precision=_precision(engine.precision), tile_px=tile_px,
        threads=engine.threads,
    )  # fmt: skip
    weights = WeightsUsed(name=_weights_name(engine.weights.name), sha256=engine.weights.sha256)
    if mask is not None and private:
        mask = mask.model_copy(update={"file": None})
    guides = [
        {**guide, "file": PurePath(guide["file"]).name} if private or len(guide["file"]) > _LONGEST_PATH else guide
        for guide in settings.guides
    ]
    settings = settings.model_copy(update={"guides": guides})
    return Recipe(
        preset=preset, preset_changed=preset_changed, settings=settings, mask=mask, weights=weights, machine=machine,
        versions=versions(), source=source,
        asked=Asked(layers=asked.layers, channels=asked.channels) if asked is not None and asked.picks() else None,
    )  # fmt: skip


def _precision(name: str) -> Literal["fp32", "bf16", "fp16"]:
    if name in ("fp32", "bf16", "fp16"):
        return name  # type: ignore[return-value]
    raise AssertionError(name)


def _weights_name(name: str) -> str:
    """Return a weights file's name without its folder, which is private."""
    return printable(PurePath(name).name)


@cache
def versions() -> dict[str, str]:
    """Return the versions of everything that affects the pixels."""
    import importlib.metadata

    python = ".".join(map(str, sys.version_info[:3]))
    names = ("torch", "numpy", "pillow")
    return {"deepdream": __version__, "python": python, **{name: importlib.metadata.version(name) for name in names}}
