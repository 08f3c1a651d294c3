"""Floating-point pictures whose white is not 1: what the file says, or a person; the result keeps the file's scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from skimage import data
from typer.testing import CliRunner

from deepdream_core.cli import main
from deepdream_core.engine.engine import Engine
from deepdream_core.errors import OutputError, PictureError
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.photo import Photo, check_target, read_photo, write_photo
from deepdream_core.settings import DreamSettings
from deepdream_core.work import batch, jobs
from deepdream_core.work.recipe import make_recipe, recipe_of
from deepdream_core.work.report import ErrorReporter

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SCENE: NDArray[np.uint8] = getattr(data, "astronaut")()[100:140, 150:200]  # noqa: B009
ONE_STEP = DreamSettings(layers={"relu1_2": 1.0}, octaves=1, iterations=1, finest="full")


def tiff(path: Path, samples: NDArray[Any], largest: float | None = None, **options: Any) -> Path:
    """Write a TIFF that may say for each channel what its largest sample is."""
    channels = samples.shape[2]
    tags = [] if largest is None else [(341, "f", channels, (largest,) * channels, True)]
    tifffile.imwrite(path, samples, photometric="rgb", metadata=None, extratags=tags, **options)
    return path


def read(path: Path, white: float | None = None) -> Photo:
    return read_photo(path, max_megapixels=10, white=white)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("told", ["by the file", "by a person"])
def test_a_scale_from_the_file_or_the_user_is_kept(tmp_path: Path, kind: type, told: str) -> None:
    samples: NDArray[Any] = SCENE.astype(kind)
    path = tiff(tmp_path / "a.tif", samples, 255 if told == "by the file" else None)
    photo = read(path, 255 if told == "by a person" else None)
    planes = photo.frames[0].floats()
    assert np.allclose(planes, SCENE.transpose(2, 0, 1) / 255, atol=1e-6)

    unchanged = photo.frames[0].with_floats(planes)
    assert np.array_equal(unchanged.samples, samples)
    changed = photo.with_frames([photo.frames[0].with_floats(1 - planes)])
    write_photo(changed, tmp_path / "b.tif", overwrite=False)
    result = tifffile.imread(tmp_path / "b.tif")
    assert result.dtype == kind
    assert np.allclose(result, 255 - SCENE.astype(float), atol=0.2 if kind == np.float16 else 1e-3)
    assert read(tmp_path / "b.tif").frames[0].white == 255

    check_target(photo, tmp_path / "c.png", overwrite=False)
    write_photo(photo, tmp_path / "c.png", overwrite=False)
    assert np.array_equal(read(tmp_path / "c.png").frames[0].samples, SCENE * np.uint16(257))


def test_the_users_white_overrides_the_files(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", SCENE.astype(np.float32), 1000)
    assert read(path).frames[0].white == 1000
    assert read(path, 255).frames[0].white == 255


def test_an_unknown_scale_is_refused_where_nothing_would_be_seen(tmp_path: Path) -> None:
    photo = read(tiff(tmp_path / "a.tif", SCENE.astype(np.float32)))
    for name in ("a.jpg", "a.png", "a.webp", "a.bmp"):
        with pytest.raises(OutputError, match=r"and 1 is white.* — say what is white with --white 255"):
            check_target(photo, tmp_path / name, overwrite=False)
    check_target(photo, tmp_path / "b.tif", overwrite=False)
    for most, wanted in ((90, 100), (4000, 4095), (65_000, 65_535), (1e6, "1e+06")):
        scaled = SCENE.astype(np.float32) * (most / SCENE.max())
        with pytest.raises(OutputError, match=rf"--white {wanted}, ".replace("+", r"\+")):
            check_target(read(tiff(tmp_path / "s.tif", scaled)), tmp_path / "s.jpg", overwrite=False)


@pytest.mark.parametrize("largest", [None, 1.0, 1.4])
def test_hdr_photographs_with_white_1_stay_the_same(tmp_path: Path, largest: float | None) -> None:
    samples = SCENE.astype(np.float32) / 255 * 1.4
    samples[:3, :3] = 800  # the sun
    photo = read(tiff(tmp_path / "a.tif", samples, largest))
    assert photo.frames[0].white == 1
    assert photo.frames[0].beyond is None
    check_target(photo, tmp_path / "a.jpg", overwrite=False)
    assert np.array_equal(photo.frames[0].floats(), samples.transpose(2, 0, 1))


@pytest.mark.parametrize("largest", [0.0, -5.0, float("nan"), float("inf")])
def test_a_senseless_largest_sample_is_passed_over(tmp_path: Path, largest: float) -> None:
    assert read(tiff(tmp_path / "a.tif", SCENE.astype(np.float32) / 255, largest)).frames[0].white == 1


def test_whole_numbers_know_their_white(tmp_path: Path) -> None:
    photo = read(tiff(tmp_path / "a.tif", SCENE, 100), 50)
    assert photo.frames[0].white == 255


def test_transparency_on_another_scale_is_refused(tmp_path: Path) -> None:
    samples: NDArray[np.float32] = np.dstack([SCENE, np.full_like(SCENE[..., :1], 255)]).astype(np.float32)
    path = tiff(tmp_path / "a.tif", samples, 255, extrasamples=["unassalpha"])
    write_photo(read(path), tmp_path / "a.jpg", overwrite=False)
    assert np.abs(read(tmp_path / "a.jpg").frames[0].samples.astype(int) - SCENE).mean() < 4
    samples[..., 3] = 1
    with pytest.raises(PictureError, match="transparency"):
        read(tiff(tmp_path / "b.tif", samples, 255, extrasamples=["unassalpha"]))


def test_nan_stays_nan_and_is_refused_by_the_engine_as_before(tmp_path: Path) -> None:
    samples = SCENE.astype(np.float32)
    samples[0, 0] = np.nan
    photo = read(tiff(tmp_path / "a.tif", samples), 255)
    with pytest.raises(PictureError, match="NaN"):
        next(Engine(EngineSettings()).dream(photo.frames[0].floats(), ONE_STEP))


def test_the_option_scales_and_its_recipe_repeats_it(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        tiff(tmp_path / name, SCENE.astype(np.float32))
    quick = ["--finest", "32", "--iterations", "1", "--octaves", "1", "--layer", "relu1_2", "--via-helper", "no", "-q"]
    run = CliRunner().invoke
    assert run(main.app, ["dream", str(tmp_path / "a.tif"), "--white", "255", *quick]).exit_code == 0
    result = tmp_path / "a.dream.tif"
    assert recipe_of(result, max_megapixels=10).source.white == 255
    dreamed = tifffile.imread(result)
    assert 1 < np.abs(dreamed - SCENE).max() <= 255
    assert dreamed.max() <= 255
    assert run(main.app, ["dream", str(tmp_path / "b.tif"), "--like", str(result), "-q"]).exit_code == 0
    assert np.array_equal(tifffile.imread(tmp_path / "b.dream.tif"), dreamed)


def test_a_recipe_without_white_is_the_same_as_before(tmp_path: Path) -> None:
    photo = read(tiff(tmp_path / "a.tif", SCENE))
    recipe = make_recipe(
        photo,
        ONE_STEP,
        Engine(EngineSettings()),
        preset=None,
        preset_changed=False,
        mask=None,
        tile_px=None,
        private=True,
    )
    assert "white" not in recipe.text()
    assert recipe.source.white is None


def test_a_mask_on_an_unknown_scale_is_refused(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif", SCENE)
    tiff(tmp_path / "mask.tif", SCENE.astype(np.float32))
    errors = batch.run(
        jobs.plan([tmp_path / "a.tif"], None), ONE_STEP, lambda: Engine(EngineSettings()), ErrorReporter(),
        mask_path=tmp_path / "mask.tif", max_megapixels=10,
    )  # fmt: skip
    assert [str(error).endswith("give a mask with values up to 1") for error in errors] == [True]
