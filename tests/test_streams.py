"""What the program prints, in every encoding, and where nobody reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import picture_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = pytest.mark.slow("odd streams")

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-I", "-m", "deepdream_core")
INSTALLER = (sys.executable, str(ROOT / "install"))
ENCODINGS = ("ascii", "cp1252", "cp437")
COMMANDS = (
    ("--help",), ("--version",), ("dream", "--help"), ("presets",), ("presets", "classic"), ("layers",), ("weights",),
    ("status",), ("status", "--json"), ("service", "status"), ("explain", "née–猫.png"), ("recipe", "née–猫.png"),
    ("dream", "née–猫.png"), ("bench", "--memory", "née–猫"), ("retry", "née–猫.png"),
    ("watch", "--config", "née–猫.yaml"), ("née–猫",),
)  # fmt: skip

posix = pytest.mark.skipif(os.name != "posix", reason="file numbers are POSIX's")


def ran(*words: str, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(words, env=dict(env), cwd=cwd, capture_output=True, timeout=120, check=False)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_an_encoding_lacks_is_replaced_in_every_command(
    home: dict[str, str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    plain = ran(*PROGRAM, *words, env={**home, "PYTHONIOENCODING": "utf-8"}, cwd=tmp_path)
    for encoding in ENCODINGS:
        answer = ran(*PROGRAM, *words, env={**home, "PYTHONIOENCODING": encoding}, cwd=tmp_path)
        assert answer.returncode == plain.returncode
        assert b"Traceback" not in answer.stderr
        if words[-1] == "--help":
            continue  # frames are drawn with other characters there
        for got, wanted in ((answer.stdout, plain.stdout), (answer.stderr, plain.stderr)):
            assert got == wanted.decode().encode(encoding, "replace")


def test_a_dream_reports_its_result_in_any_encoding(home: dict[str, str], tmp_path: Path) -> None:
    picture_file(tmp_path / "née–猫.png", size=(40, 40))
    words = ("dream", "née–猫.png", "--iterations", "1", "--octaves", "1")
    answer = ran(*PROGRAM, *words, env={**home, "PYTHONIOENCODING": "cp437"}, cwd=tmp_path)
    assert answer.returncode == 0
    assert "reading   née??.png" in answer.stderr.decode("cp437")
    assert answer.stdout == "née–猫.dream.png\n".encode(), "for scripts: the name as it is, byte for byte"
    told = ran(
        *PROGRAM, "recipe", "née–猫.dream.png", "--json", env={**home, "PYTHONIOENCODING": "ascii"}, cwd=tmp_path
    )
    assert (told.returncode, told.stdout[:1]) == (0, b"{")


def closed(*numbers: int) -> Callable[[], None]:
    """Return what closes these files in the process to be."""

    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


@posix
@pytest.mark.parametrize("numbers", [(1,), (2,), (0, 1, 2)], ids=str)
def test_with_closed_streams_it_does_its_work(home: dict[str, str], tmp_path: Path, numbers: tuple[int, ...]) -> None:
    picture_file(tmp_path / "a.png", size=(40, 40))
    words = ("dream", "a.png", "--iterations", "1", "--octaves", "1")
    answer = subprocess.run(
        (*PROGRAM, *words), env=home, cwd=tmp_path, capture_output=True,
        preexec_fn=closed(*numbers), timeout=120, check=False,
    )  # fmt: skip
    assert (answer.returncode, b"Traceback" in answer.stderr) == (0, False)
    shown = subprocess.run(
        (*PROGRAM, "recipe", "a.dream.png"), env=home, cwd=tmp_path, capture_output=True, check=False
    )
    assert shown.returncode == 0, "nothing that was printed is in the picture"
    for word, code in (("nosuch", 2), ("weights", 0)):
        refused = subprocess.run((*PROGRAM, word), env=home, preexec_fn=closed(*numbers), timeout=60, check=False)
        assert refused.returncode == code


@posix
@pytest.mark.parametrize(
    "words", [("layers",), ("weights",), ("dream", "--help"), ("status",), ("nosuch",)], ids=" ".join
)
def test_a_closed_pipe_causes_no_traceback(home: dict[str, str], words: tuple[str, ...]) -> None:
    """Both streams end in a pipe that nobody reads, as with `2>&1 | head -1`; what cannot be told is not waited for."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = subprocess.Popen((*PROGRAM, *words), env=home, stdout=writing, stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=60)
        both = subprocess.run((*PROGRAM, *words), env=home, stdout=writing, stderr=writing, timeout=60, check=False)
    finally:
        os.close(writing)
    assert b"Traceback" not in said
    assert b"Exception ignored" not in said
    assert process.returncode == both.returncode == (2 if words == ("nosuch",) else 1)


@pytest.mark.parametrize("words", [("--help",), ("gimp", "--help"), ("née–猫",)], ids=" ".join)
def test_the_installer_s_words_are_replaced_too(home: dict[str, str], tmp_path: Path, words: tuple[str, ...]) -> None:
    around = {**home, "PYTHONDONTWRITEBYTECODE": "1"}
    plain = ran(*INSTALLER, *words, env={**around, "PYTHONIOENCODING": "utf-8"}, cwd=tmp_path)
    assert plain.returncode == (2 if words == ("née–猫",) else 0)
    for encoding in ENCODINGS:
        answer = ran(*INSTALLER, *words, env={**around, "PYTHONIOENCODING": encoding}, cwd=tmp_path)
        assert answer.returncode == plain.returncode
        for got, wanted in ((answer.stdout, plain.stdout), (answer.stderr, plain.stderr)):
            assert got == wanted.decode().encode(encoding, "replace")


@posix
def test_the_installer_writes_to_a_closed_pipe_without_a_traceback(home: dict[str, str], tmp_path: Path) -> None:
    around = {**home, "PYTHONDONTWRITEBYTECODE": "1"}
    for words, code in ((("--help",), 0), (("nosuch",), 2)):
        gone = subprocess.run(
            (*INSTALLER, *words), env=around, cwd=tmp_path, preexec_fn=closed(0, 1, 2), timeout=60, check=False
        )
        assert gone.returncode == code
    reading, writing = os.pipe()
    os.close(reading)
    help_ = subprocess.run((*INSTALLER, "--help"), env=around, stdout=writing, stderr=subprocess.PIPE, check=False)
    nosuch = subprocess.run((*INSTALLER, "nosuch"), env=around, stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert (help_.returncode, help_.stderr, nosuch.returncode) == (1, b"", 2)
    with Path("/dev/full").open("w") as full:
        help_ = subprocess.run((*INSTALLER, "--help"), env=around, stdout=full, stderr=subprocess.PIPE, check=False)
    assert help_.returncode == 1
    assert help_.stderr.decode().startswith("install: cannot write the output: No space left on device")
