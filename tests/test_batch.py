"""Frames and pages on their way through the engine: what each starts from, and what is not dreamed twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data

from deepdream_core.engine.engine import Engine
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.photo import read_photo
from deepdream_core.settings import DreamSettings
from deepdream_core.work import batch, jobs
from deepdream_core.work.report import ErrorReporter

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ONE_STEP = DreamSettings(layers={"relu1_2": 1.0}, octaves=1, iterations=1, finest="full")
SCENE = getattr(data, "astronaut")()[100:140, 150:200]  # noqa: B009
OTHER = 255 - SCENE


class WatchedEngine(Engine):
    """The real engine, which remembers what each dream started from."""

    def __init__(self) -> None:
        super().__init__(EngineSettings())
        self.starts: list[NDArray[np.float32] | None] = []

    def dream(self, planes: Any, settings: Any, mask: Any = None, start: Any = None, guides: Any = ()) -> Any:
        self.starts.append(start)
        return super().dream(planes, settings, mask, start)


@pytest.fixture(scope="module")
def engine() -> WatchedEngine:
    return WatchedEngine()


@pytest.fixture(autouse=True)
def _forgotten(engine: WatchedEngine) -> None:
    engine.starts.clear()


def dreamed(path: Path, engine: Engine) -> list[NDArray[Any]]:
    errors = batch.run(jobs.plan([path], None), ONE_STEP, lambda: engine, ErrorReporter(), max_megapixels=10)
    assert not errors
    result = path.with_name(f"{path.stem}.dream{path.suffix}")
    return [frame.samples for frame in read_photo(result, max_megapixels=10).frames]


def test_frames_start_from_the_previous_frame_but_not_after_a_cut(tmp_path: Path, engine: WatchedEngine) -> None:
    frames = [SCENE, np.roll(SCENE, 2, axis=1), OTHER, np.roll(OTHER, 2, axis=1)]
    (tmp_path / "a.png").write_bytes(imagecodecs.apng_encode(np.stack(frames), delay=80))
    results = dreamed(tmp_path / "a.png", engine)
    assert len(results) == 4
    assert [start is not None for start in engine.starts] == [False, True, False, True]
    assert engine.starts[1] is not None
    grown = results[0].astype(float) / 255 - SCENE / 255
    assert np.abs(engine.starts[1].transpose(1, 2, 0) - grown).max() < 1 / 255


def test_equal_frames_are_dreamed_once_and_stay_equal(tmp_path: Path, engine: WatchedEngine) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.apng_encode(np.stack([SCENE, SCENE, OTHER]), delay=80))
    photo = read_photo(tmp_path / "a.png", max_megapixels=10)
    assert len(photo.frames) == 3
    dreamed(tmp_path / "a.png", engine)
    assert len(engine.starts) == 2


def test_pages_have_nothing_to_do_with_each_other(tmp_path: Path, engine: WatchedEngine) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(SCENE, photometric="rgb")
        writer.write(SCENE[:33, :35].astype(np.uint16) * 257, photometric="rgb")
    first, second = dreamed(tmp_path / "a.tif", engine)
    assert engine.starts == [None, None]
    assert [samples.dtype.itemsize for samples in (first, second)] == [1, 2]
    assert second.shape == (33, 35, 3)


def test_only_what_the_target_can_hold_is_dreamed(tmp_path: Path, engine: WatchedEngine) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.apng_encode(np.stack([SCENE, OTHER]), delay=80))
    planned = jobs.plan([tmp_path / "a.png"], tmp_path / "one.jpg")
    assert not batch.run(planned, ONE_STEP, lambda: engine, ErrorReporter(), max_megapixels=10)
    assert len(engine.starts) == 1


class Notes(ErrorReporter):
    """A reporter that keeps its notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_fully_transparent_picture_is_reported_and_takes_no_time(tmp_path: Path, engine: WatchedEngine) -> None:
    hidden = np.dstack([SCENE, np.zeros_like(SCENE[..., :1])])
    Image.fromarray(hidden).save(tmp_path / "a.png")
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        for page in (np.dstack([SCENE, np.full_like(SCENE[..., :1], 255)]), hidden):
            writer.write(page, photometric="rgb", extrasamples=["unassalpha"])
    for name, count, note in (("a.png", 0, "the picture is transparent"), ("b.tif", 1, "1 of 2 pages is transparent")):
        engine.starts.clear()
        told = Notes()
        planned = jobs.plan([tmp_path / name], None)
        assert not batch.run(planned, ONE_STEP, lambda: engine, told, max_megapixels=10)
        assert [text.startswith(note) for text in told.notes] == [True]
        assert len(engine.starts) == count
        result = read_photo(tmp_path / f"{name[0]}.dream{name[1:]}", max_megapixels=10)
        assert np.array_equal(result.frames[-1].samples, hidden)


def test_nothing_is_computed_under_a_black_mask(tmp_path: Path, engine: WatchedEngine) -> None:
    Image.fromarray(SCENE).save(tmp_path / "a.png")
    Image.new("L", (50, 40)).save(tmp_path / "mask.png")
    planned = jobs.plan([tmp_path / "a.png"], None)
    assert not batch.run(
        planned, ONE_STEP, lambda: engine, Notes(), mask_path=tmp_path / "mask.png", max_megapixels=10
    )  # fmt: skip
    assert not engine.starts
    assert np.array_equal(read_photo(tmp_path / "a.dream.png", max_megapixels=10).frames[0].samples, SCENE)
