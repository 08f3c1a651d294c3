"""Checks of torch, its device, the weights and the memory, as the service sees them."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_core.doctor import torch_facts
from deepdream_core.doctor.check import INSTALL_AGAIN, Finding, failing, passed, skipped
from deepdream_core.errors import DeepDreamError
from deepdream_core.machine.command import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepdream_core.machine_settings import EngineSettings

PROBE_S = 60.0
"""How long the first start of torch from a slow disk may take."""
PHOTO = "a photo of 24 megapixels"
CPU_BYTES = 4_000_000_000
"""Enough for that photo on a CPU, at any precision (`engine/device.py`; measured 3.3 GB in bf16)."""
READING_BYTES = 1_500_000_000
"""Main memory when a GPU computes: reading and writing the photo took 0.6 to 1.24 GB in measurements."""
GPU_BYTES = 2_500_000_000
"""GPU memory: a CPU took 2.9 GB in all with tiles of 250 MB, 0.4 GB of it for Python and torch."""


NOT_ASKED = skipped("the program does not answer; see the check of torch")


class ProbeError(DeepDreamError):
    """The service's Python did not answer."""


class ServiceFacts:
    """What the service sees, queried once for all checks that need it."""

    def __init__(self, ask_it: Callable[[], dict[str, Any]]) -> None:
        self._ask, self._lock = ask_it, threading.Lock()
        self._facts: dict[str, Any] | None = None
        self._error: Exception | None = None

    def known(self) -> dict[str, Any] | None:
        """Return the facts, or None if the query fails, which the check of torch reports."""
        try:
            return self()
        except Exception:
            return None

    def __call__(self) -> dict[str, Any]:
        """Return the facts; raises the same error each time."""
        with self._lock:
            if self._facts is None and self._error is None:
                try:
                    self._facts = self._ask()
                except Exception as error:
                    self._error = error
        if self._facts is None:
            raise self._error or ProbeError("the service's Python was not asked")
        return self._facts


def probed(python: Path, environ: Mapping[str, str], engine: EngineSettings) -> dict[str, Any]:
    """Return what `torch_facts.py` prints when that Python runs it in that environment; raises `ProbeError`."""
    given = json.dumps({"device": engine.device, "precision": engine.precision, "weights": engine.weights})
    answer = ask(python, "-I", torch_facts.__file__, given, environ=environ, within_s=PROBE_S - 2)
    if answer.code != 0:
        raise ProbeError(f"{python} cannot load the program: {answer.last:.300}", INSTALL_AGAIN)
    facts: dict[str, Any] = json.loads(answer.out.strip().splitlines()[-1])
    return facts


def check_torch(seen: ServiceFacts, nvidia: bool, wants_cpu: bool) -> Finding:
    """Check which device torch finds; `nvidia`: the machine has such a card, `wants_cpu`: config.yaml asks for the CPU."""
    facts = seen()
    if "torch_trouble" in facts:
        what, step = facts["torch_trouble"]
        return failing(what, step or INSTALL_AGAIN)
    torch = facts["torch"]
    on = f"{torch['version']} on {torch['device']} ({torch['name']}), {torch['precision']}"
    if torch["device"] == "cpu" and nvidia and not wants_cpu:
        if torch["cuda"] is None:
            fix = "run `python3 install app --torch cuda` (Windows: --torch-index with PyTorch's index for CUDA)"
            return failing(f"{on}: this machine has an NVIDIA card, but this torch was built without CUDA", fix)
        return failing(
            f"{on}: this machine has an NVIDIA card, but CUDA does not find it", "see the output of `nvidia-smi`"
        )
    return passed(f"{on}, {_gb(torch['free'])} of {_gb(torch['total'])} free")


def check_weights(seen: ServiceFacts) -> Finding:
    """Check that the network's weights exist and are complete."""
    facts = seen.known()
    if facts is None:
        return NOT_ASKED
    if "weights_trouble" in facts:
        what, step = facts["weights_trouble"]
        return failing(what, step or INSTALL_AGAIN)
    if "weights" not in facts:
        return skipped("torch does not run")
    weights = facts["weights"]
    return passed(f"{weights['name']}, sha256 {weights['sha256'][:12]}…")


def check_memory(seen: ServiceFacts) -> Finding:
    """Check that there is memory for a large photo, on the device and in the machine."""
    facts = seen.known()
    if facts is None:
        return NOT_ASKED
    torch = facts.get("torch")
    if torch is None:
        return skipped("torch has no device to compute on")
    on_gpu = torch["device"] != "cpu"
    for place, free, needed in [
        *([(f"on {torch['device']}", torch["free"], GPU_BYTES)] if on_gpu else []),
        ("in memory", torch["host_free"], READING_BYTES if on_gpu else CPU_BYTES),
    ]:
        if free < needed:
            return failing(
                f"{PHOTO} needs {_gb(needed)} {place}, but only {_gb(free)} are free",
                "close other programs, or dream smaller pictures",
            )
    where = f"{_gb(torch['free'])} on {torch['device']} and " if on_gpu else ""
    return passed(f"{where}{_gb(torch['host_free'])} in memory are free, enough for {PHOTO}")


def check_same_folders(seen: ServiceFacts, own: Mapping[str, Path], is_service: bool) -> Finding:
    """Check that the service uses the same configuration and state folder as this terminal."""
    asked = seen.known()
    if asked is None:
        return NOT_ASKED
    facts = {name: Path(place) for name, place in asked["folders"].items()}
    who = "the service" if is_service else "a helper started by a program"
    for name, place in own.items():
        if facts[name] != place:
            return failing(
                f"{who} looks for {name} at {facts[name]}, but this terminal at {place}",
                "set the variable for both: put XDG_... and DEEPDREAM_... into ~/.config/environment.d/deepdream.conf",
            )
    return passed(f"{who} uses the same folders as this terminal")


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
