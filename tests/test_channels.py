"""`deepdream channels`: layers and their pictures, and the strongest channels of a photo."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from conftest import photograph, picture_file
from PIL import Image

from deepdream_core.cli.channels import SHEETS, sheet_of
from deepdream_core.engine.engine import Engine
from deepdream_core.layers import LAYERS, find_layer
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.photo import read_photo
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_convolution_shares_its_pictures_with_its_relu_and_the_pool_after_it() -> None:
    assert sheet_of(find_layer("conv3_3")) == sheet_of(find_layer("relu3_3")) == SHEETS / "conv3_3.webp"
    assert sheet_of(find_layer("conv4_4")) == sheet_of(find_layer("relu4_4")) == sheet_of(find_layer("pool4"))
    assert sheet_of(find_layer("pool3")) != sheet_of(find_layer("relu3_3"))
    assert sheet_of(find_layer("conv1_1")) is None


@pytest.mark.parametrize("path", sorted(SHEETS.glob("*.webp")), ids=lambda path: path.stem)
def test_a_sheet_shows_all_channels_of_its_layer(path: Path) -> None:
    """In rows of 16; none is flat, and none is like another."""
    assert path in {sheet_of(layer) for layer in LAYERS}
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"), np.float32)
    count = find_layer(path.stem).channels
    tile, across, down = 56, 59, 71
    assert pixels.shape == (count // 16 * down - 3, 16 * across - 3)
    tiles = [
        pixels[row * down :][:tile, column * across :][:, :tile] for row in range(count // 16) for column in range(16)
    ]
    assert min(float(each.std()) for each in tiles) > 10
    small = np.stack([each.ravel() for each in tiles])
    likeness = np.corrcoef(small) - np.eye(count)
    assert likeness.max() < 0.98


def test_at_least_three_useful_layers_have_pictures() -> None:
    assert {"conv3_3", "conv4_2", "conv4_4"} <= {path.stem for path in SHEETS.glob("*.webp")}


def test_layers_are_listed_with_their_channels(deepdream: Command) -> None:
    shown = deepdream("channels")
    assert shown.returncode == 0, shown.stderr
    assert any(line.split()[:2] == ["pool4", "512"] for line in shown.stdout.splitlines())
    listed = json.loads(deepdream("channels", "--json").stdout)
    assert {"layer": "relu1_2", "channels": 64, "receptive_field_px": 5, "sheet": None} in listed


def test_a_layer_is_shown_by_its_pictures(deepdream: Command) -> None:
    shown = deepdream("channels", "27").stdout
    assert "pool4 has 512 channels, from 0 to 511" in shown
    assert str(SHEETS / "conv4_4.webp") in shown
    assert json.loads(deepdream("channels", "pool4", "--json").stdout)["sheet"] == str(SHEETS / "conv4_4.webp")
    without = deepdream("channels", "relu1_2").stdout
    assert "their pictures: only for" in without
    assert "deepdream looks --layer relu1_2 --channels 0-31 PHOTO" in without


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("pol4",), 2, "unknown layer 'pol4' — did you mean pool4?"),
        (("--photo", "a.png"), 2, "--photo a.png: the channels of which layer? — name it, such as pool4"),
        (("pool4", "--photo", "nowhere.png"), 3, "nowhere.png: no such file"),
        (("pool4", "--photo", "a.png", "--finest", "7"), 2, "--finest: 7 is not allowed"),
    ],
)
def test_what_cannot_be_shown_is_one_line(deepdream: Command, arguments: tuple[str, ...], code: int, says: str) -> None:
    answer = deepdream("channels", *arguments)
    assert answer.returncode == code
    assert says in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_the_strongest_channels_of_a_photo_are_those_that_a_dream_would_pick() -> None:
    planes = photograph("chelsea")[0].numpy()
    settings = DreamSettings(layers={}, channels={"relu3_3:strongest:4": 1.0})
    engine = Engine(EngineSettings(device="cpu"))
    means = engine.mean_activations(planes, "relu3_3", settings)
    assert len(means) == 256
    strongest = sorted(range(256), key=lambda number: -means[number])[:4]
    assert set(engine.picked(planes, settings).channels) == {f"relu3_3:{number}" for number in strongest}


def test_a_photos_channels_are_printed_strongest_first(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.png")
    shown = deepdream("channels", "relu2_2", "--photo", "a.png", "--device", "cpu")
    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()[1:]]
    assert len(lines) == 16
    told = json.loads(deepdream("channels", "relu2_2", "--photo", "a.png", "--device", "cpu", "--json").stdout)
    assert [row["channel"] for row in told["channels"][:16]] == [int(line[0]) for line in lines]
    assert len(told["channels"]) == 128
    small = deepdream("channels", "relu2_2", "--photo", "a.png", "--device", "cpu", "--finest", "32", "--json")
    planes, finest = read_photo(tmp_path / "a.png", max_megapixels=1).frames[0].floats(), DreamSettings(finest=32)
    means = Engine(EngineSettings(device="cpu")).mean_activations(planes, "relu2_2", finest)
    at_32 = {row["channel"]: row["mean"] for row in json.loads(small.stdout)["channels"]}
    assert [at_32[number] for number in range(128)] == pytest.approx(means, rel=1e-3)
    first = told["channels"][0]
    assert first["times_average"] == pytest.approx(first["mean"] / told["average"])
    assert told["average"] == pytest.approx(sum(row["mean"] for row in told["channels"]) / 128)


def test_a_photo_that_a_dream_would_refuse_is_refused(deepdream: Command, tmp_path: Path) -> None:
    samples = np.full((40, 40, 3), 0.5, np.float32)
    samples[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", samples, photometric="rgb")
    answer = deepdream("channels", "relu2_2", "--photo", "nan.tif", "--device", "cpu", "--json")
    assert (answer.returncode, answer.stdout) == (3, "")
    assert answer.stderr == "error: nan.tif: the picture holds NaN or infinite values — replace them first\n"


def test_a_photo_on_an_unknown_scale_gets_advice_that_works(deepdream: Command, tmp_path: Path) -> None:
    bright = np.linspace(20, 200, 40 * 40 * 3, dtype=np.float32).reshape(40, 40, 3)
    tifffile.imwrite(tmp_path / "bright.tif", bright, photometric="rgb")
    command = ("channels", "relu2_2", "--photo", "bright.tif", "--device", "cpu", "--json")
    answer = deepdream(*command)
    assert answer.stderr.startswith(
        "bright.tif: its values reach 200, and 1 is white; say what is white with --white 255"
    )
    scaled = deepdream(*command, "--white", "255")
    assert scaled.stderr == ""
    assert json.loads(scaled.stdout)["average"] < json.loads(answer.stdout)["average"] / 10
