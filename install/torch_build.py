"""Which build of torch suits this machine: Linux's default build includes CUDA's libraries, a download of 2.7 GB."""

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
"""NVIDIA's PCI vendor number."""
_DRIVERS = ("proc/driver/nvidia", "dev/nvidiactl", "usr/lib/wsl/lib/libcuda.so.1", "etc/nv_tegra_release")
_OWN_INDEX = ("PIP_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS")


def nvidia_found(root: Path = Path("/")) -> bool:
    """Return whether Linux, with its root folder at `root`, sees an NVIDIA device or has a driver for one (WSL, Jetson)."""
    if any((root / driver).exists() for driver in _DRIVERS):
        return True
    for vendor in root.glob("sys/bus/pci/devices/*/vendor"):
        with contextlib.suppress(OSError):
            if vendor.read_text("ascii", "replace").strip() == _NVIDIA:
                return True
    return False


def automatic(project: Project, screen: Screen, index: str = CPU_INDEX, root: Path = Path("/")) -> str:
    """Return the index if none was chosen: `index` if there is no NVIDIA device, else "" for the default index."""
    if not project.torch() or not sys.platform.startswith("linux") or any(map(os.environ.get, _OWN_INDEX)):
        return ""
    if nvidia_found(root):
        return ""
    usual, small = (in_gb(space_for(project, which).download) for which in ("", index))
    if _offers(index, project):
        screen.line(
            f"No NVIDIA device found: installing the CPU build of torch (download about {small}). "
            "`--torch cuda` installs the CUDA build"
        )
        return index
    screen.line(
        f"No NVIDIA device found, but PyTorch's CPU index has no matching torch; using the default build ({usual})"
    )
    return ""


def notice(index: str, screen: Screen, root: Path = Path("/")) -> None:
    """Tell the user if the CPU build of torch is in use and the machine now has an NVIDIA device."""
    if index == CPU_INDEX and nvidia_found(root):
        screen.line(
            "NVIDIA device found, but torch is the CPU build. Add `--torch cuda` to this command to change that"
        )


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
        except Exception:  # any failure: use the default index
            return

    asking = threading.Thread(target=ask, daemon=True)  # a DNS lookup alone may take longer than the timeout
    asking.start()
    asking.join(WITHIN_S)
    return bool(pages and re.search(wanted, pages[0]))
