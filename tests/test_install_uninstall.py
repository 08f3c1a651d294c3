"""`python3 install uninstall`: exactly what was installed goes, and nothing that is the user's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_project import House, listing

from deepdream_core.link.private_files import WRITTEN

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX's")


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, dict[str, str]]:
    """A home with a user's own things in it and everything installed, and what was in it before."""
    house = House.make(tmp_path_factory.mktemp("un"))
    for name, text in {
        ".local/bin/mine": "mine",
        ".config/deepdream/config.yaml": "~/DeepDream",
        ".config/fish/config.fish": "mine",
        ".config/GIMP/3.0/plug-ins/other/other.py": "other",
        ".config/GIMP/3.2/gimprc": "mine",
        "Pictures/a.jpg": "picture",
    }.items():
        (house.home / name).parent.mkdir(parents=True, exist_ok=True)
        (house.home / name).write_text(text)
    before = listing(house.home)
    done = house.install()
    assert done.returncode == 0, done.stderr
    return house, before


@pytest.fixture
def house(pattern: tuple[House, dict[str, str]]) -> House:
    """The home, installed; a test may remove it all, the next one gets it again."""
    house, _ = pattern
    kept = house.home.with_name("kept")
    if not kept.exists():
        shutil.copytree(house.home, kept, symlinks=True)
    shutil.rmtree(house.home)
    shutil.copytree(kept, house.home, symlinks=True)
    return house


@pytest.fixture
def before(pattern: tuple[House, dict[str, str]]) -> dict[str, str]:
    return dict(pattern[1])


