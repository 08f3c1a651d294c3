"""A day of the hot folder in half a minute: real files, journal and helper, and a clock of our own."""

from __future__ import annotations

import datetime
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from helper_process import running_helper
from watching import TINY, photograph

from deepdream_core.config import load_config
from deepdream_core.errors import HelperError
from deepdream_core.hotfolder.daemon import Daemon
from deepdream_core.hotfolder.engines import LOCAL
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.hotfolder.rest import PAUSES_S
from deepdream_core.hotfolder.watching import Watcher
from deepdream_core.machine_settings import FolderSettings
from deepdream_core.settings import Preset
from deepdream_core.work import remote

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepdream_core.work.backend import Backend

pytestmark = pytest.mark.slow("soaks")

HOUR_S = 3600.0


class Day:
    """What happens in a day that begins at six in the morning; `at` says when, in hours since then."""

    def __init__(self, folder: Path) -> None:
        self.drop, self.away = folder / "drop", folder / "away"
        self.drop.mkdir()
        self.now = self.set_forward = 0.0
        self.begins = datetime.datetime(2026, 3, 10, 6, 0).timestamp()
        self.to_come: list[tuple[float, Callable[[], object]]] = []
        self.said: list[str] = []
        self.done: dict[str, float] = {}
        self.asked_for_helper: list[float] = []
        self.helper_is_there = True
        self.modes: set[str] = set()
        self.sizes: list[tuple[int, int, int]] = []
        self.daemon: Daemon

    def at(self, hour: float, act: Callable[[], object]) -> None:
        self.to_come.append((hour * HOUR_S, act))

    def drops(self, hour: float) -> None:
        self.at(hour, lambda: photograph(self.drop / f"{hour:05.2f}.png", int(hour * 4), side=32 + int(hour)))

    def wall_clock(self) -> float:
        return self.begins + self.now + self.set_forward

    def engine(self, before: Backend | None) -> Backend:
        self.asked_for_helper.append(self.now / HOUR_S)
        if not self.helper_is_there:
            raise HelperError("the helper is not there", "start it")
        return before or remote.RemoteEngine(lambda: remote.connect(start=False), lambda _text: None)

    def show(self, state: dict[str, Any]) -> None:
        """What the daemon calls in every turn: time passes, and things happen."""
        folder = state["folders"][0]
        self.modes.add(folder["watched"])
        for name in os.listdir(self.drop / "done") if (self.drop / "done").is_dir() else []:  # noqa: PTH208
            self.done.setdefault(name, self.now / HOUR_S)
        if folder["running"]:
            time.sleep(0.002)
        busy = folder["running"] or (folder["waiting"] and not folder["resting"])
        self.now += 0.5 if busy else 5.0
        while self.to_come and self.to_come[0][0] <= self.now:
            self.to_come.pop(0)[1]()
        if self.now >= 24 * HOUR_S:
            self.daemon.stop()

    def weigh(self) -> None:
        own = psutil.Process()
        threads = [thread.name for thread in threading.enumerate()]
        for_pictures = sum(name.startswith("picture thread") for name in threads)
        assert for_pictures <= LOCAL
        self.sizes.append((own.memory_info().rss, own.num_fds(), len(threads) - for_pictures))


def waiting(canary: Callable[[Watcher, float], None]) -> Callable[[Watcher, float], None]:
    """Our time stands still while the kernel tells of the canary, for its own time does not run with ours."""

    def tried(watcher: Watcher, now: float) -> None:
        canary(watcher, now)
        if watcher.mode == "events":
            watcher._canary_seen.wait(20)

    return tried


@pytest.mark.skipif(not hasattr(psutil.Process, "num_fds"), reason="counts file descriptors, which Windows does not")
def test_a_day_with_quiet_hours_a_lost_helper_a_sleep_a_wrong_clock_and_a_disk_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watcher, "canary", waiting(Watcher.canary))
    day = Day(tmp_path)
    settings = FolderSettings(path=str(day.drop), preset="tiny", quiet_hours="22:00-07:00")
    config = load_config(None)
    tiny = Preset(description="quick", settings={key: value for key, value in TINY.items() if key != "description"})
    config = config.model_copy(update={"presets": {"tiny": tiny}})
    hours = [0.0, 2.0, 3.0, 4.5, 5.0, 5.5, 7.0, 9.0, 11.0, 13.0, 14.0]
    for hour in hours:
        day.drops(hour)
    day.at(4.0, lambda: setattr(day, "helper_is_there", False))
    day.at(6.0, lambda: setattr(day, "helper_is_there", True))
    day.at(8.0, lambda: setattr(day, "set_forward", 2 * HOUR_S))  # it slept for two hours, which only one clock counts
    day.at(10.0, lambda: setattr(day, "set_forward", -1 * HOUR_S))  # and then somebody sets it back by three
    day.at(12.0, lambda: day.drop.rename(day.away))
    day.at(12.5, lambda: photograph(day.away / "12.50.png", 50, side=90))
    day.at(12.75, lambda: day.away.rename(day.drop))
    day.at(
        20.0, lambda: photograph(day.drop / "20.00.png", 60, side=91)
    )  # one in the morning by a clock set back by one
    for hour in (2.5, 23.5):
        day.at(hour, day.weigh)
    day.to_come.sort(key=lambda one: one[0])

    with running_helper(tmp_path / "helper") as helper:
        monkeypatch.setenv("DEEPDREAM_RUNTIME_DIR", str(helper.folder / "run"))
        monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))
        helper.client().warm()
        journal = Journal(tmp_path / "journal.sqlite3")
        day.daemon = Daemon(
            lambda: (config, [settings]), journal, day.engine, day.said.append, day.show,
            clock=lambda: day.now, wall_clock=day.wall_clock, tick_s=0.0005,
        )  # fmt: skip
        day.daemon.run()
        counts = journal.counts(day.drop)
        journal.close()

    wanted = {f"{hour:05.2f}.png": hour for hour in [*hours, 12.5]}
    said = "\n".join(day.said)
    assert sorted(day.done) == sorted(wanted), said
    assert counts == {"done": len(wanted)}
    assert sorted(path.name for path in (day.drop / "out").iterdir()) == sorted(wanted)
    assert "20.00.png" in os.listdir(day.drop), "quiet hours"  # noqa: PTH208
    assert 1.0 <= day.done.pop("00.00.png") < 1.15, "quiet hours end at seven"
    late = {"04.50.png": 6.0, "05.00.png": 6.0, "05.50.png": 6.0, "12.50.png": 12.75}
    for name, done_at in day.done.items():
        begun = late.get(name, wanted[name])
        assert begun <= done_at < begun + (PAUSES_S[-1] / HOUR_S if begun == 6.0 else 0.0) + 0.15, (name, done_at)
    in_vain = [hour for hour in day.asked_for_helper if 4.0 < hour < 6.0]
    assert 5 < len(in_vain) < 60, "it tries again and again, the less often the longer it lasts"
    assert day.modes == {"events"}, "the hourly test of events has passed every time"
    assert said.count("is offline") == said.count("drop: is available again") == 1, said
    (rss, descriptors, threads), (later_rss, *later) = day.sizes
    assert later == [descriptors, threads], "nothing is left open"
    assert later_rss < rss + 20e6
