"""The table of a job's states: which event leads where, and what it publishes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.helper.job import Job, Priority, State
from deepdream_core.helper.job_states import JobStates
from deepdream_core.helper.queue import Queue
from deepdream_core.link.errors import CANCELLED_WHY
from deepdream_core.link.npy import ArrayHeader
from deepdream_core.link.wire import ENDINGS, EVENTS
from deepdream_core.settings import DreamSettings

FAILURE = {"code": "worker_died", "what": "the worker died", "next_step": "try again"}
DATA = {
    "start": {"device": "cpu"},
    "begun": {"device": "cpu", "precision": "fp32"},
    "failed": FAILURE,
    "refused": FAILURE,
    "cancel": {"why": "asked"},
    "shutdown": {"why": "stopping"},
}
ALL = (
    "complete", "start", "paused", "begun", "progress", "note", "octave", "done", "failed", "refused", "lost", "dropped",
    "cancel", "shutdown",
)  # fmt: skip


class OneJob:
    """A job that has been created, and what its events do."""

    def __init__(self) -> None:
        queue = Queue()
        self.states = JobStates(queue)
        pixels = {"pixels": ArrayHeader("uint8", (8, 8, 3))}
        self.job = Job("one", "gimp", "", Priority.BATCH, DreamSettings(), "classic", pixels, False, 0.0)
        queue.add(self.job)

    def after(self, *events: str) -> State:
        for event in events:
            self.states.apply(self.job, event, **DATA.get(event, {}))
        return self.job.state

    @property
    def published(self) -> list[str]:
        return [event.name for event in self.job.events]


PATHS = {
    State.CREATED: (),
    State.QUEUED: ("complete",),
    State.RUNNING: ("complete", "start"),
    State.PAUSED: ("complete", "start", "paused"),
    State.STOPPING: ("complete", "start", "cancel"),
    State.DONE: ("complete", "start", "begun", "done"),
    State.FAILED: ("complete", "start", "failed"),
    State.CANCELLED: ("cancel",),
}


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached_and_an_ended_one_never_left(state: State) -> None:
    one = OneJob()
    assert one.after(*PATHS[state]) is state
    if state.ended:
        known = one.published
        assert one.after(*ALL) is state
        assert one.published == known


@given(st.lists(st.sampled_from(ALL), max_size=30))
def test_whatever_happens_a_job_ends_once_and_its_ending_is_its_last_event(events: list[str]) -> None:
    one = OneJob()
    one.after(*events, "shutdown")
    assert one.job.state.ended
    assert set(one.published) <= {*EVENTS, *ENDINGS}
    assert [name for name in one.published if name in ENDINGS] == [one.published[-1]] == [one.job.state.value]
    assert not one.states.deadlines
    if one.job.state is State.CANCELLED:
        assert one.job.events[-1].data["why"] in CANCELLED_WHY


def test_a_job_that_is_stopping_waits_for_its_worker_and_ignores_what_that_still_reports() -> None:
    one = OneJob()
    one.after("complete", "start", "begun", "cancel")
    known = one.published
    assert one.after("progress", "done", "failed", "paused", "start", "cancel") is State.STOPPING
    assert one.published == known
    assert one.after("dropped") is State.CANCELLED


def test_a_job_whose_worker_is_lost_waits_again_and_is_published_again() -> None:
    one = OneJob()
    assert one.after("complete", "start", "begun", "lost") is State.QUEUED
    assert not one.job.begun
    assert one.after("start", "begun", "paused", "start") is State.RUNNING
    assert one.published == ["queued", "running", "queued", "running", "paused", "running"]


def test_a_job_that_was_paused_before_it_began_publishes_running_when_it_begins() -> None:
    one = OneJob()
    one.after("complete", "start", "paused", "start", "begun")
    assert one.published == ["queued", "paused", "running"]
