"""Dreams from nothing: the noise itself, and the dream that begins with it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import events, picture_file, pixels_of

from deepdream_core.config import load_config
from deepdream_core.engine.engine import Engine
from deepdream_core.errors import PictureError, SettingsError
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.noise import COLOUR_SQRT, natural_noise
from deepdream_core.settings import DreamSettings
from deepdream_core.work import jobs
from deepdream_core.work.noise import BOOST, Noise, size_of, with_boost
from deepdream_core.work.recipe import recipe_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from helper_process import Helper

    Command = Callable[..., subprocess.CompletedProcess[str]]

QUICK = ("--layer", "relu2_2", "--iterations", "1", "--octaves", "2", "--finest", "64")


# The noise


def test_the_same_size_and_seed_give_the_same_noise_and_others_do_not() -> None:
    noise = natural_noise(64, 48, 7)
    assert noise.shape == (48, 64, 3)
    assert noise.dtype == np.uint8
    assert np.array_equal(noise, natural_noise(64, 48, 7))
    assert not np.array_equal(noise, natural_noise(64, 48, 8))


def test_noise_has_the_spectrum_of_photographs() -> None:
    """Amplitude falls as 1/f: twice the frequency, half of it, in all directions."""
    amplitude = np.mean([abs(np.fft.rfft2(natural_noise(256, 256, seed).mean(2))) for seed in range(4)], axis=0)
    rows, columns = np.fft.fftfreq(256)[:, None] * 256, np.fft.rfftfreq(256)[None] * 256
    frequency = np.hypot(rows, columns)
    means = [amplitude[(frequency >= low) & (frequency < 2 * low)].mean() for low in (4, 8, 16, 32)]
    assert [above / below for above, below in itertools.pairwise(means)] == pytest.approx([2] * 3, rel=0.15)
    steep, flat = amplitude[abs(rows[:, 0]) > 20, :5].mean(), amplitude[:5, columns[0] > 20].mean()
    assert steep == pytest.approx(flat, rel=0.25)


def test_noise_has_the_colours_of_photographs() -> None:
    pixels = natural_noise(256, 256, 0).reshape(-1, 3)
    expected = np.array(COLOUR_SQRT) @ np.array(COLOUR_SQRT).T
    found = np.cov(pixels.T / 255.0)
    assert found / found.trace() == pytest.approx(expected / expected.trace(), abs=0.03)
    assert pixels.mean(0) / 255 == pytest.approx([0.485, 0.456, 0.406], abs=0.01)


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_noise_repeats_without_an_edge(size: tuple[int, int]) -> None:
    noise = natural_noise(*size, 3).astype(float)
    for axis in (0, 1):
        steps = np.abs(noise - np.roll(noise, 1, axis)).mean(axis=(1 - axis, 2))
        assert steps[0] < steps[1:].max(), "the step over the edge is like those inside"


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_noise_may_be_tiny(size: tuple[int, int]) -> None:
    assert natural_noise(*size, 0).shape == (size[1], size[0], 3)


# The dream


def test_a_size_is_width_x_height() -> None:
    assert size_of("1024x768") == size_of(" 1024×768") == size_of("1024X768") == (1024, 768)
    for wrong in ("", "1024", "0x9", "-1x9", "9x", "9x9x9", "1.5x2", "1024 768", "٣x٣", "9999999x9"):
        with pytest.raises(SettingsError, match="write WIDTHxHEIGHT in pixels"):
            size_of(wrong)


def test_noise_gets_more_coarse_iterations_unless_somebody_says_how_many(tmp_path: Path) -> None:
    config = load_config(Path("/dev/null"))
    assert with_boost({}, config, "classic") == {"coarse_boost": BOOST}
    assert with_boost({"coarse_boost": 1.0, "step": 2}, config, "classic") == {"coarse_boost": 1.0, "step": 2}
    own = tmp_path / "own.yaml"
    own.write_text("presets: {mine: {description: d, coarse_boost: 2}}\n")
    assert with_boost({}, load_config(own), "mine") == {}
    own.write_text("dream: {coarse_boost: 3}\n")
    assert with_boost({}, load_config(own), "classic") == {}


def test_the_result_is_named_by_the_seed_or_by_the_user(tmp_path: Path) -> None:
    def target(output: Path | None, **options: Any) -> Path:
        (job,) = jobs.plan_noise(Noise(64, 48, 7), output, jobs.OutputOptions(**options))
        assert isinstance(job, jobs.Job)
        assert job.noise is not None
        return jobs.target_of(job, job.noise.photo(1), jobs.OutputOptions(**options))

    assert target(None) == Path("noise-7.png")
    assert target(None, format="JPEG") == Path("noise-7.jpg")
    assert target(tmp_path) == tmp_path / "noise-7.png"
    assert target(tmp_path / "new") == tmp_path / "new" / "noise-7.png"
    assert target(tmp_path / "a.tif") == tmp_path / "a.tif"
    with pytest.raises(PictureError, match="noise 2000x1000 is 2 megapixels, the limit is 1 — give a smaller size, or"):
        Noise(2000, 1000, 0).photo(1)


def test_a_dream_from_noise_and_its_replay(deepdream: Command, tmp_path: Path) -> None:
    answer = deepdream("dream", "--noise", "80x64", "-o", "a.png", "--seed", "7", *QUICK, "--json")
    assert answer.returncode == 0, answer.stderr
    (done,) = [event for event in events(answer) if event["event"] == "done"]
    assert (done["input"], done["output"]) == ("noise 80x64", "a.png")
    assert [event["iterations"] for event in events(answer) if event["event"] == "progress"] == [4, 4, 4, 4, 1]
    assert pixels_of(tmp_path / "a.png").shape == (64, 80, 3)
    recipe = recipe_of(tmp_path / "a.png", max_megapixels=1)
    assert (recipe.source.noise, recipe.source.width, recipe.source.height) == (True, 80, 64)
    assert (recipe.source.file, recipe.settings.seed, recipe.settings.coarse_boost) == (None, 7, BOOST)
    assert deepdream("dream", "--like", "a.png", "-q").returncode == 0
    assert (tmp_path / "noise-7.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert deepdream("dream", "--like", "a.png", "--noise", "64x64", "-o", "b.jpg", "-q").returncode == 0
    assert pixels_of(tmp_path / "b.jpg").shape == (64, 64, 3)
    assert deepdream("dream", "--like", "a.png", "--overwrite", "-q").returncode == 0, "a result is replaced if allowed"


def test_a_recipe_of_a_photograph_needs_a_picture_and_one_of_noise_takes_one(
    deepdream: Command, tmp_path: Path
) -> None:
    picture_file(tmp_path / "photo.png")
    assert deepdream("dream", "photo.png", *QUICK).returncode == 0
    answer = deepdream("dream", "--like", "photo.dream.png")
    assert answer.returncode == 2
    assert "INPUT is missing: there is nothing to dream from — name the picture" in answer.stderr
    assert deepdream("dream", "--noise", "64x64", *QUICK).returncode == 0
    assert deepdream("dream", "photo.png", "--like", "noise-0.png", "-o", "c.png").returncode == 0
    assert pixels_of(tmp_path / "c.png").shape == (72, 96, 3)
    plain = deepdream("dream", "--noise", "64x64", "--strength", "0", "-o", "plain.png")
    assert plain.returncode == 0
    assert np.array_equal(pixels_of(tmp_path / "plain.png"), natural_noise(64, 64, 0))


def test_seamless_noise_dreams_a_seamless_picture() -> None:
    noise = natural_noise(96, 64, 0)
    settings = DreamSettings(layers={"relu2_1": 1.0}, tileable=True, octaves=1, iterations=3, finest="full")
    steps = Engine(EngineSettings(device="cpu")).dream((noise.transpose(2, 0, 1) / 255).astype(np.float32), settings)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result = stop.value
            break
    for axis in (1, 2):
        across = np.abs(result - np.roll(result, 1, axis)).mean(axis=(0, 3 - axis))
        assert across[0] < across[1:].max()


def test_the_helper_dreams_the_same_from_noise(helper: Helper, tmp_path: Path, deepdream: Command) -> None:
    """It receives the same floats as the engine in this process."""
    words = ("dream", "--noise", "80x64", *QUICK)
    assert deepdream(*words, "-o", "own.png").returncode == 0
    environment = {key: value for key, value in helper.environ.items() if key.startswith("DEEPDREAM")}
    answer = deepdream(*words, "-o", "helped.png", "--via-helper", "yes", **environment)
    assert answer.returncode == 0, answer.stderr
    assert np.array_equal(pixels_of(tmp_path / "own.png"), pixels_of(tmp_path / "helped.png"))
