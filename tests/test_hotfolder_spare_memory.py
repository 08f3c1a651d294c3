"""Resting while other programs need the device, and telling when a drop is done."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from deepdream_core.hotfolder import notification, spare_memory
from deepdream_core.hotfolder.spare_memory import LOOK_EVERY_S, SpareMemory
from deepdream_core.machine_settings import EngineSettings

if TYPE_CHECKING:
    from pathlib import Path


class Device:
    free_mb: float | None = 1000.0
    held_mb = 0.0
    now = 0.0
    asked = 0

    def free(self, _settings: EngineSettings) -> float | None:
        self.asked += 1
        return self.free_mb


def neighbour_of(device: Device) -> SpareMemory:
    return SpareMemory(device.free, lambda: device.held_mb, lambda: device.now)


def test_without_keep_free_mb_no_memory_is_measured() -> None:
    device = Device()
    assert neighbour_of(device).shortage(EngineSettings()) == ""
    assert device.asked == 0


def test_little_memory_is_a_reason_to_rest_until_there_is_more() -> None:
    device = Device()
    settings, one = EngineSettings(keep_free_mb=2000), neighbour_of(device)
    assert one.shortage(settings) == "other programs need the device: 1000 MB are free, keep_free_mb is 2000"
    device.free_mb = 2000
    assert one.shortage(settings), "it is not asked again and again"
    device.now = LOOK_EVERY_S
    assert one.shortage(settings) == ""
    assert device.asked == 2


def test_what_the_helper_itself_holds_is_no_reason() -> None:
    device = Device()
    device.held_mb = 1000
    assert neighbour_of(device).shortage(EngineSettings(keep_free_mb=2000)) == ""


def test_what_cannot_be_known_is_no_reason() -> None:
    device = Device()
    device.free_mb = None
    assert neighbour_of(device).shortage(EngineSettings(keep_free_mb=2000)) == ""


def nvidia(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands in for nvidia-smi")
def test_cuda_devices_are_asked_of_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nvidia(monkeypatch, tmp_path, "echo 1000; echo 3000")
    assert spare_memory.free_memory_mb(EngineSettings()) == pytest.approx(3145.7, abs=0.1)
    assert spare_memory.free_memory_mb(EngineSettings(device="cuda:0")) == pytest.approx(1048.6, abs=0.1)
    assert spare_memory.free_memory_mb(EngineSettings(devices=["cuda:1"])) == pytest.approx(3145.7, abs=0.1)
    nvidia(monkeypatch, tmp_path, "exit 9")
    assert (spare_memory.free_memory_mb(EngineSettings()) or 0) > 10, "then it is the system's"
    assert (spare_memory.free_memory_mb(EngineSettings(device="cpu")) or 0) > 10


def test_without_a_helper_nothing_is_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEPDREAM_RUNTIME_DIR", str(tmp_path))
    assert spare_memory.held_memory_mb() == 0


def test_a_batch_is_summed_up_in_words() -> None:
    assert notification.summary(1, 0) == "1 picture dreamed"
    assert notification.summary(3, 2) == "3 pictures dreamed, 2 failed"
    assert notification.summary(0, 1) == "1 failed"


@pytest.mark.skipif(sys.platform != "linux", reason="notify-send is Linux's")
def test_a_notification_is_shown_where_there_is_a_program_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert notification.command("a", "b") is None
    notification.announce("a", "b")
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/said\n')
    program.chmod(0o755)
    notification.announce("-DeepDream", "3 pictures dreamed")
    assert (tmp_path / "said").read_text().endswith("|--|-DeepDream|3 pictures dreamed|")
