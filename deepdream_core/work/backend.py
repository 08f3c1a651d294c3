"""The backend that dreams a picture: the engine in this process, or the helper in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.engine.progress import Progress
    from deepdream_core.settings import DreamSettings


class WeightsName(Protocol):
    """Which weights: a name, and the hash of their values."""

    @property
    def name(self) -> str:
        """`oxford`, `torchvision` or a file's name."""

    @property
    def sha256(self) -> str:
        """Hash of the values, in hexadecimal."""


class Backend(Protocol):
    """Dreams pictures with one weight set on one device, as `deepdream_core.engine.engine.Engine` does.

    `label` names the next picture for people. `dreamed_with` are the settings of the latest dream, its channels picked.
    """

    label: str
    dreamed_with: DreamSettings

    @property
    def device(self) -> object:
        """The device; as text `cpu`, `cuda:0` and the like."""

    @property
    def device_name(self) -> str:
        """The device's common name."""

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
        guides: Sequence[NDArray[np.float32]] = (),
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Dream a picture, float32 [3, H, W], as `Engine.dream` does."""
