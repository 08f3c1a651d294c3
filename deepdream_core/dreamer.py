"""What batch, recipes and reports need of whoever dreams: the engine in this process, or the helper in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.settings import DreamSettings


@dataclass(frozen=True)
class Progress:
    """What a dream tells after each step. Octaves and iterations count from 1; `size` is (height, width) in pixels.

    `objective` is the norm of the activations before the step. `fraction` of the whole work, in 0…1, is done.
    `tile_px` is the width of the tiles, None without. `notes` say what a user should know, such as a tile made smaller.
    `picture()` returns the result so far, full size, float32 [1, 3, H, W] in 0…1, as a tensor where the engine is in this
    process and as a numpy array where it is not; call it before asking for the next step.
    """

    octave: int
    octaves: int
    size: tuple[int, int]
    iteration: int
    iterations: int
    objective: float
    fraction: float
    tile_px: int | None
    notes: tuple[str, ...]
    picture: Callable[[], Any]


class WeightsName(Protocol):
    """Which weights: a name, and the hash of their values."""

    @property
    def name(self) -> str:
        """`oxford`, `torchvision` or a file's name."""

    @property
    def sha256(self) -> str:
        """Hash of the values, in hexadecimal."""


class Dreamer(Protocol):
    """Dreams pictures with one weight set on one device, as `deepdream_core.engine.engine.Engine` does.

    `label` is what people know the next picture by, for whoever shows what is being done.
    """

    label: str

    @property
    def device(self) -> object:
        """The device; as text `cpu`, `cuda:0` and the like."""

    @property
    def device_name(self) -> str:
        """What a person calls the device."""

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""

    @property
    def threads(self) -> int | None:
        """Threads that compute on a CPU, None for another device."""

    @property
    def weights(self) -> WeightsName:
        """The network's weights."""

    def dream(
        self,
        planes: NDArray[np.float32],
        settings: DreamSettings,
        mask: NDArray[np.float32] | None = None,
        start: NDArray[np.float32] | None = None,
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Dream a picture, float32 [3, H, W], as `Engine.dream` does."""
