"""What dreams a picture: the engine in this process, or the helper in its place, and which of the two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from deepdream_core.errors import HelperError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

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


Wish = Literal["auto", "yes", "no"]


def wish(text: str) -> Wish:
    """Return the option's value; raises `SettingsError` for another word."""
    if text in ("auto", "yes", "no"):
        return text  # type: ignore[return-value]
    raise SettingsError(f"--via-helper {text}: not allowed", "allowed: auto, yes, no")


def remote_opener(
    wanted: Wish, computing: Mapping[str, Any], note: Callable[[str], None], here: Callable[[], Backend]
) -> Callable[[], Backend] | None:
    """Return what opens the helper in the engine's place, or None where the dream is computed in this process.

    `computing` names options that say how this machine's engine computes: device, precision, weights, tile, a recipe to
    replay, or a configuration of another engine than the usual one. The helper settles all of that for itself, so `auto`
    takes a helper that runs, of this version, only without them, and the engine that `here` opens for pictures that the
    helper has no room for. Raises `SettingsError` for `yes` together with those;
    `HelperError` when `yes` cannot be.
    """
    if wanted == "no" or (wanted == "auto" and computing):
        return None
    if computing:
        given = ", ".join(f"--{key}" for key in computing)
        raise SettingsError(
            f"--via-helper yes and {given}: the helper computes in its own way", "leave one out, or use --via-helper no"
        )
    from deepdream_core.work import remote

    try:
        remote.connect(start=wanted == "yes")
    except HelperError:
        if wanted == "yes":
            raise
        return None
    return lambda: remote.RemoteEngine(
        lambda: remote.connect(start=wanted == "yes"), note, here if wanted == "auto" else None
    )
