"""All settings as checked, frozen objects: each default, range and description is declared here once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from deepdream_core.declaration import Control, Flag, Group, Strict, validated
from deepdream_core.errors import SettingsError, nearest
from deepdream_core.layers import LAYERS
from deepdream_core.setting_values import Devices, FolderPath, Hours, Layers  # noqa: TC001  # pydantic looks at them

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import ValidationInfo


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
        {"pool4": 1.0}, description="layers whose activations grow, by name or torchvision index, each with a weight"
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
        Control("Octa_ves", 3, most=40, right=12, arrow=1, numbers={"auto": 0}),
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
    iterations: Annotated[int, Group.LOOK, Control("_Iterations", 4, most=1000, right=50, arrow=1)] = Field(
        10, ge=1, le=100_000, description="gradient steps in each octave; more is stronger"
    )
    step: Annotated[float, Group.LOOK, Control("S_tep", 5, most=100, right=10, arrow=0.1)] = Field(
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
    smooth: Annotated[float, Group.PATTERN, Control("S_moothing", 6, most=20, right=5, arrow=0.1)] = Field(
        0.3,
        ge=0,
        le=100,
        description="smoothing of each step in px, sigma of a Gaussian cascade; larger is softer; 0: off",
    )
    jitter: Annotated[int, Group.ADVANCED, Flag("PX"), Control("_Jitter", 7, most=512, right=64, arrow=1)] = Field(
        16, ge=0, le=10_000, description="largest random shift in px before each step"
    )
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


EARLIER: dict[str, Any] = {
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


class EngineSettings(Strict):
    """Where and how this machine computes."""

    device: Annotated[str, Flag("auto|cpu|cuda[:N]|mps", ("auto", "cpu", "cuda", "cuda:0", "mps"))] = Field(
        "auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N or mps"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="number format of the network")
    weights: Annotated[str, Flag("oxford|torchvision|PATH", ("oxford", "torchvision"))] = Field(
        "oxford", min_length=1, description="oxford, torchvision, or the path of a weights file"
    )
    tile: Annotated[Annotated[int, Field(ge=32, le=100_000)] | Literal["auto", "none"], Flag("auto|none|PX")] = Field(
        "auto", description="tile width in px; auto: the largest that fits the free memory; none: no tiles"
    )
    memory_mb: Annotated[int, Field(ge=16)] | Literal["auto"] = Field(
        "auto", description="memory in MB that one tile may take; auto: what the device has free"
    )
    max_megapixels: float = Field(200.0, gt=0, le=10_000, description="larger pictures are refused before decoding")
    devices: Devices | Literal["auto"] = Field(
        "auto", description="devices of the helper, each with a process of its own; auto: device, or all CUDA devices"
    )
    keep_free_mb: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="drop folders pause while the device has less free memory than this, in MB; 0: never",
    )


class HelperSettings(Strict):
    """How the helper behaves, the process that owns the devices."""

    port: int = Field(0, ge=0, le=65_535, description="port on the loopback address; 0: any free one")
    idle_unload_s: float = Field(
        300.0, ge=0, le=1e7, description="seconds without a job after which the helper frees a device's memory"
    )
    idle_exit_s: float = Field(
        1800.0, ge=0, le=1e7, description="seconds without a job after which a helper started on demand exits"
    )
    max_queued: int = Field(
        64, ge=1, le=100_000, description="jobs that may wait; the helper tells further clients to come back later"
    )
    max_memory_mb: int = Field(
        8000, ge=16, le=10_000_000, description="memory in MB for waiting, running and finished pictures"
    )
    keep_results_s: float = Field(
        3600.0, ge=0, le=1e7, description="seconds that the helper keeps a finished picture for a client that vanished"
    )


def _not_before_settled(give_up_s: float, info: ValidationInfo) -> float:
    settle_s = info.data.get("settle_s", 0.0)
    if give_up_s < settle_s:
        raise ValueError(f"{give_up_s:g} is less than settle_s, {settle_s:g} — give it more, or settle_s less")
    return give_up_s


class FolderSettings(Strict):
    """One drop folder: its path, its preset, and what happens to dropped files."""

    path: FolderPath = Field(description="the folder that pictures are dropped into, as ~/DeepDream or /data/drop")
    preset: str | None = Field(
        None, description="preset for pictures outside the folders named like presets; null: the defaults"
    )
    originals: Literal["move", "keep", "trash"] = Field(
        "move", description="what happens to an original once its result is written: move it to done/, keep or trash it"
    )
    settle_s: float = Field(
        2.0, ge=0.1, le=3600, description="seconds that a file must stay unchanged before it is dreamed"
    )
    give_up_s: Annotated[float, AfterValidator(_not_before_settled)] = Field(
        600.0,
        ge=0.1,
        le=1_000_000,
        validate_default=True,
        description="seconds without a change after which an incomplete picture counts as broken; settle_s or more",
    )
    rescan_s: float = Field(60.0, ge=1, le=86_400, description="seconds between two searches of the whole folder")
    poll_s: float = Field(
        10.0, ge=1, le=86_400, description="seconds between two searches where the system reports no changes"
    )
    max_file_mb: float = Field(2000.0, gt=0, le=1_000_000, description="larger files in MB are refused before decoding")
    white: Annotated[float, Field(gt=0, le=1e30)] | None = Field(
        None, description="value of white in floating-point TIFFs, such as 255; default: what the file says, else 1"
    )
    quiet_hours: Hours | None = Field(
        None, description="hours of the day without dreaming, such as 22:00-07:00; null: none"
    )
    other_owners: bool = Field(
        False,
        description="also take files of other users, such as a scanner's; only where you trust all who can write there",
    )
    notify: bool = Field(False, description="a desktop notification when all that was dropped is done")


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
        merged = {**self.dream.model_dump(), **of_preset, **overrides}
        return validated(DreamSettings, merged, name or as_option)


def as_option(key: str) -> str:
    """Return the command line's name of a key: `octave_scale` is `--octave-scale`, `layers` is `--layer`."""
    return "--layer" if key == "layers" else "--" + key.replace("_", "-")
