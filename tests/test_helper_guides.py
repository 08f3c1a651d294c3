"""Guides and channels through the helper: the same bytes as in this process, and one line for what does not fit."""

from __future__ import annotations

import http.client
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import events, picture_file
from dreaming import collected
from helper_process import QUICK, Helper, followed, picture, running_helper

from deepdream_core.config import load_config
from deepdream_core.engine.engine import Engine
from deepdream_core.helper.job import LARGEST_GUIDE
from deepdream_core.helper.poison import fingerprint
from deepdream_core.helper.shared import SharedArray
from deepdream_core.link import client, wire
from deepdream_core.link.npy import ArrayHeader, npy_header
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.photo.frame import Frame
from deepdream_core.work.recipe import recipe_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 48
LAYERS = {"conv2_1": 1.0}
TWO: dict[str, Any] = {
    **QUICK, "guide_size": 32,
    "guides": [{"file": "one", "layers": LAYERS}, {"file": "two", "weight": -0.5, "layers": {"conv2_2": 1.0}}],
}  # fmt: skip
ONE = {**TWO, "guides": TWO["guides"][:1]}


def guide(dtype: str = "float32", side: int = 40, seed: int = 30) -> NDArray[Any]:
    pixels = picture(side, seed)
    if dtype == "uint16":
        return (pixels * np.uint16(257)).astype(np.uint16)
    return pixels if dtype == "uint8" else (pixels / np.float32(255)).astype(dtype)


def sent(*guides: NDArray[Any]) -> list[client.Guide]:
    return [(each.data.cast("B"), each.dtype.name, (each.shape[0], each.shape[1], each.shape[2])) for each in guides]


def submitted(helper: Helper, settings: dict[str, Any], *guides: NDArray[Any]) -> client.HelperJob:
    return helper.client().submit(
        picture(SIDE).data,
        dtype="uint8",
        shape=(SIDE, SIDE, 3),
        priority="batch",
        settings=settings,
        guides=sent(*guides),
    )


def in_this_process(given: dict[str, Any], *guides: NDArray[Any]) -> tuple[bytes, dict[str, float]]:
    """The result of the engine alone, and the channels it picked."""
    whites = {"uint8": 255.0, "uint16": 65535.0}
    engine, frame = Engine(EngineSettings(device="cpu")), Frame(picture(SIDE), 255.0)
    planes = [Frame(each, whites.get(each.dtype.name, 1.0)).floats() for each in guides]
    settings = load_config(None).dream_settings(None, given)
    result = collected(engine.dream(frame.floats(), settings, guides=planes))
    return frame.with_floats(result).samples.tobytes(), engine.dreamed_with.channels


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_a_guided_dream_is_the_same_in_this_process(helper: Helper, dtype: str) -> None:
    both = guide(dtype), guide("float32", 64, 7)
    job = submitted(helper, TWO, *both)
    followed(job)
    assert job.result() == bytearray(in_this_process(TWO, *both)[0])
    other = submitted(helper, TWO, *reversed(both))
    followed(other)
    assert other.result() != job.result(), "each guide is the one of its number"


def test_the_channels_picked_come_back_at_the_end(helper: Helper) -> None:
    given = {**QUICK, "channels": {"conv2_1:strongest:3": 1.0, "conv2_1:7": -0.5}}
    job = submitted(helper, given)
    done = followed(job)[-1].data["settings"]
    pixels, picked = in_this_process(given)
    assert (done["channels"], done["layers"]) == (picked, {})
    assert len(picked) == 4
    assert job.result() == bytearray(pixels)


