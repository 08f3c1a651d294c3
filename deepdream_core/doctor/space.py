"""A check of the room on disks: for the program, its state, temporary files and pictures on their way."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from deepdream_core.doctor.check import Finding, failing, passed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NEEDED = {"data": 300_000_000, "state": 100_000_000, "temporary files": 300_000_000, "shared memory": 600_000_000}
"""Bytes: fetched weights, journal and logs, what libraries spill, and a picture of 24 megapixels there and back."""


def check_space(places: Mapping[str, Path]) -> Finding:
    """Look whether there is room at these places, by the names of `NEEDED`; those not made yet lie in the folders above.

    Where shared memory is short, pictures go through temporary files, which need that room as well then.
    """
    needed, parts = dict(NEEDED), []
    shared = places.get("shared memory")
    if shared and shutil.disk_usage(shared).free < needed["shared memory"]:
        needed["temporary files"] += needed.pop("shared memory")
    for name, place in places.items():
        there = next(path for path in (place, *place.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if name not in needed:
            parts.append(f"{name} {free / 1e6:.0f} MB, so that large pictures go through temporary files")
            continue
        if free < needed[name]:
            what = f"{name}: {free / 1e6:.0f} MB are free in {there}, {needed[name] / 1e6:.0f} MB should be"
            return failing(what, _fix(short="shared memory" not in needed))
        if name == "state" and not os.access(there, os.W_OK | os.X_OK):
            return failing(
                f"{name}: {there} cannot be written to", "set HOME, or DEEPDREAM_STATE_DIR, to a folder of your own"
            )
        if hasattr(os, "statvfs") and (entries := os.statvfs(there)).f_files and entries.f_favail < 1000:
            return failing(f"{name}: {entries.f_favail} more files fit in {there}", "remove files that nobody needs")
        parts.append(f"{name} {free / 1e9:.0f} GB")
    return passed(f"free: {', '.join(parts)}")


def _fix(*, short: bool) -> str:
    """Return what to do; `short`: of shared memory."""
    more = "`sudo mount -o remount,size=2G /dev/shm`, in a container: start it with --shm-size=2g"
    return f"free some space, or have more shared memory: {more}" if short else "free some space"
