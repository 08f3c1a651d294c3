"""Which device these tests are for: the one that run.sh names, else CUDA where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import torch

DEVICE = os.environ.get("DEEPDREAM_TEST_DEVICE") or ("cuda" if torch.cuda.is_available() else "")
QUICK = bool(os.environ.get("DEEPDREAM_TEST_QUICK"))
"""Small pictures: the tests show only that they run."""
ON_CUDA = DEVICE.startswith("cuda")
PRECISIONS = ("fp32", "bf16", "fp16") if ON_CUDA else ("fp32",)

needs_device = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not DEVICE, reason="no CUDA device here; tests/cuda/run.sh --device cpu --quick runs them on the CPU"
    ),
]
cuda_only = pytest.mark.skipif(not ON_CUDA, reason="about the memory of a CUDA device")


def device() -> torch.device:
    """The device as torch names it."""
    return torch.device("cuda", 0) if DEVICE == "cuda" else torch.device(DEVICE)


def used_mib() -> int:
    """The memory in use on the first GPU, whoever uses it, as nvidia-smi shows it."""
    return int(_nvidia_smi("--query-gpu=memory.used").splitlines()[0])


def _nvidia_smi(query: str) -> str:
    program = shutil.which("nvidia-smi") or "/usr/local/nvidia/bin/nvidia-smi"
    answer = subprocess.run(
        [program, query, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=30, check=True
    )
    return answer.stdout
