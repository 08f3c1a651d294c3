"""The JSON of the protocol as checked objects; the OpenAPI document comes from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from deepdream_core.errors import DeepDreamError
from deepdream_core.helper.refusal import RefusalError
from deepdream_core.link.npy import ArrayHeader
from deepdream_core.settings import DreamSettings, as_it_was

if TYPE_CHECKING:
    from deepdream_core.settings import Config

Dtype = Literal["uint8", "uint16", "float16", "float32"]
PriorityName = Literal["interactive", "preview", "batch", "background"]
State = Literal["created", "queued", "running", "paused", "stopping", "done", "failed", "cancelled"]


def _printable(text: str) -> str:
    """Return the text; raises `ValueError` if it contains control characters, which a terminal would obey."""
    if not text.isprintable():
        raise ValueError("contains characters that cannot be printed")
    return text


class JobRequest(BaseModel):
    """A picture to dream: the settings, and the arrays that will be sent."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    client: str = Field(
        pattern=r"^[ -~]{1,64}$", max_length=64, description="the client's name, the same for one run of a program"
    )
    label: Annotated[str, AfterValidator(_printable)] = Field(
        "", max_length=200, description="the picture's name for people"
    )
    priority: PriorityName = "batch"
    preset: str | None = Field(None, max_length=200, description="a preset's name; none: the defaults")
    settings: dict[Annotated[str, Field(max_length=100)], Any] = Field(
        {}, description="settings over the preset's, as in config.yaml",
        json_schema_extra={
            "properties": DreamSettings.model_json_schema()["properties"], "additionalProperties": False,
        },
    )  # fmt: skip
    shape: Annotated[list[int], Field(min_length=3, max_length=3)] = Field(
        description="height, width, channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha"
    )
    dtype: Dtype
    mask: Dtype | None = Field(None, description="type of the H×W×1 strength map that will be sent; none: no mask")
    start: bool = Field(False, description="whether a float32 H×W×3 difference to start from will be sent")
    previews: bool = Field(False, description="whether to send an event for each finished octave")

    def dream(self, config: Config) -> tuple[DreamSettings, str]:
        """Return the complete settings, and the preset or what is dreamed of as a word about them; raises `RefusalError`.

        A client of an earlier version names all settings of that version, and gets the same picture as from it.
        """
        given = self.settings if self.preset is not None else as_it_was(self.settings)
        try:
            settings = config.dream_settings(self.preset, given, "settings.{}".format)
        except DeepDreamError as error:
            raise RefusalError(422, "invalid", error.what, error.next_step) from None
        what = [*settings.layers, *("guide" for _ in settings.guides), *settings.channels, *settings.caricature]
        return settings, self.preset or "+".join(what[:4]) + "…" * (len(what) > 4)

    def announced(self, max_megapixels: float) -> dict[str, ArrayHeader]:
        """Return the arrays that will be sent, by name; raises `RefusalError` for a wrong or too large shape."""
        height, width, channels = self.shape
        if not (1 <= channels <= 4 and 1 <= height <= 1_000_000 and 1 <= width <= 1_000_000):
            raise RefusalError(
                422, "invalid", f"shape {self.shape} is not a picture's", "send [height, width, 1 to 4 channels]"
            )
        megapixels = height * width / 1e6
        if megapixels > max_megapixels:
            raise RefusalError(
                413, "too_large", f"{width}×{height} is {megapixels:.1f} megapixels, {max_megapixels:g} are allowed",
                "use a smaller picture, or raise engine.max_megapixels in config.yaml",
            )  # fmt: skip
        arrays = {"pixels": ArrayHeader(self.dtype, (height, width, channels))}
        if self.mask is not None:
            arrays["mask"] = ArrayHeader(self.mask, (height, width, 1))
        if self.start:
            arrays["start"] = ArrayHeader("float32", (height, width, 3))
        return arrays


class JobChange(BaseModel):
    """What changes about a job."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    priority: PriorityName | None = Field(None, description="another priority; none: as it is")
    label: Annotated[str, AfterValidator(_printable)] | None = Field(
        None, max_length=200, description="another name for people; none: as it is"
    )


class Problem(BaseModel):
    """What happened, for programs (`code`) and people, and what to do next."""

    model_config = ConfigDict(extra="allow")

    code: str
    what: str
    next_step: str


class ErrorAnswer(BaseModel):
    """The body of every refusal."""

    error: Problem


class Hello(BaseModel):
    """Who listens. `proof`: HMAC-SHA256 over nonce and port, keyed by the token; null without a nonce."""

    name: Literal["deepdream"] = "deepdream"
    version: str
    protocol: int
    proof: str | None


class JobCreated(BaseModel):
    """A job's id, which nobody can guess, and its state."""

    id: str
    state: State


class WeightsInfo(BaseModel):
    """The network's weights: name and the hash of their values."""

    name: str
    sha256: str | None


class JobStatus(JobCreated):
    """The state of a job. Times are in seconds; `progress` is the data of the last progress event."""

    client: str
    label: str
    priority: PriorityName
    about: str
    shape: list[int]
    dtype: Dtype
    position: int | None
    device: str | None
    precision: str | None
    progress: dict[str, Any] | None
    waited_s: float
    ran_s: float | None


class WorkerStatus(BaseModel):
    """A device and the process that owns it. `memory_bytes`: the process's part of the device's memory."""

    device: str
    name: str | None
    precision: str
    weights: WeightsInfo
    threads: int | None
    state: Literal["off", "starting", "ready", "busy"]
    pid: int | None
    memory_bytes: int
    job: str | None
    unloads_in_s: float | None


class Status(BaseModel):
    """The helper's status. `memory_bytes`: shared memory for pictures that wait, run or are finished."""

    version: str
    pid: int
    uptime_s: float
    on_demand: bool
    stopping: bool
    memory_bytes: int
    workers: list[WorkerStatus]
    jobs: list[JobStatus]


class PresetAbout(BaseModel):
    """A preset with all its settings. `pictured`: its thumbnail is the one that DeepDream comes with."""

    description: str
    family: str | None
    settings: dict[str, Any]
    pictured: bool


class Presets(BaseModel):
    """All presets by name, and the settings of a dream without one.

    `problem`: why config.yaml cannot be used; the presets are then those that were read before. Else null.
    """

    presets: dict[str, PresetAbout]
    defaults: dict[str, Any]
    problem: str | None


class WarmRequest(BaseModel):
    """Whether the answer waits until the model is loaded."""

    model_config = ConfigDict(extra="forbid", strict=True)

    wait: bool = True


class Engine(BaseModel):
    """The device, precision and weights in use."""

    device: str
    name: str
    precision: str
    threads: int | None
    weights: WeightsInfo


class Warm(BaseModel):
    """The workers that have loaded their model; empty if the answer did not wait."""

    workers: list[Engine]
