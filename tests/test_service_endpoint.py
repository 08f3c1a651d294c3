"""The service's fixed address: made once, kept, mended; and what the plug-in is told of it."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from activating import activating
from plugin_folder import FACTS, connection, facts

from deepdream_core import plugin_facts
from deepdream_core.config import builtin_config_path, load_config
from deepdream_core.link import service_endpoint, wire

if TYPE_CHECKING:
    from collections.abc import Callable


def module(environ: dict[str, str]) -> tuple[dict[str, Any], str]:
    """What `python -m deepdream_core.link.service_endpoint` prints, and its stderr."""
    answer = subprocess.run(
        [sys.executable, "-m", "deepdream_core.link.service_endpoint"], env=environ, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    printed: dict[str, Any] = json.loads(answer.stdout)
    return printed, answer.stderr


def test_it_is_made_once_and_never_prints_its_token(tmp_path: Path) -> None:
    environ = {**os.environ, "DEEPDREAM_STATE_DIR": str(tmp_path / "state")}
    printed, said = module(environ)
    path = tmp_path / "state" / "service.json"
    assert set(printed) == {"path", "host", "port"}
    assert (printed["path"], printed["host"], said) == (str(path), "127.0.0.1", "")
    held = json.loads(path.read_text())
    assert set(held) == {"host", "port", "token"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert held["port"] == printed["port"]
    assert module(environ) == (printed, "")
    assert json.loads(path.read_text()) == held


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's range")
def test_its_port_is_none_of_those_for_outgoing_connections(tmp_path: Path) -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = {service_endpoint.prepared(tmp_path / str(number) / "service.json")[0].port for number in range(20)}
    assert len(ports) > 10
    assert all(1024 < port < 49_152 and not low <= port <= high for port in ports)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_another_program_has_taken_is_left_to_it(tmp_path: Path, host: str) -> None:
    made, _ = service_endpoint.prepared(tmp_path / "service.json")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as other:
        other.bind((host, made.port))
        other.listen()
        if ":" not in host:
            other.settimeout(0.01)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(service_endpoint, "PROVE_WITHIN_S", 0.3)
            again, said = service_endpoint.prepared(tmp_path / "service.json")
    assert again.port != made.port
    assert again.token != made.token
    assert f"port {made.port}" in said
    assert service_endpoint.read_service(tmp_path / "service.json") == again


@pytest.mark.skipif(sys.platform != "linux", reason="systemd's socket activation")
def test_a_port_on_which_our_own_service_listens_is_kept(tmp_path: Path) -> None:
    with activating(tmp_path) as manager:
        assert service_endpoint.prepared(manager.service_file) == (manager.service, "")


def _text(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text)
        path.chmod(0o600)

    return write


def _open_to_all(path: Path) -> None:
    _text(json.dumps({"host": "127.0.0.1", "port": 20000, "token": "a" * 64}))(path)
    path.chmod(0o644)


def _link(path: Path) -> None:
    path.symlink_to("elsewhere")


WRONG = {
    "empty": _text(""),
    "no JSON": _text('{"host": "127.0.0.1", "po'),
    "a list": _text("[1, 2]"),
    "no token": _text('{"host": "127.0.0.1", "port": 20000}'),
    "a port that is a text": _text(json.dumps({"host": "127.0.0.1", "port": "20000", "token": "a" * 64})),
    "a port that is none": _text(json.dumps({"host": "127.0.0.1", "port": 70000, "token": "a" * 64})),
    "a port that is true": _text(json.dumps({"host": "127.0.0.1", "port": True, "token": "a" * 64})),
    "another machine": _text(json.dumps({"host": "192.0.2.1", "port": 20000, "token": "a" * 64})),
    "a short token": _text(json.dumps({"host": "127.0.0.1", "port": 20000, "token": "abc"})),
    "a token that is a number": _text(json.dumps({"host": "127.0.0.1", "port": 20000, "token": 1})),
    "nested without end": _text("[" * 50_000),
    "too long": _text(" " * 100_000),
    "open to all": _open_to_all,
    "a link": _link,
}


@pytest.mark.parametrize("how", WRONG)
def test_a_file_that_is_not_as_it_should_be_is_told_and_made_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "service.json"
    WRONG[how](path)
    with pytest.raises(wire.WireError, match="service"):
        service_endpoint.read_service(path)
    made, said = service_endpoint.prepared(path)
    assert "DeepDream made a new one" in said
    assert str(path) in said
    assert service_endpoint.read_service(path) == made
    assert not path.is_symlink()
    assert service_endpoint.prepared(path) == (made, "")
    assert [one.name for one in tmp_path.iterdir()] == ["service.json"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environ = {**os.environ, "DEEPDREAM_STATE_DIR": str(tmp_path / "file" / "state")}
    answer = subprocess.run(
        [sys.executable, "-m", "deepdream_core.link.service_endpoint"], env=environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (answer.returncode, answer.stdout) == (1, "")
    assert len(answer.stderr.splitlines()) == 1
    assert " — " in answer.stderr


# --- the plug-in


def test_the_plug_in_is_told_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", str(tmp_path))
    config = load_config(builtin_config_path())
    assert plugin_facts.plugin_facts(config)["service"] is None
    made, _ = service_endpoint.prepared(tmp_path / "service.json")
    told = plugin_facts.plugin_facts(config)
    assert told["service"] == {"host": made.host, "port": made.port, "token": made.token}
    (tmp_path / "deepdream.json").write_text(json.dumps(told))
    assert facts.load(tmp_path / "deepdream.json").service == told["service"]
    del told["service"]
    (tmp_path / "deepdream.json").write_text(json.dumps(told))
    assert facts.load(tmp_path / "deepdream.json").service is None


@pytest.mark.skipif(sys.platform != "linux", reason="systemd's socket activation")
@pytest.mark.parametrize("sandbox", ["FLATPAK_ID", ""])
def test_the_plug_in_starts_the_helper_by_connecting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: str
) -> None:
    monkeypatch.setenv("DEEPDREAM_RUNTIME_DIR", "")
    monkeypatch.setenv("DEEPDREAM_STATE_DIR", "")
    if sandbox:
        monkeypatch.setenv(sandbox, "org.gimp.GIMP")
    with activating(tmp_path / "outside") as manager:
        unseen = tmp_path / "unseen"
        words = service_endpoint.words_of(manager.service)
        known = facts.Facts(**{
            **FACTS.__dict__, "endpoint": unseen / "run" / "endpoint.json", "state": unseen / "state", "service": words,
            "command": ("/nowhere/bin/python",),
        })  # fmt: skip
        found = connection.connect(
            known, starting=lambda: pytest.fail("nothing is to be started by the plug-in itself")
        )
        assert manager.process is not None
        assert found.status()["pid"] == manager.process.pid
        # A token that was made again since is read from the file, where that is seen.
        stale = facts.Facts(**{
            **known.__dict__, "state": manager.service_file.parent, "service": {**words, "token": "0" * 64}
        })  # fmt: skip
        assert connection.connect(stale).endpoint.token == manager.service.token


@pytest.mark.parametrize("service", [None, [], "x", {"port": 1}, {"host": "127.0.0.1", "port": "x", "token": "y"}])
def test_a_service_that_makes_no_sense_is_none(tmp_path: Path, service: Any) -> None:
    known = facts.Facts(**{**FACTS.__dict__, "state": tmp_path, "service": service})
    assert connection._service(known) is None
