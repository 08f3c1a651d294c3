"""From clone to picture with the newest Python that one of the roots carries, and its `pip`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conftest import picture_file, pixels_of
from gimp_root import SERIES
from systemd_root import systemd_or_skip
from test_installed import booted, checkout

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow("installations")

TWO_COMMANDS = (
    "cp -r /clone deepdream && cd deepdream && python3 install dream ~/astronaut.png --octaves 1 --iterations 1"
)


def test_the_newest_python_goes_from_clone_to_picture(tmp_path: Path) -> None:
    root = systemd_or_skip(SERIES[-1])
    photo = picture_file(tmp_path / "astronaut.png", size=(128, 96))
    clone = checkout(tmp_path / "clone")
    with booted(root, with_pip=True, clone=clone, astronaut=photo) as computer:
        version = tuple(map(int, computer.shell("python3 -c 'import sys; print(*sys.version_info[:2])'").split()))
        assert version >= (3, 14), "a newer GIMP's root has a newer Python"
        computer.shell("cp /astronaut astronaut.png")
        done = computer.run("sh", "-c", TWO_COMMANDS, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        result = computer.path("astronaut.dream.png")
        assert (pixels_of(photo) != pixels_of(result)).any(axis=-1).mean() > 0.5
        python = computer.shell("deepdream/.venv/bin/python -c 'import sys; print(*sys.version_info[:2])'")
        assert tuple(map(int, python.split())) == version
