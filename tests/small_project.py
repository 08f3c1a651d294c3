"""A small project in place of this one, with this project's installer, and a home folder to install it into."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from test_install import Clone, surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
IN_SECONDS = 120

# Builds a wheel without any tool from the network; runs on while `slow` exists in the clone.
BACKEND = """
import base64, hashlib, os, pathlib, zipfile

def version():
    for line in open("pyproject.toml"):
        if line.startswith("version"):
            return line.split('"')[1]

def needs():
    with open("pyproject.toml") as project:
        return [line.split('"')[1] for line in project if line.startswith('    "')]

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info = "deepdream-%s.dist-info/" % version()
    metadata = "Metadata-Version: 2.1\\nName: deepdream\\nVersion: %s\\n" % version()
    files = {str(path): path.read_bytes() for path in pathlib.Path("deepdream_core").rglob("*.py")}
    files[info + "METADATA"] = (metadata + "".join("Requires-Dist: %s\\n" % need for need in needs())).encode()
    files[info + "WHEEL"] = b"Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    record = "".join("%s,,%d\\n" % (path, len(data)) for path, data in files.items())
    files[info + "RECORD"] = (record + info + "RECORD,,\\n").encode()
    wheel = "deepdream-%s-py3-none-any.whl" % version()
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return wheel

build_editable = build_wheel
"""

# The program: tells its version and where it is, completes, has drop folders and an address, and waits as a service.
PROGRAM = """
import os, signal, socket, sys, time
from deepdream_core import __version__

def told(text):
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect("\\0" + address[1:] if address[0] == "@" else address)
            out.sendall(text.encode())

asked = os.environ.get("_DEEPDREAM_COMPLETE", "")
if asked.startswith("source_"):
    print("# completion of deepdream for " + asked[7:] + ": _DEEPDREAM_COMPLETE")
elif sys.argv[1:] == ["--version"]:
    if "BROKEN" in __version__:
        sys.exit("it is broken")
    print("deepdream", __version__, sys.prefix)
elif sys.argv[1:2] == ["watch"]:
    if "DEAF" in __version__:
        sys.exit(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while "SLOW" in __version__ and not os.path.exists(os.path.expanduser("~/looked-through")):
        told("STATUS=looking with " + __version__)
        time.sleep(0.1)
    told("READY=1\\nSTATUS=watching with " + __version__)
    while True:
        time.sleep(1)
        told("WATCHDOG=1")
elif sys.argv[1:] == ["helper"]:
    listener = socket.socket(fileno=3)
    told("READY=1")
    while True:
        peer, _ = listener.accept()
        peer.sendall(__version__.encode())
        peer.close()
else:
    print(sys.argv[1:])
"""

FACTS = """
import json, os, sys
from deepdream_core import __version__
command = [sys.executable, "-I", "-m", "deepdream_core", "helper"]
print(json.dumps({"version": __version__, "protocol": 1, "command": command}))
"""

ENDPOINT = """
import json, os, pathlib, socket
home = pathlib.Path.home()
state = pathlib.Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state", "deepdream")
path = state / "service.json"
if not path.exists():
    state.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path.touch(0o600)
    path.write_text(json.dumps({"host": "127.0.0.1", "port": port, "token": "secret"}))
told = json.loads(path.read_text())
print(json.dumps({"path": str(path), "host": told["host"], "port": told["port"]}))
"""

CONFIG = """
import os, pathlib
class Config:
    own = pathlib.Path.home() / ".config" / "deepdream" / "config.yaml"
    folders = own.read_text().split() if own.exists() else ["~/DeepDream"]
def load_config():
    return Config
"""


class House:
    """A clone of the small project, and the home folder of somebody who installs it."""

    def __init__(self, clone: Clone, home: Path) -> None:
        self.clone = clone
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.environ = {
            name: value
            for name, value in surroundings().items()
            if not name.startswith(("XDG_", "DEEPDREAM_", "SUDO_", "GIMP3_", "DBUS_"))
        }
        path = os.pathsep.join(["/usr/bin", "/bin"])
        self.environ |= {"HOME": str(home), "PATH": path, "SHELL": "/bin/bash", "LANG": "C.UTF-8"}

    @classmethod
    def make(cls, folder: Path, home: str = "home", version: str = "1.0") -> House:
        clone = Clone.make(folder / "clone")
        root = clone.root
        (root / "install" / "small_backend.py").write_text(BACKEND, "utf-8")
        core = root / "deepdream_core"
        for name in ("hotfolder", "link"):
            (core / name).mkdir()
        for name, text in {
            "__main__.py": PROGRAM,
            "plugin_facts.py": FACTS,
            "link/__init__.py": "",
            "link/service_endpoint.py": ENDPOINT,
            "config.py": CONFIG,
            "hotfolder/__init__.py": "",
            "hotfolder/layout.py": "import os\nroot_of = os.path.expanduser\n",
        }.items():
            (core / name).write_text(text, "utf-8")
        for name in ("wire.py", "client.py"):
            (core / "link" / name).write_text(f"# {name}\n", "utf-8")
        (root / "plugin" / "deepdream").mkdir(parents=True)
        (root / "plugin" / "deepdream" / "deepdream.py").write_text("# plug-in-deepdream-check\n", "utf-8")
        house = cls(clone, folder / home)
        house.release(version)
        return house

    def release(self, version: str, *needs: str) -> None:
        """Make the clone another version."""
        self.clone.needs(*needs)
        project = self.clone.root / "pyproject.toml"
        text = project.read_text("utf-8").replace('version = "0.1.0"', f'version = "{version.partition("+")[0]}"')
        text = text.replace('"backend"', '"small_backend"').replace(
            'backend-path = ["."]', 'backend-path = ["install"]'
        )
        project.write_text(text, "utf-8")
        (self.clone.root / "deepdream_core" / "__init__.py").write_text(f"__version__ = {version!r}\n", "utf-8")

    @property
    def data(self) -> Path:
        return Path(self.environ.get("XDG_DATA_HOME") or self.home / ".local" / "share", "deepdream")

    @property
    def launcher(self) -> Path:
        return self.home / ".local" / "bin" / "deepdream"

    def install(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `python3 install` to its end."""
        return self.run(sys.executable, "-B", "install", *words, **environ)

    def run(self, *argv: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the clone, as this home's owner."""
        return subprocess.run(
            [*map(str, argv)], cwd=self.clone.root, env=self.environ | environ, capture_output=True, text=True,
            encoding="utf-8", timeout=IN_SECONDS, check=False,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `python3 install`, its group its own."""
        return subprocess.Popen(
            [sys.executable, "-B", "install", *words], cwd=self.clone.root, env=self.environ, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def version(self) -> str:
        """What the launcher's program says of itself, from a folder that is neither the clone nor the home."""
        done = subprocess.run(
            [self.launcher, "--version"], cwd="/", env=self.environ, capture_output=True, text=True, check=False,
            timeout=IN_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[1]

    def versions(self) -> list[str]:
        """The names of the versions that are there."""
        app = self.data / "app"
        return sorted(path.name for path in app.iterdir() if not path.is_symlink()) if app.is_dir() else []


def listing(folder: Path) -> dict[str, str]:
    """Everything below a folder: what it is, its mode, and a file's content or a link's target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            what = str(path.readlink())
        else:
            what = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[path.relative_to(folder).as_posix()] = f"{status.st_mode:o} {what}"
    return found


def soon(true: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait until a function says True."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
