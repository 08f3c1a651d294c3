"""The installer where the world is not as it was left: lost files, moved homes, things in the way, two at once."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_project import ROOT, House, listing, soon
from test_install import one_line

sys.path.insert(0, str(ROOT / "install"))


from deepdream_core.machine.manifest import Manifest, NewerManifestError

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX's"),
    pytest.mark.slow("installations"),
]


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house of its own, 1.0 not yet installed."""
    return House.make(tmp_path)


@pytest.fixture
def installed(house: House) -> House:
    """A house in which 1.0 is installed."""
    done = house.install("app")
    assert done.returncode == 0, done.stderr
    return house


def site(house: House) -> Path:
    return next((house.data / "app" / "current" / "lib").glob("python3*")) / "site-packages"


# The same version again


def cut(house: House) -> None:
    (site(house) / "deepdream_core" / "plugin_facts.py").write_text("")


def lose(house: House) -> None:
    (site(house) / "deepdream_core" / "config.py").unlink()


def lose_all(house: House) -> None:
    shutil.rmtree(next(site(house).glob("deepdream-*.dist-info")))


def lose_source(house: House) -> None:
    (house.data / "app" / "current" / "source" / "plugin" / "deepdream" / "deepdream.py").unlink()


@pytest.mark.parametrize("harm", [cut, lose, lose_all, lose_source])
def test_what_is_not_whole_any_more_is_made_anew(installed: House, harm: object) -> None:
    before = installed.versions()
    harm(installed)  # type: ignore[operator]
    done = installed.install("app")
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stdout
    assert installed.version() == "1.0"
    assert len(installed.versions()) == 1
    assert installed.versions() != before
    assert "nothing to do" in installed.install("app").stdout


def test_a_package_that_never_fitted_its_record_is_not_made_anew_for_ever(installed: House) -> None:
    names = installed.data / "app" / "current" / "packages.txt"
    kept = [line for line in names.read_text().splitlines() if not line.startswith("deepdream-")]
    assert len(kept) < len(names.read_text().splitlines())
    names.write_text("".join(f"{line}\n" for line in kept))
    lose(installed)
    assert "nothing to do" in installed.install("app").stdout


def test_what_python_compiled_is_not_missed(installed: House) -> None:
    for path in [*site(installed).rglob("__pycache__")]:
        shutil.rmtree(path)
    assert "nothing to do" in installed.install("app").stdout


def test_the_installed_installer_makes_the_program_anew(installed: House) -> None:
    assert installed.install().returncode == 0
    shutil.rmtree(installed.clone.root / "install" / "units")  # the clone has no part in it
    lose(installed)
    own = installed.data / "app" / "current" / "source" / "install"
    done = installed.run("python3", "-B", own)
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stdout
    assert installed.version() == "1.0"
    assert len(installed.versions()) == 1
    assert (own / "__main__.py").exists()
    before = listing(installed.home)
    assert "nothing to do" in installed.run("python3", "-B", own).stdout
    assert listing(installed.home) == before


def test_an_installed_installer_that_is_not_whole_says_so(installed: House) -> None:
    lose_source(installed)
    done = installed.run("python3", "-B", installed.data / "app" / "current" / "source" / "install", "app")
    assert done.returncode == 17
    assert "fresh clone" in one_line(done)
    assert installed.version() == "1.0"


# Things in the way


def test_another_s_completion_stays_and_the_rest_is_done(house: House) -> None:
    theirs = house.home / ".local/share/bash-completion/completions/deepdream"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("complete -W 'a b' deepdream\n")
    done = house.install()
    assert done.returncode == 0, done.stderr
    assert f"{theirs} was not written by this installer, so it stays in use" in done.stdout
    assert theirs.read_text() == "complete -W 'a b' deepdream\n"
    assert (house.home / "DeepDream").is_dir()
    assert house.install("uninstall").returncode == 0
    assert theirs.read_text() == "complete -W 'a b' deepdream\n"


