"""A preview's dream at its real size: looked at while it grows, held when it is finished, and taken over by OK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from helper_process import ENDLESS, QUICK, Helper, followed, picture, running_endlessly, until
from plugin_folder import FACTS, View, growing
from test_plugin_jobs import all_told, facts_of, failure, first

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 64
SHAPE = (SIDE, SIDE, 3)
WHOLE = View(0, 0, SIDE, SIDE, SIDE // 2)
SLOW = {**QUICK, "layers": {"relu2_1": 1.0}, "iterations": 40}


def pixels() -> bytearray:
    return bytearray((picture(SIDE).astype(np.float32) / 255).tobytes())


def growing_dream(helper: Helper, settings: dict[str, Any] = QUICK) -> growing.Growing:
    job = growing.Growing(
        facts_of(helper.endpoint_file),
        pixels(),
        SHAPE,
        {**FACTS.defaults, **settings},
        guides=(),
        label="preview",
        view=WHOLE,
    )
    job.start()
    return job


def known(helper: Helper, label: str) -> list[dict[str, Any]]:
    return [job for job in helper.status()["jobs"] if job["label"] == label]


@pytest.fixture
def as_without_preview(helper: Helper) -> Iterator[bytearray]:
    job = helper.client().submit(
        pixels(), dtype="float32", shape=SHAPE, priority="interactive", settings={**FACTS.defaults, **SLOW}
    )
    followed(job)
    yield job.result()
    job.forget()


def test_it_is_seen_while_it_grows_and_when_it_is_finished(helper: Helper) -> None:
    job = growing_dream(helper, {**SLOW, "octaves": 2})
    view, samples = first(job, "seen").data
    assert view == WHOLE
    assert len(samples) == (SIDE // 2) ** 2 * 3
    first(job, "finished")
    part = View(10, 20, 30, 40, 4096)
    job.show(part)
    while (seen := first(job, "seen").data)[0] != part:
        pass
    assert len(seen[1]) == 30 * 40 * 3
    job.cancel()
    assert failure(job).code == "cancelled"
    until(lambda: {one["state"] for one in known(helper, "preview")} <= {"cancelled"})


def test_a_finished_one_is_taken_over_and_nothing_is_dreamed_twice(
    helper: Helper, as_without_preview: bytearray
) -> None:
    lines = len(helper.log().splitlines())
    job = growing_dream(helper, SLOW)
    first(job, "finished")
    job.take_over("Haus 64×64+0+0")
    assert all_told(job)[-1].data == as_without_preview
    ended = [line for line in helper.log().splitlines()[lines:] if "ran" in line]
    assert len(ended) == 1, ended
    assert known(helper, "Haus 64×64+0+0")[0]["priority"] == "interactive", "kept for `last result`"
    job.acknowledge()
    assert not known(helper, "Haus 64×64+0+0")
    job.join(60)
    assert not job.is_alive()


@pytest.mark.parametrize("moment", ["at once", "running", "paused"])
def test_an_unfinished_one_is_taken_over_and_goes_on(
    helper: Helper, as_without_preview: bytearray, moment: str
) -> None:
    batch = running_endlessly(helper.client("folder")) if moment == "paused" else None
    job = growing_dream(helper, SLOW)
    if moment == "running":
        first(job, "progress")
    if moment == "paused":
        first(job, "queued")
    job.take_over("Haus")
    assert all_told(job)[-1].data == as_without_preview
    assert [one["priority"] for one in known(helper, "Haus")] == ["interactive"]
    job.acknowledge()
    if batch is not None:
        batch.job.cancel()
        assert batch.ended() == "asked"


def test_taken_over_for_a_file_that_grows_it_brings_pictures(helper: Helper, as_without_preview: bytearray) -> None:
    job = growing_dream(helper, {**SLOW, "octaves": 2, "iterations": 100})
    first(job, "progress")
    job.take_over("Haus", previews=True)
    told = all_told(job)
    assert {len(message.data) for message in told if message.kind == "picture"} == {len(as_without_preview)}
    assert told[-1].kind == "done"
    job.acknowledge()


def test_it_gives_way_to_a_picture_of_another_program(helper: Helper) -> None:
    job = growing_dream(helper, ENDLESS)
    first(job, "progress")
    followed(helper.client("folder").submit(pixels(), dtype="float32", shape=SHAPE, priority="batch", settings=QUICK))
    assert "urgent" in first(job, "note").data["text"]
    first(job, "running")
    job.cancel()
    assert failure(job).code == "cancelled"


def test_a_failure_is_reported_as_of_any_job(helper: Helper) -> None:
    job = growing_dream(helper, {"finest": 1})
    assert "1 is not allowed" in str(failure(job))
    job = growing_dream(helper, {"finest": 1})
    job.take_over("Haus")
    assert "1 is not allowed" in str(failure(job))


def test_one_that_the_helper_has_let_go_is_not_taken_over(helper: Helper) -> None:
    job = growing_dream(helper)
    first(job, "finished")
    there = known(helper, "preview")[-1]
    helper.client().call("DELETE", f"/v1/jobs/{there['id']}", 204)
    assert failure(job).code == "lost"
