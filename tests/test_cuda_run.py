"""The command for the day there is a GPU: it runs, goes on after a failure, and brings along what it needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow("the GPU's script")

FOLDER = Path(__file__).parent / "cuda"
THERE = {"torch", "numpy"}
"""What fetch.sh leaves to the machine with the GPU."""


def run(*arguments: object, python: str = sys.executable, wheels: str = "none") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FOLDER / "run.sh", *map(str, arguments)],
        env={**os.environ, "PYTHON": python, "WHEELS": wheels},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


def stages(folder: Path) -> dict[str, int]:
    """Each stage's exit code."""
    rows = (line.split("\t") for line in (folder / "stages.tsv").read_text().splitlines())
    return {name: int(code) for name, code, _ in rows}


def test_it_runs_on_a_cpu(tmp_path: Path) -> None:
    answer = run("--device", "cpu", "--quick", tmp_path / "results")
    found = stages(tmp_path / "results")
    assert answer.returncode == 0, f"{found}\n{answer.stdout}\n{answer.stderr}"
    assert list(found) == ["machine", "tests", "bench-fp32", "memory-320x240", "profile", "helper", "pictures"]
    assert set(found.values()) == {0}
    assert len(list((tmp_path / "results" / "pictures").glob("[1-8]-*.png"))) == 8
    summary = (tmp_path / "results" / "summary.md").read_text()
    for part in (
        r"Tests: \d+ passed, \d+ skipped",
        r"\| 96², fp32 \|",
        "320×240, one step",
        "beyond the engine",
        "monster, ",
    ):
        assert re.search(part, summary), part


def test_it_continues_after_a_failure(tmp_path: Path) -> None:
    answer = run("--device", "cuda:63", "--quick", tmp_path)
    assert answer.returncode == 1
    found = stages(tmp_path)
    assert list(found)[-1] == "pictures"
    assert found["machine"] == 0
    assert all(code for name, code in found.items() if name != "machine")
    assert "| pictures | 8 |" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "named"), [((), "name a folder"), (("--fast", "x"), "--fast"), (("--device",), "--device")]
)
def test_a_wrong_call_is_reported(arguments: tuple[str, ...], named: str) -> None:
    answer = run(*arguments)
    assert answer.returncode != 0
    assert named in answer.stderr


def test_what_is_fetched_needs_nothing_that_is_not() -> None:
    listed = re.search(r"packages=\((.*?)\)", (FOLDER / "fetch.sh").read_text(), re.DOTALL)
    assert listed
    names = set(listed[1].split())
    for name in names:
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": "", "python_version": "3.12"}):
                assert needed.name.lower().replace("_", "-") in names | THERE, f"{name} needs {line}"
