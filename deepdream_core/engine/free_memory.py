"""The memory that this process can still get from the system."""

from __future__ import annotations

from pathlib import Path

import psutil

_UNLIMITED = 1 << 62


def free_memory_bytes() -> int:
    """Return the bytes of memory that are free, within what a container or service may have."""
    return min(psutil.virtual_memory().available, cgroup_free_bytes())


def cgroup_free_bytes(membership: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> int:
    """Return what the control groups (cgroup v2) around this process leave, or a huge number where there is no limit.

    A group's use includes files that the kernel has read and drops when memory is asked for; those count as free.
    """
    try:
        group = mounted / membership.read_text().strip().rpartition("::")[2].lstrip("/")
    except OSError:
        return _UNLIMITED
    return min(_left_in(folder) for folder in (group, *group.parents) if folder.is_relative_to(mounted))


def _left_in(group: Path) -> int:
    """Return what the limit of one group leaves."""
    try:
        limit = int((group / "memory.max").read_text())  # "max" where there is none
        used = int((group / "memory.current").read_text())
        pages = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(pages.get("inactive_file", 0)))
    except (OSError, ValueError):
        return _UNLIMITED
