"""What is told of a drop folder, with real files and the system's real events; and what is done where these fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from helper_process import until
from watchdog.events import FileModifiedEvent
from watchdog.observers.inotify_c import InotifyFD

from deepdream_core.hotfolder import hints, watching
from deepdream_core.hotfolder.hints import Hint
from deepdream_core.hotfolder.watching import CANARY_EVERY_S, CANARY_S, Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify's ways are Linux's")
root_only = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can mount or be somebody else")


class Clock:
    """Monotonic and wall time, which stand until they are moved; tests of real time use the real ones."""

    def __init__(self) -> None:
        self.now, self.slept = 1_000.0, 0.0

    def wall(self) -> float:
        return 1_700_000_000 + self.now + self.slept


def passed_over(path: Path, is_folder: bool) -> bool:
    return path.name.startswith(".") or path.suffix == ".part" or (is_folder and path.name in ("out", "done", "failed"))


class Watched:
    """A folder under watch, with time that only tests move."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root, self.clock = root, Clock()
        options = {"passed_over": passed_over, **options}
        self.watcher = Watcher(root, clock=lambda: self.clock.now, wall_clock=self.clock.wall, **options)
        self.seen: list[Hint] = []

    def started(self) -> Watched:
        """Start, and take away what that hints."""
        self.watcher.start()
        assert self.watcher.drain() == [Hint(self.root, None, "the start")]
        self.heard_canary()
        return self

    def heard_canary(self) -> None:
        until(self.watcher._canary_seen.is_set, 5)

    def tick(self, after_s: float = 1.0) -> list[str]:
        """Let time go by; return why the whole folder is to be scanned, if it is."""
        self.clock.now += after_s
        self.watcher.tick(self.clock.now)
        hints = self.watcher.drain()
        self.seen += hints
        return [hint.why for hint in hints if hint.path is None]

    def told(self, *paths: str) -> bool:
        """Wait until there are hints of all these."""

        def there() -> bool:
            self.seen += self.watcher.drain()
            return {self.root / path for path in paths} <= {hint.path for hint in self.seen}

        return bool(until(there, 5))

    def everything(self) -> str:
        """Wait for the hint to look everywhere; return why."""

        def there() -> str:
            self.seen += self.watcher.drain()
            return next((hint.why for hint in self.seen if hint.path is None), "")

        return str(until(there, 5))

    def is_quiet(self) -> bool:
        """Say whether nothing but what a later file causes is told; events come in order."""
        (self.root / "last").touch()
        self.told("last")
        return {hint.path for hint in self.seen} == {self.root / "last"}

    def threads(self) -> list[threading.Thread]:
        assert self.watcher._events is not None
        return self.watcher._events._threads()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Make watched folders, that leave neither thread nor canary behind."""
    before, made = set(threading.enumerate()), list[Watched]()

    def make(root: Path = tmp_path / "root", **options: Any) -> Watched:
        root.mkdir(exist_ok=True)
        made.append(Watched(root, **options))
        return made[-1]

    yield make
    for one in made:
        one.watcher.stop()
        assert not list(one.root.glob(".deepdream-canary-*")) if one.root.is_dir() else True
    left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert not left, f"threads left behind: {left}"


class Gate:
    """Lets the system's events be read, or not: what a reader does not take piles up in the kernel."""

    def __init__(self) -> None:
        self.opened, self.waited_at = threading.Event(), threading.Event()
        self.opened.set()

    def shut(self, one: Watched) -> None:
        """Shut it and wait until the reader stands before it, with all earlier events delivered."""
        (one.root / "before").touch()
        one.told("before")
        self.opened.clear()
        (one.root / ".nudge").touch()
        until(self.waited_at.is_set, 5)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Events are read only while it is open."""
    it, read = Gate(), InotifyFD.read_events

    def gated(self: InotifyFD) -> Any:
        if not it.opened.is_set():
            it.waited_at.set()
            it.opened.wait(20)
        return read(self)

    monkeypatch.setattr(InotifyFD, "read_events", gated)
    yield it
    it.opened.set()


def watches() -> int:
    """How many folders this process has the kernel watch."""
    lines = 0
    for path in Path("/proc/self/fdinfo").iterdir():
        try:
            lines += len(re.findall("^inotify wd:", path.read_text(), re.MULTILINE))
        except OSError:
            continue
    return lines


# --- what is told


def test_each_way_of_arriving_gives_a_hint(watch: Callable[..., Watched], tmp_path: Path) -> None:
    one = watch()
    for name in ("old", "renamed.part", "grows", "touched", "linked"):
        (one.root / name).write_text("x")
    (one.root / "sub").mkdir()
    (tmp_path / "outside").write_text("x")
    one.started()
    (one.root / "new").write_text("x")
    (one.root / "empty").touch()
    (tmp_path / "outside").rename(one.root / "moved in")
    (one.root / "old").rename(one.root / "sub" / "moved")
    (one.root / "renamed.part").rename(one.root / "renamed")
    os.link(one.root / "linked", one.root / "sub" / "link")
    (one.root / "touched").chmod(0o600)
    with (one.root / "grows").open("a") as file:
        file.write("y")
        file.flush()
        assert one.told("grows"), "before it is closed"
    assert one.told("new", "empty", "moved in", "sub/moved", "renamed", "sub/link", "touched")
    told = {str(hint.path.relative_to(one.root)) for hint in one.seen if hint.path is not None}
    assert told == {"grows", "new", "empty", "moved in", "sub/moved", "renamed", "sub/link", "touched"}


def test_closing_after_writing_gives_a_hint_even_without_another_change(watch: Callable[..., Watched]) -> None:
    one = watch().started()
    with (one.root / "a").open("w") as file:
        file.write("x")
        file.flush()
        one.told("a")
        until(lambda: not one.watcher.drain(), 5, 0.1)
        one.seen.clear()
    assert one.told("a")
    assert one.seen[-1].why == "a program has written it"


def test_new_folders_give_a_hint_and_are_watched(watch: Callable[..., Watched], tmp_path: Path) -> None:
    one = watch().started()
    (one.root / "a" / "b" / "c").mkdir(parents=True)
    (one.root / "a" / "b" / "c" / "early").touch()
    (tmp_path / "card" / "DCIM").mkdir(parents=True)
    (tmp_path / "card" / "DCIM" / "early").touch()
    (tmp_path / "card").rename(one.root / "card")
    assert one.told("a", "card")
    assert one.told("a/b/c/early", "card/DCIM/early")
    (one.root / "a" / "b" / "c" / "late").touch()
    (one.root / "card").rename(one.root / "renamed")
    assert one.told("a/b/c/late", "renamed")
    (one.root / "renamed" / "DCIM" / "late").touch()
    assert one.told("renamed/DCIM/late")


def test_a_folder_that_is_moved_out_and_comes_back_is_watched_again(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    one = watch()
    (one.root / "sub").mkdir()
    one.started()
    for _ in range(2):
        (one.root / "sub").rename(tmp_path / "away")
        (tmp_path / "away").rename(one.root / "back")
        assert one.told("back")
        (one.root / "back" / "a").touch()
        assert one.told("back/a")
        (one.root / "back").rename(one.root / "sub")
        one.told("sub")
        one.seen.clear()
    assert one.tick() == []


def test_ignored_files_give_no_hint_and_our_own_folders_are_not_watched(watch: Callable[..., Watched]) -> None:
    one = watch()
    for folder in ("out/deep/er", "done/x", "failed", ".hidden/x", "sub/out/deep", "sub/in"):
        (one.root / folder).mkdir(parents=True)
    before = watches()
    one.started()
    assert watches() - before == 3, "the folder itself, sub and sub/in"
    for name in ("out/a", "out/deep/er/a", "done/x/a", "failed/a", ".hidden/x/a", ".b", "c.part", "sub/out/deep/a"):
        (one.root / name).write_text("x")
    (one.root / "out" / "new").mkdir()
    (one.root / "sub" / "done").mkdir()
    (one.root / "sub" / "done" / "a").touch()
    assert one.is_quiet()
    (one.root / "out" / "deep").rename(one.root / "deep")
    one.told("deep")
    (one.root / "deep" / "er" / "a").write_text("x")
    assert one.told("deep/er/a")


def test_moving_originals_away_gives_no_hint(watch: Callable[..., Watched]) -> None:
    one = watch()
    (one.root / "done").mkdir()
    (one.root / "a").touch()
    (one.root / "b").touch()
    one.started()
    (one.root / "a").rename(one.root / "done" / "a")
    (one.root / "b").unlink()
    assert one.is_quiet()


def test_names_of_any_bytes(watch: Callable[..., Watched]) -> None:
    one = watch()
    folder = os.fsdecode(b"\xffolder\n")
    (one.root / folder).mkdir()
    one.started()
    names = [os.fsdecode(name) for name in (b"\xff\xfe.jpg", b"two\nlines", b"x" * 255, b" ")]
    for name in names:
        (one.root / name).touch()
        (one.root / folder / name).touch()
    assert one.told(*names, *(f"{folder}/{name}" for name in names))


def test_the_folder_may_be_a_link_and_links_in_it_are_not_followed(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "away").mkdir()
    (tmp_path / "root").symlink_to("real")
    (tmp_path / "real" / "link").symlink_to(tmp_path / "away")
    one = watch(tmp_path / "root").started()
    (tmp_path / "away" / "secret").touch()
    (tmp_path / "real" / "link2").symlink_to(tmp_path / "away")
    (tmp_path / "away" / "secret2").touch()
    (tmp_path / "real" / "a").touch()
    assert one.told("a", "link2")
    assert {hint.path for hint in one.seen} == {tmp_path / "root" / "a", tmp_path / "root" / "link2"}


def test_a_restored_permission_gives_a_hint(watch: Callable[..., Watched]) -> None:
    one = watch()
    (one.root / "sub").mkdir(mode=0)
    one.started()
    (one.root / "sub").chmod(0o755)
    assert one.told("sub")
    one.root.chmod(0o700)
    assert one.everything() == "its permissions or times have changed"


# --- many at once


def test_a_storm_on_one_file_is_one_hint(watch: Callable[..., Watched]) -> None:
    one = watch().started()
    woken = list[None]()
    one.watcher._pending._wake = lambda: woken.append(None)
    for _ in range(20_000):
        one.watcher._take(FileModifiedEvent(str(one.root / "a")))
        one.watcher._take(FileModifiedEvent(str(one.root / "b")))
    assert [hint.path for hint in one.watcher.drain()] == [one.root / "a", one.root / "b"]
    assert len(woken) == 1
    assert one.watcher.drain() == []


def test_too_many_files_at_once_are_one_hint_to_look_everywhere(
    watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "MOST_PATHS", 100)
    one = watch().started()
    for number in range(100):
        (one.root / f"{number}").touch()
    until(lambda: len(one.watcher._pending._paths) == 100, 5)
    (one.root / "one more").touch()
    until(lambda: not one.watcher._pending._paths, 5)
    (one.root / "and another").touch()
    one.watcher._lost()
    assert one.watcher.drain() == [Hint(one.root, None, "more than 100 files have changed")]


def test_waking_is_asked_for_once_until_all_is_taken(watch: Callable[..., Watched]) -> None:
    woken = list[str]()
    one = watch(wake=lambda: woken.append(threading.current_thread().name))
    one.started()
    assert woken == [threading.current_thread().name]
    (one.root / "a").touch()
    (one.root / "b").touch()
    one.told("a", "b")
    assert 2 <= len(woken) <= 5
    before = len(woken)
    until(lambda: not one.watcher.drain(), 5, 0.1)
    (one.root / "c").touch()
    until(lambda: len(woken) > before, 5)


def test_many_threads_lose_no_hint(watch: Callable[..., Watched]) -> None:
    one = watch().started()
    stopped, taken = threading.Event(), set[Path | None]()

    def drain() -> None:
        while not stopped.is_set():
            taken.update(hint.path for hint in one.watcher.drain())

    def take(name: str) -> None:
        for number in range(2_000):
            one.watcher._take(FileModifiedEvent(str(one.root / f"{name}{number}")))

    drains = threading.Thread(target=drain)
    takes = [threading.Thread(target=take, args=(name,)) for name in "abc"]
    for thread in (drains, *takes):
        thread.start()
    for thread in takes:
        thread.join()
    stopped.set()
    drains.join()
    taken.update(hint.path for hint in one.watcher.drain())
    assert taken - {None} == {one.root / f"{name}{number}" for name in "abc" for number in range(2_000)}


def test_a_full_queue_of_the_kernel_is_noticed(watch: Callable[..., Watched], gate: Gate) -> None:
    one = watch()
    for name in ("a", "b"):
        (one.root / name).touch()
    (one.root / "sub").mkdir()
    one.started()
    gate.shut(one)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(most + 500):
        os.utime(one.root / "ab"[number % 2])
    one.watcher.canary(one.clock.now)
    (one.root / "lost").touch()
    (one.root / "new").mkdir()
    gate.opened.set()
    assert one.everything() == "more changed at once than the system could report"
    (one.root / "sub" / "later").touch()
    (one.root / "new" / "later").touch()
    assert one.told("sub/later", "new/later")
    assert one.root / "lost" not in {hint.path for hint in one.seen}, "the kernel's queue was not full"
    one.tick()
    one.heard_canary()
    one.tick(CANARY_S)
    assert one.watcher.mode == "events", "the canary that was lost with the others is sent again"


# --- faults


def test_a_question_that_raises_ends_no_thread_and_loses_no_file(
    watch: Callable[..., Watched], caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(path: Path, is_folder: bool) -> bool:
        if path.name.startswith("bad"):
            raise RuntimeError("broken")
        return passed_over(path, is_folder)

    one = watch(passed_over=breaks)
    one.root.joinpath("bad folder").mkdir()
    one.started()
    threads = one.threads()
    (one.root / "bad").touch()
    assert one.everything() == "an event could not be understood"

    def good() -> bool:  # whatever comes together with the bad file is covered by its hint
        (one.root / "good").touch()
        return one.root / "good" in {hint.path for hint in one.watcher.drain()}

    until(good, 5)
    assert one.tick() == []
    assert one.threads() == threads
    assert all(thread.is_alive() for thread in threads)
    assert "an event could not be understood" in caplog.text


@pytest.mark.parametrize("which", ["dispatcher", "emitter", "reader"])
def test_an_ended_thread_is_noticed_and_watching_starts_again(watch: Callable[..., Watched], which: str) -> None:
    one = watch().started()
    assert one.tick() == []
    thread: Any = dict(zip(("dispatcher", "emitter", "reader"), one.threads(), strict=True))[which]
    thread.stop()
    thread.join(60)
    (one.root / "unseen").touch()
    assert one.tick() == ["the observer had ended"]
    one.heard_canary()
    (one.root / "seen").touch()
    assert one.told("seen")
    assert one.tick() == []
    assert (one.watcher.mode, one.watcher.why) == ("events", "")
    again: Any = one.threads()[0]
    again.stop()
    again.join(60)
    assert one.tick(0) == []
    assert one.watcher.mode == "polling"
    assert one.watcher.why.startswith("the observer ended again")
    assert one.tick(10) == ["the observer had ended"]
    assert one.watcher.mode == "events"


def test_a_folder_that_is_removed_and_made_again_is_watched_again(watch: Callable[..., Watched]) -> None:
    one = watch().started()
    one.root.rmdir()
    for _ in range(3):
        assert one.tick(30) == []
        assert one.watcher.mode == "polling"
        assert one.watcher.why == "the folder does not exist, or its disk does not answer"
    one.watcher.restart("tried too early")
    one.watcher.drain()
    assert one.tick() == []
    one.root.mkdir()
    assert one.tick() == ["the folder is back"]
    one.heard_canary()
    (one.root / "a").touch()
    assert one.told("a")
    assert (one.tick(), one.watcher.mode, one.watcher.why) == ([], "events", "")


def test_a_folder_in_the_place_of_another_is_watched(watch: Callable[..., Watched], tmp_path: Path) -> None:
    one = watch().started()
    one.root.rename(tmp_path / "old")
    one.root.mkdir()
    assert one.tick() == ["another folder is in its place"]
    one.heard_canary()
    one.seen.clear()
    (tmp_path / "old" / "a").touch()
    assert one.is_quiet()


def test_a_folder_that_is_not_there_at_the_start(watch: Callable[..., Watched], tmp_path: Path) -> None:
    one = watch()
    one.root.rmdir()
    one.watcher.start()
    assert one.watcher.mode == "polling"
    one.watcher.drain()
    assert one.tick() == []
    one.root.write_text("a file")
    assert one.tick() == []
    one.root.unlink()
    one.root.mkdir()
    assert one.tick() == ["the folder is back"]
    assert one.watcher.mode == "events"


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Mount a tmpfs on a folder, or take it away."""
    places = list[Path]()

    def mount(place: Path, options: str = "rw") -> None:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "test", place], check=False).returncode:
            pytest.skip("mounting is not allowed here")
        places.append(place)

    yield mount
    for place in places:
        while os.path.ismount(place):
            subprocess.run(["umount", "-l", place], check=True)


