"""Users without a name, a home folder or rights in it, and root in another user's session."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import picture_file
from test_doctor import as_ordinary

sys.path.insert(0, str(Path(__file__).parents[1] / "install"))

from deepdream_core.doctor import space
from deepdream_core.link import user_folders
from deepdream_core.machine import systemd

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's folders"),
    pytest.mark.slow("odd homes"),
]

NAMELESS = "54321"
PROGRAM = (sys.executable, "-I", "-m", "deepdream_core")
BECOME = ("unshare", "-U", f"--map-user={NAMELESS}")

needs_nameless = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run((*BECOME, "true"), capture_output=True, check=False).returncode != 0,
    reason="this system lets nobody have a user of another number",
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


def ran(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env={"PATH": os.defpath, **environ}, cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )


@needs_nameless
def test_doctor_tells_a_user_without_a_name_nothing_wrong(tmp_path: Path) -> None:
    answer = ran(*BECOME, *PROGRAM, "doctor", "--json", cwd=tmp_path, HOME=str(tmp_path), LOGNAME="root")
    checks = {check["check"]: check for check in json.loads(answer.stdout)["checks"]}
    assert checks["lingering"] == {"check": "lingering", "ok": None, "what": "no service is installed", "fix": ""}
    assert "uid" not in answer.stdout
    assert not [check for check in checks.values() if check["ok"] is False]


@needs_nameless
@pytest.mark.parametrize("home", [None, "", "here"])
def test_who_has_no_home_folder_is_told_what_helps(tmp_path: Path, home: str | None) -> None:
    given = {} if home is None else {"HOME": home}
    for words in (("presets",), ("status",), ("dream", "a.png"), ("helper",), ("weights", "fetch", "torchvision")):
        answer = ran(*BECOME, *PROGRAM, *words, cwd=tmp_path, **given)
        assert answer.returncode in (2, 8)
        assert answer.stderr.splitlines()[-1] == "error: this user has no home folder — set HOME to one"
    listed = ran(*BECOME, *PROGRAM, "weights", cwd=tmp_path, **given)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "torchvision  this user has no home folder — set HOME to one" in listed.stdout
    assert not list(tmp_path.iterdir()), "nothing is made in the current folder"
    assert ran(*BECOME, *PROGRAM, "presets", cwd=tmp_path, HOME=str(tmp_path)).returncode == 0, "it does help"


def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o000)
    answer = ran(*as_ordinary(*PROGRAM, "presets"), cwd=tmp_path, HOME=str(closed))
    assert answer.returncode == 1
    assert answer.stderr == (
        f"error: {closed}/.config/deepdream/config.yaml: Permission denied — check that path and its permissions\n"
    )


def test_doctor_tells_a_home_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(0o500)
    answer = ran(*as_ordinary(*PROGRAM, "doctor"), cwd=tmp_path, HOME=str(tmp_path / "closed"))
    fix = "set HOME, or DEEPDREAM_STATE_DIR, to a folder of your own"
    assert f"✗ disk space: state: {tmp_path}/closed is not writable — {fix}" in answer.stdout.splitlines()


def test_short_shared_memory_is_no_fault_where_temporary_files_have_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"shm": 64_000_000, "tmp": 1_000_000_000}

    def usage(path: Path) -> tuple[int, int, int]:
        return shutil._ntuple_diskusage(2_000_000_000, 0, free[path.name])

    for name in free:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(shutil, "disk_usage", usage)
    places = {"temporary files": tmp_path / "tmp", "shared memory": tmp_path / "shm"}
    found = space.check_space(places)
    assert (found.ok, found.what) == (
        True, "free: temporary files 1 GB, shared memory 64 MB, so that large pictures go through temporary files",
    )  # fmt: skip
    free["tmp"] = 800_000_000
    found = space.check_space(places)
    assert (found.ok, found.what) == (
        False, f"temporary files: 800 MB free in {tmp_path}/tmp, but 900 MB needed",
    )  # fmt: skip
    assert "--shm-size=2g" in found.fix


@needs_root
def test_root_leaves_nothing_in_another_user_s_session(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(0o700)
    os.chown(theirs, 54321, 54321)
    picture_file(tmp_path / "a.png", size=(40, 40))
    around = {
        "HOME": str(tmp_path / "home"),
        "XDG_RUNTIME_DIR": str(theirs),
        "DEEPDREAM_STATE_DIR": str(tmp_path / "state"),
    }
    Path(around["HOME"]).mkdir()
    try:
        words = ("dream", "a.png", "--iterations", "1", "--octaves", "1", "--via-helper", "yes")
        answer = ran(*PROGRAM, *words, cwd=tmp_path, **around)
        assert answer.returncode == 0, answer.stderr
        assert "runs as process" in ran(*PROGRAM, "status", cwd=tmp_path, **around).stdout
        ran(*PROGRAM, "doctor", cwd=tmp_path, **around)
    finally:
        assert ran(*PROGRAM, "helper", "--stop", cwd=tmp_path, **around).returncode == 0
    assert not list(theirs.iterdir())


def test_the_session_s_folder_counts_only_if_it_is_there_and_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPDREAM_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert user_folders.runtime_folder() == tmp_path / "deepdream"
    (tried,) = systemd.environments({"XDG_RUNTIME_DIR": str(tmp_path)})[:1]
    assert tried["XDG_RUNTIME_DIR"] == str(tmp_path)
    usual = f"/run/user/{os.geteuid()}"
    for name in (str(tmp_path / "none"), "relative", ""):
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        assert str(user_folders.runtime_folder().parent) in (usual, str(tmp_path / "state"))
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert user_folders.session_folder() is None
    assert user_folders.runtime_folder().parent == tmp_path / "state"
    assert [one["XDG_RUNTIME_DIR"] for one in systemd.environments({"XDG_RUNTIME_DIR": str(tmp_path)})] == [""]


@pytest.mark.parametrize("user_name", [systemd.user_name])
def test_a_user_s_name_is_the_system_s(user_name: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(user_name)
    monkeypatch.setenv("LOGNAME", "somebody")
    assert user_name() == pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert user_name() == "54321"
