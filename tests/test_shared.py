"""Memory that helper and worker share, and the files that take its place where there is little of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import picture_file
from helper_process import QUICK, Helper, picture, running_helper
from test_install import needs_mount

from deepdream_core.helper import shared
from deepdream_core.link.npy import ArrayHeader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="elsewhere shared memory has no small limit")

HEADER = ArrayHeader("uint8", (50, 60, 3))
FEW = ("--iterations", "1", "--octaves", "1")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared memory that is full."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shared, "SharedMemory", full)


@pytest.mark.usefixtures("no_room")
def test_where_shared_memory_is_full_two_processes_see_a_private_file(temporary: Path) -> None:
    array = shared.SharedArray(HEADER)
    (file,) = temporary.iterdir()
    assert array.name == str(file)
    assert (file.stat().st_mode & 0o777, file.stat().st_size) == (0o600, HEADER.nbytes)
    code = (
        "import sys; from deepdream_core.helper.shared import attach; memory = attach(sys.argv[1]); "
        "memory.buf[:3] = b'abc'; memory.close()"
    )
    with array as view:
        subprocess.run([sys.executable, "-c", code, array.name], check=True)
        assert bytes(view[:4]) == b"abc\0"
        array.close()
        assert file.exists(), "it is held"
        view.release()
    assert not file.exists()


@pytest.mark.usefixtures("no_room")
def test_where_there_is_no_room_at_all_nothing_is_left(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(MemoryError, match="No space left on device"):
        shared.SharedArray(HEADER)
    assert not list(temporary.iterdir())


def test_a_file_left_by_a_killed_helper_goes_with_the_next_start_and_no_other(temporary: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for pid in (ended.pid, os.getpid()):
        (temporary / f"dd_{pid}_0123456789ab").touch()
    (temporary / "dd_notes.txt").touch()
    shared.remove_left_behind()
    assert {path.name for path in temporary.iterdir()} == {f"dd_{os.getpid()}_0123456789ab", "dd_notes.txt"}


class Cramped(Helper):
    """A helper that has 64 kB of shared memory, and its temporary files in `folder`/tmp."""

    def spawn(self) -> subprocess.Popen[bytes]:
        (self.folder / "tmp").mkdir(exist_ok=True)
        rights = ["-m"] if os.geteuid() == 0 else ["-rm"]
        with self.errors.open("ab") as errors:
            return subprocess.Popen(
                ["unshare", *rights, "sh", "-c", 'mount -t tmpfs -o size=64k none /dev/shm && exec "$@"', "sh",
                 sys.executable, "-m", "deepdream_core", "helper", "--config", str(self.config)],
                env={**self.environ, "TMPDIR": str(self.folder / "tmp")}, stdout=errors, stderr=errors,
                start_new_session=True,
            )  # fmt: skip


@needs_mount
def test_a_helper_with_hardly_any_shared_memory_still_dreams(tmp_path: Path) -> None:
    helper = Cramped(tmp_path)
    try:
        pixels = picture(256)
        job = helper.client().submit(
            pixels.data, dtype="uint8", shape=pixels.shape, priority="batch", settings={**QUICK, "finest": 64}
        )
        assert [event.name for event in job.events()][-1] == "done"
        dreamed = np.frombuffer(job.result(), np.uint8).reshape(pixels.shape)
        assert np.abs(dreamed.astype(int) - pixels).mean() > 0.1
        job.forget()
        assert f"are in a file in {tmp_path}/tmp instead" in helper.log()
    finally:
        helper.stop()
    assert not list((tmp_path / "tmp").glob("dd_*"))


def test_a_picture_that_the_helper_has_no_room_for_is_dreamed_without_it(
    tmp_path: Path, home: dict[str, str], deepdream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    picture_file(tmp_path / "a.png", size=(1400, 1000))
    picture_file(tmp_path / "b.png", size=(40, 30))
    assert home
    with running_helper(tmp_path / "helper", {"helper": {"max_memory_mb": 16}}) as helper:
        around = {name: helper.environ[name] for name in ("DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR")}
        words = ("dream", "a.png", "b.png", "--finest", "64", *FEW)
        answer = deepdream(*words, **around)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.split() == ["a.dream.png", "b.dream.png"]
        assert answer.stderr.count("note      the helper has no room for this picture: ") == 1
        assert "this process computes it" in answer.stderr
        refused = deepdream(*words, "--overwrite", "--via-helper", "yes", **around)
        assert refused.returncode != 0
        assert "or use --via-helper no" in refused.stderr