class Sending:
    """A job that is announced, and arrays that are sent to it byte by byte."""

    def __init__(self, helper: Helper, **settings: Any) -> None:
        self._helper = helper
        announced = {
            "client": "guides", "shape": [SIDE, SIDE, 3], "dtype": "uint8",
            "settings": {**QUICK, "guide_size": 32, **settings},
        }  # fmt: skip
        status, self.answer = self.ask("POST", "/v1/jobs", json.dumps(announced).encode())
        self.path = f"/v1/jobs/{self.answer['id']}" if status == 201 else ""

    def ask(self, method: str, path: str, body: bytes = b"", length: int | None = None) -> tuple[int, Any]:
        endpoint = self._helper.endpoint
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=60)
        try:
            kind = "application/json" if method == "POST" else "application/octet-stream"
            connection.putrequest(method, path)
            for name, value in (
                ("Authorization", f"Bearer {endpoint.token}"), ("Content-Type", kind),
                ("Content-Length", str(len(body) if length is None else length)),
            ):  # fmt: skip
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(body)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def put(self, kind: str, array: NDArray[Any]) -> tuple[int, Any]:
        shape = (array.shape[0], array.shape[1], array.shape[2])
        return self.ask("PUT", f"{self.path}/{kind}", npy_header(array.dtype.name, shape) + array.tobytes())

    @property
    def state(self) -> str:
        return str(self.ask("GET", self.path)[1]["state"])


def refused(answer: tuple[int, Any], status: int, code: str, *words: str) -> None:
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    text = f"{answer[1]['error']['what']} — {answer[1]['error']['next_step']}"
    assert all(word in text for word in words), text
    assert "\n" not in text


def test_a_job_is_queued_once_its_pixels_and_all_its_guides_are_there(helper: Helper) -> None:
    job = Sending(helper, guides=TWO["guides"])
    assert job.put("guide", guide())[0] == 204
    assert job.put("pixels", picture(SIDE))[0] == 204
    assert job.state == "created"
    refused(job.put("guide/0", guide()), 409, "conflict", "guide 0 has already arrived")
    refused(job.put("guide/2", guide()), 409, "conflict", "guide 2 was not announced")
    assert job.put("guide/1", guide())[0] == 204
    assert job.state != "created"


def test_guides_alone_do_not_queue_a_job(helper: Helper) -> None:
    job = Sending(helper, guides=ONE["guides"])
    assert job.put("guide/0", guide())[0] == 204
    assert job.state == "created"


def test_a_guide_that_was_not_announced_is_refused(helper: Helper) -> None:
    refused(Sending(helper).put("guide", guide()), 409, "conflict", "guide 0 was not announced")
    refused(Sending(helper).ask("PUT", Sending(helper).path + "/guide/x"), 422, "invalid", "number")


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_guide_has_three_channels(helper: Helper, channels: int) -> None:
    job = Sending(helper, guides=ONE["guides"])
    refused(job.put("guide", np.zeros((40, 40, channels), np.uint8)), 400, "bad_pixels", "send [height, width, 3]")
    assert job.put("guide", guide())[0] == 204, "it may be sent again"


def test_a_guide_beyond_two_megapixels_is_refused_before_it_is_read(helper: Helper) -> None:
    job = Sending(helper, guides=ONE["guides"])
    path = f"{job.path}/guide"
    refused(job.ask("PUT", path, length=30_000_000), 413, "too_large", "send at most 2 megapixels")
    head = npy_header("uint8", (2000, 1001, 3))
    refused(job.ask("PUT", path, head, len(head) + 2000 * 1001 * 3), 413, "too_large", "1001×2000 is 2.0 megapixels")


def test_what_is_no_array_or_ends_early_is_refused(helper: Helper) -> None:
    job = Sending(helper, guides=ONE["guides"])
    path = f"{job.path}/guide/0"
    refused(job.ask("PUT", path, b"GIF89a" * 10), 400, "bad_pixels", "NPY")
    for short in (b"", b"x", b"hello"):
        refused(job.ask("PUT", path, short), 400, "bad_pixels", "do not begin with the header of an NPY 1.0 array")
    whole = npy_header("uint8", (40, 40, 3)) + guide("uint8").tobytes()
    refused(job.ask("PUT", path, whole[:40]), 400, "bad_pixels", "the body ends within its NPY header of 128 bytes")
    for body in (whole + b"more", whole[:-1]):
        words = f"the body has {len(body)} bytes, but 40×40×3 of uint8 take 4800 bytes after an NPY header of 128"
        refused(job.ask("PUT", path, body), 400, "bad_pixels", words)
    assert job.ask("PUT", path, whole)[0] == 204


