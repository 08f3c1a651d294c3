"""The suite in several processes: which tests stay together, which run alone, and how a run ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import parallel
import pytest

pytest.importorskip("xdist")

TESTS = Path(__file__).parent

FILE = """
import json, os, time
import pytest

def noted(name, then=lambda: time.sleep(0.1)):
    began = time.monotonic()
    then()
    line = {"name": name, "file": __name__, "pid": os.getpid(), "from": began, "to": time.monotonic()}
    with open("ran", "a") as ran:
        ran.write(json.dumps(line) + "\\n")

@pytest.mark.alone
def test_alone():
    noted("alone")

@pytest.mark.parametrize("number", range(4))
def test_beside(number):
    noted("beside")
"""

INI = """
[pytest]
filterwarnings = error
markers =
    alone
    slow(kind)
"""


def run(folder: Path, *words: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in two processes over these files."""
    for name, text in {"pytest.ini": INI, **{f"test_{name}.py": text for name, text in files.items()}}.items():
        (folder / name).write_text(text)
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plug_ins = ("-p", "xdist", "-p", "left_out", "-p", "parallel", "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", *plug_ins, *words],
        cwd=folder, env={**environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def noted(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ran").read_text().splitlines()]


def test_neighbours_of_one_file_and_one_gimp_are_a_piece() -> None:
    names = ["a.py::x[3.0]", "a.py::y[3.0-b]", "a.py::x[3.2]", "b.py::x", "b.py::y", "a.py::z"]
    found = parallel.pieces(names)
    assert list(found) == names
    assert len({found[name] for name in names}) == 4
    assert found["a.py::x[3.0]"] == found["a.py::y[3.0-b]"]
    assert found["b.py::x"] == found["b.py::y"]


def test_a_file_stays_in_one_process_and_nothing_runs_beside_what_is_alone(tmp_path: Path) -> None:
    done = run(tmp_path, a=FILE, b=FILE, c=FILE)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = noted(tmp_path)
    assert len(ran) == 15
    for file in ("test_a", "test_b", "test_c"):
        assert len({line["pid"] for line in ran if line["file"] == file and line["name"] == "beside"}) == 1
    assert len({line["pid"] for line in ran}) == 2
    for alone in (line for line in ran if line["name"] == "alone"):
        others = [line for line in ran if line is not alone]
        assert all(line["to"] <= alone["from"] or alone["to"] <= line["from"] for line in others)


def test_a_process_that_dies_fails_its_test_and_the_others_are_run(tmp_path: Path) -> None:
    done = run(tmp_path, a=FILE + "\ndef test_dies():\n    os._exit(3)\n", b=FILE)
    assert done.returncode == 1
    assert "test_a.py::test_dies" in done.stdout
    assert "1 failed, 10 passed" in done.stdout
    assert len(noted(tmp_path)) == 10


def test_what_is_left_out_is_counted_by_kind(tmp_path: Path) -> None:
    slow = 'import pytest\n\n@pytest.mark.slow("{}")\ndef test_slow(): pass\n'
    files = {"a": FILE, "b": slow.format("kills"), "c": slow.format("soaks"), "d": slow.format("kills")}
    done = run(tmp_path, "-m", "not slow", **files)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "3 slow tests were left out: kills 2, soaks 1")
    assert "left out" not in run(tmp_path, **files).stdout
