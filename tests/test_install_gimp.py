"""`python3 install gimp`: which folders, what is laid into them, and what is left alone. No GIMP needed."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_install import Clone, mounting_is_possible

from deepdream_core.machine import gimp as gimp_folders
from deepdream_core.machine.folders import UserFolders

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "install"))

import gimp
import plug_in
from actions import Actions
from errors import Exit, InstallError
from screen import Screen

from deepdream_core.machine.manifest import Manifest

ROOT = Path(__file__).resolve().parent.parent
TOLD = b'{"version": "0.1.0", "protocol": 1, "command": ["python"]}'
FILES = {
    "deepdream.py": b"#!/usr/bin/env python3\n",
    "link.py": b"",
    "locale/de/LC_MESSAGES/deepdream.mo": b"\0\xff",
    "deepdream.json": TOLD,
}
# In place of `deepdream_core/plugin_facts.py`, which needs pydantic.
TELLS = """
import json, os, sys
if os.path.exists("broken"):
    sys.exit("config.yaml: dream.finest: 'x' is not allowed")
print(json.dumps({"version": "0.1.0", "protocol": 1, "command": [sys.executable]}))
"""
posix = pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX's")


@pytest.fixture
def plug_ins(tmp_path: Path) -> Path:
    """A folder of plug-ins whose path has blanks and more than ASCII."""
    folder = tmp_path / "Jürgen's home" / "GIMP 画" / "3.0" / "plug-ins"
    folder.mkdir(parents=True)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def only(plug_ins: Path) -> list[str]:
    """What lies in a folder of plug-ins, hidden leftovers among it."""
    return sorted(path.name for path in plug_ins.iterdir())


# One folder


def test_the_plug_in_is_installed_as_gimp_wants_it(plug_ins: Path) -> None:
    assert plug_in.install(plug_ins, FILES) == "installed"
    assert content(plug_ins / "deepdream") == FILES
    assert only(plug_ins) == ["deepdream"]
    if os.name == "posix":
        modes = {path.name: path.stat().st_mode & 0o777 for path in (plug_ins / "deepdream").rglob("*")}
        assert modes.pop("deepdream.py") == 0o755
        assert modes.pop("deepdream.json") == 0o600, "it holds the key to the helper"
        assert {mode for name, mode in modes.items() if "." in name} == {0o644}
        assert (plug_ins / "deepdream").stat().st_mode & 0o777 == 0o755


def test_missing_folders_are_made(tmp_path: Path) -> None:
    plug_in.install(tmp_path / "3.2" / "plug-ins", FILES)
    assert content(tmp_path / "3.2" / "plug-ins" / "deepdream") == FILES


def test_twice_changes_nothing(plug_ins: Path) -> None:
    plug_in.install(plug_ins, FILES)
    compiled = plug_ins / "deepdream" / "__pycache__"
    compiled.mkdir()
    (compiled / "link.cpython-311.pyc").write_bytes(b"x")

    def listed() -> dict[Path, tuple[int, ...]]:
        stats = {path: path.stat() for path in plug_ins.rglob("*")}
        return {path: (s.st_ino, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in stats.items()}

    before = listed()
    assert plug_in.install(plug_ins, FILES) == "unchanged"
    assert listed() == before


@pytest.mark.parametrize("changed", ["deepdream.json", "link.py", "new.py", "locale/de/LC_MESSAGES/deepdream.mo"])
def test_gimp_notices_every_change_by_the_program_s_date(plug_ins: Path, changed: str) -> None:
    plug_in.install(plug_ins, FILES)
    program = plug_ins / "deepdream" / "deepdream.py"
    before = int(program.stat().st_mtime)
    other = TOLD.replace(b"0.1.0", b"0.2.0")
    assert plug_in.install(plug_ins, FILES | {changed: other}) == "updated"
    assert int(program.stat().st_mtime) > before, "GIMP compares whole seconds"
    assert content(plug_ins / "deepdream") == FILES | {changed: other}


def test_what_is_no_longer_part_of_it_goes(plug_ins: Path) -> None:
    plug_in.install(plug_ins, FILES | {"old.py": b"", "old/older.py": b""})
    assert plug_in.install(plug_ins, FILES) == "updated"
    assert content(plug_ins / "deepdream") == FILES
    assert not (plug_ins / "deepdream" / "old").exists()


@posix
def test_a_program_that_lost_its_right_to_run_is_mended(plug_ins: Path) -> None:
    plug_in.install(plug_ins, FILES)
    (plug_ins / "deepdream" / "deepdream.py").chmod(0o644)
    assert plug_in.install(plug_ins, FILES) == "updated"
    assert (plug_ins / "deepdream" / "deepdream.py").stat().st_mode & 0o777 == 0o755


def folder_of_another(target: Path) -> None:
    target.mkdir()
    (target / "deepdream.py").write_text("another one's")


def folder_with_another_s_json(target: Path) -> None:
    folder_of_another(target)
    (target / "deepdream.json").write_text('{"version": 3}')


def damaged_one(target: Path) -> None:
    target.mkdir()
    (target / "deepdream.json").write_text('{"version":')


def link_to_a_clone(target: Path) -> None:
    source = target.parent.parent / "clone"
    source.mkdir()
    (source / "deepdream.json").write_bytes(TOLD)
    target.symlink_to(source)


def link_to_nowhere(target: Path) -> None:
    target.symlink_to("/nowhere")


@posix
@pytest.mark.parametrize(
    "made", [folder_of_another, folder_with_another_s_json, damaged_one, link_to_a_clone, link_to_nowhere, Path.touch]
)
def test_what_is_not_ours_is_left_alone(plug_ins: Path, made: Callable[[Path], object]) -> None:
    made(plug_ins / "deepdream")
    before = content(plug_ins.parent)
    for install in (plug_in.outcome, plug_in.install):
        with pytest.raises(InstallError, match="this project did not install it") as caught:
            install(plug_ins, FILES)
        assert caught.value.code == Exit.ENVIRONMENT
        assert "move or delete it" in caught.value.todo
    assert content(plug_ins.parent) == before


def test_an_empty_folder_is_nobody_s(plug_ins: Path) -> None:
    (plug_ins / "deepdream").mkdir()
    assert plug_in.install(plug_ins, FILES) == "installed"
    assert content(plug_ins / "deepdream") == FILES


def test_a_dry_run_tells_and_changes_nothing(plug_ins: Path) -> None:
    assert plug_in.outcome(plug_ins, FILES) == "installed"
    assert only(plug_ins) == []
    plug_in.install(plug_ins, FILES)
    assert plug_in.outcome(plug_ins, FILES) == "unchanged"
    assert plug_in.outcome(plug_ins, FILES | {"link.py": b"1"}) == "updated"
    assert content(plug_ins / "deepdream") == FILES


def test_a_failure_in_the_midst_leaves_the_old_one(plug_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in.install(plug_ins, FILES)
    rename = Path.rename

    def fails(path: Path, target: Path) -> Path:
        if path.suffix == ".new":
            raise OSError(5, "Input/output error", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(InstallError, match="Input/output error"):
        plug_in.install(plug_ins, FILES | {"link.py": b"new"})
    assert content(plug_ins / "deepdream") == FILES
    assert only(plug_ins) == ["deepdream"]


def test_where_the_folder_cannot_be_moved_each_file_is(plug_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in.install(plug_ins, FILES | {"old/older.py": b""})
    compiled = plug_ins / "deepdream" / "__pycache__"
    compiled.mkdir()
    (compiled / "link.cpython-311.pyc").write_bytes(b"x")

    def in_use(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = int((plug_ins / "deepdream" / "deepdream.py").stat().st_mtime)
    monkeypatch.setattr(Path, "rename", in_use)
    monkeypatch.setattr(plug_in, "_folders_may_be_in_use", lambda: True)
    assert plug_in.install(plug_ins, FILES | {"link.py": b"new"}) == "updated"
    assert content(plug_ins / "deepdream") == FILES | {"link.py": b"new"}
    assert int((plug_ins / "deepdream" / "deepdream.py").stat().st_mtime) > before
    assert only(plug_ins) == ["deepdream"]


def test_a_folder_of_the_image_beneath_a_live_system_is_filled_file_by_file(
    plug_ins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a folder that is not of the upper layer cannot be moved: EXDEV."""

    def of_the_image(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    plug_in.install(plug_ins, FILES)
    monkeypatch.setattr(Path, "rename", of_the_image)
    assert plug_in.install(plug_ins, FILES | {"link.py": b"new"}) == "updated"
    assert content(plug_ins / "deepdream") == FILES | {"link.py": b"new"}
    assert only(plug_ins) == ["deepdream"]


def test_what_a_killed_install_left_is_removed_after_a_while(plug_ins: Path) -> None:
    for name, age_s in (("ours", 0), ("dead", 3600)):
        left = plug_ins / f".deepdream-{name}.new"
        left.mkdir()
        os.utime(left, (time.time() - age_s, time.time() - age_s))
    plug_in.install(plug_ins, FILES)
    assert only(plug_ins) == [".deepdream-ours.new", "deepdream"]


@pytest.mark.skipif(not mounting_is_possible(), reason="needs the right to mount a small disk (unshare)")
@pytest.mark.parametrize(
    ("mount", "code", "words"),
    [
        ("mount -t tmpfs -o ro,size=1m tmpfs", Exit.NOT_WRITABLE, "no permission to write"),
        ("mount -t tmpfs -o size=8k tmpfs", Exit.DISK_FULL, "too full"),
    ],
)
def test_a_folder_that_takes_nothing_is_told(plug_ins: Path, mount: str, code: Exit, words: str) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import plug_in, pathlib, errors\n"
        "try: plug_in.install(pathlib.Path(sys.argv[2]), "
        "{'deepdream.py': b'x' * 100_000, 'deepdream.json': b'{}'})\n"
        "except errors.InstallError as error:\n"
        "    print(error, list(pathlib.Path(sys.argv[2]).iterdir()))\n"
        "    sys.exit(error.code)\n"
    )
    rights = ["-m"] if os.geteuid() == 0 else ["-rm"]
    done = subprocess.run(
        ["unshare", *rights, "sh", "-c", f'{mount} "$1"; exec "$2" -B -c "$3" "$4" "$1"', "sh", plug_ins,
         sys.executable, script, ROOT / "install"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert words in done.stdout
    assert done.stdout.endswith(" []\n"), "nothing is left behind"


# What is laid there


def project(root: Path) -> Path:
    """A small project with a plug-in."""
    (root / "deepdream_core").mkdir(parents=True, exist_ok=True)
    (root / "plugin" / "deepdream" / "locale" / "de" / "LC_MESSAGES").mkdir(parents=True)
    (root / "plugin" / "deepdream" / "help" / "en").mkdir(parents=True)
    (root / "plugin" / "deepdream" / "__pycache__").mkdir()
    (root / "deepdream_core" / "link").mkdir()
    for name in ("client.py", "wire.py"):
        (root / "deepdream_core" / "link" / name).write_text(f"# {name}\n")
    for name in ("deepdream.py", "jobs.py", "notes.txt", "__pycache__/jobs.pyc", "locale/de/LC_MESSAGES/deepdream.mo",
                 "icon.svg", "help/en/index.html"):  # fmt: skip
        (root / "plugin" / "deepdream" / name).write_text(f"# {name}\n")
    (root / "deepdream_core" / "thumbnails").mkdir()
    for name in ("classic.png", "fur.png", "notes.txt"):
        (root / "deepdream_core" / "thumbnails" / name).write_text(f"# {name}\n")
    return root


def test_modules_texts_pictures_and_the_client_make_the_plug_in(tmp_path: Path) -> None:
    files = gimp.wanted_files(project(tmp_path), TOLD)
    assert files.keys() == {
        "deepdream.py", "jobs.py", "locale/de/LC_MESSAGES/deepdream.mo", "deepdream.json", "link/client.py", "link/wire.py",
        "thumbnails/classic.png", "thumbnails/fur.png", "icon.svg", "help/en/index.html",
    }  # fmt: skip
    assert files["deepdream.json"] == TOLD
    assert files["link/wire.py"] == b"# wire.py\n"


@pytest.mark.parametrize("missing", ["plugin/deepdream/deepdream.py", "deepdream_core/link/client.py"])
def test_a_clone_with_a_hole_is_told(tmp_path: Path, missing: str) -> None:
    (project(tmp_path) / missing).unlink()
    with pytest.raises(InstallError, match=missing) as caught:
        gimp.wanted_files(tmp_path, TOLD)
    assert "git checkout" in caught.value.todo


def test_this_project_s_own_facts_are_what_it_asks_for() -> None:
    output = json.loads(gimp.facts(ROOT, Path(sys.executable)))
    assert output["command"][0] == sys.executable
    assert Path(output["endpoint"]).is_absolute()


# Which folders


def made(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(parents=True)


def test_every_gimp_3_of_the_user_is_found_each_once(tmp_path: Path) -> None:
    home, config = tmp_path / "home", tmp_path / "other config"
    linux, snap = home / ".config" / "GIMP", home / "snap" / "gimp" / "current" / ".config" / "GIMP"
    made(config / "GIMP" / "3.0", linux / "3.2", linux / "3.10", linux / "2.10", linux / "3.x", snap / "3.0")
    (linux / "3.4").touch()
    found = gimp_folders.existing(UserFolders({"XDG_CONFIG_HOME": str(config)}, "linux", home))
    assert found == [config / "GIMP" / "3.0", linux / "3.2", linux / "3.10", snap / "3.0"]
    usual = {"XDG_CONFIG_HOME": str(home / ".config")}
    assert gimp_folders.existing(UserFolders(usual, "linux", home)) == [linux / "3.2", linux / "3.10", snap / "3.0"]
    assert gimp_folders.existing(UserFolders({"XDG_CONFIG_HOME": "relative"}, "linux", home))[0] == linux / "3.2"
    assert gimp_folders.existing(UserFolders({}, "linux", tmp_path / "nobody")) == []


def test_the_folders_of_macos_and_windows(tmp_path: Path) -> None:
    mac = tmp_path / "Library" / "Application Support" / "GIMP" / "3.0"
    windows = tmp_path / "roaming" / "GIMP" / "3.2"
    made(mac, windows)
    assert gimp_folders.existing(UserFolders({}, "darwin", tmp_path)) == [mac]
    assert gimp_folders.existing(UserFolders({"APPDATA": str(tmp_path / "roaming")}, "win32", tmp_path)) == [windows]


def test_the_variable_that_gimp_3_knows_is_heeded(tmp_path: Path) -> None:
    made(tmp_path / "mine", tmp_path / ".config" / "GIMP" / "3.0")
    for value in ("mine", str(tmp_path / "mine")):
        found = gimp_folders.existing(UserFolders({"GIMP3_DIRECTORY": value}, "linux", tmp_path))
        assert found == [tmp_path / "mine", tmp_path / ".config" / "GIMP" / "3.0"]


def program(path: Path, says: str = "", makes: Path | None = None) -> None:
    """A GIMP that tells a version and, run without a window, makes its folder and tells so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    make = f'mkdir -p "{makes}"' if makes else "exit 1"
    path.write_text(f'#!/bin/sh\ncase "$1" in --version) echo "{says}";; --no-interface) {make};; esac\n')
    path.chmod(0o755)


@posix
def test_gimps_on_path_tell_their_version_by_name_or_when_asked(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    program(one / "gimp", "GNU Image Manipulation Program version 3.0.4")
    program(one / "gimp-2.10", "GNU Image Manipulation Program version 2.10.36")
    program(one / "gimp-test-clipboard-3.4", "3.4.0")
    program(two / "gimp-3.2", "never asked")
    program(two / "gimp-console-3.2", "never asked")
    (two / "gimp-console").symlink_to("gimp-console-3.2")
    (two / "gimp-3.6").write_text("no program")
    found = gimp_folders.on_path({"PATH": f"{one}{os.pathsep}{two}{os.pathsep}/nowhere{os.pathsep}"})
    assert {(one.path.name, one.version) for one in found} == {("gimp-console-3.2", "3.2"), ("gimp", "3.0")}


@posix
@pytest.mark.parametrize(("script", "limit_s"), [("exec sleep 60", 0.5), ("echo nonsense", 5.0), ("exit 3", 5.0)])
def test_a_gimp_that_does_not_tell_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, limit_s: float
) -> None:
    monkeypatch.setattr(gimp_folders, "ASK_WITHIN_S", limit_s)
    (tmp_path / "gimp").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "gimp").chmod(0o755)
    began = time.monotonic()
    assert gimp_folders.on_path({"PATH": str(tmp_path)}) == []
    assert time.monotonic() - began < 30


# The command


@pytest.mark.parametrize(
    ("words", "into"),
    [
        ([], []),
        (["--into", "/a b/plug-ins", "--into=/c/plug-ins"], ["/a b/plug-ins", "/c/plug-ins"]),
        (["--into", "/x/GIMP/3.0"], ["/x/GIMP/3.0/plug-ins"]),
        (["--into", "/x/plug-ins/deepdream", "--into", "/x/plug-ins"], ["/x/plug-ins"]),
    ],
)
@posix
def test_the_arguments(words: list[str], into: list[str]) -> None:
    assert gimp.parse(words) == gimp.Request(dry_run=False, into=tuple(map(Path, into)))
    assert gimp.parse([*words, "--dry-run"]).dry_run


@pytest.mark.parametrize("words", [["--into"], ["--into", "--dry-run"], ["--into="], ["--fast"], ["folder"]])
def test_arguments_that_make_no_sense(words: list[str]) -> None:
    with pytest.raises(InstallError) as caught:
        gimp.parse(words)
    assert caught.value.code == Exit.USAGE


class Place:
    """A project and a home of its own, in which the command is run."""

    def __init__(self, clone: Clone, home: Path, bin_: Path) -> None:
        self.clone = clone
        self.home = home
        self.gimps = home / ".config" / "GIMP"
        self.bin = bin_
        path = os.pathsep.join([str(bin_), "/usr/bin", "/bin"])
        self.environ = {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "PATH": path,
            "GIMP3_DIRECTORY": "",
            "XDG_DATA_HOME": "",
        }

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.clone.install("gimp", *words, env=self.environ)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with a plug-in; making its .venv takes seconds."""
    clone = Clone.make(tmp_path_factory.mktemp("at") / "a clöne")
    project(clone.root)
    (clone.root / "deepdream_core" / "plugin_facts.py").write_text(TELLS)
    return clone


@pytest.fixture
def place(clone: Clone, tmp_path: Path) -> Iterator[Place]:
    if shutil.which("gimp", path="/usr/bin:/bin"):
        pytest.skip("this machine has a GIMP, which would be found")
    made(tmp_path / "a höme", tmp_path / "bin")
    yield Place(clone, tmp_path / "a höme", tmp_path / "bin")
    (clone.root / "broken").unlink(missing_ok=True)


@posix
def test_without_a_gimp_it_says_so_and_installs_nothing(place: Place, tmp_path: Path) -> None:
    bare = Clone(tmp_path / "bare")
    shutil.copytree(place.clone.root, bare.root, ignore=shutil.ignore_patterns(".venv"))
    done = bare.install("gimp", env=place.environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No GIMP 3 was found" in done.stdout
    assert "--into FOLDER" in done.stdout
    assert not bare.venv.exists(), "gigabytes are not fetched for nothing"


@posix
def test_it_is_installed_for_every_gimp_there_is(place: Place) -> None:
    made(place.gimps / "3.0", place.gimps / "3.2" / "plug-ins", place.gimps / "2.10")
    done = place.run("--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("would be installed: ") == 2
    assert not (place.gimps / "3.0" / "plug-ins").exists()
    done = place.run()
    assert done.returncode == 0, done.stderr
    folders = [place.gimps / version / "plug-ins" / "deepdream" for version in ("3.0", "3.2")]
    assert [line for line in done.stdout.splitlines() if line.startswith("installed")] == [
        f"installed: {folder}" for folder in folders
    ]
    assert "Filters > Artistic > DeepDream" in done.stdout
    for folder in folders:
        assert json.loads((folder / "deepdream.json").read_text())["command"] == [
            str(place.clone.venv / "bin" / "python")
        ]
    done = place.run()
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"unchanged: {folder}" for folder in folders]
    pictures = [folder / "thumbnails" / "fur.png" for folder in folders]
    assert all(picture.exists() for picture in pictures)
    (picture := place.clone.root / "deepdream_core" / "thumbnails" / "fur.png").rename(picture.with_name("eyes.png"))
    done = place.run()
    picture.with_name("eyes.png").rename(picture)
    assert done.stdout.splitlines()[:2] == [f"updated: {folder}" for folder in folders]
    assert {path.name for path in pictures[0].parent.iterdir()} == {"classic.png", "eyes.png"}
    done = place.clone.install("uninstall", env=place.environ)
    assert done.returncode == 0, done.stderr
    assert not any(folder.exists() for folder in folders)
    assert not (place.gimps / "2.10" / "plug-ins").exists()


@posix
def test_a_gimp_that_never_ran_makes_its_folder_itself(place: Place) -> None:
    """In one made by somebody else it would not take over an older GIMP's settings (seen with 3.0.4)."""
    new = place.gimps / "3.2"
    program(place.bin / "gimp", "GNU Image Manipulation Program version 3.2.0", makes=new / "brushes")
    assert "--no-interface" in place.run("--dry-run").stdout
    assert not new.exists()
    done = place.run()
    assert done.returncode == 0, done.stderr
    assert "has not run yet: it must run once, without a window" in done.stdout
    assert (new / "plug-ins" / "deepdream" / "deepdream.py").exists()
    assert (new / "brushes").exists()
    assert place.run().stdout.splitlines() == [f"unchanged: {new / 'plug-ins' / 'deepdream'}"]


@posix
def test_a_gimp_that_cannot_run_is_told_and_no_folder_made(place: Place) -> None:
    program(place.bin / "gimp", "GNU Image Manipulation Program version 3.2.0")
    done = place.run()
    assert done.returncode == 0
    assert "start it once" in done.stdout
    assert not place.gimps.exists()


@posix
def test_named_folders_are_taken_and_no_others(place: Place, tmp_path: Path) -> None:
    made(place.gimps / "3.0")
    one, two = tmp_path / "ein Ordner" / "plug-ins", tmp_path / "画"
    done = place.run("--into", str(one), f"--into={two}")
    assert done.returncode == 0, done.stderr
    assert (one / "deepdream" / "deepdream.py").exists()
    assert (two / "deepdream" / "deepdream.py").exists()
    assert not (place.gimps / "3.0" / "plug-ins").exists()


@posix
def test_of_several_folders_one_bad_is_told_and_the_others_are_done(place: Place) -> None:
    made(place.gimps / "3.0" / "plug-ins", place.gimps / "3.2")
    folder_of_another(place.gimps / "3.0" / "plug-ins" / "deepdream")
    done = place.run()
    assert done.returncode == Exit.ENVIRONMENT
    assert done.stderr.count("install: ") == 1
    assert "this project did not install it" in done.stderr
    assert (place.gimps / "3.2" / "plug-ins" / "deepdream" / "deepdream.json").exists()


@posix
def test_a_broken_configuration_is_told_in_its_own_words(place: Place) -> None:
    made(place.gimps / "3.0")
    place.run("--dry-run")
    place.clone.install("dream")
    (place.clone.root / "broken").touch()
    done = place.run()
    assert done.returncode == Exit.ENVIRONMENT
    assert "config.yaml: dream.finest: 'x' is not allowed" in done.stderr
    assert not (place.gimps / "3.0" / "plug-ins").exists()


@posix
def test_wrong_arguments_are_told_before_anything_else(place: Place) -> None:
    done = place.run("--ito", "x")
    assert done.returncode == Exit.USAGE
    assert "does not take --ito" in done.stderr


def test_a_path_that_the_terminal_cannot_show_is_no_failure(
    plug_ins: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(gimp, "facts", lambda *_: TOLD)
    actions = Actions(Manifest(tmp_path / "manifest.json"), "gimp", Screen(terminal))
    python = Path(sys.executable)
    assert (
        gimp.run(
            UserFolders({}, "linux", tmp_path),
            project(tmp_path / "project"),
            [plug_ins],
            lambda: python,
            actions,
            Screen(io.StringIO()),
        )
        == 0
    )
    monkeypatch.undo()
    assert b"installed: " in terminal.detach().getvalue()
