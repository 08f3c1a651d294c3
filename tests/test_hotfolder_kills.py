"""The hot folder's processes killed as by a power cut: nothing is lost, doubled or half, at whatever moment it was."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from helper_process import Helper, until
from PIL import Image
from watching import SLOW, TINY, Watching, photograph, watching

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow("kills")

KILLED_AT = """
import os, runpy, signal, sys
from deepdream_core.hotfolder import moves
from deepdream_core.hotfolder.journal import Journal

at, left = int(sys.argv.pop(1)), sys.argv.pop(1)
steps = 0

def killing(call, name):
    def step(*arguments, **values):
        global steps
        for moment in ("before", "after"):
            if steps == at:
                with open(left, "w") as file:
                    file.write(f"{moment} {name(arguments)}")
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1
            if moment == "before":
                answer = call(*arguments, **values)
        return answer
    return step

Journal.take = killing(Journal.take, lambda arguments: "taken")
Journal.claim = killing(Journal.claim, lambda arguments: "claimed")
Journal.note = killing(Journal.note, lambda arguments: arguments[2])
moves.move = killing(moves.move, lambda arguments: "a move")
runpy.run_module("deepdream_core", run_name="__main__", alter_sys=True)
"""


def check_all_done(drop: Watching, names: list[str]) -> None:
    """See that each of these pictures is done once, whole, and that nothing else lies there."""
    drop.kill()
    assert drop.files() == sorted(f"{part}/{name}" for part in ("out", "done") for name in names)
    for name in names:
        with Image.open(drop.drop / "out" / name) as dreamed:
            dreamed.load()
    assert not [path for path in drop.drop.rglob(".deepdream-*") if path.parent != drop.drop], "nothing hidden is left"


def test_at_every_state_of_the_journal(tmp_path: Path, helper: Helper) -> None:
    """One picture after the other, each with the daemon killed one step later on its way."""
    (tmp_path / "killed.py").write_text(KILLED_AT)
    moments, names = [], []
    with watching(tmp_path / "own", helper) as drop:
        drop.kill()
        for at in range(100):
            name = f"{at}.png"
            photograph(drop.drop / name, at, side=40)
            names.append(name)
            drop.start(program=(str(tmp_path / "killed.py"), str(at), str(tmp_path / "moment")))
            assert drop.process is not None
            process, done = drop.process, drop.drop / "done" / name
            until(lambda p=process, d=done: p.poll() is not None or d.exists(), 30)  # type: ignore[misc]
            time.sleep(0.3)  # the last note comes after the move
            if process.poll() is None:
                break
            assert process.returncode == -signal.SIGKILL, drop.said()
            moments.append((tmp_path / "moment").read_text())
            assert not drop.drop.joinpath("done", name).exists() or not drop.drop.joinpath(name).exists()
            drop.start()
            drop.comes(f"done/{name}")
            with contextlib.closing(drop.journal()) as journal:
                until(lambda: journal.counts(drop.drop) == {"done": len(names)}, 10)
            drop.kill()
        check_all_done(drop, names)
    states = ("taken", "claimed", "written", "delivered", "done", "a move")
    assert {f"{moment} {state}" for moment in ("before", "after") for state in states} == set(moments)


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow("kills"))])
def test_at_random_moments(tmp_path: Path, helper: Helper, kills: int) -> None:
    moments = random.Random(7)
    with watching(tmp_path / "own", helper) as drop:
        names: list[str] = []
        for number in range(kills):
            if number % 2 == 0:
                names.append(f"{number}.png")
                photograph(drop.drop / names[-1], number, side=48 + number)  # of one size none is another's copy
            time.sleep(moments.uniform(0.1, 1.3))
            drop.kill()
            drop.start()
        until(lambda: len(drop.files("done")) == len(names), 1200, 0.2)
        with contextlib.closing(drop.journal()) as journal:
            until(lambda: journal.counts(drop.drop) == {"done": len(names)}, 20)
        check_all_done(drop, names)


def helpers_of(drop: Watching) -> list[psutil.Process]:
    """The helpers that this daemon has started, and their workers."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = one.environ().get("DEEPDREAM_STATE_DIR") == str(drop.folder / "state")
            if (
                mine
                and one.pid != (drop.process.pid if drop.process else None)
                and "resource_tracker" not in str(one.cmdline())
            ):
                found.append(one)
    return found


def killed(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
        process.wait(60)


def test_helpers_and_workers_at_random_moments(tmp_path: Path) -> None:
    moments = random.Random(11)
    names = [f"{number}.png" for number in range(12)]
    settled = {**TINY, "iterations": 4}
    with watching(tmp_path / "own", None, {"presets": {"tiny": settled}}) as drop:
        try:
            for number, name in enumerate(names):
                photograph(drop.drop / name, number, side=64 + number)
            drop.comes(f"done/{names[0]}", 60)
            for _ in range(6):
                for one in moments.sample(found := helpers_of(drop), min(1, len(found))):
                    killed(one)
                drop.run("retry", "--all", "--config", str(drop.config))
                time.sleep(moments.uniform(0.5, 2.5))
            drop.run("retry", "--all", "--config", str(drop.config))
            until(lambda: len(drop.files("done")) == len(names), 120, 0.2)
            time.sleep(0.5)
            check_all_done(drop, names)
        finally:
            for one in helpers_of(drop):
                killed(one)


def test_a_picture_that_kills_workers_is_set_aside_and_the_others_go_on(tmp_path: Path) -> None:
    with watching(tmp_path / "own", None, {"presets": {"tiny": TINY, "slow": SLOW}}) as drop:
        try:
            photograph(drop.drop / "slow" / "deadly.png", 1)
            ended = drop.drop / "failed" / "slow" / "deadly.png"

            def dreaming() -> bool:
                return ended.exists() or any(one["fraction"] > 0 for one in drop.state()["running"])

            for _ in range(2):
                until(dreaming, 60)
                for one in helpers_of(drop):
                    if "spawn_main" in str(one.cmdline()):
                        killed(one)
                until(lambda: ended.exists() or not drop.state()["running"], 20)
                drop.run("retry", "--all", "--config", str(drop.config))
            until(ended.exists, 30)
            why = ended.parent / "deadly.png.why.txt"
            until(lambda: why.exists() and why.read_text(), 30)
            assert "worker" in why.read_text().lower()
            photograph(drop.drop / "good.png", 2)
            drop.comes("done/good.png")
        finally:
            for one in helpers_of(drop):
                killed(one)
