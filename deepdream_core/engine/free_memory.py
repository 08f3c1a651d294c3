"""The memory that this process can still get from the system."""

from __future__ import annotations

from pathlib import Path

import psutil


def free_memory_bytes() -> int:
    """Return the bytes of memory that are free, within what a container or service may have."""
    return min(psutil.virtual_memory().available, _cgroup_free_bytes())


def _cgroup_free_bytes() -> int:
    """Return what a container or service limit (cgroup v2) leaves, or a huge number where there is none."""
    unlimited = 1 << 62
    try:
        group = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
        folder = Path("/sys/fs/cgroup") / group.lstrip("/")
        limit = (folder / "memory.max").read_text().strip()
        return unlimited if limit == "max" else max(0, int(limit) - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):
        return unlimited