def uninstall(house: House, *words: str) -> str:
    done = house.install("uninstall", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_goes_and_nothing_else(house: House, before: dict[str, str]) -> None:
    assert (house.home / ".config/GIMP/3.2/plug-ins/deepdream/deepdream.py").is_file()
    output = uninstall(house)
    assert listing(house.home) == before
    assert "config.yaml" in output
    assert "--purge" in output
    output = uninstall(house)
    assert "DeepDream is not installed" in output
    assert "config.yaml" in output
    assert listing(house.home) == before


def test_what_gimp_compiled_goes_too(house: House, before: dict[str, str]) -> None:
    plug_in = house.home / ".config/GIMP/3.2/plug-ins/deepdream"
    for compiled in (plug_in / "__pycache__", plug_in / "link" / "__pycache__"):
        compiled.mkdir()
        (compiled / "wire.cpython-313.pyc").write_bytes(b"x")
    uninstall(house)
    assert listing(house.home) == before


def test_without_a_readable_record_an_earlier_version_s_plug_in_goes_too(house: House) -> None:
    plug_in = house.home / ".config/GIMP/3.2/plug-ins/deepdream"
    for name in ("wire.py", "client.py", "helper_errors.py", "link.py"):
        (plug_in / name).write_text("# of an earlier version\n")
    (house.data / "manifest.json").write_text("{")
    uninstall(house)
    assert not plug_in.exists()


def test_it_can_be_removed_after_the_clone_is_gone(house: House, before: dict[str, str]) -> None:
    installer = house.data / "app" / "current" / "source" / "install"
    done = subprocess.run(
        [sys.executable, installer, "uninstall"],
        cwd="/",
        env=house.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert listing(house.home) == before


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "nonsense"])
def test_without_a_readable_record_what_is_recognised_goes(house: House, before: dict[str, str], damage: str) -> None:
    record = house.data / "manifest.json"
    text = record.read_text()
    record.unlink()
    if damage != "missing":
        record.write_text({"empty": "", "cut": text[: len(text) // 2], "nonsense": "[1, 2]"}[damage])
    uninstall(house)
    left = {name for name in listing(house.home) if name not in before}
    # Which folders were there before nobody knows now.
    assert all((house.home / name).is_dir() and "deepdream" not in Path(name).parts for name in left), left
    assert {name: what for name, what in listing(house.home).items() if name in before} == before


def test_without_a_readable_record_the_user_s_files_in_the_plug_in_stay(house: House) -> None:
    plug_in = house.home / ".config/GIMP/3.2/plug-ins/deepdream"
    (plug_in / "my-notes.txt").write_text("mine")
    (plug_in / "link" / "wire.py.yours").write_text("mine")
    (house.data / "manifest.json").write_text("{")
    uninstall(house)
    assert sorted(path.name for path in plug_in.rglob("*.*")) == ["my-notes.txt", "wire.py.yours"]
    assert not (house.home / ".config/GIMP/3.0/plug-ins/deepdream").exists()


def change(path: Path) -> None:
    path.write_text(path.read_text() + "# mine\n")


@pytest.mark.parametrize("name", [".local/bin/deepdream", ".config/GIMP/3.2/plug-ins/deepdream/link/wire.py"])
def test_a_file_that_the_user_changed_stays_and_is_told(house: House, before: dict[str, str], name: str) -> None:
    change(house.home / name)
    output = uninstall(house)
    assert f"Kept {house.home / name}: you changed it" in output
    files = {name for name in listing(house.home) if (house.home / name).is_file()}
    assert files == {one for one in before if (house.home / one).is_file()} | {name}


def test_what_the_user_has_put_into_the_plug_in_is_kept(house: House) -> None:
    plug_in = house.home / ".config/GIMP/3.2/plug-ins/deepdream"
    output = (plug_in / "link" / "wire.py").read_bytes()
    for number, name in ((1, "wire.py.yours"), (2, "wire.py.yours.2")):
        (plug_in / "link" / "wire.py").write_text(f"# mine {number}\n")
        (plug_in / "own.txt").write_text("mine")
        dry = house.install("gimp", "--dry-run")
        assert f"keep your version of {plug_in / 'link' / 'wire.py'} as link/{name}" in dry.stdout
        assert (plug_in / "link" / "wire.py").read_text() == f"# mine {number}\n"
        done = house.install("gimp")
        assert done.returncode == 0, done.stderr
        assert f"your version is now link/{name}" in done.stdout
        assert (plug_in / "link" / name).read_text() == f"# mine {number}\n"
        assert (plug_in / "link" / "wire.py").read_bytes() == output
    assert (plug_in / "own.txt.yours").read_text() == "mine"
    assert "unchanged" in house.install("gimp").stdout
    uninstall(house)
    kept = ["own.txt.yours", "own.txt.yours.2", "wire.py.yours", "wire.py.yours.2"]
    assert sorted(path.name for path in plug_in.rglob("*.*")) == kept


def test_purge_leaves_what_the_user_has_put_in_the_place_of_ours(house: House, before: dict[str, str]) -> None:
    launcher = house.home / ".local/bin/deepdream"
    launcher.write_text("#!/bin/sh\n# my own\n")
    assert "deepdream: you changed it" in uninstall(house, "--purge")
    assert launcher.read_text() == "#!/bin/sh\n# my own\n"


def test_purge_removes_what_the_program_wrote(house: House, before: dict[str, str]) -> None:
    state, drop = house.home / ".local/state/deepdream", house.home / "DeepDream"
    names = (
        "hotfolder/journal.sqlite3", "helper.log", "helper.log.1", "service.json", "run-host/helper.lock", "watch.log.2",
        "cluster/authority.json", "endpoint.json", ".service-0a.tmp", "helper.lock", "helper-start.log",
    )  # fmt: skip
    for pattern in re.split(r"\|(?![^(]*\))", WRITTEN):
        assert any(re.fullmatch(pattern, name.split("/")[0]) for name in names), pattern
    for name in names:
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text("ours")
    (house.data / "weights").mkdir()
    (house.data / "weights" / "x.safetensors").write_text("ours")
    (drop / ".deepdream-folder").write_text("mark")
    for own in ("out", "done", "failed"):
        (drop / own).mkdir()
    uninstall(house, "--purge")
    del before[".config/deepdream/config.yaml"], before[".config/deepdream"]
    assert listing(house.home) == before


@pytest.mark.parametrize("words", [(), ("--purge",)])
def test_pictures_stay_in_any_case(house: House, words: tuple[str, ...]) -> None:
    drop = house.home / "DeepDream"
    pictures = [drop / "new.jpg", drop / "out" / "a.dream.jpg", drop / "done" / "a.jpg", drop / "failed" / "b.jpg"]
    for picture in pictures:
        picture.parent.mkdir(exist_ok=True)
        picture.write_text("picture")
    (drop / ".deepdream-folder").write_text("mark")
    uninstall(house, *words)
    assert all(picture.read_text() == "picture" for picture in pictures)


def test_without_purge_journal_and_drop_folder_stay_together(house: House) -> None:
    """The journal knows the folder by its mark; one without the other would be taken for a disk that is not there."""
    journal, drop = house.home / ".local/state/deepdream/hotfolder/journal.sqlite3", house.home / "DeepDream"
    journal.parent.mkdir(parents=True)
    journal.write_text("ours")
    (drop / ".deepdream-folder").write_text("mark")
    output = uninstall(house)
    assert journal.exists()
    assert (drop / ".deepdream-folder").exists()
    assert f"Kept {drop}: " in output
    assert str(journal.parent.parent) in output


def test_a_later_purge_takes_the_marks_out_of_the_folders_that_the_journal_knows(house: House) -> None:
    journal, drop = house.home / ".local/state/deepdream/hotfolder/journal.sqlite3", house.home / "DeepDream"
    mine = house.home / "Pictures"
    journal.parent.mkdir(parents=True)
    for folder in (drop, mine):
        (folder / ".deepdream-folder").write_text("mark")
        (folder / "out").mkdir()
    with contextlib.closing(sqlite3.connect(journal)) as opened, opened:
        opened.execute("CREATE TABLE folders (folder BLOB PRIMARY KEY, mark TEXT NOT NULL)")
        opened.executemany("INSERT INTO folders VALUES (?, 'mark')", [(os.fsencode(drop),), (os.fsencode(mine),)])
    uninstall(house)
    assert (drop / ".deepdream-folder").exists()
    uninstall(house, "--purge", "--dry-run")
    assert (mine / ".deepdream-folder").exists()
    uninstall(house, "--purge")
    assert not drop.exists()
    assert [path.name for path in mine.iterdir()] == ["a.jpg"]


def rewritten(house: House, edit: Callable[[dict[str, dict[str, object]]], None]) -> None:
    record = house.data / "manifest.json"
    output = json.loads(record.read_text())
    edit(output["parts"])
    record.write_text(json.dumps(output))


def test_a_record_that_was_tampered_with_leads_nowhere_else(house: House, before: dict[str, str]) -> None:
    pictures = house.home / "Pictures"

    def edit(parts: dict[str, dict[str, object]]) -> None:
        app = parts["app"]
        app["trees"] = [str(pictures), "/", str(house.data / "app" / ".." / ".." / ".."), *app["trees"]]  # type: ignore[misc]
        app["files"] = {str(pictures / "a.jpg"): "0" * 64, **app["files"]}  # type: ignore[dict-item]
        app["folders"] = [str(pictures), "/", *app["folders"]]  # type: ignore[misc]
        app["links"] = {str(pictures / "a.jpg"): "x", **app["links"]}  # type: ignore[dict-item]

    rewritten(house, edit)
    uninstall(house)
    assert listing(house.home) == before


def test_a_command_of_the_same_name_made_later_stays(house: House) -> None:
    house.launcher.unlink()
    house.launcher.symlink_to("mine")
    uninstall(house)
    assert house.launcher.is_symlink()
    assert (house.home / ".local/bin/mine").read_text() == "mine"


def test_nothing_installed_is_told(tmp_path: Path) -> None:
    house = House.make(tmp_path)
    assert "DeepDream is not installed" in uninstall(house)
    assert "DeepDream is not installed" in uninstall(house, "--purge")
    assert listing(house.home) == {}


def test_again_after_it_was_removed_it_is_installed(house: House, before: dict[str, str]) -> None:
    uninstall(house)
    assert house.install().returncode == 0
    assert house.version() == "1.0"
    uninstall(house)
    assert listing(house.home) == before
