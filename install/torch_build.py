"""Which build of torch suits this machine: on Linux the usual one brings CUDA's libraries, most of a download of 2.7 GB."""

import contextlib
import os
import platform
import re
import sys
import threading
import urllib.request
from pathlib import Path

from errors import in_gb
from project import CONSTRAINTS, Project, space_for
from screen import Screen

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of builds without CUDA."""
WITHIN_S = 2.0
_NVIDIA = "0x10de"
"""NVIDIA's number among PCI vendors."""
_DRIVERS = ("proc/driver/nvidia", "dev/nvidiactl", "usr/lib/wsl/lib/libcuda.so.1", "etc/nv_tegra_release")
_OWN_INDEX = ("PIP_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS")


def nvidia_found(root: Path = Path("/")) -> bool:
    """Return whether Linux, with its files at `root`, sees an NVIDIA device or has a driver for one (WSL, Jetson)."""
    if any((root / driver).exists() for driver in _DRIVERS):
        return True
    for vendor in root.glob("sys/bus/pci/devices/*/vendor"):
        with contextlib.suppress(OSError):
            if vendor.read_text("ascii", "replace").strip() == _NVIDIA:
                return True
    return False


def automatic(project: Project, screen: Screen, index: str = CPU_INDEX, root: Path = Path("/")) -> str:
    """Return the index where none was chosen: `index` if there is no NVIDIA device, else empty for the usual one."""
    if not project.torch() or not sys.platform.startswith("linux") or any(map(os.environ.get, _OWN_INDEX)):
        return ""
    if nvidia_found(root):
        return ""
    usual, small = (in_gb(space_for(project, which).download) for which in ("", index))
    if _offers(index, project):
        screen.line(f"No NVIDIA device found: torch for CPUs, about {small} to fetch. `--torch cuda` takes the other")
        return index
    screen.line(f"No NVIDIA device found, but PyTorch's index for CPUs gives no fitting torch: the usual one, {usual}")
    return ""


def notice(index: str, screen: Screen, root: Path = Path("/")) -> None:
    """Say so if torch for CPUs is in use and an NVIDIA device has come."""
    if index == CPU_INDEX and nvidia_found(root):
        screen.line("NVIDIA device found, and torch is the build for CPUs: `--torch cuda` in this command changes that")


def _offers(index: str, project: Project) -> bool:
    """Return whether the index answers in time and has the pinned torch for this Python and processor."""
    pin = re.search(r"^torch==(\S+)", (project.root / CONSTRAINTS).read_text("utf-8"), re.MULTILINE)
    if pin is None:
        return False
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    wanted = rf'torch-{re.escape(pin[1])}(%2B|\+)cpu-{python}-[^"<>]*{platform.machine()}\.whl'
    pages: list[str] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{index}/torch/", timeout=WITHIN_S) as page:
                pages.append(page.read().decode("utf-8", "replace"))
        except Exception:  # whatever went wrong, there is the usual index
            return

    asking = threading.Thread(target=ask, daemon=True)  # looking up the name alone may take longer
    asking.start()
    asking.join(WITHIN_S)
    return bool(pages and re.search(wanted, pages[0]))
