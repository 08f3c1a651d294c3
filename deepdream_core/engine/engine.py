"""The engine as one object: a device, a precision, a weight set, and the networks built from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deepdream_core.declaration import validated
from deepdream_core.engine.device import choose_device, choose_precision, device_name, is_out_of_memory, precision_name
from deepdream_core.engine.dream import dream
from deepdream_core.engine.gradient import TiledGradient
from deepdream_core.engine.objectives.channels import mean_activations, picked_channels
from deepdream_core.engine.objectives.chosen import layers_of
from deepdream_core.engine.pyramid import finest_size
from deepdream_core.engine.resample import resize
from deepdream_core.engine.vgg19 import Vgg19
from deepdream_core.engine.weights import load_weights
from deepdream_core.errors import OutOfMemoryError, PictureError, SettingsError
from deepdream_core.objective_values import MOST_CHANNELS, pick_of, picks_of_layers
from deepdream_core.settings import DreamSettings, as_option

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from deepdream_core.engine.progress import Progress
    from deepdream_core.machine_settings import EngineSettings


class Engine:
    """Dreams pictures with one weight set on one device.

    Several dreams may be under way and take turns, step by step: each gives the bytes it gives alone. Make the engine and
    take the steps on one thread: how tiny numbers are rounded is set for the thread that made the engine.

    `fetched` is the file of torchvision's weights, used when the settings name them. Raises `DeviceError` and
    `WeightsError`.
    """

    def __init__(self, settings: EngineSettings, *, fetched: Path | None = None) -> None:
        self.settings = settings
        self.label = ""
        self.dreamed_with = DreamSettings()
        self.device = choose_device(settings.device)
        self.dtype = choose_precision(settings.precision, self.device)
        self.weights = load_weights(settings.weights, fetched=fetched)
        self._networks: dict[tuple[str, ...], Vgg19] = {}

    @property
    def device_name(self) -> str:
        """The device's common name."""
        return device_name(self.device)

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return precision_name(self.dtype)

    @property
    def threads(self) -> int | None:
        """Threads that compute on a CPU, which decide about the last bits; None for another device."""
        return torch.get_num_threads() if self.device.type == "cpu" else None

    def gradient_of(self, settings: DreamSettings) -> TiledGradient:
        """Return a new gradient of the settings' layers, on a network built once and only as deep as they need.

        It is new, so that one picture's tiles and scales do not affect the next picture: same settings, same bytes. It
        keeps its network, which the engine drops when a dream needs other layers or another pooling.
        """
        return self._gradient_of(layers_of(settings), settings)

    def _gradient_of(self, layers: list[str], settings: DreamSettings) -> TiledGradient:
        key = (*layers, settings.pooling)
        if key not in self._networks:
            self._networks = {key: Vgg19(self.weights, layers, self.device, self.dtype, settings.pooling)}
        return TiledGradient(
            self._networks[key], tile=self.settings.tile, memory_mb=self.settings.memory_mb, wrap=settings.tileable
        )

    def picked(self, planes: NDArray[np.float32], settings: DreamSettings) -> DreamSettings:
        """Return the settings with the channels picked for a picture, float32 [3, H, W], where they ask for a pick.

        Channels are picked by their mean activation over the picture at the size where dreaming ends.
        """
        if not settings.picks():
            return settings
        picture = self._at_the_end(planes, settings)
        named = {name: weight for name, weight in settings.channels.items() if not pick_of(name)}
        channels: dict[str, float] = {}
        for name, weight in settings.channels.items():
            pick = pick_of(name)
            if pick is None:
                continue
            for layer, share in ({pick.layer: 1.0} if pick.layer else settings.layers).items():
                features = self._gradient_of([layer], settings).features(picture, layer)
                for number in picked_channels(features, pick.which, pick.count):
                    channels.setdefault(f"{layer}:{number}", weight * share)
        channels |= named  # what the user names counts, whatever is picked
        if not channels:
            raise SettingsError("there is no layer to pick channels of", "name it, such as pool4:strongest:8")
        if len(channels) > MOST_CHANNELS:
            raise SettingsError(f"{len(channels)} channels are picked, {MOST_CHANNELS} are allowed", "pick fewer")
        layers = {} if picks_of_layers(settings.channels) else settings.layers
        return validated(DreamSettings, {**settings.model_dump(), "channels": channels, "layers": layers}, as_option)

    def mean_activations(self, planes: NDArray[np.float32], layer: str, settings: DreamSettings) -> list[float]:
        """Return each channel's mean activation over a picture, float32 [3, H, W], as `picked` judges it.

        Raises `PictureError` when the picture holds NaN or infinity.
        """
        _check_finite(planes)
        picture = self._at_the_end(planes, settings)
        means: list[float] = mean_activations(self._gradient_of([layer], settings).features(picture, layer)).tolist()
        return means

    def _at_the_end(self, planes: NDArray[np.float32], settings: DreamSettings) -> Tensor:
        """Return a picture as [1, 3, h, w] at the size where dreaming ends, on the device."""
        size = finest_size((planes.shape[1], planes.shape[2]), settings.finest, upscale=settings.upscale)
        return resize(torch.from_numpy(planes)[None].to(self.device), size)

    def dream(
        self,
        planes: NDArray[np.float32],
        settings: DreamSettings,
        mask: NDArray[np.float32] | None = None,
        start: NDArray[np.float32] | None = None,
        guides: Sequence[NDArray[np.float32]] = (),
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Dream a picture, float32 [3, H, W] of sRGB-encoded RGB in 0…1, and return one like it.

        `mask`: float32 [H, W] in 0…1, or None. `start`: for the second and later frames of an animation, what this
        method returned for the frame before minus that frame, float32 [3, H, W], with the same settings and before any
        rounding to 8 bits; strength is divided out here. None for a single picture, for the first frame and after a cut.
        `guides`: the pictures of `settings.guides`, each float32 [3, h, w], as the picture. Channels are `picked` here if
        they are not; `dreamed_with` then holds them.
        The arrays are not copied and not written to; they must stay as they are until the end.

        Yields and raises as `deepdream_core.engine.dream.dream` does, and `PictureError` when the picture holds NaN or
        infinity.
        """
        _check_finite(planes)
        try:
            settings = self.dreamed_with = self.picked(planes, settings)
            strength_map = None if mask is None else torch.from_numpy(mask)[None, None].to(self.device)
            frame_before = None if start is None else torch.from_numpy(start)[None].to(self.device)
            gradient_of = self.gradient_of(settings)
            result = yield from dream(
                torch.from_numpy(planes)[None].to(self.device), settings, gradient_of, mask=strength_map,
                start=frame_before, guides=[torch.from_numpy(guide)[None].to(self.device) for guide in guides],
            )  # fmt: skip
            finished: NDArray[np.float32] = result[0].cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            height, width = planes.shape[1:]
            needed = 4 * planes.nbytes / 1e6
            raise OutOfMemoryError(
                f"out of memory on {self.device}: a picture of {width}×{height} takes {needed:.0f} MB besides its tiles",
                "close other programs, or use a smaller picture",
            ) from None
        return finished


def _check_finite(planes: NDArray[np.float32]) -> None:
    """Raise `PictureError` for a picture that holds NaN or infinity."""
    lowest, highest = torch.aminmax(torch.from_numpy(planes))
    if not bool(torch.isfinite(lowest + highest)):
        raise PictureError("the picture holds NaN or infinite values", "replace them first")
