"""That the roots hold the GIMP they promise, and that nothing of them stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from gimp_root import SERIES, SUITES, GimpRoot, root_for, root_or_skip, run_gimp, screen, start_gimp
from helper_process import until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


@pytest.fixture(autouse=True)
def _nothing_stays_mounted() -> Iterator[None]:
    before = Path("/proc/self/mounts").read_text()
    yield
    assert Path("/proc/self/mounts").read_text() == before


def test_gimp_starts_with_the_plug_in_and_runs_python(root: GimpRoot, tmp_path: Path) -> None:
    (tmp_path / "deepdream.py").write_text(PLUG_IN)
    (tmp_path / "deepdream.py").chmod(0o755)
    script = (
        "report(version=Gimp.version(), there=Gimp.get_pdb().procedure_exists('plug-in-deepdream-try'))\n"
        "report(quotes='\\'\"', text='Träume')"
    )
    with start_gimp(root, script, plug_in_folder=tmp_path) as gimp:
        result = gimp.wait(60)
    first, second = result.check()
    assert first["version"].startswith(f"{root.series}.")
    assert first["there"]
    assert second == {"quotes": "'\"", "text": "Träume"}
    assert not gimp.folder.exists()


PLUG_IN = """#!/usr/bin/env python3
import sys
import gi
gi.require_version("Gimp", "3.0")
from gi.repository import Gimp


class Try(Gimp.PlugIn):
    def do_set_i18n(self, name):
        return False

    def do_query_procedures(self):
        return ["plug-in-deepdream-try"]

    def do_create_procedure(self, name):
        return Gimp.Procedure.new(self, name, Gimp.PDBProcType.PLUGIN, lambda *_: None, None)


Gimp.main(Try.__gtype__, sys.argv)
"""


def test_a_script_that_raises_is_recognised(root: GimpRoot) -> None:
    result = run_gimp(root, "report(first=1)\nraise ValueError('this one')")
    assert result.returncode == 64
    assert "this one" in result.stdout + result.stderr
    assert result.reports == [{"first": 1}]


def test_gimp_with_windows_shows_one(root: GimpRoot, tmp_path: Path) -> None:
    with screen(root) as shown, start_gimp(root, "report(up=True)", display=shown.display, quit_after=False) as gimp:
        until(gimp.reports, within_s=60)
        until(lambda: shown.windows("GNU Image Manipulation Program"), within_s=30)
        assert shown.picture(tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")


def test_screens_at_once_are_different_ones(root: GimpRoot) -> None:
    """Also those of other test runs on this machine, in whichever root."""
    widths = range(600, 606)
    together = threading.Barrier(len(widths))

    def shows(width: int) -> str:
        with screen(root, (width, 400)) as shown:
            together.wait(60)
            size = shown.xdotool("getdisplaygeometry")
            together.wait(60)
            return size

    with ThreadPoolExecutor(len(widths)) as people:
        assert list(people.map(shows, widths)) == [f"{width} 400" for width in widths]


def test_gimp_ends_when_the_test_is_killed(root: GimpRoot) -> None:
    code = (
        "import gimp_root as g, sys, time\n"
        f"with g.start_gimp(g.GimpRoot({root.series!r}, g.Path({str(root.path)!r})), "
        "'report(up=True)\\nwhile True: Gimp.version(); Gimp.get_images()') as gimp:\n"
        "    while not gimp.reports(): time.sleep(0.05)\n"
        "    print(gimp.folder, *[p.pid for p in gimp.processes()], flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as runner:
        assert runner.stdout is not None
        folder, *rest = runner.stdout.readline().split()
        pids = [int(pid) for pid in rest]
        assert len(pids) >= 2
        os.kill(runner.pid, signal.SIGKILL)
    assert until(lambda: not any(map(psutil.pid_exists, pids)))
    shutil.rmtree(folder)


def test_an_unfinished_root_is_built_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("gimp_root._build", lambda suite, path: done.append(path.name))
    for series in SERIES:
        (tmp_path / "deepdream-tests" / SUITES[series].name / "etc").mkdir(parents=True)
        root_for(series)
    assert done == [suite.name for suite in SUITES.values()]


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_without_a_root_ci_fails_and_others_skip(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(outcome, match="the roots need Linux and root"):
        root_or_skip("3.0")


def test_folders_of_the_outside_show_inside(root: GimpRoot, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("seen")
    script = "report(one=open('/outside/one').read())"
    assert run_gimp(root, script, binds={str(tmp_path): "/outside"}).check() == [{"one": "seen"}]
