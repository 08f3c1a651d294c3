"""What a screen needs of a dream: views of it, a job in the background, one that is kept and taken over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helper_process import (
    QUICK,
    Following,
    followed,
    picture,
    running_endlessly,
    running_helper,
    submitted,
    until,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deepdream_core.helper import views
from deepdream_core.link import client
from deepdream_core.link.view import View
from deepdream_core.photo.frame import WHITE

if TYPE_CHECKING:
    from pathlib import Path

    from helper_process import Helper
    from numpy.typing import NDArray

SIDE = 200


def as_array(samples: bytearray | None, view: View, channels: int = 3) -> NDArray[np.uint8]:
    assert samples is not None
    return np.frombuffer(samples, np.uint8).reshape(view.header(channels).shape)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_a_view_of_a_result_is_its_part_made_smaller(helper: Helper, dtype: str) -> None:
    white = WHITE[dtype]
    pixels = (picture(SIDE) / 255 * white).astype(dtype)
    job = helper.client().submit(
        pixels.data, dtype=dtype, shape=(SIDE, SIDE, 3), priority="interactive", settings={**QUICK, "iterations": 2}
    )
    followed(job)
    result = np.frombuffer(job.result(), dtype).reshape(SIDE, SIDE, 3) / white * 255
    exact = View(20, 30, 100, 60, 4096)
    np.testing.assert_allclose(as_array(job.view(exact), exact), result[30:90, 20:120], atol=0.51)
    half = View(0, 0, SIDE, SIDE, SIDE // 2)
    means = result.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean((1, 3))
    np.testing.assert_allclose(as_array(job.view(half), half), means, atol=0.6)


def test_a_view_of_the_picture_so_far_is_its_part(helper: Helper) -> None:
    asking = helper.client()
    blocked = running_endlessly(asking)
    urgent = running_endlessly(asking, seed=1, priority="interactive")  # so that the other one keeps its state
    whole, part = bytearray(32 * 32 * 3), View(8, 4, 16, 20, 4096)
    assert blocked.job.so_far_into(whole)
    seen = as_array(blocked.job.view(part), part)
    assert (seen == np.frombuffer(whole, np.uint8).reshape(32, 32, 3)[4:24, 8:24]).all()
    waiting = submitted(asking, seed=2)
    assert waiting.view(part) is None
    for following in (blocked, urgent):
        following.job.cancel()
    waiting.cancel()


@pytest.mark.parametrize("wrong", [View(0, 0, 33, 1, 10), View(31, 31, 1, 2, 10), View(0, 0, 0, 1, 10)])
def test_a_window_beside_the_picture_is_refused(helper: Helper, wrong: View) -> None:
    job = submitted(helper.client())
    followed(job)
    with pytest.raises(client.HelperRefused, match="not within 32×32") as refused:
        job.view(wrong)
    assert refused.value.status == 422


@given(
    samples=arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)),
                          elements=st.floats(width=32)),
    longest=st.integers(1, 12),
)  # fmt: skip
def test_any_samples_can_be_seen(samples: NDArray[np.float32], longest: int) -> None:
    height, width, channels = samples.shape
    view = View(0, 0, width, height, longest)
    assert views.seen(samples, view).shape == view.header(channels).shape


def test_invisible_colours_do_not_show() -> None:
    samples = np.zeros((2, 2, 4), np.uint8)
    samples[0, 0] = (200, 100, 50, 255)
    samples[1, 1] = (255, 255, 255, 0)
    assert views.seen(samples, View(0, 0, 2, 2, 1)).tolist() == [[[200, 100, 50, 64]]]


def test_a_job_in_the_background_gives_way_to_all_others_and_goes_on(helper: Helper) -> None:
    asking = helper.client("views")
    settings = {**QUICK, "iterations": 60}
    alone = submitted(asking, 96, settings=settings)
    followed(alone)
    background = Following(submitted(asking, 96, settings=settings, priority="background"))
    until(lambda: background.all("progress"))
    assert Following(submitted(helper.client("folder"), priority="batch")).ended() == "done"
    assert background.ended() == "done"
    assert background.names.count("paused") == 1
    assert background.job.result() == alone.result()


def test_a_job_is_given_another_priority(helper: Helper) -> None:
    asking = helper.client()
    batch = running_endlessly(asking)
    background = Following(submitted(asking, seed=1, priority="background"))
    until(lambda: background.all("queued"))
    background.job.change("interactive", "wanted now")
    assert background.ended() == "done"
    assert batch.names.count("paused") == 1
    state = next(job for job in helper.status()["jobs"] if job["label"] == "wanted now")
    assert (state["priority"], state["state"]) == ("interactive", "done")
    batch.job.cancel()
    assert batch.ended() == "asked"
    with pytest.raises(client.HelperRefused) as refused:
        batch.job.change("interactive", "")
    assert refused.value.code == "conflict"


def test_a_result_is_held_as_long_as_somebody_looks_at_it(helper: Helper) -> None:
    job = submitted(helper.client(), label="held", priority="background")
    events = job.events(hold=True)
    names = [next(events).name]
    while names[-1] != "done":
        names.append(next(events).name)
    assert len(job.result()) == 32 * 32 * 3
    job.forget()
    assert list(events) == [], "the connection ends with the job"


def test_a_held_connection_ends_with_the_helper(tmp_path: Path) -> None:
    with running_helper(tmp_path) as helper:
        held = submitted(helper.client(), priority="background")
        following = threading.Thread(target=lambda: list(held.events(hold=True)), daemon=True)
        following.start()
        until(lambda: any(job["state"] == "done" for job in helper.status()["jobs"]))
        assert helper.stop() == 0
        following.join(60)
        assert not following.is_alive()
