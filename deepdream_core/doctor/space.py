"""A check of the room on disks: for the program, its state, temporary files and pictures on their way."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from deepdream_core.doctor.check import Finding, well, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NEEDED = {"data": 300_000_000, "state": 100_000_000, "temporary files": 300_000_000, "shared memory": 600_000_000}
"""Bytes: fetched weights, journal and logs, what libraries spill, and a picture of 24 megapixels there and back."""


def check_space(places: Mapping[str, Path]) -> Finding:
    """Look whether there is room at these places, by the names of `NEEDED`; those not made yet lie in the folders above."""
    said = []
    for name, place in places.items():
        there = next(path for path in (place, *place.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free < NEEDED[name]:
            what = f"{name}: {free / 1e6:.0f} MB are free in {there}, {NEEDED[name] / 1e6:.0f} MB should be"
            return wrong(what, _fix(name))
        if hasattr(os, "statvfs") and (entries := os.statvfs(there)).f_files and entries.f_favail < 1000:
            return wrong(f"{name}: {entries.f_favail} more files fit in {there}", "remove files that nobody needs")
        said.append(f"{name} {free / 1e9:.0f} GB")
    return well(f"free: {', '.join(said)}")


def _fix(name: str) -> str:
    if name == "shared memory":
        return "`sudo mount -o remount,size=2G /dev/shm`; in a container: start it with --shm-size=2g"
    return "free some space"
