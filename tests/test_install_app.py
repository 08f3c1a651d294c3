"""`python3 install app` as people run it: a small project, real environments, a home folder of its own. No network."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_project import ROOT, House, listing
from test_install import needs_mount, one_line

sys.path.insert(0, str(ROOT / "install"))

import launcher
from app import fingerprint
from errors import InstallError
from installation import user_folders

from deepdream_core import config
from deepdream_core.engine import fetch
from deepdream_core.link.user_folders import state_folder
from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.manifest import Manifest

posix = pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX's")
pytestmark = [posix, pytest.mark.slow("installations")]

HARD_NAMES = 'Jörg\'s $HOME `x` "y" %n \\ 画'


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A home with a hard name in which version 1.0 is installed; tests leave it as they found it."""
    house = House.make(tmp_path_factory.mktemp("app"), HARD_NAMES)
    done = house.install("app")
    assert done.returncode == 0, done.stderr
    return house


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house of its own, 1.0 not yet installed."""
    return House.make(tmp_path)


def test_the_program_runs_without_the_clone(installed: House, tmp_path: Path) -> None:
    moved = installed.clone.root.rename(tmp_path / "moved")
    try:
        assert installed.version() == "1.0"
        done = subprocess.run(
            [installed.launcher, "dream", "a b.jpg", "--x=ü", "$HOME", ""],
            cwd=tmp_path, env=installed.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout == "['dream', 'a b.jpg', '--x=ü', '$HOME', '']\n"
        links = [path for path in (installed.data / "app").rglob("*") if str(tmp_path) in os.path.realpath(path)]
        assert not links
    finally:
        moved.rename(installed.clone.root)
    for path in (installed.data / "app" / "current" / "lib").rglob("*.pth"):
        assert str(installed.clone.root) not in path.read_text()


@pytest.mark.alone
def test_again_there_is_nothing_to_do_and_it_is_said_at_once(installed: House) -> None:
    before, took = listing(installed.home), []
    for _ in range(3):
        began = time.monotonic()
        done = installed.install("app")
        took.append(time.monotonic() - began)
        assert done.returncode == 0
        assert done.stdout.splitlines()[0] == "DeepDream 1.0 is already installed: nothing to do"
    assert min(took) < 1
    assert listing(installed.home) == before


def test_what_was_written_is_what_the_record_names(installed: House) -> None:
    output = json.loads((installed.data / "manifest.json").read_text())
    assert (installed.data / "manifest.json").stat().st_mode & 0o777 == 0o600
    assert (output["manifest"], output["version"], output["clone"]) == (1, "1.0", None)
    assert output["app"] == f"app/{installed.versions()[0]}"
    app = output["parts"]["app"]
    named = {*app["files"], *app["folders"], *app["links"], *app["trees"]}
    for name in listing(installed.home):
        path = installed.home / name
        inside_a_tree = any(path.is_relative_to(tree) for tree in app["trees"])
        own = path.name in ("manifest.json", "install.lock")
        assert str(path) in named or inside_a_tree or own, name
    assert app["links"] == {str(installed.data / "app" / "current"): installed.versions()[0]}


def test_missing_pieces_come_back(installed: House) -> None:
    before = listing(installed.home)
    installed.launcher.unlink()
    (installed.home / ".local/share/bash-completion/completions/deepdream").unlink()
    (installed.data / "app" / "current").unlink()
    done = installed.install("app")
    assert done.returncode == 0, done.stderr
    assert "Creating" in done.stderr or installed.version() == "1.0"
    left = {
        name: what for name, what in listing(installed.home).items() if "/app/" not in name and "manifest" not in name
    }
    assert left == {name: what for name, what in before.items() if "/app/" not in name and "manifest" not in name}


def test_a_dry_run_tells_all_and_changes_nothing(house: House) -> None:
    (house.home / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    before = listing(house.home)
    for words in ([], ["app"], ["folder"], ["service"], ["gimp"], ["uninstall"], ["uninstall", "--purge"]):
        done = house.install(*words, "--dry-run")
        assert done.returncode == 0, (words, done.stderr)
        assert listing(house.home) == before, words
    output = house.install("--dry-run").stdout
    for piece in (
        "-m venv ",
        "-m pip install ",
        str(house.launcher),
        "plug-ins/deepdream/deepdream.json",
        "app/current ->",
    ):
        assert piece in output, piece
    house.install()
    before = listing(house.home)
    house.release("1.1")
    for words in ([], ["app"], ["uninstall"], ["uninstall", "--purge"]):
        output = house.install(*words, "--dry-run").stdout
        assert "would " in output
        assert listing(house.home) == before, words
    assert f"would remove {house.launcher}" in house.install("uninstall", "--dry-run").stdout


def test_an_upgrade_takes_its_place_in_one_step(house: House) -> None:
    assert house.install("app").returncode == 0
    old = house.versions()
    house.release("1.1")
    with house.start("app") as child:
        seen = set()
        while child.poll() is None:
            seen.add(house.version())
        assert child.returncode == 0
    assert seen <= {"1.0", "1.1"}
    assert "1.0" in seen
    assert house.version() == "1.1"
    assert len(house.versions()) == 1
    assert house.versions() != old


def test_other_content_of_the_same_version_is_installed(house: House) -> None:
    assert house.install("app").returncode == 0
    old = house.versions()
    (house.clone.root / "deepdream_core" / "new.py").write_text("")
    assert "is installed in" in house.install("app").stdout
    assert house.versions() != old
    assert next((house.data / "app" / "current").glob("lib/*/site-packages/deepdream_core/new.py"))


@pytest.mark.parametrize("why", ["does not run", "cannot be fetched", "is cut short"])
def test_a_failed_upgrade_leaves_the_old_one_working(house: House, why: str) -> None:
    assert house.install("app").returncode == 0
    house.release("1.1+BROKEN" if why == "does not run" else "1.1", *["not-to-be-had"] * (why == "cannot be fetched"))
    limit: list[str] = []
    if why == "is cut short":
        limit = ["prlimit", "--fsize=200000"]  # enough to begin, too little to end
    done = house.run(*limit, sys.executable, "-B", "install", "app")
    assert done.returncode != 0
    if why != "is cut short":
        assert {"does not run": "it is broken", "cannot be fetched": "cannot reach"}[why] in one_line(done)
    assert house.version() == "1.0"
    assert json.loads((house.data / "manifest.json").read_text())["version"] == "1.0"
    house.release("1.2")
    assert house.install("app").returncode == 0
    assert house.version() == "1.2"
    assert len(house.versions()) == 1, "nothing of the failed one is left"


def test_a_part_alone_is_not_installed_for_an_older_program(house: House) -> None:
    """Its modules have other names: the whole is upgraded instead, and a dry run shows how."""
    (house.home / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    assert house.install().returncode == 0
    link = house.data / "app" / "current" / "source" / "deepdream_core" / "link"
    link.rename(link.with_name("client_and_wire"))
    for part in ("gimp", "folder", "service"):
        done = house.install(part)
        assert done.returncode == 17
        assert done.stderr.splitlines()[-1].startswith("install: the installed DeepDream is older than this clone — ")
    done = house.install("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "plug-ins/deepdream/link/client.py" in done.stdout
    assert house.install().returncode == 0
    assert link.is_dir()
    assert house.install("gimp").returncode == 0


def test_a_plug_in_is_renewed_with_the_program(house: House) -> None:
    plug_in = house.home / ".config" / "GIMP" / "3.0" / "plug-ins" / "deepdream"
    plug_in.parent.mkdir(parents=True)
    assert house.install().returncode == 0
    facts = json.loads((plug_in / "deepdream.json").read_text())
    assert facts["version"] == "1.0"
    assert facts["command"][0] == str(house.data / "app" / "current" / "bin" / "python")
    house.release("1.1")
    (house.clone.root / "deepdream_core" / "link" / "wire.py").write_text("# new\n")
    assert house.install("app").returncode == 0
    assert json.loads((plug_in / "deepdream.json").read_text())["version"] == "1.1"
    assert (plug_in / "link" / "wire.py").read_text() == "# new\n"
    record = json.loads((house.data / "manifest.json").read_text())
    record["parts"]["gimp"]["for"] = "app/1.0"  # as after a kill between the switch and the plug-in
    (house.data / "manifest.json").write_text(json.dumps(record))
    (plug_in / "link" / "wire.py").write_text("# old\n")
    assert house.install("app").returncode == 0
    assert (plug_in / "link" / "wire.py").read_text() == "# new\n"


def test_killed_at_any_point_the_old_one_works_and_the_next_run_ends_well(house: House) -> None:
    assert house.install().returncode == 0
    began = time.monotonic()
    house.release("2.0")
    assert house.install().returncode == 0
    whole = time.monotonic() - began
    chance, before = random.Random(7), "2.0"
    for number in range(20):
        version = f"2.{number + 1}"
        house.release(version)
        with house.start() as child:
            time.sleep(whole * (number + chance.random()) / 20)
            os.killpg(child.pid, signal.SIGKILL)
        # What it had started goes on for a moment: the next run waits for it, as it holds the lock.
        assert house.version() in (before, version)
        assert json.loads((house.data / "manifest.json").read_text())["manifest"] == 1
        done = house.install()
        assert done.returncode == 0, done.stderr
        assert house.version() == version
        assert len(house.versions()) == 1, house.versions()
        before = version
    done = house.install("uninstall", "--purge")
    assert done.returncode == 0, done.stderr
    assert listing(house.home) == {}


def test_the_first_installation_killed_can_be_removed_without_a_trace(house: House) -> None:
    chance = random.Random(3)
    for _ in range(6):
        with house.start() as child:
            time.sleep(chance.uniform(0.05, 6))
            os.killpg(child.pid, signal.SIGKILL)
        done = house.install("uninstall")
        assert done.returncode == 0, done.stderr
        assert listing(house.home) == {}


def test_xdg_folders_are_heeded(house: House, tmp_path: Path) -> None:
    for name in ("DATA", "CONFIG", "STATE", "CACHE"):
        house.environ[f"XDG_{name}_HOME"] = str(tmp_path / f"my {name.lower()}")
    assert house.install("app").returncode == 0
    assert house.version() == "1.0"
    assert sorted(listing(house.home)) == [".local", ".local/bin", ".local/bin/deepdream"]
    assert (tmp_path / "my data" / "deepdream" / "app" / "current").is_symlink()
    assert (tmp_path / "my data" / "bash-completion" / "completions" / "deepdream").is_file()
    assert house.install("uninstall").returncode == 0
    assert listing(house.home) == {}
    assert not (tmp_path / "my data").exists()


@needs_mount
def test_a_home_that_cannot_be_written_is_told_in_one_line(house: House) -> None:
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -B install'
    done = house.run("unshare", "-m", "sh", "-c", script, "sh", house.home, sys.executable)
    assert done.returncode == 12
    assert "no permission to write" in one_line(done)
    assert "make it writable" in done.stderr
    assert listing(house.home) == {}


@needs_mount
@pytest.mark.parametrize("size", ["8k", "4m"])
def test_a_home_without_space_is_told_in_one_line(house: House, size: str) -> None:
    script = 'mount -t tmpfs -o size=$3 tmpfs "$1" && "$2" -B install; code=$?; find "$1" -name bin >&2; exit $code'
    done = house.run("unshare", "-m", "sh", "-c", script, "sh", house.home, sys.executable, size)
    assert done.returncode == 13, done.stderr
    assert "too full" in one_line(done)


def test_what_is_in_the_way_is_left_and_told_before_anything_is_done(house: House) -> None:
    house.launcher.parent.mkdir(parents=True)
    house.launcher.write_text("#!/bin/sh\necho mine\n")
    before = listing(house.home)
    done = house.install("app")
    assert done.returncode == 17
    assert "this installer did not write it" in one_line(done)
    assert [name for name in listing(house.home) if name not in before and "share" not in name] == []
    assert house.versions() == []


def test_what_the_user_changed_is_kept_when_it_is_written_anew(house: House) -> None:
    assert house.install("app").returncode == 0
    house.launcher.write_text(house.launcher.read_text() + "# mine\n")
    assert house.install("app").returncode == 0
    assert house.version() == "1.0"
    assert house.launcher.with_name("deepdream.yours").read_text().endswith("# mine\n")


def test_path_and_completion_are_explained_for_the_user_s_shell(house: House, tmp_path: Path) -> None:
    for shell in ("zsh", "fish"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / shell).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / shell).chmod(0o755)
    path = f"{tmp_path / 'bin'}:{house.environ['PATH']}"
    output = house.install("app", PATH=path, SHELL="/usr/bin/zsh").stdout
    assert 'add to ~/.zshrc: export PATH="$HOME/.local/bin":$PATH' in output
    assert 'fpath+=("$HOME/.local/share/zsh/site-functions")' in output
    assert "fish_add_path" in house.install("app", PATH=path, SHELL="/usr/bin/fish").stdout
    assert "PATH" not in house.install("app", PATH=f"{path}:{house.launcher.parent}/").stdout
    for file in (".local/share/zsh/site-functions/_deepdream", ".config/fish/completions/deepdream.fish"):
        assert "_DEEPDREAM_COMPLETE" in (house.home / file).read_text()
    assert not (house.home / ".zshrc").exists()


def test_root_in_another_user_s_home_is_refused(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to be refused")
    for words in ([], ["app"], ["service"], ["folder"], ["uninstall"], ["gimp"]):
        done = house.install(*words, SUDO_UID="1000", SUDO_USER="somebody_else")
        assert done.returncode == 2
        assert "without sudo" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    os.chown(house.home, 1234, 1234)
    assert house.install("app").returncode == 2
    assert listing(house.home) == {}


def test_parts_that_are_not_there_yet_are_told(house: House) -> None:
    done = house.install("service")
    assert done.returncode == 17
    assert "python3 install app" in one_line(done)


def test_the_drop_folders_are_those_of_the_configuration(house: House) -> None:
    own = house.home / ".config" / "deepdream" / "config.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(f"~/in {house.home}/not/there\n")
    done = house.install()
    assert done.returncode == 0, done.stderr
    assert (house.home / "in").is_dir()
    assert not (house.home / "not").exists()
    assert not (house.home / "DeepDream").exists()
    assert f"{house.home}/not/there was not created" in done.stdout
    assert f"Drop folder: {house.home}/in" in done.stdout


# Without a process


@pytest.mark.parametrize("platform", ["linux"])
def test_the_program_finds_the_same_places(platform: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for given in (
        {},
        {"XDG_DATA_HOME": "/d", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"},
        {"XDG_DATA_HOME": "relative"},
    ):
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "DEEPDREAM_STATE_DIR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        user = UserFolders(os.environ, platform, tmp_path)
        assert user.state == state_folder()
        if given.get("XDG_DATA_HOME") != "relative":
            assert user.config / "config.yaml" == config.user_config_path()
            assert user.weights == fetch.fetched_path().parent
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", "/other")
    assert UserFolders(os.environ, platform, tmp_path).state == state_folder() == Path("/other")


def test_the_places_of_macos_and_windows() -> None:
    mac = UserFolders({}, "darwin", Path("/Users/jo"))
    assert mac.data == Path("/Users/jo/Library/Application Support/DeepDream")
    assert mac.launcher == Path("/Users/jo/.local/bin/deepdream")
    windows = UserFolders({"LOCALAPPDATA": "/C/Local"}, "win32", Path("/C/jo"))
    assert windows.data == Path("/C/Local/DeepDream")
    assert windows.launcher == Path("/C/Local/DeepDream/bin/deepdream.cmd")
    assert windows.current.name == "current.txt"


@pytest.mark.parametrize("name", ["plain", "with blank", "it's", '"', "$HOME", "`x`", "a\nb", "\\", "画", "%n", "-"])
def test_the_launcher_quotes_any_path(tmp_path: Path, name: str) -> None:
    user = UserFolders({"XDG_DATA_HOME": str(tmp_path / name)}, "linux", tmp_path)
    program = user.current / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    program.chmod(0o755)
    text = launcher.text(user)
    assert launcher.is_ours(text) or "\n" in name
    (tmp_path / "launcher").write_bytes(text)
    done = subprocess.run(["sh", tmp_path / "launcher", "a b", "*", ""], capture_output=True, text=True, check=True)
    assert done.stdout == "-I|-m|deepdream_core|a b|*||"
    if "\n" not in name:
        assert len(text.splitlines()) == 2
        assert shlex.split(text.decode().splitlines()[1])[1] == str(program)


def test_another_s_launcher_is_not_ours() -> None:
    for other in (
        b"",
        b"#!/bin/sh\nexec python -m deepdream_core\n",
        b"#!/usr/bin/python3\nfrom deepdream_core import main\n",
    ):
        assert not launcher.is_ours(other)


def test_the_windows_launcher_reads_which_version_is_in_use() -> None:
    text = launcher.text(UserFolders({"LOCALAPPDATA": "/C/Local"}, "win32", Path("/C/jo"))).decode()
    assert all(line.endswith("\r") for line in text.split("\n")[:-1])
    assert "current.txt" in text
    assert text.rstrip().endswith("-I -m deepdream_core %*")
    assert launcher.is_ours(text.encode())


def test_the_fingerprint_is_that_of_what_is_copied(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "install", tmp_path / "install", ignore=shutil.ignore_patterns("__pycache__"))
    first = fingerprint(tmp_path)
    (tmp_path / "install" / "__pycache__").mkdir()
    (tmp_path / "install" / "__pycache__" / "x.pyc").write_bytes(b"x")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "x.py").write_bytes(b"x")
    assert fingerprint(tmp_path) == first
    (tmp_path / "install" / "x.py").write_bytes(b"")
    assert fingerprint(tmp_path) != first


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"manifest": 0, "parts": {}}', '{"manifest": 1}', "\0" * 50, "[" * 100_000]
)
def test_a_damaged_record_is_known_as_such(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert Manifest.read(tmp_path / "manifest.json").damaged


def test_malformed_parts_of_a_record_are_left_out(tmp_path: Path) -> None:
    part = {
        "files": {"relative": "x", "/a": 3, "/b": "ok"},
        "folders": ["x", 5, "/c"],
        "trees": "no",
        "lingering": True,
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"manifest": 1, "parts": {"app": part, "gimp": []}}))
    read = Manifest.read(tmp_path / "manifest.json")
    assert not read.damaged
    assert (read.part("app").files, read.part("app").folders, read.part("app").trees) == ({"/b": "ok"}, ["/c"], [])
    assert read.part("app").facts == {"lingering": True}
    read.save()
    assert json.loads((tmp_path / "manifest.json").read_text())["parts"]["app"]["lingering"] is True


def test_no_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", gone)
    with pytest.raises(InstallError, match="cannot find your home folder"):
        user_folders()
