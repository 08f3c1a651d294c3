"""The hot folder as people use it: a real daemon, a real helper, real files."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from typing import TYPE_CHECKING

import psutil
import pytest
from helper_process import Helper, until
from watching import Watching, another_disk, photograph, watching

from deepdream_core.photo import read_photo
from deepdream_core.work.recipe import recipe_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def drop(tmp_path: Path, helper: Helper) -> Iterator[Watching]:
    """A daemon that watches an empty folder."""
    with watching(tmp_path / "own", helper) as made:
        made.says("watching ")
        yield made


def delivered(drop: Watching, name: str) -> None:
    """Wait until a picture is dreamed, and see that both are whole and in their places."""
    drop.comes(f"done/{name}")
    until(lambda: name not in drop.files(), 5)
    recipe = recipe_of(drop.drop / "out" / name, max_megapixels=10)
    assert recipe.source.sha256 == read_photo(drop.drop / "done" / name, max_megapixels=10).sha256


# --- arrivals


def test_a_picture_that_is_dropped_is_dreamed_and_its_original_put_away(drop: Watching, tmp_path: Path) -> None:
    ready = photograph(tmp_path / "cat.jpg", 1)
    ready.rename(drop.drop / "cat.jpg")
    delivered(drop, "cat.jpg")
    assert drop.files() == ["done/cat.jpg", "out/cat.jpg"]
    assert "cat.jpg: dreamed in" in drop.said()
    assert drop.explain(drop.drop / "cat.jpg").startswith("was dreamed at ")


def test_existing_files_are_dreamed_too(tmp_path: Path, helper: Helper) -> None:
    photograph(tmp_path / "own" / "drop" / "before.png", 2)
    with watching(tmp_path / "own", helper) as drop:
        delivered(drop, "before.png")


@pytest.mark.parametrize("how", ["link", "from .part", "from .crdownload", "copied"])
def test_however_a_file_comes(drop: Watching, tmp_path: Path, how: str) -> None:
    ready = photograph(tmp_path / "cat.jpg", 3)
    target = drop.drop / "cat.jpg"
    if how == "link":
        os.link(ready, target)
    elif how == "copied":
        target.write_bytes(ready.read_bytes())
    else:
        part = drop.drop / f"cat.jpg{how.removeprefix('from ')}"
        part.write_bytes(ready.read_bytes())
        time.sleep(1.0)
        assert drop.files() == [part.name], "it is not taken under that name"
        part.rename(target)
    delivered(drop, "cat.jpg")


def test_a_tree_of_folders_keeps_its_shape_and_a_folder_named_like_a_preset_applies_it(
    drop: Watching, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    names = ["a.jpg", "holiday/b.png", "holiday/day 2/c.tif", "tiny/d.webp", "tiny/deep/e.jpg"]
    for seed, name in enumerate(names):
        photograph(tree / name, seed)
    for top in sorted(tree.iterdir()):
        top.rename(drop.drop / top.name)
    for name in names:
        delivered(drop, name)
    assert drop.files("out") == sorted(names)
    assert recipe_of(drop.drop / "out/tiny/deep/e.jpg", max_megapixels=10).preset == "tiny"


WRITER = """
import sys, time
data = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "wb", buffering=0) as file:
    for piece in range(4):
        file.write(data[len(data) * piece // 4 : len(data) * (piece + 1) // 4])
        print(piece, flush=True)
        time.sleep(1.0)
"""


def test_a_slow_writer_is_waited_for_however_long_it_pauses(drop: Watching, tmp_path: Path) -> None:
    ready = photograph(tmp_path / "cat.jpg", 4)
    target = drop.drop / "cat.jpg"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(ready), str(target)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.8)
        until(lambda: drop.explain(target).startswith("a program is still writing it"), 3)
        delivered(drop, "cat.jpg")
        assert writer.wait(60) == 0
    assert "truncated" not in drop.said(), "no half of it was tried"


def test_a_writer_that_opens_the_file_again_and_again_is_waited_for(drop: Watching, tmp_path: Path) -> None:
    data = photograph(tmp_path / "cat.jpg", 5).read_bytes()
    target = drop.drop / "cat.jpg"
    target.write_bytes(data[: len(data) // 2])
    drop.says("cat.jpg: waits: truncated or damaged")
    until(lambda: "truncated or damaged" in drop.explain(target), 10)
    with target.open("ab") as file:
        file.write(data[len(data) // 2 :])
    delivered(drop, "cat.jpg")


def test_a_placeholder_beside_its_download_waits_with_one_line_in_the_log(helper: Helper, tmp_path: Path) -> None:
    with watching(tmp_path / "own", helper, give_up_s=0.2) as drop:
        part = photograph(tmp_path / "cat.jpg", 5).rename(drop.drop / "cat.jpg.part")
        (drop.drop / "cat.jpg").touch()
        (drop.drop / "bad.png").write_text("not a picture at all")
        drop.says("cat.jpg: waits: the file is empty; the download cat.jpg.part beside it is not finished")
        drop.comes("failed/bad.png")
        until(lambda: drop.run("retry", str(drop.drop / "cat.jpg"), "--config", str(drop.config)).returncode == 0)
        until(lambda: "the download cat.jpg.part beside it is not finished" in drop.explain(drop.drop / "cat.jpg"))
        part.rename(drop.drop / "cat.jpg")
        delivered(drop, "cat.jpg")
        assert drop.said().count("cat.jpg: waits") == 1


def test_a_file_that_is_not_a_picture_is_reported_long_before_an_incomplete_one_is_given_up(drop: Watching) -> None:
    assert "give_up_s" not in drop.keys
    (drop.drop / "bad.png").write_text("not a picture at all")
    drop.comes("failed/bad.png.why.txt")


# --- twice


def test_the_same_picture_twice_is_dreamed_once_and_the_same_name_with_other_content_is_numbered(
    drop: Watching, tmp_path: Path
) -> None:
    photograph(tmp_path / "1" / "cat.png", 6).rename(drop.drop / "cat.png")
    delivered(drop, "cat.png")
    photograph(tmp_path / "2" / "again.png", 6).rename(drop.drop / "again.png")
    drop.comes("done/again.png")
    drop.says("again.png: not dreamed again: the same picture has already been dreamed")
    photograph(tmp_path / "3" / "cat.png", 7).rename(drop.drop / "cat.png")
    drop.comes("done/cat (2).png")
    assert drop.files("out") == ["cat (2).png", "cat.png"]
    until(lambda: "1 not dreamed again" in drop.run("status").stdout, 10)
    until(lambda: drop.state()["done"] == 2, 10)


def test_a_dream_is_not_dreamed_again(drop: Watching, tmp_path: Path) -> None:
    photograph(tmp_path / "cat.png", 8).rename(drop.drop / "cat.png")
    delivered(drop, "cat.png")
    (drop.drop / "out" / "cat.png").rename(drop.drop / "dream.png")
    drop.says("dream.png: left alone: is already a dream")
    until(lambda: drop.explain(drop.drop / "dream.png") == "is already a dream", 10)
    assert drop.files() == ["done/cat.png", "dream.png"]


def test_an_original_that_is_kept_is_dreamed_once_also_after_a_restart(tmp_path: Path, helper: Helper) -> None:
    with watching(tmp_path / "own", helper, originals="keep") as drop:
        photograph(drop.drop / "cat.png", 9)
        drop.comes("out/cat.png")
        drop.says("dreamed in")
        time.sleep(1.5)
        assert drop.stop() == 0
        drop.start()
        until(lambda: drop.said().count("watching ") == 2)
        time.sleep(2)
        assert drop.files() == ["cat.png", "out/cat.png"]
        assert drop.said().count("dreamed in") == 1
        photograph(drop.drop / "cat.png", 10)
        drop.comes("out/cat (2).png")


# --- what cannot be dreamed


def bomb(path: Path) -> None:
    """A PNG of a few bytes that says it is 60,000 pixels square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) +
                     chunk(b"IEND", b""))  # fmt: skip


