"""Machines of a cluster, as real processes on this one: each has a home, a helper and a worker of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml
from helper_process import until

from deepdream_core.link import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER_VERSION = """
import sys
from deepdream_core.cli.main import run
from deepdream_core.cluster import guest
guest.__version__ = "0.0.9"
sys.exit(run())
"""
DYING = """
import os, sys, time
from deepdream_core.cli.main import run
from deepdream_core.work import remote
real = remote.RemoteEngine.dream
def dream(self, *arguments):
    if self.label == "poison.png":
        time.sleep(0.3)
        os._exit(1)
    return real(self, *arguments)
remote.RemoteEngine.dream = dream
sys.exit(run())
"""
"""The program of workers that a picture kills."""
FAULTY = """
import sys
from deepdream_core.cli.main import run
from deepdream_core.hotfolder import rest
from deepdream_core.work import remote
rest.PAUSES_S = (0.5,)
real = remote.RemoteEngine.dream
def dream(self, *arguments):
    if self.label in ("memory.png", "disk.png"):
        raise MemoryError("too large") if self.label == "memory.png" else OSError(28, "No space left on device")
    return real(self, *arguments)
remote.RemoteEngine.dream = dream
sys.exit(run())
"""
"""The program of workers that have faults of their own."""
STAND_IN = """
import asyncio, contextlib, sys
from dataclasses import replace
from deepdream_core import errors
from deepdream_core.bench import sleeping
from deepdream_core.cluster import guest, task, worker
from deepdream_core.work.remote import RemoteWeights
real = sleeping.SleepingEngine.dream
"""
"""How the program of a worker begins whose device is a stand-in that sleeps; what follows changes that."""
_END = """
with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(sleeping._work(sys.argv[1], 1, 0.1, sys.argv[2]))
"""


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Machine:
    """A home with what `deepdream` keeps there."""

    def __init__(self, folder: Path, name: str, config: dict[str, Any] | None = None) -> None:
        self.name, self.home = name, folder / name
        own = self.home / "config" / "deepdream" / "config.yaml"
        own.parent.mkdir(parents=True)
        own.write_text(yaml.safe_dump({"engine": {"device": "cpu", "devices": ["cpu"]}, **(config or {})}))
        self.environ = {
            **os.environ, "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config"), "OMP_NUM_THREADS": "1",
            "DEEPDREAM_STATE_DIR": str(self.home / "state"), "DEEPDREAM_RUNTIME_DIR": str(self.home / "run"),
        }  # fmt: skip
        self.log = self.home / "log"
        self.processes: list[subprocess.Popen[str]] = []

    def run(self, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of `deepdream` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "deepdream_core", *map(str, words)], env=self.environ, cwd=self.home, text=True,
            errors="surrogateescape", capture_output=True, timeout=300, check=False, **options,
        )  # fmt: skip

    def start(self, *words: object, program: str | None = None) -> subprocess.Popen[str]:
        """Start a command of `deepdream`."""
        begin = ["-m", "deepdream_core"] if program is None else ["-c", program]
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, *begin, *map(str, words)],
                env=self.environ,
                cwd=self.home,
                text=True,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def helper(self) -> client.HelperClient:
        return client.connect(endpoint_file=self.home / "run" / "endpoint.json", client="test")

    def says(self, text: str) -> bool:
        return text in self.log.read_text()

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.run("helper", "--stop")


class Studio:
    """A cluster on this machine: the scheduler's machine, and workers' machines."""

    def __init__(self, folder: Path, *, tls: bool) -> None:
        self.folder, self.port = folder, free_port()
        self.host = socket.gethostname() if tls else "127.0.0.1"
        self.address = f"{'tls' if tls else 'tcp'}://{self.host}:{self.port}"
        self.desk = self.machine("desk")
        self.scheduler: subprocess.Popen[str] | None = None
        self.machines: list[Machine] = []
        self.workers: dict[str, subprocess.Popen[str]] = {}

    def machine(self, name: str, config: dict[str, Any] | None = None) -> Machine:
        return Machine(self.folder, name, config)

    def weighing(self, name: str, weights: Path) -> Machine:
        """Return a machine with a weights file."""
        engine = {"device": "cpu", "devices": ["cpu"], "weights": str(weights)}
        return self.machine(name, {"engine": engine})

    def seen(self) -> list[dict[str, Any]]:
        """Return the machines of the cluster, as `deepdream status` shows them."""
        answer = self.desk.run("status", "--cluster", self.address, "--json")
        machines: list[dict[str, Any]] = json.loads(answer.stdout)["machines"] if answer.returncode == 0 else []
        return machines

    def start(self) -> None:
        """Start the scheduler, or start it again."""
        words = ("--port", self.port, "--dashboard", 0, "--no-worker", "--host", self.host)
        said = self.desk.log.read_text().count("the cluster is at") if self.desk.log.exists() else 0
        self.scheduler = self.desk.start("cluster", "start", *words)
        until(lambda: self.desk.log.read_text().count("the cluster is at") > said)

    def joined(self, machine: Machine) -> Machine:
        invitation = self.desk.run("cluster", "invite")
        assert invitation.returncode == 0, invitation.stderr
        done = machine.run("cluster", "join", "-", input=invitation.stdout)
        assert done.returncode == 0, done.stderr
        return machine

    def work(self, machine: Machine, program: str | None = None) -> None:
        """Start a machine's worker, or start it again."""
        self.workers[machine.name] = machine.start("worker", self.address, "--name", machine.name, program=program)

    def stand_in(self, name: str, change: str = "") -> Machine:
        """Start a worker whose device is a stand-in that sleeps; `change` is Python that changes it."""
        machine = self.machine(name)
        self.machines.append(machine)
        self.workers[name] = machine.start(self.address, name, program=STAND_IN + change + _END)
        return machine

    def ready(self, count: int) -> None:
        """Wait until so many machines have offered their devices."""
        until(lambda: sum(machine["rests"] == "" for machine in self.seen()) == count, 60)

    def dream(self, source: object, target: object, *words: object) -> subprocess.CompletedProcess[str]:
        """Let the desk dream on the cluster."""
        return self.desk.run("dream", source, "-o", target, *words, "--cluster", self.address)


@contextlib.contextmanager
def studio(folder: Path, *, tls: bool, workers: int) -> Iterator[Studio]:
    """A running cluster with so many workers."""
    made = Studio(folder, tls=tls)
    machines = [made.machine(f"worker{number}") for number in range(workers)]
    try:
        made.start()
        for machine in machines:
            made.work(made.joined(machine) if tls else machine)
        for machine in machines:
            until(partial(machine.says, "dreams for"), 60)
        made.machines = machines
        yield made
    finally:
        for machine in {made.desk, *machines, *made.machines}:
            machine.end()