@pytest.mark.parametrize("guides", ["", ["a.png@pool9"], [{"file": "a.png", "weight": 2000}], [{"file": "a", "x": 1}]])
def test_settings_that_are_refused_come_with_a_next_step(helper: Helper, guides: object) -> None:
    answer = Sending(helper, guides=guides).answer["error"]
    assert answer["what"].startswith("settings.guides: ")
    assert answer["next_step"]
    assert " — " not in answer["what"]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((40, 40, 3), np.nan, np.float32), "guide 0 holds NaN or infinite values"),
        (np.zeros((3, 40, 3), np.uint8), "one: 40×3 px are too few for a guide at conv2_1"),
    ],
)
def test_a_guide_that_cannot_be_followed_fails_its_job_in_one_line(
    helper: Helper, array: NDArray[Any], words: str
) -> None:
    with pytest.raises(client.JobFailed, match=words) as failure:
        followed(submitted(helper, ONE, array))
    assert failure.value.code == "picture"


def test_guides_count_as_the_jobs_memory(tmp_path: Path) -> None:
    allowed = LARGEST_GUIDE.nbytes // 1_000_000 + 2
    with running_helper(tmp_path, {"helper": {"max_memory_mb": allowed}}) as helper:
        assert Sending(helper, guides=ONE["guides"]).path
        refused((429, Sending(helper, guides=ONE["guides"]).answer), 429, "busy", "already waiting")
        refused((413, Sending(helper, guides=TWO["guides"]).answer), 413, "too_large")
    with running_helper(tmp_path / "again", {"helper": {"max_memory_mb": allowed}}) as helper:
        followed(submitted(helper, ONE, guide()))
        assert helper.status()["memory_bytes"] == SIDE * SIDE * 3, "of a finished job only the picture is kept"
        first = Sending(helper, guides=ONE["guides"])
        assert first.put("guide", guide("uint8"))[0] == 204
        assert Sending(helper, guides=ONE["guides"]).path, "a guide that is there counts with its own size"


def test_a_guide_counts_in_what_a_poisonous_job_is_recognised_by() -> None:
    prints = set()
    for settings, value in ((ONE, 1), (ONE, 2), (TWO, 1)):
        array = SharedArray(ArrayHeader("uint8", (4, 4, 3)))
        with array as view:
            view[:] = bytes([value]) * len(view)
            view.release()
        job: Any = SimpleNamespace(settings=load_config(None).dream_settings(None, settings))
        prints.add(fingerprint(job, {"guide 0": array}))
        array.close()
    assert len(prints) == 3


def test_the_client_sends_no_guide_that_would_be_refused(helper: Helper) -> None:
    with pytest.raises(wire.WireError, match="a guide of"):
        submitted(helper, ONE, np.zeros((40, 40, 4), np.uint8))
    with pytest.raises(wire.WireError, match="a guide of"):
        submitted(helper, ONE, np.zeros((2001, 1000, 3), np.uint8))


def test_the_command_gets_the_same_picture_through_the_helper(
    helper: Helper, deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    picture_file(tmp_path / "a.jpg")
    picture_file(tmp_path / "guide.png", "chelsea", (1700, 1300))
    for what in (("--guide", "guide.png@relu3_1=2"), ("--channels", "relu3_1:strongest:3")):
        made = []
        for way in ("yes", "no"):
            answer = deepdream(
                "dream", "a.jpg", "-o", f"{way}.jpg", *what, "--finest", "64", "--iterations", "1", "--via-helper", way,
                "--overwrite", "--json", DEEPDREAM_RUNTIME_DIR=helper.environ["DEEPDREAM_RUNTIME_DIR"],
            )  # fmt: skip
            assert events(answer)[-1]["done"] == 1, answer.stdout
            made.append((tmp_path / f"{way}.jpg").read_bytes())
        assert made[0] == made[1], "recipe and pixels"
    assert len(recipe_of(tmp_path / "yes.jpg", max_megapixels=1).settings.channels) == 3
