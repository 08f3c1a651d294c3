"""What shells complete: values of options, and in real shells what a person gets at the first Tab."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from small_project import ROOT

from deepdream_core.layers import LAYERS
from deepdream_core.machine.folders import UserFolders
from deepdream_core.photo import FORMATS, format_named
from deepdream_core.photo.formats import WORDS

sys.path.insert(0, str(ROOT / "install"))

import launcher

if TYPE_CHECKING:
    from collections.abc import Iterator

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX's shells")


def completed(*words: str, cwd: Path, **environ: str) -> list[str]:
    """What bash is told when Tab is pressed after the last of these words."""
    env = {
        **os.environ, "HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd / "config"), "_DEEPDREAM_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["deepdream", *words]), "COMP_CWORD": str(len(words)), **environ,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-P", "-m", "deepdream_core"], env=env, cwd=cwd, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "| torch" not in done.stderr, "a person waits"
    assert all(line.startswith("import time:") for line in done.stderr.splitlines()), done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "follow"),
    [
        (("dream", "--layer", "pool"), ["pool1", "pool2", "pool3", "pool4", "pool5"]),
        (("dream", "--layer", ""), [one.name for one in LAYERS]),
        (("dream", "--preset", "sw"), ["swirls"]),
        (("presets", "ey"), ["eyes"]),
        (("presets", "sa"), ["save"]),
        (("dream", "--device", "c"), ["cpu", "cuda", "cuda:0"]),
        (("bench", "--precision", ""), ["auto", "fp32", "bf16", "fp16"]),
        (("dream", "--weights", ""), ["oxford", "torchvision"]),
        (("dream", "--weights", "./"), []),
        (("dream", "--format", "j"), ["jpg", "jxl"]),
        (("dream", "--via-helper", ""), ["auto", "yes", "no"]),
        (("weights", "fetch", ""), ["torchvision"]),
        (("looks", "--vary", "oct"), ["octaves=", "octave_scale="]),
        (("looks", "--preset", "mon"), ["monster"]),
        (("looks", "--layer", "pool"), ["pool1", "pool2", "pool3", "pool4", "pool5"]),
        (("channels", "relu5_"), ["relu5_1", "relu5_2", "relu5_3", "relu5_4"]),
    ],
)
def test_values_of_options_are_completed(tmp_path: Path, words: tuple[str, ...], follow: list[str]) -> None:
    assert completed(*words, cwd=tmp_path) == follow


def test_a_users_own_preset_is_completed_and_a_broken_file_prints_nothing(tmp_path: Path) -> None:
    own = tmp_path / "config" / "deepdream" / "config.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("presets: {mine-alone: {description: mine, layers: pool3}}\n")
    if sys.platform.startswith("linux"):
        assert completed("dream", "--preset", "mine", cwd=tmp_path) == ["mine-alone"]
    other = tmp_path / "other.yaml"
    other.write_text("presets: {mine-too: {description: mine, layers: pool3}}\n")
    assert completed("dream", "--config", "other.yaml", "--preset", "mine-t", cwd=tmp_path) == ["mine-too"]
    own.write_text("presets: [")
    other.write_text("presets: [")
    assert completed("dream", "--config", "other.yaml", "--preset", "", cwd=tmp_path) == []
    assert completed("dream", "--config", "nowhere.yaml", "--preset", "", cwd=tmp_path) == []


def test_all_formats_are_offered_and_understood() -> None:
    assert {format_named(word) for word in WORDS} == set(FORMATS)


# Real shells


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UserFolders:
    """Where an installed program would have its command and its completion, in a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    found = UserFolders({}, "linux", tmp_path)
    monkeypatch.setattr(UserFolders, "python", lambda _: Path(sys.executable))
    for shell, path in launcher.everywhere(found).items():
        path.parent.mkdir(parents=True)
        path.write_bytes(launcher.completion(found, shell))
    found.bin.mkdir(parents=True)
    found.launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m deepdream_core "$@"\n')
    found.launcher.chmod(0o755)
    return found


def shell_or_skip(name: str) -> str:
    """The path of a shell; where Debian's packages can be had it is fetched."""
    if not shutil.which(name) and shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        for words in (["update"], ["-y", "install", "--no-install-recommends", name]):
            subprocess.run(["apt-get", "-q", *words], capture_output=True, check=False, timeout=300)
    return shutil.which(name) or pytest.skip(f"needs {name}")


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: Path) -> None:
        import pty

        self.master, slave = pty.openpty()
        self.child = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=cwd, start_new_session=True, close_fds=True
        )
        os.close(slave)
        self.seen = b""

    def type(self, text: str) -> None:
        self.seen = b""
        os.write(self.master, text.encode())

    def shows(self, text: str, within_s: float = 60.0) -> None:
        """Wait until the terminal has shown a text since the last typing."""
        end = time.monotonic() + within_s
        while text.encode() not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 4096)

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self.master)


@pytest.fixture
def terminal(user: UserFolders, tmp_path: Path) -> Iterator[Any]:
    opened: list[Terminal] = []

    def start(*argv: str, **environ: str) -> Terminal:
        path = f"{user.bin}:/usr/bin:/bin"
        env = {"HOME": str(tmp_path), "PATH": path, "TERM": "dumb", "PS1": "> ", "LANG": "C.UTF-8", **environ}
        opened.append(Terminal(list(argv), env, tmp_path))
        return opened[-1]

    yield SimpleNamespace(start=start)
    for one in opened:
        one.close()


@posix
def test_zsh_completes_at_the_first_tab(terminal: Any, user: UserFolders) -> None:
    shell = terminal.start(shell_or_skip("zsh"), "-f", "-i", "-o", "no_beep", TERM="vt100")
    folder = launcher.everywhere(user)["zsh"].parent
    shell.type(f"fpath+=({folder}); autoload -U compinit; compinit -u -D; echo rea''dy\r")
    shell.shows("ready")
    shell.type("deepdream dream --layer relu5_\t")
    shell.shows("relu5_4")
    shell.type("\x15deepdream dream --preset mon\t")
    shell.shows("monster")


@posix
def test_bash_completes_at_the_first_tab(terminal: Any, user: UserFolders) -> None:
    shell = terminal.start(shell_or_skip("bash"), "--norc", "--noprofile", "-i", TERM="vt100")
    shell.type(f". {launcher.everywhere(user)['bash']}; echo rea''dy\r")
    shell.shows("ready")
    shell.type("deepdream dream --preset mon\t")
    shell.shows("monster")


@posix
def test_fish_completes_what_follows(user: UserFolders, tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": f"{user.bin}:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb"}
    ask = 'complete -C "deepdream dream --layer pool"'
    done = subprocess.run(
        [shell_or_skip("fish"), "-c", ask], env=env, cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [f"pool{n}" for n in range(1, 6)]
    assert "torchvision's 27" in done.stdout
