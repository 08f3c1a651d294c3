"""A check of the free space for the program, its state, temporary files and pictures in transit."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from deepdream_core.doctor.check import Finding, failing, passed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NEEDED = {"data": 300_000_000, "state": 100_000_000, "temporary files": 300_000_000, "shared memory": 600_000_000}
"""Bytes: for weights, for journal and logs, for libraries' temporary files, and for a 24-megapixel picture both ways."""


def check_space(places: Mapping[str, Path]) -> Finding:
    """Check the free space at these places, by the names of `NEEDED`; uses the nearest existing folder above a missing one.

    Where shared memory is short, pictures go through temporary files, which then need that space as well.
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
            what = f"{name}: {free / 1e6:.0f} MB free in {there}, but {needed[name] / 1e6:.0f} MB needed"
            return failing(what, _fix(short="shared memory" not in needed))
        if name == "state" and not os.access(there, os.W_OK | os.X_OK):
            return failing(
                f"{name}: {there} is not writable", "set HOME, or DEEPDREAM_STATE_DIR, to a folder of your own"
            )
        if sys.platform != "win32" and (entries := os.statvfs(there)).f_files and entries.f_favail < 1000:
            return failing(f"{name}: only {entries.f_favail} more files fit in {there}", "remove files you do not need")
        parts.append(f"{name} {free / 1e9:.0f} GB")
    return passed(f"free: {', '.join(parts)}")


def _fix(*, short: bool) -> str:
    """Return what to do; `short`: shared memory is short."""
    more = "`sudo mount -o remount,size=2G /dev/shm`; for a container, start it with --shm-size=2g"
    return f"free some space, or enlarge shared memory: {more}" if short else "free some space"
