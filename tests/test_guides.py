"""Guides from their files to a dream: what is read, where paths begin, what a recipe holds, and how it is replayed."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from conftest import picture_file, pixels_of
from PIL import Image

from deepdream_core.config import load_config
from deepdream_core.errors import PictureError
from deepdream_core.photo import read_photo
from deepdream_core.settings import DreamSettings
from deepdream_core.work import guides
from deepdream_core.work.guides import GuideFiles
from deepdream_core.work.recipe import recipe_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Command = Callable[..., subprocess.CompletedProcess[str]]

QUICK = ("--finest", "96", "--iterations", "1", "--octaves", "1", "--via-helper", "no")
EARLY = "relu3_1"
"""Sees 24 px, so that small guides do."""


def settings_with(*given: str | dict[str, Any], **others: Any) -> DreamSettings:
    return DreamSettings(layers={}, guides=list(given), **others)  # type: ignore[arg-type]


def read(path: Path, layer: str = "conv1_1") -> NDArray[np.float32]:
    _, (planes,) = GuideFiles().read(settings_with(f"{path}@{layer}"), max_megapixels=50)
    return planes


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- reading ----


def test_a_guide_is_read_as_it_looks(tmp_path: Path) -> None:
    path = picture_file(tmp_path / "a.png")
    planes = read(path)
    assert planes.dtype == np.float32
    assert (planes.shape, planes.flags.c_contiguous) == ((3, 72, 96), True)
    assert np.allclose(planes, pixels_of(path).transpose(2, 0, 1) / 255, atol=1e-6)


def test_a_large_guide_is_averaged_to_two_megapixels(tmp_path: Path) -> None:
    stripes = np.zeros((1600, 2000, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    planes = read(tmp_path / "a.png")
    assert planes.shape[1] * planes.shape[2] <= 2_000_000
    assert planes.shape[2] / planes.shape[1] == pytest.approx(2000 / 1600, rel=1e-3)
    assert planes.mean() == pytest.approx(0.5, abs=1e-3)
    assert planes.min() >= 0
    assert planes.max() <= 1


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "LA", "I;16"])
def test_pictures_of_every_kind_can_be_guides(tmp_path: Path, mode: str) -> None:
    gray = Image.fromarray(np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8))
    image = Image.fromarray(np.asarray(gray, np.uint16) * 257) if mode == "I;16" else gray.convert("RGB").convert(mode)
    image.save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").mean() == pytest.approx(0.5, abs=0.05)


def test_what_is_transparent_does_not_guide(tmp_path: Path) -> None:
    pixels = np.full((48, 64, 4), 200, np.uint8)
    pixels[:, 32:] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png") == pytest.approx(200 / 255, abs=1e-6), "the colours beside it fill it"
    Image.fromarray(np.zeros((48, 64, 4), np.uint8)).save(tmp_path / "b.png")
    with pytest.raises(PictureError, match=r"b\.png: the guide is transparent everywhere — give another guide"):
        read(tmp_path / "b.png")


def test_the_first_frame_of_an_animation_guides(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 48), (value, value, value)) for value in (255, 0)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=50, lossless=True)
    assert read(tmp_path / "a.webp").min() == 1


def test_a_guide_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture_file(tmp_path / "a.png")
    reads: list[Path] = []
    real = read_photo

    def counting(path: Path, **options: Any) -> Any:
        reads.append(path)
        return real(path, **options)

    monkeypatch.setattr(guides, "read_photo", counting)
    files, wanted = GuideFiles(), settings_with(f"{path}@conv1_1")
    first, second = (files.read(wanted, max_megapixels=1)[0].guides[0]["sha256"] for _ in range(2))
    assert (first, second, len(reads)) == (sha256(path), sha256(path), 1)
    picture_file(path, "chelsea")
    assert files.read(wanted, max_megapixels=1)[0].guides[0]["sha256"] == sha256(path) != first


def test_a_guide_that_cannot_be_used_is_one_line_with_what_to_do(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.jpg")
    whole = picture_file(tmp_path / "guide.png", size=(400, 300)).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[:2000])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "folder").mkdir()
    picture_file(tmp_path / "tiny.png", size=(20, 20))
    for guide, message in (
        ("gone.png", "the guide gone.png: no such file — check its name"),
        ("folder", "the guide folder: is a folder — give a picture"),
        ("text.png", "JPEG XL, GIF or BMP picture — give a picture in one of these formats"),
        ("text.png", "the guide text.png: not a JPEG, PNG,"),
        ("half.png", "the guide half.png: truncated or damaged"),
        ("tiny.png@pool4", "tiny.png: 20×20 px are too few for a guide at pool4, which sees 124 px at once — give a"),
    ):
        answer = deepdream("dream", "a.jpg", "--guide", guide, *QUICK)
        assert (answer.returncode, answer.stderr.count("\n")) == (3, 1), answer.stderr
        assert message in answer.stderr
    answer = deepdream("dream", "a.jpg", "--guide", "a.jpg@pool9", *QUICK)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer.stderr
    with pytest.raises(PictureError, match=r"the limit is 0\.01"):
        GuideFiles().read(settings_with(str(tmp_path / "guide.png")), max_megapixels=0.01)


# ---- where paths begin ----


def test_paths_in_a_configuration_begin_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    config = tmp_path / "config.yaml"
    config.write_text(
        "dream: {guides: cat.png}\npresets:\n  one: {description: x, guides: ['~/a.png@relu3_1=2', {file: b/c.png}]}\n"
    )
    loaded = load_config(config)
    assert loaded.dream.guides[0]["file"] == str(tmp_path / "cat.png")
    first, second = loaded.dream_settings("one", {}).guides
    assert first["file"] == str(tmp_path / "home" / "a.png")
    assert (first["layers"], first["weight"]) == ({"relu3_1": 1.0}, 2.0)
    assert second["file"] == str(tmp_path / "b" / "c.png")


# ---- dreams and recipes ----


@pytest.fixture
def guided(deepdream: Command, tmp_path: Path) -> Path:
    """A dream of a.jpg toward guide.png."""
    picture_file(tmp_path / "a.jpg")
    picture_file(tmp_path / "guide.png", "chelsea", (160, 128))
    answer = deepdream("dream", "a.jpg", "--guide", f"guide.png@{EARLY}=2", *QUICK)
    assert answer.returncode == 0, answer.stderr
    return tmp_path / "a.dream.jpg"


def again(deepdream: Command, *more: str) -> tuple[bytes, str]:
    """The replay of a.dream.jpg, and what was printed."""
    answer = deepdream("dream", "a.jpg", "--like", "a.dream.jpg", "-o", "again.jpg", "--overwrite", *more)
    return answer.stdout.encode(), answer.stderr


def test_a_recipe_names_the_guide_and_its_hash(guided: Path, tmp_path: Path) -> None:
    recipe = recipe_of(guided, max_megapixels=1)
    assert recipe.settings.layers == {}
    assert recipe.settings.guides == [
        {
            "file": str(tmp_path / "guide.png"), "weight": 2.0, "layers": {EARLY: 1.0},
            "sha256": sha256(tmp_path / "guide.png"),
        }
    ]  # fmt: skip


def test_a_guided_dream_is_repeated_as_long_as_its_guide_is_the_same(
    guided: Path, deepdream: Command, tmp_path: Path
) -> None:
    guide = tmp_path / "guide.png"
    again(deepdream)
    assert (tmp_path / "again.jpg").read_bytes() == guided.read_bytes()

    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(guide, tmp_path / "elsewhere" / "b.png")
    assert f"{guide}: the guide is gone — give the same picture with --guide" in again(deepdream)[1]
    again(deepdream, "--guide", str(moved))
    recipe = recipe_of(tmp_path / "again.jpg", max_megapixels=1)
    assert np.array_equal(pixels_of(tmp_path / "again.jpg"), pixels_of(guided)), "with the recipe's weight and layer"
    assert recipe.settings.guides[0]["file"] == str(moved)
    assert recipe.preset_changed == recipe_of(guided, max_megapixels=1).preset_changed

    picture_file(guide, "coffee", (160, 128))
    assert f"{guide}: the guide has changed since — give the picture that it was with --guide" in again(deepdream)[1]
    again(deepdream, "--guide", f"guide.png@{EARLY}")
    assert recipe_of(tmp_path / "again.jpg", max_megapixels=1).settings.guides[0]["sha256"] == sha256(guide)


def test_naming_a_layer_at_a_replay_replaces_the_guide(guided: Path, deepdream: Command, tmp_path: Path) -> None:
    (tmp_path / "guide.png").unlink()
    again(deepdream, "--layer", "relu2_2")
    settings = recipe_of(tmp_path / "again.jpg", max_megapixels=1).settings
    assert (settings.layers, settings.guides) == ({"relu2_2": 1.0}, [])


def test_a_layer_beside_the_recipes_guide_is_dreamed_of_too(guided: Path, deepdream: Command, tmp_path: Path) -> None:
    again(deepdream, "--layer", "relu2_2", "--guide", f"guide.png@{EARLY}")
    settings = recipe_of(tmp_path / "again.jpg", max_megapixels=1).settings
    assert (settings.layers, len(settings.guides)) == ({"relu2_2": 1.0}, 1)


def test_the_folder_of_a_guide_stays_out_when_stripped(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.jpg")
    picture_file(tmp_path / "guide.png", size=(160, 128))
    assert deepdream("dream", "a.jpg", "--guide", f"guide.png@{EARLY}", "--strip", *QUICK).returncode == 0
    guide = recipe_of(tmp_path / "a.dream.jpg", max_megapixels=1).settings.guides[0]
    assert (guide["file"], guide["sha256"]) == ("guide.png", sha256(tmp_path / "guide.png"))
    assert str(tmp_path).encode() not in (tmp_path / "a.dream.jpg").read_bytes()
    again(deepdream)
    assert np.array_equal(pixels_of(tmp_path / "again.jpg"), pixels_of(tmp_path / "a.dream.jpg"))


def test_a_preset_made_of_a_recipe_names_its_guide_without_its_hash(guided: Path) -> None:
    (preset,) = yaml.safe_load(recipe_of(guided, max_megapixels=1).as_preset())["presets"].values()
    assert preset["guides"][0].keys() == {"file", "weight", "layers"}


def test_the_channels_picked_are_in_the_recipe_by_number(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.jpg")
    words = ("--channels", "relu3_1:strongest:2=0.5", "--channel", "relu3_1:7=-1")
    answer = deepdream("dream", "a.jpg", *words, *QUICK)
    assert answer.returncode == 0, answer.stderr
    recipe = recipe_of(tmp_path / "a.dream.jpg", max_megapixels=1)
    assert recipe.settings.layers == {}
    *strongest, seventh = recipe.settings.channels.items()
    assert seventh == ("relu3_1:7", -1.0)
    assert len(strongest) == 2
    assert all(name.startswith("relu3_1:") and weight == 0.5 for name, weight in strongest)
    assert recipe.as_asked.channels == {"relu3_1:strongest:2": 0.5, "relu3_1:7": -1.0}
    again(deepdream)
    assert np.array_equal(pixels_of(tmp_path / "again.jpg"), pixels_of(tmp_path / "a.dream.jpg"))


def test_an_animation_keeps_the_channels_of_its_first_frame(deepdream: Command, tmp_path: Path) -> None:
    frames = [Image.open(picture_file(tmp_path / f"{name}.png", name, (64, 48))) for name in ("rocket", "coffee")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=50, lossless=True)
    picked = []
    for name in ("a.webp", "rocket.png", "coffee.png"):
        answer = deepdream("dream", name, "-o", f"out-{name}", "--channels", "relu3_1:strongest:3", *QUICK)
        assert answer.returncode == 0, answer.stderr
        picked.append(recipe_of(tmp_path / f"out-{name}", max_megapixels=1).settings.channels)
    assert picked[0] == picked[1] != picked[2]


def test_a_caricature_is_dreamed(deepdream: Command, tmp_path: Path) -> None:
    picture_file(tmp_path / "a.jpg")
    assert deepdream("dream", "a.jpg", "--caricature", "relu3_1=2", *QUICK).returncode == 0
    settings = recipe_of(tmp_path / "a.dream.jpg", max_megapixels=1).settings
    assert (settings.layers, settings.caricature) == ({}, {"relu3_1": 2.0})
