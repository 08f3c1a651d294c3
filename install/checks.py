"""`python3 install test`: lint, format, types and tests, one test process for each core; --all: the slow tests too."""

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import processes

from deepdream_core.machine.command import clean_environment

PROGRAM = ("deepdream_core", "install", "plugin/deepdream")
"""Code for Windows and macOS too; the tests run on Linux."""


@dataclass(frozen=True)
class Check:
    """One check: its `name` for people and the module's arguments for `python -m`."""

    name: str
    words: tuple[str, ...]


_OTHER_SYSTEMS = (
    Check(f"mypy {platform}", ("mypy", "--platform", platform, "--cache-dir", f".mypy_cache/{platform}", *PROGRAM))
    for platform in ("win32", "darwin")
)
CHECKS = (
    Check("ruff check", ("ruff", "check")),
    Check("ruff format", ("ruff", "format", "--check")),
    Check("mypy", ("mypy",)),
    *_OTHER_SYSTEMS,
    Check("pytest", ("pytest", "-n", "auto")),
)


def run_all(root: Path, python: Path, pytest_words: Sequence[str], *, slow: bool) -> int:
    """Run every check in `root`, pytest with `pytest_words`; return 0, 1 if any failed, 130 after Ctrl-C.

    Runs all even if one fails, passes their output through, and prints one line for each check at the end. Without `slow`,
    skips the tests with that marker, unless an argument -m selects tests.
    """
    ours = () if slow or any(word.startswith("-m") for word in pytest_words) else ("-m", "not slow")
    env = clean_environment()
    results: list[str] = []
    failed = interrupted = False
    for check in CHECKS:
        words = [*check.words, *((*ours, *pytest_words) if check.name == "pytest" else ())]
        print(f"\n== {shlex.join(words)}", flush=True)
        started = time.monotonic()
        child = subprocess.Popen([str(python), "-m", *words], cwd=root, env=env)
        code, interrupted = processes.wait_through_interrupts(child)
        failed = failed or code != 0
        outcome = "stopped" if interrupted else "failed" if code else "ok"
        results.append(f"{check.name:<12} {outcome:<7} {time.monotonic() - started:7.1f} s")
        if interrupted:
            break
    print("\n" + "\n".join(results), flush=True)
    if ours:
        print("The slow tests were left out; `python3 install test --all` runs them too.", flush=True)
    if interrupted:
        sys.stderr.write("install: stopped — run the same command again to continue\n")
        return 130
    return int(failed)
