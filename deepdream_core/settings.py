"""Dream settings, presets and the whole configuration as checked, frozen objects; each setting is declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from deepdream_core.declaration import Control, Flag, Group, Strict, validated
from deepdream_core.errors import SettingsError, nearest
from deepdream_core.layers import LAYERS
from deepdream_core.machine_settings import EngineSettings, FolderSettings, HelperSettings
from deepdream_core.objective_values import (  # pydantic looks at them
    GUIDE_LADDER,
    Channels,
    Guides,
    Layers,
    guide_layers,
    pick_of,
    picks_of_layers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


Pooling = Literal["max", "average"]


class DreamSettings(Strict):
    """How to dream: everything that affects the picture, and nothing about the machine."""

    layers: Annotated[
        Layers,
        Group.LOOK,
        Flag("NAME[=WEIGHT]", tuple((layer.name, f"torchvision's {layer.index}") for layer in LAYERS)),
        Control(
            "Layer of the _network",
            1,
            argument="layer",
            description="early layers give textures, late layers give things",
        ),
    ] = Field(
        {"pool4": 1.0},
        description="layers whose activations grow, by name or torchvision index, each with a weight; below 0: calmed",
    )
    guides: Annotated[Guides, Group.LOOK, Flag("FILE[@LAYER][=WEIGHT]")] = Field(
        [], description="pictures to dream toward, each with a weight; may name the layer to follow it at"
    )
    guide_figures: Annotated[
        float,
        Group.LOOK,
        Control(
            "Te_xture … figures",
            16,
            description="what to take of the guide: 0 its texture, 1 its figures",
            needs="guides",
        ),
    ] = Field(0.67, ge=0, le=1, description="what to take of a guide that names no layer: 0 its texture, 1 its figures")
    guide_match: Annotated[
        Literal["best", "mean"],
        Group.ADVANCED,
        Control(
            "Match the guide",
            19,
            words={"best": "cell by cell (best)", "mean": "as a whole (mean)"},
            needs="guides",
            folded=True,
        ),
    ] = Field(
        "best", description="follow a guide cell by cell (best), or grow each channel as much as it has of it (mean)"
    )
    guide_size: Annotated[
        Annotated[int, Field(ge=32, le=4096)] | Literal["octave"],
        Group.PATTERN,
        Flag("octave|PX"),
        Control(
            "Size of the guide", 20, most=4096, right=1024, arrow=16, numbers={"octave": 0}, needs="guides", folded=True
        ),
    ] = Field(224, description="short side in px at which a guide is seen; octave: the picture's own in each octave")
    channels: Annotated[
        Channels,
        Group.ADVANCED,
        Flag("LAYER:N[=WEIGHT]|strongest:N|weakest:N|average:N", also="--channels"),
        Control(
            "Feature channels",
            22,
            description="only these feature channels, such as conv4_3:17, pool4:201=-0.5, strongest:8; none: no channels",
            folded=True,
        ),
    ] = Field(
        {},
        description="only these feature channels, each with a weight; or the strongest, weakest, average in the photo",
    )
    caricature: Annotated[
        Layers,
        Group.LOOK,
        Flag("NAME[=WEIGHT]", tuple(layer.name for layer in LAYERS)),
        Control("Caricature at la_yer", 17, description="exaggerate what the photo has", words={"off": "none"}),
    ] = Field({}, description="layers at which what the photo has is exaggerated, each with a weight")
    caricature_power: Annotated[
        float, Group.ADVANCED, Control("Caricature's closeness", 21, most=2, needs="caricature", folded=True)
    ] = Field(
        1.0, ge=0, le=2, description="how closely a caricature keeps to the photo's features; 0: whatever is strong"
    )
    pooling: Annotated[
        Pooling,
        Group.LOOK,
        Control("_Forms (pooling)", 12, words={"max": "many small (max)", "average": "few large (average)"}),
    ] = Field(
        "max",
        description="how the network pools: max gives many small creatures, average few large, flowing forms",
    )
    natural: Annotated[float, Group.COLOUR, Control("N_atural colours", 11, unless="keep_colours")] = Field(
        0.97, ge=0, le=1, description="how closely the dream keeps to the photo's own colours: 0 rainbow, 1 nearly gray"
    )
    keep_colours: Annotated[bool, Group.COLOUR, Control("_Keep the photo's colours", 13)] = Field(
        False, description="dream in lightness alone and keep the photo's hue and chroma; natural then has no effect"
    )
    octaves: Annotated[
        Annotated[int, Field(ge=1, le=40)] | Literal["auto"],
        Group.PATTERN,
        Control("Octa_ves", 3, most=40, right=12, arrow=1, numbers={"auto": 0}, folded=True),
    ] = Field("auto", description="sizes to dream at; auto: as many as fit until the short side is about 120 px")
    octave_scale: Annotated[float, Group.PATTERN] = Field(
        1.3, ge=1.05, le=4, description="size of each octave relative to the previous one"
    )
    finest: Annotated[
        Annotated[int, Field(ge=32, le=100_000)] | Literal["full"],
        Group.PATTERN,
        Flag("full|PX"),
        Control("Pattern si_ze", 2, most=100_000, right=2048, arrow=16, bend=2.0, numbers={"full": 100_000}),
    ] = Field(
        800,
        description="short side in px at which dreaming stops; smaller is coarser and faster; full: the picture's own size",
    )
    upscale: Annotated[bool, Group.PATTERN] = Field(
        False, description="enlarge pictures smaller than finest while dreaming"
    )
    tileable: Annotated[bool, Group.PATTERN, Control("Seamless pattern (tilea_ble)", 18)] = Field(
        False, description="make a picture that repeats without an edge"
    )
    iterations: Annotated[int, Group.LOOK, Control("_Iterations", 4, most=1000, right=50, arrow=1)] = Field(
        10, ge=1, le=100_000, description="gradient steps in each octave; more is stronger"
    )
    coarse_boost: Annotated[float, Group.PATTERN] = Field(
        1.0,
        ge=1,
        le=100,
        description="times as many iterations in the coarsest octave, falling evenly to 1 in the finest",
    )
    step: Annotated[float, Group.LOOK, Control("Step", 5, most=100, right=10, arrow=0.1, folded=True)] = Field(
        2.4, gt=0, le=10_000, description="step size in 1/255 of the value range; larger is stronger and rougher"
    )
    normalize: Annotated[Literal["std", "mean_abs", "none"], Group.ADVANCED] = Field(
        "std", description="what each gradient is divided by: standard deviation, mean absolute value, nothing"
    )
    laplacian: Annotated[int, Group.PATTERN] = Field(
        0,
        ge=0,
        le=10,
        description="frequency bands of the gradient with equal strength; more bands let larger shapes grow",
    )
    smooth: Annotated[float, Group.PATTERN, Control("S_moothing", 6, most=20, right=5, arrow=0.1, folded=True)] = Field(
        0.3,
        ge=0,
        le=100,
        description="smoothing of each step in px, sigma of a Gaussian cascade; larger is softer; 0: off",
    )
    jitter: Annotated[
        int, Group.ADVANCED, Flag("PX"), Control("_Jitter", 7, most=512, right=64, arrow=1, folded=True)
    ] = Field(16, ge=0, le=10_000, description="largest random shift in px before each step")
    tv: Annotated[float, Group.ADVANCED] = Field(
        0.0, ge=0, le=100, description="total-variation weight; larger removes more noise from the dream"
    )
    soft_limit: Annotated[bool, Group.COLOUR] = Field(
        True, description="let steps fade toward black and white, so that nothing is clipped"
    )
    clamp: Annotated[bool, Group.ADVANCED] = Field(
        True, description="keep values in the visible range after each step, not only at the end"
    )
    strength: Annotated[float, Group.LOOK, Control("Stren_gth", 8)] = Field(
        1.0, ge=0, le=1, description="blend of the result: 0 the original, 1 the dream"
    )
    seed: Annotated[int, Group.LOOK] = Field(
        0, ge=0, lt=2**63, description="seed of the random shifts; the same seed repeats the picture"
    )

    @model_validator(mode="after")
    def _dreams_of_something(self) -> DreamSettings:
        growing = {} if picks_of_layers(self.channels) else self.layers
        picked_from = any(self.layers.values()) or not self.layers  # without any, the pick says what is missing
        weights = [*growing.values(), *self.caricature.values()]
        weights += [
            weight * (picked_from if (pick := pick_of(name)) and pick.layer is None else 1)
            for name, weight in self.channels.items()
        ]
        weights += [guide["weight"] * share for guide in self.guides for share in self.layers_of(guide).values()]
        if not any(weights):
            raise ValueError("nothing to dream of: every weight is 0 — give a layer a weight, such as pool4: 1")
        for guide in self.guides:
            if both := sorted(self.layers_of(guide).keys() & growing.keys()):
                other = next((name for name in GUIDE_LADDER if name not in growing), "LAYER")
                raise ValueError(
                    f"{both[0]} cannot both grow and follow the guide {guide['file']} — remove it from the layers, "
                    f"or name another layer: {guide['file']}@{other}"
                )
        return self

    def layers_of(self, guide: Mapping[str, Any]) -> dict[str, float]:
        """Return the layers at which one of the guides is followed, each with a weight."""
        return guide["layers"] or guide_layers(self.guide_figures)

    def picks(self) -> bool:
        """Say whether channels are still to be picked for the photograph."""
        return any(pick_of(name) for name in self.channels)


EARLIER: dict[str, Any] = {
    "guides": [],
    "guide_figures": 0.67,
    "guide_match": "best",
    "guide_size": 224,
    "channels": {},
    "caricature": {},
    "caricature_power": 1.0,
    "tileable": False,
    "coarse_boost": 1.0,
    "pooling": "max",
    "natural": 0.0,
    "keep_colours": False,
    "soft_limit": False,
}
"""The values that older recipes imply: what the engine did before each of these settings existed."""


def as_it_was(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings; if they name every older setting, `EARLIER` fills in the newer ones that they lack."""
    whole = DreamSettings.model_fields.keys() - EARLIER.keys() <= given.keys()
    return {**EARLIER, **given} if whole else dict(given)


