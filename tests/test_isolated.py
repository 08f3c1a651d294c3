"""Somebody else's environment: nothing in it becomes a part of the program, and none of Python's variables stops it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from conftest import picture_file

from deepdream_core.machine.command import clean_environment

INSTALL = Path(__file__).parents[1] / "install"
sys.path.insert(0, str(INSTALL))

import launcher  # noqa: E402
import running_programs  # noqa: E402

from deepdream_core import plugin_facts  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.skipif(os.name != "posix", reason="shell scripts")

STRANGERS = ("typer", "numpy", "torch", "random", "yaml", "sitecustomize", "deepdream_core")
PIP_S_SCRIPT = f"""#!{sys.executable}
import re
import sys
from deepdream_core.__main__ import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A folder of modules, each of which ends the program that imports it."""
    folder = tmp_path / "strangers"
    folder.mkdir()
    for name in STRANGERS:
        (folder / f"{name}.py").write_text(f"import os; os.write(2, b'{name} of strangers'); os._exit(99)\n")
    return folder


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """The script that is the installed command, and in a clone `.venv/bin/deepdream`."""
    path = tmp_path / "deepdream"
    path.write_bytes(launcher.script(Path(sys.executable)))
    path.chmod(0o755)
    return path


def ran(*words: str | Path, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)), env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONPATH": "{strangers}"},
        {"PYTHONHOME": "/nonexistent"},
        {"PYTHONUSERBASE": "{strangers}", "PYTHONSTARTUP": "{strangers}/random.py"},
        {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"},
        {"PYTHONINSPECT": "1", "PYTHONOPTIMIZE": "2", "PYTHONVERBOSE": "1"},
        {"PYTHONIOENCODING": "nonsense", "PYTHONUTF8": "nonsense", "PYTHONHASHSEED": "nonsense"},
    ],
    ids=" ".join,
)
def test_no_variable_of_python_changes_the_installed_command(
    command: Path, strangers: Path, home: dict[str, str], variables: dict[str, str]
) -> None:
    given = {name: text.format(strangers=strangers) for name, text in variables.items()}
    plain = ran(command, "presets", env=home, cwd=strangers)
    answer = ran(command, "presets", env={**home, **given}, cwd=strangers)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == plain.stdout
    assert "classic" in answer.stdout


def test_pip_s_own_script_isolates_itself_and_keeps_arguments_and_exit_code(
    strangers: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    script = tmp_path / "deepdream"
    script.write_text(PIP_S_SCRIPT)
    script.chmod(0o755)
    for name in (
        "deepdream_core",
        "sitecustomize",
        "random",
    ):  # what Python and the script itself load is not in our hands
        (strangers / f"{name}.py").unlink()
    around = {**home, "PYTHONPATH": str(strangers), "PYTHONWARNINGS": "error"}
    assert "classic" in ran(script, "presets", env=around, cwd=strangers).stdout
    answer = ran(script, "presets", "a b", env=around, cwd=strangers)
    assert answer.returncode == 2
    assert "unknown preset 'a b'" in answer.stderr


def test_helper_and_workers_are_isolated_too(
    command: Path, strangers: Path, tmp_path: Path, home: dict[str, str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"engine": {"devices": ["cpu"]}}))
    picture_file(tmp_path / "a.png", size=(40, 40))
    around = {**home, "PYTHONPATH": str(strangers)}
    helper = subprocess.Popen(
        [command, "helper", "--config", config], env=around, cwd=strangers, stderr=subprocess.PIPE
    )
    assert helper.stderr is not None
    with helper:
        try:
            assert b" listens on " in helper.stderr.readline()
            dreamed = ran(
                command, "dream", tmp_path / "a.png", "--via-helper", "yes", "--iterations", "1", "--octaves", "1",
                env=around, cwd=strangers,
            )  # fmt: skip
            assert (dreamed.returncode, helper.poll()) == (0, None), dreamed.stderr
        finally:
            helper.terminate()
            said = helper.stderr.read()
    assert b"strangers" not in said


def test_what_the_plug_in_starts_is_isolated() -> None:
    assert plugin_facts.helper_command()[1:4] == ["-I", "-m", "deepdream_core"]


def test_what_the_installer_runs_gets_none_of_python_s_variables_but_those_for_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    led_astray = ("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONINSPECT", "VIRTUAL_ENV")
    kept = ("PYTHONIOENCODING", "PYTHONUTF8", "LD_LIBRARY_PATH")
    for name in (*led_astray, *kept):
        monkeypatch.setenv(name, "utf-8")
    clean = clean_environment()
    assert not set(led_astray) & set(clean)
    assert set(kept) <= set(clean)


@pytest.mark.parametrize("flags", ["-P", "-I", "-I -X utf8"])
def test_what_each_version_has_started_is_found_by_its_command_line(
    monkeypatch: pytest.MonkeyPatch, flags: str
) -> None:
    line = f"  123 /Users/Jo Doe/Library/app/1/bin/python {flags} -m deepdream_core watch --plain\n"

    def ps(*_: Any, **__: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], 0, line.encode(), b"")

    monkeypatch.setattr(subprocess, "run", ps)
    found = [(123, ["/Users/Jo Doe/Library/app/1/bin/python", "deepdream_core", "watch", "--plain"])]
    assert list(running_programs._listed_by_ps()) == found


@pytest.mark.parametrize("flag", ["-P", "-I"])
def test_the_launchers_of_all_versions_are_ours(flag: str) -> None:
    assert launcher.is_ours(f'#!/bin/sh\nexec /h/app/current/bin/python {flag} -m deepdream_core "$@"\n'.encode())