def test_a_file_in_the_drop_folder_s_place_stops_no_other_part(house: House) -> None:
    (house.home / "DeepDream").write_text("mine")
    (house.home / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    assert f"{house.home / 'DeepDream'} is a file" in house.install("--dry-run").stderr
    done = house.install()
    assert done.returncode == 17
    assert f"{house.home / 'DeepDream'} is a file, but DeepDream needs a folder there" in one_line(done)
    assert (house.home / ".config/GIMP/3.0/plug-ins/deepdream/deepdream.py").is_file()
    assert house.version() == "1.0"
    assert (house.home / "DeepDream").read_text() == "mine"


@pytest.mark.parametrize("name", [".local", ".local/bin"])
@pytest.mark.parametrize("kind", ["a file", "a broken link"])
def test_what_is_no_folder_is_named_before_anything_is_done(house: House, name: str, kind: str) -> None:
    path = house.home / name
    path.parent.mkdir(exist_ok=True)
    if kind == "a file":
        path.write_text("mine")
    else:
        path.symlink_to("/nowhere/at/all")
    done = house.install("app")
    assert done.returncode == 17
    assert f"{path} is {kind}" in one_line(done)
    assert house.versions() == []


@pytest.mark.parametrize(("name", "says"), [("a:b", "contains a :"), (os.fsdecode(b"a\xffb"), "not UTF-8")])
def test_a_home_in_which_python_makes_no_environment_is_told(tmp_path: Path, name: str, says: str) -> None:
    house = House.make(tmp_path, name)
    done = house.install("app")
    assert done.returncode == 17
    assert says in one_line(done)
    assert "XDG_DATA_HOME=" in one_line(done)
    assert house.versions() == []
    elsewhere = tmp_path / "elsewhere"
    assert house.install("app", XDG_DATA_HOME=str(elsewhere)).returncode == 0
    assert house.version() == "1.0"


def test_an_empty_home_variable_does_not_lead_to_the_root_of_the_disk(house: House) -> None:
    done = house.install("app", HOME="")
    assert done.returncode == 17
    assert "set HOME" in one_line(done)


def test_nothing_is_writable_for_others_whatever_the_umask_says(house: House) -> None:
    done = house.run("sh", "-c", 'umask 000; exec "$0" -B install', sys.executable)
    assert done.returncode == 0, done.stderr
    open_to_others = [
        path for path in house.home.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022
    ]  # fmt: skip
    assert open_to_others == []


# What a dry run and the doctor leave alone


def test_the_doctor_makes_no_environment(house: House) -> None:
    before = listing(house.clone.root)
    for words in ([], ["--dry-run"], ["--fix"], ["--json"]):
        done = house.install("doctor", *words)
        assert done.returncode == 1
        assert one_line(done) == "install: DeepDream is not installed for this user — `python3 install` installs it"
    assert listing(house.clone.root) == before
    assert listing(house.home) == {}


def test_the_doctor_mends_nothing_in_a_dry_run(installed: House) -> None:
    assert installed.install("doctor", "--dry-run", "--json", "--fix").stdout == "['doctor', '--json']\n"
    assert installed.install("doctor", "--fix").stdout == "['doctor', '--fix']\n"


def test_root_for_another_user_neither_dreams_nor_looks(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to be refused")
    for words in (["doctor"], ["dream", "a.jpg"]):
        done = house.install(*words, SUDO_UID="1000")
        assert done.returncode == 2
        assert "without sudo" in one_line(done)
    assert not (house.clone.root / ".venv").exists()


@pytest.mark.parametrize("part", ["gimp", "folder"])
def test_a_dry_run_tells_of_the_environment_that_a_part_needs(house: House, part: str) -> None:
    (house.home / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    output = house.install(part, "--dry-run").stdout
    assert f"-m venv {shlex.quote(str(house.clone.root / '.venv'))}" in output
    assert "-m pip install -c install/constraints.txt -e ." in output
    assert not (house.clone.root / ".venv").exists()
    assert house.install(part).returncode == 0
    assert "-m venv" not in house.install(part, "--dry-run").stdout


def test_a_dry_run_names_the_record_and_says_last_that_nothing_was_changed(house: House) -> None:
    output = house.install("--dry-run").stdout
    for name in ("manifest.json", "install.lock"):
        assert str(house.data / name) in output
    assert "DeepDream 1.0 would be installed" in output
    assert output.splitlines()[-1] == "This was a dry run: nothing was changed"
    assert output.count("-m venv ") == 1
    assert "To remove everything" not in output


# Removal


@pytest.mark.parametrize("how", ["moved", "linked"])
def test_a_home_by_another_name_is_cleared_as_well(house: House, how: str) -> None:
    (house.home / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    before = listing(house.home)
    assert house.install().returncode == 0
    there = house.home
    if how == "moved":
        there = house.home.rename(house.home.with_name("another"))
    else:
        there = house.home.with_name("another")
        there.symlink_to(house.home)
    done = house.install("uninstall", HOME=str(there))
    assert done.returncode == 0, done.stderr
    assert "Removed DeepDream" in done.stdout
    assert listing(there.resolve()) == before


def test_a_program_in_another_place_is_named_and_not_called_removed(house: House, tmp_path: Path) -> None:
    share = tmp_path / "a share"
    assert house.install("app", XDG_DATA_HOME=str(share)).returncode == 0
    before = listing(tmp_path)
    done = house.install("uninstall")
    assert done.returncode == 17
    assert f"run `XDG_DATA_HOME='{share}' python3 install uninstall`" in one_line(done)
    assert listing(tmp_path) == before
    assert house.install("uninstall", XDG_DATA_HOME=str(share)).returncode == 0
    assert not (share / "deepdream").exists()


def test_versions_that_the_record_does_not_know_go_too(installed: House) -> None:
    record = installed.data / "manifest.json"
    output = json.loads(record.read_text())
    output["parts"]["app"]["trees"] = []
    record.write_text(json.dumps(output))
    assert installed.install("uninstall").returncode == 0
    assert listing(installed.home) == {}


@pytest.mark.parametrize("part", ["gimp", "folder"])
def test_what_a_part_left_that_failed_can_be_removed(house: House, part: str) -> None:
    (house.home / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    before = listing(house.home)
    (house.clone.root / "deepdream_core" / "plugin_facts.py").write_text("import sys; sys.exit('no')\n")
    (house.clone.root / "deepdream_core" / "config.py").write_text("import sys; sys.exit('no')\n")
    assert house.install(part).returncode == 17
    assert house.install("uninstall").returncode == 0
    assert listing(house.home) == before


def test_a_lock_alone_is_removed(house: House) -> None:
    house.data.mkdir(parents=True)
    (house.data / "install.lock").touch()
    assert "DeepDream is not installed" in house.install("uninstall").stdout
    assert not house.data.exists()


def test_what_a_killed_exchange_of_the_plug_in_left_goes_too(house: House) -> None:
    plug_ins = house.home / ".config" / "GIMP" / "3.0" / "plug-ins"
    plug_ins.mkdir(parents=True)
    assert house.install().returncode == 0
    (plug_ins / "deepdream").rename(plug_ins / ".deepdream-abc.old")
    assert house.install("uninstall").returncode == 0
    assert list(plug_ins.iterdir()) == []


def started(house: House, *words: str) -> subprocess.Popen[bytes]:
    """A program of the installed version, begun by hand."""
    child = subprocess.Popen([house.launcher, *words], env=house.environ, stdout=subprocess.DEVNULL)
    soon(lambda: b"deepdream_core" in Path(f"/proc/{child.pid}/cmdline").read_bytes())
    time.sleep(0.3)
    return child


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_hot_folder_started_by_hand_ends_with_the_program(installed: House) -> None:
    child = started(installed, "watch")
    try:
        output = installed.install("uninstall", "--dry-run").stdout
        assert f"would end `deepdream watch` (process {child.pid})" in output
        assert child.poll() is None
        assert f"Stopped `deepdream watch` (process {child.pid})" in installed.install("uninstall").stdout
        assert child.wait(60) == 0
        assert listing(installed.home) == {}
    finally:
        child.kill()
        child.wait()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_hot_folder_started_by_hand_is_named_in_an_upgrade(installed: House) -> None:
    child = started(installed, "watch")
    try:
        installed.release("1.1")
        done = installed.install("app")
        assert done.returncode == 0, done.stderr
        assert f"`deepdream watch` (process {child.pid}) still runs the previous version" in done.stdout
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


# Two at once, and others


def test_an_install_that_waited_for_an_uninstall_ends_well(installed: House) -> None:
    slow = installed.clone.root / "install" / "small_backend.py"
    slow.write_text(slow.read_text())
    child = started(installed, "watch")
    try:
        # Ignoring its end keeps the uninstall at work for a while.
        child.send_signal(19)
        removing = installed.start("uninstall")
        time.sleep(1.5)
        adding = installed.start("app")
        time.sleep(1.5)
        assert removing.poll() is None
        child.send_signal(18)
        assert removing.wait(60) == 0
        assert adding.wait(60) == 0
        assert installed.version() == "1.0"
    finally:
        child.kill()
        child.wait()


def test_nobody_else_can_hold_the_lock(installed: House) -> None:
    lock = installed.data / "install.lock"
    assert lock.stat().st_mode & 0o777 == 0o600
    lock.chmod(0o644)
    installed.install("app")
    assert lock.stat().st_mode & 0o777 == 0o600


def test_a_newer_installer_s_record_is_left_alone(installed: House) -> None:
    record = installed.data / "manifest.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"manifest": 2}))
    before = listing(installed.home)
    for words in ([], ["app"], ["uninstall"]):
        done = installed.install(*words)
        assert done.returncode == 17
        assert "a newer DeepDream wrote" in one_line(done)
    assert listing(installed.home) == before
    with pytest.raises(NewerManifestError):
        Manifest.read(record)


def test_a_record_follows_its_home(tmp_path: Path) -> None:
    made = Manifest(tmp_path / "b" / "data" / "manifest.json", home=Path("/a"))
    made.path.parent.mkdir(parents=True)
    made.part("app").files = {"/a/x": "1", "/ab/x": "2"}
    made.part("app").trees = [f"{tmp_path}/b/data/app/v"]
    made.part("service").facts = {"endpoint": "/a/s/service.json", "units": ["a.service"], "lingering": True}
    made.save()
    moved = made.path.parent.rename(tmp_path / "c")
    found = Manifest.read(moved / "manifest.json", home=Path("/z"))
    assert found.part("app").files == {"/z/x": "1", "/ab/x": "2"}
    assert found.part("app").trees == [f"{tmp_path}/c/app/v"]
    output = {"endpoint": "/z/s/service.json", "units": ["a.service"], "lingering": True}
    assert found.part("service").facts == output
