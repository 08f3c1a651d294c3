"""Settings: every default, range and description declared once, as checked, frozen objects."""

from __future__ import annotations

import datetime
import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from deepdream_core.errors import SettingsError, nearest
from deepdream_core.layers import find_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import ValidationInfo
    from pydantic_core import ErrorDetails


M = TypeVar("M", bound=BaseModel)


def _layer_weights(value: object) -> object:
    """Take `pool4`, `[relu3_3, pool4]` or `{relu3_3: 0.5, pool4: 1}`; return a mapping of known names to weights."""
    if isinstance(value, (str, int)):
        value = [value]
    if isinstance(value, list) and all(isinstance(name, (str, int)) for name in value):
        value = [(name, 1.0) for name in value]
    elif isinstance(value, dict):
        value = list(value.items())
    else:
        raise ValueError(
            f"{value!r:.80} is not allowed — write pool4, [relu3_3, pool4] or {{relu3_3: 0.5, pool4: 1.0}}"
        )
    weighted: dict[str, object] = {}
    for given, weight in value:
        try:
            name = find_layer(str(given)).name
        except SettingsError as error:
            raise ValueError(str(error)) from None
        if name in weighted:
            raise ValueError(f"{name} is given twice — give it once, with its weight")
        weighted[name] = weight
    return weighted


Layers = Annotated[
    dict[str, Annotated[float, Field(gt=0, le=1000)]], BeforeValidator(_layer_weights), Field(min_length=1)
]


@dataclass(frozen=True)
class Flag:
    """What the command line shows in place of a setting's value, and words to complete it, where its type does not say."""

    metavar: str
    completions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Control:
    """How the GIMP plug-in shows a setting: as an argument of its procedure, and as a row of its dialog.

    `label` has _ before the letter that goes with Alt. `place` counts the arguments, which scripts may give in this order:
    a new setting takes the next number. Of a number, `most` is the largest that can be given, a slider ends at `right`
    and is bent by `bend`, an arrow key moves by `arrow`, and `numbers` stand for words such as auto. `words` label the
    words of a choice. `unless` is a switch that makes this setting idle.
    """

    label: str
    place: int
    most: float = 1
    right: float | None = None
    arrow: float = 0.01
    bend: float = 1.0
    numbers: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    unless: str = ""


