"""Fetching weights that do not come with the program: once, on demand, checked, and only what is needed kept."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.errors import SettingsError, WeightsError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

FETCHABLE = ("torchvision",)
_TIMEOUT_S = 30
_CHUNK = 1 << 20


def fetched_path(name: str = "torchvision") -> Path:
    """Return where fetched weights are kept: in the platform's per-user data folder; raises `SettingsError` without one."""
    import platformdirs

    try:
        folder = platformdirs.user_data_path("deepdream", appauthor=False) / "weights"
    except RuntimeError:
        raise SettingsError("this user has no home folder", "set HOME to one") from None
    return folder / f"{name}-vgg19-convolutions.safetensors"


def fetch(name: str, on_bytes: Callable[[int, int], None]) -> Path:
    """Fetch the weights called `name` and return their file; `on_bytes(done, total)` is called as they arrive.

    Raises `SettingsError` for a name that is not fetched, `WeightsError` when the download fails or is not what was
    published.
    """
    if name == "oxford":
        raise SettingsError(
            "the weights 'oxford' are not fetched", "they come with the installation: use them as they are"
        )
    if name not in FETCHABLE:
        raise SettingsError(f"weights {name!r} are not fetched", nearest(name, FETCHABLE))
    from torchvision.models import VGG19_Weights

    url = str(VGG19_Weights.IMAGENET1K_V1.url)
    return fetch_from(url, Path(url).stem.rpartition("-")[2], fetched_path(name), on_bytes)


def fetch_from(url: str, sha256_start: str, target: Path, on_bytes: Callable[[int, int], None]) -> Path:
    """Download a VGG19 state dict, check that its SHA-256 starts with `sha256_start`, keep its convolutions in `target`.

    The download goes to a temporary file that is always removed; `target` (safetensors) appears whole or not at all.
    """
    import torch
    from safetensors.torch import save_file

    from deepdream_core.engine.weights import CONVOLUTIONS, check_convolutions

    again = "run again: deepdream weights fetch torchvision"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
            download = Path(folder) / "download.pth"
            digest = _download(url, download, on_bytes)
            if not digest.startswith(sha256_start):
                size = download.stat().st_size
                raise WeightsError(
                    f"{url}: altered or truncated ({size:,} bytes, sha256 {digest[:12]}…, published {sha256_start}…)",
                    again,
                )
            state = torch.load(download, weights_only=True, map_location="cpu")
            checked = check_convolutions(state, url, again)
            tensors = {
                f"features.{layer.index}.{part}": tensor.contiguous()
                for layer in CONVOLUTIONS
                for part, tensor in zip(("weight", "bias"), checked[layer.name], strict=True)
            }
            whole = Path(folder) / "convolutions.safetensors"
            save_file(tensors, whole)
            with whole.open("rb+") as file:
                os.fsync(file.fileno())
            whole.replace(target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"{url}: cannot be fetched ({reason})", "check the network or proxy, then " + again
        ) from None
    except OSError as error:
        raise WeightsError(
            f"{target}: cannot be written ({error.strerror or error})", "free 650 MB, then " + again
        ) from None
    return target


def _download(url: str, target: Path, on_bytes: Callable[[int, int], None]) -> str:
    """Download to `target` and return the SHA-256 of what arrived."""
    digest = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        answer = stack.enter_context(urllib.request.urlopen(url, timeout=_TIMEOUT_S))
        file = stack.enter_context(target.open("wb"))
        total = int(answer.headers.get("Content-Length") or 0)
        done = 0
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            on_bytes(done, total)
    return digest.hexdigest()