@root_only
def test_a_mount_can_go_while_it_is_watched_and_come_back(
    watch: Callable[..., Watched], mounted: Callable[..., None]
) -> None:
    one = watch()
    mounted(one.root)
    one.started()
    subprocess.run(["umount", one.root], check=True)
    assert one.tick() == ["another folder is in its place"]
    mounted(one.root)
    assert one.tick() == ["another folder is in its place"]
    one.heard_canary()
    (one.root / "a").touch()
    assert one.told("a")


@root_only
def test_a_mount_that_was_away_only_between_two_looks(
    watch: Callable[..., Watched], mounted: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = watch()
    mounted(one.root)
    monkeypatch.setattr(watching, "_identity", lambda _: (1, 2))  # numbers are used again
    one.started()
    subprocess.run(["umount", one.root], check=True)
    mounted(one.root)
    until(lambda: one.watcher._events is not None and not one.watcher._events.alive, 5)
    assert one.tick() == ["the observer had ended"]
    one.heard_canary()
    (one.root / "a").touch()
    assert one.told("a")


@pytest.mark.parametrize("slept", [3_600.0, -3_600.0, 31.0])
def test_a_clock_that_jumps_is_a_reason_to_look_everywhere(watch: Callable[..., Watched], slept: float) -> None:
    one = watch().started()
    assert one.tick() == []
    one.clock.slept += slept
    assert one.tick() == ["the clock jumped: the machine slept, or the clock was set"]
    assert one.tick() == []
    one.clock.slept += 29
    assert one.tick() == []
    assert one.tick(100) == [], "slow ticks are no jump"


# --- the canary


def test_the_canary_gives_no_hint_and_does_not_stay(watch: Callable[..., Watched]) -> None:
    one = watch(passed_over=lambda *_: False).started()
    (one.root / f".deepdream-canary-{os.getpid()}").write_text("left by one that was killed")
    (one.root / ".deepdream-canary-1").write_text("another's")
    one.watcher.canary(one.clock.now)
    assert os.listdir(one.root) == [".deepdream-canary-1"]  # noqa: PTH208
    assert one.watcher.why == ""
    one.heard_canary()
    assert one.is_quiet()
    (one.root / ".deepdream-canary-1").unlink()


def test_missing_and_returning_events_are_noticed(watch: Callable[..., Watched], gate: Gate) -> None:
    one = watch(polled_every_s=7)
    one.started()
    assert one.tick() == []
    gate.shut(one)
    assert one.tick(CANARY_EVERY_S - 2) == []
    assert one.tick(1.5) == []
    assert one.watcher._canary_due is not None
    assert (one.tick(CANARY_S - 0.1), one.watcher.mode) == ([], "events")
    assert one.tick(0.2) == ["polling"]
    assert one.watcher.mode == "polling"
    assert one.watcher.why == (
        "this file system does not report changes made here; therefore DeepDream scans the folder every 7 s"
    )
    assert one.tick(6.9) == []
    assert one.tick(0.2) == ["polling"]
    gate.opened.set()
    one.heard_canary()
    assert one.tick() == ["events arrive again"]
    assert (one.watcher.mode, one.watcher.why) == ("events", "")
    assert one.tick(60) == []


def test_when_no_events_come_from_the_start_the_first_look_is_as_soon_as_that_is_known(
    watch: Callable[..., Watched], gate: Gate
) -> None:
    gate.opened.clear()
    one = watch(polled_every_s=60)
    one.watcher.start()
    one.watcher.drain()
    assert one.tick(CANARY_S - 0.1) == []
    assert one.tick(0.2) == ["polling"]


@root_only
def test_a_folder_that_cannot_be_written_to_has_no_canary(
    watch: Callable[..., Watched], mounted: Callable[..., None]
) -> None:
    one = watch()
    mounted(one.root, "ro")
    one.watcher.start()
    one.tick(CANARY_S + 1)
    assert one.watcher.mode == "events"
    assert one.watcher.why == "DeepDream could not test whether this system reports changes here: Read-only file system"
    subprocess.run(["mount", "-o", "remount,rw", one.root], check=True)
    one.tick(CANARY_EVERY_S)
    one.heard_canary()
    assert (one.tick(), one.watcher.mode, one.watcher.why) == ([], "events", "")


# --- where events cannot be had


LIMITED = """
import os, sys, time
from pathlib import Path
from deepdream_core.hotfolder.watching import Watcher
limit, number, root = sys.argv[1], sys.argv[2], Path(sys.argv[3])
Path("/proc/sys/user", limit).write_text(number)
now = 1000.0
clock = lambda: now
watcher = Watcher(root, passed_over=lambda *_: False, polled_every_s=10, clock=clock, wall_clock=clock)
watcher.start()
if sys.argv[4:]:
    print(watcher.mode)
    (root / sys.argv[4]).mkdir()
    for _ in range(200):
        watcher.tick(now)
        if watcher.mode == "polling":
            break
        time.sleep(0.02)
print(watcher.mode, watcher.why, sep="\\n")
watcher.drain()
now += 11
watcher.tick(now)
print([hint.why for hint in watcher.drain()])
now += 1
watcher.tick(now)
print([hint.why for hint in watcher.drain()])
Path("/proc/sys/user", limit).write_text("1000")
now += 3700
watcher.tick(now)
print([hint.why for hint in watcher.drain()], watcher.mode)
watcher.stop()
"""


def limited(limit: str, number: int, root: Path, *more: str) -> list[str]:
    """What a watcher says with other limits: those of a user namespace of its own, so that nobody else is touched."""
    program = f"import sys\nsys.path[:0] = {sys.path!r}\n{LIMITED}"
    command = ["unshare", "-Ur", sys.executable, "-W", "error", "-c", program, limit, str(number), str(root), *more]
    try:
        subprocess.run(["unshare", "-Ur", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no user namespaces here")
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


@pytest.mark.parametrize("number", [0, 2], ids=["for the folder itself", "for all that is in it"])
def test_without_watches_at_the_start_the_message_says_what_helps_and_the_folder_is_polled(
    tmp_path: Path, number: int
) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    mode, why, *hints = limited("max_inotify_watches", number, tmp_path)
    present = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    assert mode == "polling"
    assert why == (
        f"out of inotify watches (fs.inotify.max_user_watches is {present}): raise it with "
        f"`sudo sysctl fs.inotify.max_user_watches={max(524_288, 2 * present)}`; "
        "until then DeepDream scans the folder every 10 s"
    )
    assert hints == ["['polling']", "[]", "['retrying to get events'] events"]


def test_when_watches_run_out_later_it_is_noticed(tmp_path: Path) -> None:
    before, mode, why, *hints = limited("max_inotify_watches", 1, tmp_path, "one folder more")
    assert (before, mode) == ("events", "polling")
    assert why.startswith("out of inotify watches")
    assert hints == ["['polling']", "[]", "['retrying to get events'] events"]


def test_without_instances_the_message_says_what_helps_and_the_folder_is_polled(tmp_path: Path) -> None:
    mode, why, *hints = limited("max_inotify_instances", 0, tmp_path)
    assert mode == "polling"
    assert why.startswith("out of inotify instances (fs.inotify.max_user_instances is ")
    assert re.search(r"`sudo sysctl fs\.inotify\.max_user_instances=\d+`; until then ", why)
    assert hints == ["['polling']", "[]", "['retrying to get events'] events"]


@root_only
def test_a_folder_that_may_not_be_read_is_polled(watch: Callable[..., Watched]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        one = watch(Path(folder, "root"))
        (one.root / "sub").mkdir()
        one.root.chmod(0)
        os.seteuid(65_534)
        try:
            one.watcher.start()
            one.watcher.drain()
            assert (one.tick(), one.watcher.mode) == ([], "polling")
            assert one.tick(10) == ["polling"]
        finally:
            os.seteuid(0)
        assert one.watcher.why == (
            "DeepDream cannot watch this folder for changes: Permission denied; "
            "therefore DeepDream scans the folder every 10 s"
        )
        one.root.chmod(0o700)
        assert (one.tick(CANARY_EVERY_S), one.watcher.mode) == (["retrying to get events"], "events")


@pytest.mark.parametrize(
    ("kind", "place", "mode"),
    [("nfs4", ".", "polling"), ("CIFS", "..", "polling"), ("ext4", ".", "events"), ("nfs", "other", "events")],
)
def test_a_share_that_other_machines_write_to_is_also_polled(
    watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, kind: str, place: str, mode: str
) -> None:
    one = watch()
    mounts = [("/", "ext4"), (str((one.root / place).resolve()), "ext4"), (str((one.root / place).resolve()), kind)]
    partitions = [SimpleNamespace(mountpoint=point, fstype=fstype) for point, fstype in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: partitions)
    one.started()
    assert one.watcher.mode == mode
    assert (kind in one.watcher.why) == (mode == "polling")
    (one.root / "a").touch()
    assert one.told("a"), "what is done on this machine is told at once all the same"
    assert one.tick(11) == (["polling"] if mode == "polling" else [])


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="os.walk calls itself only before Python 3.12")
def test_folders_too_deep_to_be_watched_are_polled(watch: Callable[..., Watched]) -> None:
    one = watch()
    descriptor = os.open(one.root, os.O_RDONLY)
    for _ in range(1_000):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    try:
        one.watcher.start()
        one.watcher.drain()
        assert one.watcher.why.startswith("folders are nested too deeply to be watched; therefore DeepDream scans")
        assert one.tick(10) == ["polling"]
    finally:
        subprocess.run(["rm", "-rf", one.root / "d"], check=True)  # pytest's own way gives up so deep


# --- the end


@pytest.mark.alone
def test_stopping_ends_all_at_once_also_in_a_storm_and_twice(watch: Callable[..., Watched], tmp_path: Path) -> None:
    one = watch().started()
    threads = one.threads()
    program = "import os\nwhile True:\n open('a', 'w').close(); os.rename('a', 'b'); os.rename('b', '../b')"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", program], cwd=one.root) as storm:
        try:
            until(one.watcher.drain, 5)
            start = time.monotonic()
            one.watcher.stop()
            assert time.monotonic() - start < 2
        finally:
            storm.kill()
    assert not any(thread.is_alive() for thread in threads)
    one.watcher.stop()
    assert not list(one.root.glob(".deepdream*"))


def test_stopping_what_was_never_started_or_has_lost_its_folder(watch: Callable[..., Watched]) -> None:
    watch().watcher.stop()
    one = watch().started()
    one.root.rmdir()
    one.watcher.stop()


def test_no_descriptor_stays_open(watch: Callable[..., Watched]) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    one = watch().started()
    for _ in range(5):
        one.watcher.restart("again")
    one.watcher.stop()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_nothing_in_the_folder_is_touched_but_the_canary(watch: Callable[..., Watched]) -> None:
    one = watch()
    (one.root / "sub").mkdir()
    (one.root / "a").write_text("x")
    before = [(path, path.stat()) for path in (one.root / "sub", one.root / "a")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one.started()
        one.tick(CANARY_EVERY_S)
        one.watcher.stop()
    assert [(path, path.stat()) for path in (one.root / "sub", one.root / "a")] == before
    assert sorted(os.listdir(one.root)) == ["a", "sub"]  # noqa: PTH208
