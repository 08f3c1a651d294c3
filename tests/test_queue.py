"""The queue: which job is next."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.helper.job import Job, Priority, State
from deepdream_core.helper.queue import Queue
from deepdream_core.link.npy import ArrayHeader
from deepdream_core.link.wire import ATTACH_WITHIN_S, REATTACH_WITHIN_S
from deepdream_core.settings import DreamSettings

PIXELS = {"pixels": ArrayHeader("uint8", (8, 8, 3))}


def job(name: str, client: str = "gimp", priority: Priority = Priority.BATCH, **more: Any) -> Job:
    return Job(name, client, "", priority, DreamSettings(), "classic", PIXELS, False, 0.0, **more)


def enqueue(queue: Queue, one: Job) -> None:
    one.state = State.QUEUED
    queue.enqueue(one)


def begin(queue: Queue, one: Job, device: str) -> None:
    one.state = State.RUNNING
    queue.begin(one, device)


def queue_of(*jobs: Job) -> Queue:
    queue = Queue()
    for one in jobs:
        queue.add(one)
        enqueue(queue, one)
    return queue


def order(queue: Queue, device: str = "cpu") -> list[str]:
    """The order in which one device takes the jobs, each to its end."""
    names = []
    while (best := queue.best_for(device)) is not None:
        begin(queue, best, device)
        best.state = State.DONE
        names.append(best.id)
    return names


def test_interactive_comes_before_previews_then_batch_and_background_last() -> None:
    background = job("z", priority=Priority.BACKGROUND)
    queue = queue_of(background, job("b"), job("p", priority=Priority.PREVIEW), job("i", priority=Priority.INTERACTIVE))
    assert order(queue) == ["i", "p", "b", "z"]


def test_a_job_moves_to_another_priority() -> None:
    last, first = job("last", priority=Priority.BACKGROUND), job("first")
    queue = queue_of(first, last)
    assert queue.position(last) == 2
    queue.move(last, Priority.INTERACTIVE)
    assert queue.position(last) == 1
    assert order(queue) == ["last", "first"]


def test_clients_take_turns_and_keep_the_order_of_their_own() -> None:
    mine = [job(f"a{number}", "folder") for number in range(4)]
    theirs = [job(f"b{number}", "batch") for number in range(2)]
    assert order(queue_of(*mine, *theirs)) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_a_newcomer_waits_for_one_job_of_a_backlog_at_most() -> None:
    queue = queue_of(*(job(f"a{number}", "folder") for number in range(100)))
    first = queue.best_for("cpu")
    assert first is not None
    begin(queue, first, "cpu")
    newcomer = job("n", "other")
    queue.add(newcomer)
    enqueue(queue, newcomer)
    first.state = State.DONE
    assert order(queue)[:3] == ["a1", "n", "a2"]


def test_ever_new_clients_do_not_starve_one_that_waits() -> None:
    queue = queue_of(*(job(f"old{number}", "old") for number in range(4)))
    begun = []
    for number in range(60):
        for loop in "xy":  # a shell's loop: every picture comes from a program of its own
            fresh = job(f"{loop}{number}", f"{loop}-{number}")
            queue.add(fresh)
            enqueue(queue, fresh)
        best = queue.best_for("cpu")
        assert best is not None
        begin(queue, best, "cpu")
        best.state = State.DONE
        queue.remove(best)
        begun.append(best.id)
    assert [name for name in begun if name.startswith("old")] == ["old0", "old1", "old2", "old3"]


def test_a_paused_job_goes_on_before_its_equals_begin_and_only_on_its_device() -> None:
    paused, fresh = job("paused"), job("fresh", "other")
    queue = queue_of(paused, fresh)
    begin(queue, paused, "cuda:0")
    paused.state = State.PAUSED
    assert queue.best_for("cuda:0") is paused
    assert queue.best_for("cuda:1") is fresh


def test_a_job_from_a_lost_worker_keeps_its_place() -> None:
    first, second = job("first"), job("second")
    queue = queue_of(first, second)
    begin(queue, first, "cpu")
    enqueue(queue, first)
    assert order(queue) == ["first", "second"]


def test_jobs_that_are_stopping_or_not_complete_are_not_given_out() -> None:
    queue = Queue()
    for state in State:
        if state not in (State.QUEUED, State.PAUSED):
            queue.add(job(state, state=state, device="cpu"))
    assert queue.best_for("cpu") is None


def test_a_preview_replaces_older_ones_of_the_same_client_only() -> None:
    old, other = job("old", priority=Priority.PREVIEW), job("other", "else", Priority.PREVIEW)
    done = job("done", priority=Priority.PREVIEW)
    queue = queue_of(old, other, job("batch"), done)
    done.state = State.DONE
    assert queue.replaced_by(job("new", priority=Priority.PREVIEW)) == [old]
    assert queue.replaced_by(job("new", priority=Priority.INTERACTIVE)) == []
    assert queue.replaced_by(job("new", priority=Priority.BACKGROUND)) == []


jobs_of_clients = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Priority)), min_size=1, max_size=12)


@given(jobs_of_clients, st.lists(st.sampled_from("abc"), max_size=5))
def test_the_position_is_the_place_in_which_jobs_begin(kinds: list[tuple[str, Priority]], earlier: list[str]) -> None:
    queue = Queue()
    for number, client in enumerate(earlier):
        before = job(f"before{number}", client)
        queue.add(before)
        begin(queue, before, "cpu")
        before.state = State.DONE
    for number, (client, priority) in enumerate(kinds):
        one = job(str(number), client, priority)
        queue.add(one)
        enqueue(queue, one)
    positions = {one.id: queue.position(one) for one in queue.waiting()}
    assert sorted(positions.values()) == list(range(1, len(kinds) + 1))
    assert sorted(positions, key=positions.__getitem__) == order(queue)


@given(jobs_of_clients)
def test_every_job_is_given_out_once(kinds: list[tuple[str, Priority]]) -> None:
    queue = queue_of(*(job(str(number), client, priority) for number, (client, priority) in enumerate(kinds)))
    names = order(queue)
    assert sorted(names, key=int) == [str(number) for number in range(len(kinds))]


def test_a_forgotten_client_is_a_new_one() -> None:
    one = job("one")
    queue = queue_of(one)
    begin(queue, one, "cpu")
    queue.remove(one)
    assert not queue.jobs
    assert not queue._last_turn


def test_a_job_lives_as_long_as_somebody_holds_it() -> None:
    one = job("one")
    assert not one.abandoned(ATTACH_WITHIN_S)
    assert one.abandoned(ATTACH_WITHIN_S + 0.1)
    one.hold()
    one.attached = True
    assert not one.abandoned(1e6)
    one.release(100.0)
    assert not one.abandoned(100 + REATTACH_WITHIN_S)
    assert one.abandoned(100.1 + REATTACH_WITHIN_S)
    one.state = State.DONE
    assert not one.abandoned(1e6)


def test_every_event_reaches_who_listens_until_it_stops() -> None:
    one, woken = job("one"), []
    stop = one.listen(lambda: woken.append(len(one.events)))
    one.publish("queued", position=1)
    one.publish("running")
    stop()
    one.publish("done")
    assert woken == [1, 2]
    assert [event.number for event in one.events] == [1, 2, 3]