def test_bad_files_are_set_aside_with_the_reason_and_the_others_continue(tmp_path: Path, helper: Helper) -> None:
    with watching(tmp_path / "own", helper, give_up_s=1.0) as drop:
        data = photograph(tmp_path / "half.jpg", 11, side=64).read_bytes()
        (drop.drop / "half.jpg").write_bytes(data[: len(data) // 2])
        bomb(drop.drop / "bomb.png")
        (drop.drop / "text.png").write_text("no picture")
        (drop.drop / "camera.nef").write_bytes(b"MM\0*" + bytes(1000))
        (drop.drop / "empty.tif").touch()
        photograph(drop.drop / "good.png", 12)
        delivered(drop, "good.png")
        for name, why in {
            "half.jpg": "Truncated or damaged",
            "bomb.png": "is 3600 megapixels",
            "text.png": "Not a ",
            "camera.nef": "Is camera RAW",
            "empty.tif": "The file is empty",
        }.items():
            drop.comes(f"failed/{name}.why.txt", 60)
            told = (drop.drop / "failed" / f"{name}.why.txt").read_text()
            assert why in told, told
            assert drop.explain(drop.drop / "failed" / name) == told.strip()
            assert (drop.drop / "failed" / name).exists()
        assert drop.files("out") == ["good.png"]
        until(lambda: drop.state()["failed"] == 5, 10)

        (drop.drop / "failed" / "text.png").write_bytes((drop.drop / "done" / "good.png").read_bytes()[:-1])
        photograph(drop.drop / "failed" / "text.png", 13)
        answer = drop.run("retry", str(drop.drop / "failed" / "text.png"), "--config", str(drop.config))
        assert answer.returncode == 0, answer.stderr
        delivered(drop, "text.png")
        assert "text.png.why.txt" not in drop.files("failed")


def test_strange_names_are_dreamed_and_printed_escaped(drop: Watching, tmp_path: Path) -> None:
    ready = photograph(tmp_path / "cat.png", 14)
    names = [b"caf\xe9.png", b"new\nline.png", b"x" * 251 + b".png", "ümläut 🐱 %s {}.png".encode(), b"-rf.png"]
    for seed, name in enumerate(names):
        photograph(ready, 20 + seed)
        os.rename(ready, os.path.join(os.fsencode(drop.drop), name))  # noqa: PTH104, PTH118
    for name in names:
        drop.comes(os.fsdecode(b"done/" + name))
        assert os.path.exists(os.path.join(os.fsencode(drop.drop), b"out", name))  # noqa: PTH118
    assert "new\\nline.png: dreamed in" in drop.said()
    assert "caf\\udce9.png: dreamed in" in drop.said()


def test_links_pipes_and_ignored_names_are_left_alone(drop: Watching, tmp_path: Path) -> None:
    photograph(tmp_path / "secret.png", 15)
    (drop.drop / "link.png").symlink_to(tmp_path / "secret.png")
    (drop.drop / "passwd.png").symlink_to("/etc/passwd")
    (drop.drop / "folder").symlink_to(tmp_path)
    os.mkfifo(drop.drop / "fifo.png")
    with socket.socket(socket.AF_UNIX) as listening:
        with contextlib.chdir(drop.drop):
            listening.bind("socket.png")
        for name in (".hidden.png", "~$x.png", "._x.png", ".~lock.x.png", "notes.txt", "x.png.part"):
            photograph(tmp_path / "x.png", 16).rename(drop.drop / name)
        (drop.drop / "@eaDir").mkdir()
        photograph(drop.drop / "@eaDir" / "thumb.png", 17)
        photograph(drop.drop / "good.png", 18)
        delivered(drop, "good.png")
        time.sleep(1.5)
    assert drop.files("out") == ["good.png"]
    assert drop.files("done") == ["good.png"]
    assert not (drop.drop / "failed").exists()
    assert drop.explain(drop.drop / "link.png") == "is a symbolic link; DeepDream does not follow links"
    assert "pipe, socket or device" in drop.explain(drop.drop / "fifo.png")
    assert drop.explain(drop.drop / ".hidden.png") == "is hidden (ignored: '.*')"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files to others")
def test_files_of_others_are_left_alone(drop: Watching, tmp_path: Path) -> None:
    ready = photograph(tmp_path / "theirs.png", 19)
    os.chown(ready, 65534, 65534)
    ready.rename(drop.drop / "theirs.png")
    photograph(tmp_path / "mine.png", 20).rename(drop.drop / "mine.png")
    delivered(drop, "mine.png")
    assert drop.files() == ["done/mine.png", "out/mine.png", "theirs.png"]
    assert drop.explain(drop.drop / "theirs.png").startswith("belongs to another user, and is left alone")
    until(lambda: "1 left alone: belongs to another user" in drop.run("status").stdout, 30)
    assert f"{drop.drop / 'theirs.png'}: belongs to another user; left alone" in drop.said()
    drop.keys["other_owners"] = True
    drop.configure()
    delivered(drop, "theirs.png")


# --- the person


def test_pause_and_resume(drop: Watching, tmp_path: Path) -> None:
    assert drop.run("pause").returncode == 0
    until(lambda: "paused" in drop.run("status").stdout, 20)
    photograph(tmp_path / "cat.png", 21).rename(drop.drop / "cat.png")
    time.sleep(1.5)
    assert drop.files() == ["cat.png"]
    assert "paused" in drop.explain(drop.drop / "cat.png")
    assert drop.run("resume").returncode == 0
    delivered(drop, "cat.png")


def test_an_edit_of_the_configuration_takes_effect_and_a_broken_one_does_not(drop: Watching, tmp_path: Path) -> None:
    drop.write(drop.config.read_text().replace("settle_s: 0.2", "settel_s: 0.2"))
    drop.says("settel_s")
    drop.says("DeepDream keeps the last good configuration")
    photograph(tmp_path / "cat.png", 22).rename(drop.drop / "cat.png")
    delivered(drop, "cat.png")
    drop.keys["originals"] = "keep"
    drop.configure()
    drop.says("reloaded the configuration")
    photograph(tmp_path / "dog.png", 23).rename(drop.drop / "dog.png")
    drop.comes("out/dog.png")
    drop.says("dog.png: dreamed in")
    assert "dog.png" in drop.files()


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_started_under_nohup_it_ends_by_sigterm_alone(helper: Helper, tmp_path: Path) -> None:
    nohup = ("sh", "-c", "trap '' HUP INT; exec \"$@\"", "sh")
    with watching(tmp_path / "own", helper, before=nohup) as drop:
        drop.says("watching")
        assert drop.process is not None
        drop.process.send_signal(signal.SIGHUP)
        drop.process.send_signal(signal.SIGINT)
        photograph(tmp_path / "cat.png", 27).rename(drop.drop / "cat.png")
        delivered(drop, "cat.png")
        assert "read again" not in drop.said()
        assert drop.stop() == 0


def test_names_to_ignore_change_while_it_watches(helper: Helper, tmp_path: Path) -> None:
    with watching(tmp_path / "own", helper, rescan_s=3600) as drop:
        photograph(drop.drop / "@eaDir" / "a.png", 24)
        drop.says("watching")
        assert "(ignored: '@eaDir')" in drop.explain(drop.drop / "@eaDir" / "a.png")
        drop.configure(ignore=["!@eaDir", "*-small.png"])
        delivered(drop, "@eaDir/a.png")
        photograph(drop.drop / "@eaDir" / "b-small.png", 25)
        photograph(drop.drop / "@eaDir" / "b.png", 26)
        delivered(drop, "@eaDir/b.png")
        assert drop.files("@eaDir") == ["b-small.png"]
        assert drop.explain(drop.drop / "@eaDir" / "b-small.png") == "is ignored: '*-small.png' in config.yaml"


def test_sighup_reads_the_configuration(drop: Watching) -> None:
    assert drop.process is not None
    drop.process.send_signal(signal.SIGHUP)
    drop.says("reloaded the configuration")


def test_one_daemon_for_each_folder(drop: Watching) -> None:
    answer = drop.run("watch", "--config", str(drop.config))
    assert answer.returncode == 2
    assert "another daemon watches this folder" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_sigterm_ends_within_an_iteration_and_loses_nothing(tmp_path: Path, helper: Helper) -> None:
    with watching(tmp_path / "own", helper, preset="slow") as drop:
        photograph(drop.drop / "cat.png", 24)
        until(lambda: drop.state()["running"] and drop.state()["running"][0]["stage"] == "dreaming", 30)
        began = time.monotonic()
        assert drop.stop() == 0
        assert time.monotonic() - began < 30
        assert drop.files() == ["cat.png"]
        until(lambda: not [job for job in helper.status()["jobs"] if job["state"] == "running"], 5)
        drop.keys["preset"] = "tiny"
        drop.configure()
        drop.start()
        delivered(drop, "cat.png")


def test_the_daemon_is_small(drop: Watching, tmp_path: Path) -> None:
    photograph(tmp_path / "cat.png", 25).rename(drop.drop / "cat.png")
    delivered(drop, "cat.png")
    assert drop.process is not None
    process = psutil.Process(drop.process.pid)
    assert process.memory_info().rss < 120e6
    assert not [one for one in process.memory_maps() if "torch" in one.path]


# --- the world


def killed(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
        process.wait(60)


def test_a_worker_and_a_helper_that_are_killed_cost_no_picture(tmp_path: Path) -> None:
    with watching(tmp_path / "own", None, preset="slow") as drop:
        photograph(drop.drop / "cat.png", 26)

        def dreaming() -> bool:
            running = drop.state()["running"]
            return bool(running and running[0]["fraction"] > 0)

        def helpers() -> list[psutil.Process]:
            return [
                one for one in psutil.process_iter() if _is_helper(one, drop)
            ]  # fmt: skip

        until(dreaming, 40)
        (own,) = helpers()
        workers = [one for one in own.children(recursive=True) if "resource_tracker" not in " ".join(one.cmdline())]
        for worker in workers:
            killed(worker)
        drop.says("worker", 20)
        assert "cat.png" in drop.files()
        for one in helpers():
            killed(one)
        drop.keys["preset"] = "tiny"
        drop.configure()
        drop.run("retry", "--all", "--config", str(drop.config))
        delivered(drop, "cat.png")
        for one in helpers():
            killed(one)


def _is_helper(process: psutil.Process, drop: Watching) -> bool:
    with contextlib.suppress(psutil.Error):
        return "helper" in process.cmdline() and process.environ().get("DEEPDREAM_STATE_DIR") == str(
            drop.folder / "state"
        )
    return False


def test_a_full_disk_lets_the_folder_rest_until_there_is_room(tmp_path: Path, helper: Helper) -> None:
    (tmp_path / "own" / "drop").mkdir(parents=True)
    with another_disk(tmp_path / "own" / "drop", "size=2m"), watching(tmp_path / "own", helper) as drop:
        drop.says("watching ")
        with contextlib.suppress(OSError), (drop.drop / "full.bin").open("wb") as full:
            full.write(b"x" * 1_900_000)
        photograph(drop.drop / "cat.png", 27, side=96)
        with contextlib.suppress(OSError), (drop.drop / "full.bin").open("ab", buffering=0) as full:
            while True:
                full.write(b"x" * 4096)
        drop.says("No space left on device", 40)
        assert "cat.png" in drop.files()
        until(lambda: "No space left" in drop.explain(drop.drop / "cat.png"), 30)
        assert not drop.files("failed")
        (drop.drop / "full.bin").unlink()
        delivered(drop, "cat.png")


def test_a_disk_that_goes_and_comes_again(tmp_path: Path, helper: Helper) -> None:
    (tmp_path / "own" / "drop").mkdir(parents=True)
    kept = tmp_path / "kept"
    kept.mkdir()
    with watching(tmp_path / "own", helper) as drop:
        drop.kill()  # it starts again below, when the disk is there
        bind = ["mount", "--bind", str(kept), str(drop.drop)]
        if subprocess.run(bind, capture_output=True, check=False).returncode:
            pytest.skip("no disk can be mounted here")
        try:
            drop.start()
            photograph(drop.drop / "cat.png", 28)
            delivered(drop, "cat.png")
            subprocess.run(["umount", "-l", str(drop.drop)], check=True)
            bare = drop.drop / ".deepdream-folder"
            bare.unlink(missing_ok=True)  # of the first start, before the disk was there
            drop.says("is offline", 20)
            assert not (drop.drop / "out").exists()
            subprocess.run(bind, check=True)
            drop.says("is available again", 20)
            photograph(drop.drop / "dog.png", 29)
            delivered(drop, "dog.png")
        finally:
            subprocess.run(["umount", "-l", str(drop.drop)], check=False, capture_output=True)


def test_a_permission_that_is_taken_and_given_back(tmp_path: Path, helper: Helper) -> None:
    drops = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"] if os.getuid() == 0 else []
    with watching(tmp_path / "own", helper, before=drops) as drop:
        drop.says("watching ")
        (drop.drop / "out").mkdir()
        (drop.drop / "out").chmod(0o500)
        photograph(drop.drop / "cat.png", 30)
        drop.says("Permission denied", 30)
        assert "cat.png" in drop.files()
        (drop.drop / "out").chmod(0o700)
        assert drop.run("retry", "--all", "--config", str(drop.config)).returncode == 0
        delivered(drop, "cat.png")


def test_the_clock_may_jump_back(tmp_path: Path, helper: Helper) -> None:
    with watching(tmp_path / "own", helper) as drop:
        drop.says("watching ")
        drop.stop()
        with contextlib.closing(drop.journal()) as journal:
            journal.pause(drop.drop, "the clock was ten years ahead", 1, time.time() + 3e8)
        drop.start()
        photograph(drop.drop / "cat.png", 31)
        os.utime(drop.drop / "cat.png", (4e9, 4e9))
        delivered(drop, "cat.png")


def test_an_unwritable_journal_is_reported_once_and_the_daemon_continues(tmp_path: Path, helper: Helper) -> None:
    (tmp_path / "own" / "state").mkdir(parents=True, mode=0o700)
    with another_disk(tmp_path / "own" / "state", "size=256k"), watching(tmp_path / "own", helper) as drop:
        drop.says("watching ")
        full = drop.folder / "state" / "full"
        with contextlib.suppress(OSError), full.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        photograph(tmp_path / "cat.png", 34).rename(drop.drop / "cat.png")
        drop.says("the journal cannot be used")
        time.sleep(2)
        assert drop.said().count("the journal cannot be used") < 5
        assert "cat.png" in drop.files()
        full.unlink()
        delivered(drop, "cat.png")