class Preset(Strict):
    """A named set of settings: a line that says what the user will see, and the settings that differ from `dream`.

    `family`: the heading that it is listed under, such as `animals`; None for a user's own preset without one.
    """

    description: str = Field(min_length=1)
    family: Annotated[str, Field(min_length=1)] | None = None
    settings: dict[str, Any]


class Config(Strict):
    """A whole configuration: defaults, presets and machine."""

    dream: DreamSettings
    presets: dict[str, Preset]
    engine: EngineSettings
    helper: HelperSettings = HelperSettings()
    folders: tuple[FolderSettings, ...] = ()
    ignore: tuple[str, ...] = ()

    def families(self) -> dict[str, list[str]]:
        """Return the presets' names by family, in the order of the file; presets without a family come last, as `other`."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.presets, key=lambda name: self.presets[name].family is None):
            found.setdefault(self.presets[name].family or "other", []).append(name)
        return found

    def engine_settings(self, overrides: Mapping[str, Any]) -> EngineSettings:
        """Return the machine's settings with `overrides`; raises `SettingsError` naming the override."""
        return validated(EngineSettings, {**self.engine.model_dump(), **overrides}, as_option)

    def dream_settings(
        self, preset: str | None, overrides: Mapping[str, Any], name: Callable[[str], str] | None = None
    ) -> DreamSettings:
        """Return the defaults, overridden by the preset `preset`, if any, and then by `overrides`.

        `name` turns a key into the user's name for it, by default the option. Raises `SettingsError` with the preset or the
        override, and what is allowed.
        """
        if preset is not None and preset not in self.presets:
            raise SettingsError(f"unknown preset {preset!r}", nearest(preset, self.presets))
        of_preset = {} if preset is None else self.presets[preset].settings
        merged = self.dream.model_dump()
        for given in (of_preset, overrides):
            merged = overlaid(merged, given)
        return validated(DreamSettings, merged, name or as_option)


def overlaid(below: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings overlaid by others. What to dream of is one thing: to name a part of it replaces all of it.

    Only channels that are to be picked from layers leave the layers as they are.
    """
    return {**without_what(below, given), **given}


def without_what(below: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings below others, without what to dream of where the others say that."""
    kept = dict(below)
    if given.keys() & NOTHING.keys():
        to_pick_from = {"layers"} if picks_of_layers(given.get("channels")) else set()
        kept |= {key: NOTHING[key] for key in (kept.keys() & NOTHING.keys()) - to_pick_from}
    return kept


NOTHING: dict[str, Any] = {"layers": {}, "guides": [], "channels": {}, "caricature": {}}
"""The settings that say what to dream of, and the value of each that means nothing."""


def as_option(key: str) -> str:
    """Return the command line's name of a key: `octave_scale` is `--octave-scale`, `layers` is `--layer`."""
    singular = {"layers": "layer", "guides": "guide", "channels": "channel"}
    return "--" + singular.get(key, key).replace("_", "-")
