"""Settings of a machine and its services as checked, frozen objects: the engine, the helper, drop folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from deepdream_core.declaration import Flag, Strict
from deepdream_core.setting_values import Devices, FolderPath, Hours  # noqa: TC001  # pydantic looks at them

if TYPE_CHECKING:
    from pydantic import ValidationInfo


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
    cluster: str | None = Field(
        None,
        description="address of a cluster that dreams what this machine cannot soon, as tls://studio:8786; null: none",
    )
    notify: bool = Field(False, description="a desktop notification when all that was dropped is done")