Pooling = Literal["max", "average"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DreamSettings(_Strict):
    """How to dream: everything that decides what the picture looks like, and nothing about the machine."""

    layers: Annotated[Layers, Flag("NAME[=WEIGHT]")] = Field(
        {"pool4": 1.0}, description="layers whose activations grow, by name or torchvision index, each with a weight"
    )
    pooling: Annotated[
        Pooling,
        Control("_Forms (pooling)", 12, words={"max": "many small (max)", "average": "few large (average)"}),
    ] = Field(
        "max",
        description="how the network's pools sum up: max, many small creatures; average, few large, flowing forms",
    )
    natural: Annotated[float, Control("N_atural colours", 11, unless="keep_colours")] = Field(
        0.97, ge=0, le=1, description="how far steps are kept to a photograph's own colours: 0 rainbow, 1 nearly gray"
    )
    keep_colours: Annotated[bool, Control("_Keep the photo's colours", 13)] = Field(
        False, description="dream in lightness alone, whatever natural is; hue and chroma stay the photo's"
    )
    octaves: Annotated[
        Annotated[int, Field(ge=1, le=40)] | Literal["auto"],
        Control("Octa_ves", 3, most=40, right=12, arrow=1, numbers={"auto": 0}),
    ] = Field("auto", description="sizes to dream at; auto: as many as fit until the short side is about 120 px")
    octave_scale: float = Field(1.3, ge=1.05, le=4, description="how much larger each octave is than the one before")
    finest: Annotated[
        Annotated[int, Field(ge=32, le=100_000)] | Literal["full"],
        Flag("full|PX"),
        Control("Pattern si_ze", 2, most=100_000, right=2048, arrow=16, bend=2.0, numbers={"full": 100_000}),
    ] = Field(
        800,
        description="short side in px at which dreaming stops; smaller is coarser and faster; full: the picture's own size",
    )
    upscale: bool = Field(False, description="also enlarge pictures smaller than finest to it while dreaming")
    iterations: Annotated[int, Control("_Iterations", 4, most=1000, right=50, arrow=1)] = Field(
        10, ge=1, le=100_000, description="gradient steps in each octave; more is stronger"
    )
    step: Annotated[float, Control("S_tep", 5, most=100, right=10, arrow=0.1)] = Field(
        2.4, gt=0, le=10_000, description="step size in 1/255 of the value range; larger is stronger and rougher"
    )
    normalize: Literal["std", "mean_abs", "none"] = Field(
        "std", description="what each gradient is divided by: standard deviation, mean absolute value, nothing"
    )
    laplacian: int = Field(
        0, ge=0, le=10, description="bands of the gradient brought to equal strength, so that large shapes grow too"
    )
    smooth: Annotated[float, Control("S_moothing", 6, most=20, right=5, arrow=0.1)] = Field(
        0.3,
        ge=0,
        le=100,
        description="smoothing of each step in px, sigma of a Gaussian cascade; larger is softer; 0: off",
    )
    jitter: Annotated[int, Flag("PX"), Control("_Jitter", 7, most=512, right=64, arrow=1)] = Field(
        16, ge=0, le=10_000, description="largest random shift in px before each step"
    )
    tv: float = Field(
        0.0, ge=0, le=100, description="total-variation weight: how strongly noise in the dream is calmed"
    )
    soft_limit: bool = Field(True, description="let steps fade toward black and white, so that nothing is clipped")
    clamp: bool = Field(True, description="keep values in the visible range after each step, not only at the end")
    strength: Annotated[float, Control("Stren_gth", 8)] = Field(
        1.0, ge=0, le=1, description="blend of the result: 0 the original, 1 the dream"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the random shifts; the same seed repeats the picture")


EARLIER: dict[str, Any] = {
    "pooling": "max",
    "natural": 0.0,
    "keep_colours": False,
    "soft_limit": False,
}
"""What was done before there was a setting for it: what a recipe means that was made then and does not name it."""


def as_it_was(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings completed by `EARLIER` where they name all that there was before it: they were written then."""
    whole = DreamSettings.model_fields.keys() - EARLIER.keys() <= given.keys()
    return {**EARLIER, **given} if whole else dict(given)


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError(f"{names!r:.80} names a device twice — give each once")
    return names


DeviceName = Annotated[str, Field(pattern=r"^(cpu|mps|cuda:\d+)$")]
Devices = Annotated[list[DeviceName], Field(min_length=1), AfterValidator(_each_once)]


class EngineSettings(_Strict):
    """Where and how to compute: what suits this machine."""

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
        0, ge=0, le=10_000_000, description="drop folders pause while the device has less free memory in MB; 0: never"
    )


class HelperSettings(_Strict):
    """How the helper, the process that owns the devices, behaves."""

    port: int = Field(0, ge=0, le=65_535, description="port on the loopback address; 0: any free one")
    idle_unload_s: float = Field(
        300.0, ge=0, le=1e7, description="seconds without a job after which a device's memory is given back"
    )
    idle_exit_s: float = Field(
        1800.0, ge=0, le=1e7, description="seconds without a job after which a helper started on demand ends"
    )
    max_queued: int = Field(64, ge=1, le=100_000, description="jobs that may wait; more are asked to come back later")
    max_memory_mb: int = Field(
        8000, ge=16, le=10_000_000, description="memory in MB for pictures that wait, run or are finished"
    )
    keep_results_s: float = Field(
        3600.0, ge=0, le=1e7, description="seconds that a finished picture waits for a client that vanished"
    )


def _from_the_top(path: str) -> str:
    # Where ~ leads is asked when the folder is used: other commands need no home.
    in_home = path == "~" or path.startswith(("~/", f"~{os.sep}"))
    if "\0" in path or not (in_home or Path(os.path.expanduser(path)).is_absolute()):
        raise ValueError(f"{path!r:.80} is not a whole path — write it from the top, as ~/DeepDream or /data/drop")
    return path


def _not_before_settled(give_up_s: float, info: ValidationInfo) -> float:
    settle_s = info.data.get("settle_s", 0.0)
    if give_up_s < settle_s:
        raise ValueError(f"{give_up_s:g} is less than settle_s, {settle_s:g} — give it more, or settle_s less")
    return give_up_s


@cache
def ends_of(hours: str) -> tuple[datetime.time, datetime.time]:
    """Return when hours such as `22:00-07:00` begin and end; raises `ValueError` for what is not two times of day."""
    begin, end = (part.strip() for part in hours.split("-"))
    end = "00:00" if end == "24:00" else end
    return _time_of(begin), _time_of(end)


def _time_of(text: str) -> datetime.time:
    return datetime.datetime.strptime(text, "%H:%M").time()


def _some_hours(hours: str) -> str:
    begin, end = ends_of(hours)
    if begin == end:
        raise ValueError(f"{hours!r} begins and ends at the same time — give it two different times, or null")
    return hours


_TIME = "([01]?[0-9]|2[0-3]):[0-5][0-9]"
Hours = Annotated[
    str,
    Field(pattern=f"^ *{_TIME} *- *({_TIME}|24:00) *$", description='hours in quotes, as "22:00-07:00"'),
    AfterValidator(_some_hours),
]


class FolderSettings(_Strict):
    """One drop folder: where it is, which preset it applies, and what becomes of what is dropped."""

    path: Annotated[str, Field(min_length=1), AfterValidator(_from_the_top)] = Field(
        description="the folder that pictures are dropped into, as ~/DeepDream or /data/drop"
    )
    preset: str | None = Field(
        None, description="preset for pictures that lie in no preset's folder; null: the defaults"
    )
    originals: Literal["move", "keep", "trash"] = Field(
        "move", description="what becomes of an original whose result is written: move it to done/, keep or trash it"
    )
    settle_s: float = Field(2.0, ge=0.1, le=3600, description="seconds that a file must rest before it is taken")
    give_up_s: Annotated[float, AfterValidator(_not_before_settled)] = Field(
        600.0,
        ge=0.1,
        le=1_000_000,
        validate_default=True,
        description="seconds without a change after which an incomplete picture counts as broken; settle_s or more",
    )
    rescan_s: float = Field(60.0, ge=1, le=86_400, description="seconds between two searches of the whole folder")
    poll_s: float = Field(
        10.0, ge=1, le=86_400, description="seconds between two searches where the system tells of no changes"
    )
    max_file_mb: float = Field(2000.0, gt=0, le=1_000_000, description="larger files in MB are refused before decoding")
    white: Annotated[float, Field(gt=0, le=1e30)] | None = Field(
        None, description="value that is white in floating-point TIFFs, as 255; without it what the file says, else 1"
    )
    quiet_hours: Hours | None = Field(
        None, description="hours of the day in which nothing is dreamed, as 22:00-07:00; null: none"
    )
    other_owners: bool = Field(
        False,
        description="take files of other users, too, as of a scanner: only where you trust all who can write there",
    )
    notify: bool = Field(False, description="a desktop notification when all that was dropped is done")


class Preset(_Strict):
    """A named set of settings: one line that says what a person will see, and what differs from `dream`.

    `family`: what it is listed under, as `animals`; None for a preset of the user's own that names none.
    """

    description: str = Field(min_length=1)
    family: Annotated[str, Field(min_length=1)] | None = None
    settings: dict[str, Any]


class Config(_Strict):
    """A whole configuration: defaults, presets and machine."""

    dream: DreamSettings
    presets: dict[str, Preset]
    engine: EngineSettings
    helper: HelperSettings = HelperSettings()
    folders: tuple[FolderSettings, ...] = ()
    ignore: tuple[str, ...] = ()

    def families(self) -> dict[str, list[str]]:
        """Return the presets' names by family, in the order of the file; those without a family come last, as `other`."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.presets, key=lambda name: self.presets[name].family is None):
            found.setdefault(self.presets[name].family or "other", []).append(name)
        return found

    def engine_settings(self, overrides: Mapping[str, Any]) -> EngineSettings:
        """Return the machine's settings overlaid by `overrides`; raises `SettingsError` naming the override."""
        return validated(EngineSettings, {**self.engine.model_dump(), **overrides}, as_option)

    def dream_settings(
        self, preset: str | None, overrides: Mapping[str, Any], name: Callable[[str], str] | None = None
    ) -> DreamSettings:
        """Return the defaults overlaid by a preset, if one is named, and then by `overrides`.

        `name` is what the user calls a key, without it the option. Raises `SettingsError` naming the preset or the override
        and what is allowed.
        """
        if preset is not None and preset not in self.presets:
            raise SettingsError(f"unknown preset {preset!r}", nearest(preset, self.presets))
        of_preset = {} if preset is None else self.presets[preset].settings
        merged = {**self.dream.model_dump(), **of_preset, **overrides}
        return validated(DreamSettings, merged, name or as_option)


def validated(model: type[M], values: Mapping[str, Any], name: Callable[[str], str]) -> M:
    """Return the model made of `values`, or raise `SettingsError` with the key, the value and what is allowed.

    `name` turns a key into what the user wrote: its path in a file, or an option.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise _explained(model, error.errors()[0], name) from None


def number_or_text(text: str) -> int | float | str:
    """Return the number that a word of the command line is, else the word: what it may be is the setting's to say."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def as_option(key: str) -> str:
    """Return the command line's name of a key: `octave_scale` is `--octave-scale`, `layers` is `--layer`."""
    return "--layer" if key == "layers" else "--" + key.replace("_", "-")


def _explained(model: type[BaseModel], problem: ErrorDetails, name: Callable[[str], str]) -> SettingsError:
    key, *inner = (str(part) for part in problem["loc"])
    path = name(key) + "".join(f".{part}" for part in inner if part.startswith(("conv", "relu", "pool")))
    if problem["type"] == "extra_forbidden":
        return SettingsError(f"{path}: unknown key", nearest(key, model.model_fields))
    if problem["type"] == "missing":
        return SettingsError(f"{path}: is missing", f"give it: {model.model_fields[key].description}")
    if problem["type"] == "value_error":
        return SettingsError(f"{path}: {problem['ctx']['error']}")
    return SettingsError(f"{path}: {problem['input']!r:.80} is not allowed", f"allowed: {allowed(model, key)}")


@cache
def schemas_of(model: type[BaseModel]) -> dict[str, list[dict[str, Any]]]:
    """Return the JSON schemas of each key, one for each kind of value that it takes."""
    properties: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return {key: schema.get("anyOf", [schema]) for key, schema in properties.items()}


def words_of(model: type[BaseModel], key: str) -> list[str]:
    """Return the words that a key takes, such as auto."""
    parts = schemas_of(model)[key]
    return [word for part in parts for word in part.get("enum", [part["const"]] if "const" in part else [])]


def allowed(model: type[BaseModel], key: str) -> str:
    """Return in words what values a key takes, from its declaration: `auto or a whole number from 1 to 40`."""
    return " or ".join(map(_in_words, schemas_of(model)[key]))


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _in_words(schema: dict[str, Any]) -> str:
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if choices:
        return ", ".join(str(choice) for choice in choices)
    if "pattern" in schema:
        return str(schema["description"])
    if schema.get("type") == "array":
        return "a list such as [cuda:0, cuda:1], [cpu] or [mps]"
    kinds = {
        "integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text", "null": "null",
    }  # fmt: skip
    if schema.get("minLength"):
        kinds["string"] = "text that is not empty"
    words = kinds.get(schema.get("type", ""), "layer names, each with a weight above 0, up to 1000")
    bounds = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "up to"), ("exclusiveMaximum", "below"))
    return " ".join([words, *(f"{word} {_number(schema[bound])}" for bound, word in bounds if bound in schema)])
