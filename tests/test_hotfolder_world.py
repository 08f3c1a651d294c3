"""The hot folder in a world that is not well, or odd: nothing is lost or dreamed twice, and the others go on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import time
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from helper_process import Helper, until
from PIL import Image
from watching import TINY, Watching, photograph, watching

from deepdream_core.link import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow("odd folders")

WITHOUT_POWERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
"""Under this, root is held to permissions as anybody is."""


@pytest.fixture
def drop(tmp_path: Path, helper: Helper) -> Iterator[Watching]:
    with watching(tmp_path / "own", helper) as made:
        made.says("watching ")
        yield made


def held_to_permissions() -> list[str]:
    return WITHOUT_POWERS if os.getuid() == 0 else []


# --- one dream, whatever is in the way


def test_an_original_that_cannot_be_put_away_is_dreamed_once_all_the_same(tmp_path: Path, helper: Helper) -> None:
    with watching(tmp_path / "own", helper, before=held_to_permissions()) as drop:
        drop.says("watching ")
        (drop.drop / "done").mkdir()
        (drop.drop / "done").chmod(0o500)
        photograph(drop.drop / "cat.png", 1)
        drop.says("rests for 10 s", 40)
        assert f"{drop.drop / 'done' / 'cat.png'}: Permission denied — make the folder writable" in drop.said()
        assert drop.files() == ["cat.png", "out/cat.png"]
        (drop.drop / "done").chmod(0o700)
        drop.run("retry", "--all", "--config", str(drop.config))
        drop.comes("done/cat.png")
        until(lambda: drop.state()["done"] == 1, 10)
        assert drop.files() == ["done/cat.png", "out/cat.png"]


def test_a_picture_under_several_names_at_once_is_dreamed_once(drop: Watching, tmp_path: Path) -> None:
    ready = photograph(tmp_path / "tree" / "0.png", 2)
    for number in range(1, 5):
        shutil.copy(ready, tmp_path / "tree" / f"{number}.png")
    for path in sorted((tmp_path / "tree").iterdir()):
        path.rename(drop.drop / path.name)
    until(lambda: len(drop.files("done")) == 5, 60)
    assert len(drop.files("out")) == 1
    until(lambda: (drop.state()["done"], drop.state()["known"]) == (1, 4), 10)


def test_a_file_where_a_folder_should_be_costs_nothing(drop: Watching, tmp_path: Path) -> None:
    for own in ("out", "done"):
        photograph(drop.drop / own / "trip", 3, format="png")
    photograph(tmp_path / "trip" / "a.png", 4)
    (tmp_path / "trip").rename(drop.drop / "trip")
    drop.comes("done/trip (2)/a.png")
    assert drop.files() == ["done/trip", "done/trip (2)/a.png", "out/trip", "out/trip (2)/a.png"]


def test_names_of_any_bytes_work_even_with_the_recipe_beside_the_picture(drop: Watching, tmp_path: Path) -> None:
    top = os.fsencode(drop.drop)
    ready = photograph(tmp_path / "x.bmp", 5)
    for letter in (b"\xfc", b"\xe9", b"\xe0"):
        shutil.copy(ready, tmp_path / "copy.bmp")
        os.rename(tmp_path / "copy.bmp", os.path.join(top, letter * 251 + b".bmp"))  # noqa: PTH104, PTH118
    until(lambda: len(drop.files("done")) == 3, 60)
    until(lambda: (drop.state()["done"], drop.state()["known"], drop.state()["failed"]) == (1, 2, 0), 10)
    assert [len(os.fsencode(name)) for name in drop.files("out")] == [244, 255], "picture and recipe"
    photograph(tmp_path / "good.png", 6).rename(drop.drop / "good.png")
    drop.comes("done/good.png")


def test_the_same_stem_with_two_endings_stays_two(drop: Watching, tmp_path: Path) -> None:
    for seed, ending in enumerate(("jpg", "png", "bmp")):
        photograph(tmp_path / f"cat.{ending}", seed).rename(drop.drop / f"cat.{ending}")
    for ending in ("jpg", "png", "bmp"):
        drop.comes(f"done/cat.{ending}")
    assert drop.files("out") == ["cat.bmp", "cat.bmp.dream.yaml", "cat.jpg", "cat.png"]


@pytest.mark.parametrize("how", ["renamed", "journal lost"])
def test_originals_that_stay_are_not_dreamed_again_when_the_folder_moves_or_the_journal_is_lost(
    tmp_path: Path, helper: Helper, how: str
) -> None:
    with watching(tmp_path / "own", helper, originals="keep") as drop:
        for seed in range(3):
            photograph(drop.drop / f"{seed}.png", seed)
        until(lambda: len(drop.files("out")) == 3, 60)
        until(lambda: drop.state()["done"] == 3, 10)
        assert drop.stop() == 0
        if how == "renamed":
            drop.drop = drop.drop.rename(drop.folder / "elsewhere")
            drop.keys["path"] = str(drop.drop)
            drop.configure()
        else:
            for path in (drop.folder / "state" / "hotfolder").glob("journal*"):
                path.unlink()
        drop.start()
        photograph(drop.drop / "new.png", 9)
        drop.comes("out/new.png", 60)
        until(lambda: not drop.state()["waiting"] and not drop.state()["running"], 20)
        assert drop.files("out") == ["0.png", "1.png", "2.png", "new.png"]
        settled = drop.state()
        assert settled["done"] + settled["known"] == 4


# --- links, permissions, others


def test_a_folder_that_becomes_a_link_while_its_pictures_wait_is_not_followed(drop: Watching, tmp_path: Path) -> None:
    drop.run("pause")
    photograph(tmp_path / "trip" / "a.png", 1)
    (tmp_path / "trip").rename(drop.drop / "trip")
    until(lambda: drop.state()["waiting"] == 1, 10)
    (drop.drop / "trip").rename(tmp_path / "kept")
    (drop.drop / "trip").symlink_to(tmp_path / "kept")
    drop.run("resume")
    photograph(tmp_path / "good.png", 2).rename(drop.drop / "good.png")
    drop.comes("done/good.png")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["a.png"]
    assert "link" in drop.explain(drop.drop / "trip" / "a.png")


def test_what_only_the_owner_can_read_stays_so(drop: Watching, tmp_path: Path) -> None:
    photograph(tmp_path / "private" / "a.png", 3).chmod(0o644)
    (tmp_path / "private").chmod(0o700)
    (tmp_path / "private").rename(drop.drop / "private")
    drop.comes("done/private/a.png")
    for own in ("out", "done"):
        assert stat.S_IMODE((drop.drop / own / "private").stat().st_mode) == 0o700
        assert stat.S_IMODE((drop.drop / own / "private" / "a.png").stat().st_mode) == 0o644


def test_a_daemon_of_another_machine_is_noticed(drop: Watching, tmp_path: Path, helper: Helper) -> None:
    other = Watching(tmp_path / "other", helper, {"path": str(drop.drop)}, {})
    other.drop = drop.drop
    other.start()
    try:
        other.says("another DeepDream on")
        photograph(tmp_path / "cat.png", 4).rename(drop.drop / "cat.png")
        drop.comes("done/cat.png")
        assert "dreamed in" not in other.said()
        assert drop.stop() == 0
        photograph(tmp_path / "dog.png", 5).rename(drop.drop / "dog.png")
        other.comes("done/dog.png")
    finally:
        other.kill()


def test_something_more_urgent_overtakes(tmp_path: Path, helper: Helper) -> None:
    slow = {**TINY, "iterations": 400}
    with watching(tmp_path / "own", helper, {"presets": {"tiny": slow}}) as drop:
        for seed in range(4):
            photograph(drop.drop / f"{seed}.png", seed, side=96)
        until(lambda: any(one["fraction"] > 0 for one in drop.state()["running"]), 40)
        connection = client.connect(endpoint_file=helper.endpoint_file, client="like GIMP")
        pixels = np.zeros((32, 32, 3), np.float32)
        began = time.monotonic()
        job = connection.submit(
            pixels.data, dtype="float32", shape=(32, 32, 3), priority="interactive",
            settings={"octaves": 1, "iterations": 1, "finest": "full"},
        )  # fmt: skip
        for _event in job.events():
            pass
        assert time.monotonic() - began < 30
        job.forget()
        assert len(drop.files("done")) < 4, "it did not wait for the hot folder's"
        assert drop.stop() == 0


# --- the person


def test_retry_of_folders_notes_and_what_has_not_failed(tmp_path: Path, helper: Helper) -> None:
    with watching(tmp_path / "own", helper, give_up_s=1.0) as drop:
        drop.says("watching ")
        see_retries(drop, tmp_path)


def see_retries(drop: Watching, tmp_path: Path) -> None:
    for name in ("a.png", "tiny/b.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no picture")
    (tmp_path / "a.png").rename(drop.drop / "a.png")
    (tmp_path / "tiny").rename(drop.drop / "tiny")
    photograph(tmp_path / "good.png", 6).rename(drop.drop / "good.png")
    for name in ("failed/a.png.why.txt", "failed/tiny/b.png.why.txt", "done/good.png"):
        drop.comes(name)

    def told(*paths: str) -> str:
        answer = drop.run("retry", *(str(drop.drop / path) for path in paths), "--config", str(drop.config))
        assert "Traceback" not in answer.stderr
        return answer.stdout + answer.stderr

    assert "does not exist" in told("failed/nothing.png")
    assert "is done" in told("out/good.png")
    assert "is done" in told("done/good.png")
    photograph(drop.drop / "failed" / "a.png", 7)
    photograph(drop.drop / "failed" / "tiny" / "b.png", 8)
    assert f"{drop.drop / 'a.png'}: is tried again" in told("failed/a.png.why.txt")
    drop.comes("done/a.png")
    assert f"{drop.drop / 'tiny' / 'b.png'}: is tried again" in told("failed")
    drop.comes("done/tiny/b.png")
    assert drop.files("failed") == []
    assert (drop.drop / "failed").is_dir()


def test_explain_is_right_about_every_kind_of_file(drop: Watching, tmp_path: Path) -> None:
    photograph(tmp_path / "cat.png", 9).rename(drop.drop / "cat.png")
    drop.comes("done/cat.png")
    top = drop.drop
    until(lambda: drop.explain(top / "cat.png").startswith("was dreamed at "), 10)
    assert str(top / "out" / "cat.png") in drop.explain(top / "done" / "cat.png")
    assert drop.explain(top / "out" / "cat.png") == f"is the dream of {top / 'cat.png'}"
    assert drop.explain(top / "out" / ".." / "cat.png").startswith("was dreamed at ")
    assert drop.explain(top / "out") == "is where results go"
    assert drop.explain(top) == "is the drop folder itself"
    assert drop.explain(top / "failed" / "nothing.png") == "does not exist"
    os.rename(photograph(tmp_path / "x.png", 10), top / "esc\x1b]0;x\x07.part")  # noqa: PTH104
    answer = drop.run("explain", str(top / "esc\x1b]0;x\x07.part"), "--config", str(drop.config))
    assert "\x1b" not in answer.stdout
    assert drop.process is not None
    drop.process.send_signal(signal.SIGSTOP)
    try:
        photograph(top / "later.png", 11)
        until(lambda: "does not answer" in drop.explain(top / "later.png"), 30)
    finally:
        drop.process.send_signal(signal.SIGCONT)


def test_status_shows_folders_that_no_daemon_watches(drop: Watching, tmp_path: Path) -> None:
    photograph(tmp_path / "cat.png", 12).rename(drop.drop / "cat.png")
    drop.comes("done/cat.png")
    until(lambda: drop.state()["done"] == 1, 10)
    assert drop.stop() == 0
    photograph(tmp_path / "dog.png", 13).rename(drop.drop / "dog.png")
    said = drop.run("status").stdout
    assert "no daemon watches it" in said
    (state,) = json.loads(drop.run("status", "--json").stdout)["watching"]
    (folder,) = state["folders"]
    assert (folder["folder"], folder["waiting"], folder["done"]) == (str(drop.drop), 1, 1)


def test_a_folder_that_leaves_the_configuration_and_comes_back_in_the_middle_of_a_picture(
    tmp_path: Path, helper: Helper
) -> None:
    with watching(tmp_path / "own", helper, preset="slow") as drop:
        photograph(drop.drop / "cat.png", 14)
        until(lambda: any(one["fraction"] > 0 for one in drop.state()["running"]), 40)
        own, elsewhere = dict(drop.keys), {**drop.keys, "path": str(tmp_path / "elsewhere")}
        drop.keys.update(elsewhere)
        drop.configure()
        drop.says("is no longer watched")
        drop.keys.update({**own, "preset": "tiny"})
        drop.configure()
        drop.comes("done/cat.png", 60)
        until(lambda: drop.state()["done"] == 1, 10)
        assert drop.files() == ["done/cat.png", "out/cat.png"]


def test_a_storm_of_signals_does_not_stop_the_work(drop: Watching, tmp_path: Path) -> None:
    assert drop.process is not None
    for number in range(10):
        photograph(tmp_path / "a.png", number).rename(drop.drop / f"{number}.png")
        for _ in range(30):
            drop.process.send_signal(signal.SIGHUP)
    until(lambda: len(drop.files("done")) == 10, 60)
    drop.process.send_signal(signal.SIGTERM)
    assert drop.stop() == 0


# --- the machine


def test_the_helper_that_it_starts_has_its_configuration(tmp_path: Path) -> None:
    own = {"engine": {"devices": ["cpu"], "precision": "fp32"}, "helper": {"idle_unload_s": 5000}}
    with watching(tmp_path / "own", None, own) as drop:
        try:
            photograph(drop.drop / "cat.png", 15)
            drop.comes("done/cat.png", 60)
            (worker,) = json.loads(drop.run("status", "--json").stdout)["workers"]
            assert (worker["device"], worker["precision"]) == ("cpu", "fp32")
            assert worker["unloads_in_s"] > 4000
        finally:
            drop.run("helper", "--stop")


def test_a_locked_journal_is_not_the_pictures_fault(drop: Watching, tmp_path: Path) -> None:
    photograph(tmp_path / "a.png", 16).rename(drop.drop / "a.png")
    drop.comes("done/a.png")
    with contextlib.closing(sqlite3.connect(drop.journal().path, isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        photograph(tmp_path / "b.png", 17).rename(drop.drop / "b.png")
        drop.says("database is locked", 20)
        held.execute("COMMIT")
    drop.comes("done/b.png", 60)
    assert not (drop.drop / "failed").exists()
    assert drop.files("out") == ["a.png", "b.png"]


def test_out_of_inotify_watches_is_reported_once_and_the_folder_is_polled(tmp_path: Path, helper: Helper) -> None:
    lowered = [
        "unshare",
        "-U",
        "--map-root-user",
        "sh",
        "-c",
        'echo 1 > /proc/sys/user/max_inotify_watches; exec "$@"',
        "-",
    ]
    for name in ("one", "two", "three"):
        (tmp_path / "own" / "drop" / name).mkdir(parents=True)
    with watching(tmp_path / "own", helper, before=lowered, poll_s=1.0) as drop:
        drop.says("sudo sysctl fs.inotify.max_user_watches=")
        photograph(tmp_path / "cat.png", 18).rename(drop.drop / "two" / "cat.png")
        drop.comes("done/two/cat.png")
        assert drop.state()["watched"] == "polling"
        assert drop.said().count("out of inotify watches") == 1


def test_ten_thousand_pictures_at_once(tmp_path: Path, helper: Helper) -> None:
    count, fresh = 10_000, "fresh.png"
    random = np.random.default_rng(0)
    for number in range(count):
        path = tmp_path / "card" / f"{number % 100:02}" / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    names = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "card").rglob("*.png"))
    quick = {**TINY, "layers": {"relu1_1": 1.0}}
    with watching(tmp_path / "own", helper, {"presets": {"tiny": quick}}, rescan_s=60.0) as drop:
        drop.says("watching ")
        assert drop.process is not None
        daemon = psutil.Process(drop.process.pid)
        (tmp_path / "card").rename(drop.drop / "card")
        until(lambda: drop.said().count("dreamed in") > 50, 60, 0.2)
        begin = most = daemon.memory_info().rss
        fresh_after = dropped_after = 0
        until_s = time.monotonic() + 3000
        while (done := drop.said().count("dreamed in")) <= count:
            assert time.monotonic() < until_s
            most = max(most, daemon.memory_info().rss)
            if done > 1000 and not dropped_after:
                photograph(tmp_path / fresh, 1).rename(drop.drop / fresh)
                dropped_after = done
            if dropped_after and not fresh_after and (drop.drop / "done" / fresh).exists():
                fresh_after = done
            time.sleep(1.0)
        assert most - begin < 50e6
        assert fresh_after - dropped_after < 400, "a fresh drop does not wait for the rest"
        until(lambda: drop.state()["done"] == count + 1, 20)
        assert drop.stop() == 0
        assert drop.files("out") == sorted([*names, fresh]) == drop.files("done")
        lines = [line for line in drop.said().splitlines() if "dreamed in" in line]
        order = [names.index(line.split(": dreamed")[0].partition("/drop/")[2]) for line in lines if fresh not in line]
        assert max(abs(at - where) for where, at in enumerate(order)) < 10, "one after the other"
