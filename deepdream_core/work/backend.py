"""The backend that dreams a picture: the engine in this process, or the helper in its place."""

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

    `label` names the next picture for people.
    """

    label: str

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
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Dream a picture, float32 [3, H, W], as `Engine.dream` does."""


UseHelper = Literal["auto", "yes", "no"]


def use_helper(text: str) -> UseHelper:
    """Return the value of --via-helper; raises `SettingsError` for another word."""
    if text in ("auto", "yes", "no"):
        return text  # type: ignore[return-value]
    raise SettingsError(f"--via-helper {text}: not allowed", "allowed: auto, yes, no")


def remote_opener(
    use: UseHelper, computing: Mapping[str, Any], note: Callable[[str], None], local: Callable[[], Backend]
) -> Callable[[], Backend] | None:
    """Return a function that opens the helper as a backend, or None when this process computes the dream.

    `computing` holds the options that say how to compute: device, precision, weights, tile, a recipe to replay, or a
    configuration with other engine settings. The helper has its own settings for these, so `auto` uses it only without such
    options and when a helper of this version runs; pictures that the helper has no room for go to the engine that `local`
    opens. Raises `SettingsError` for `yes` together with such options, `HelperError` when `yes` is impossible.
    """
    if use == "no" or (use == "auto" and computing):
        return None
    if computing:
        given = ", ".join(f"--{key}" for key in computing)
        raise SettingsError(
            f"--via-helper yes and {given}: the helper has its own settings for that",
            "leave one out, or use --via-helper no",
        )
    from deepdream_core.work import remote

    try:
        remote.connect(start=use == "yes")
    except HelperError:
        if use == "yes":
            raise
        return None
    return lambda: remote.RemoteEngine(
        lambda: remote.connect(start=use == "yes"), note, local if use == "auto" else None
    )
