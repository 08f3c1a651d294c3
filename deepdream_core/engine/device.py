"""Where and how precisely the engine computes: device, precision, and how much memory a tile may take."""

from __future__ import annotations

import platform
from typing import Literal

import psutil
import torch

from deepdream_core.engine.free_memory import free_memory_bytes
from deepdream_core.errors import DeviceError

Precision = Literal["auto", "fp32", "bf16", "fp16"]

DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

CPU_TILE_BYTES = 1_500_000_000
"""On a CPU a tile takes no more, however much is free: larger ones are hardly faster, and a 24-megapixel photo has to
stay below 4 GB in all."""


def choose_device(name: str) -> torch.device:
    """Return the device called `auto`, `cpu`, `cuda`, `cuda:N` or `mps`, ready for use.

    `auto` is the first available of CUDA, MPS and CPU. Another device never replaces one given by name: raises
    `DeviceError` when it is not available.
    """
    torch.set_flush_denormal(True)  # denormals make a CPU a hundred times slower and change nothing one can see
    kind, _, number = name.partition(":")
    if kind not in {"auto", "cpu", "cuda", "mps"} or (number and (kind != "cuda" or not number.isdecimal())):
        raise DeviceError(f"unknown device {name!r}", "use auto, cpu, cuda, cuda:N or mps")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if _mps_available() else "cpu"
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise DeviceError(
                "torch sees no CUDA device here", "use --device auto or cpu, or check the driver: nvidia-smi"
            )
        if int(number or 0) >= count:
            raise DeviceError(f"there is no {name}", f"torch sees cuda:0 to cuda:{count - 1}")
        return torch.device("cuda", int(number or 0))
    if kind == "mps" and not _mps_available():
        raise DeviceError("torch sees no Apple GPU (MPS) here", "use --device auto or cpu")
    return torch.device(kind)


def choose_precision(name: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype to compute in.

    `auto`: bfloat16 on CPUs that have it in hardware and on CUDA from compute capability 8.0, float16 on CUDA from 7.0,
    float32 otherwise. Raises `DeviceError` when the device cannot compute in the given one.
    """
    if name == "auto":
        if device.type == "cuda":
            major, _ = torch.cuda.get_device_capability(device)
            return torch.bfloat16 if major >= 8 else torch.float16 if major >= 7 else torch.float32
        return torch.bfloat16 if device.type == "cpu" and _cpu_has_bf16() else torch.float32
    if device.type == "cpu" and name != "fp32":
        mkldnn = torch.ops.mkldnn
        able = mkldnn._is_mkldnn_bf16_supported() if name == "bf16" else mkldnn._is_mkldnn_fp16_supported()
        if not able:
            raise DeviceError(f"this CPU cannot compute in {name}", "use --precision auto or fp32")
    return DTYPES[name]


def precision_name(dtype: torch.dtype) -> str:
    """Return `fp32`, `bf16` or `fp16`."""
    return next(name for name, known in DTYPES.items() if known == dtype)


def _mps_available() -> bool:
    return bool(torch.backends.mps.is_available())


def _cpu_has_bf16() -> bool:
    able = torch.cpu.get_capabilities()
    in_hardware = any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return in_hardware and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def device_name(device: torch.device) -> str:
    """Return the device's common name: the graphics card's or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"


def free_bytes(device: torch.device) -> int:
    """Return the bytes that can be allocated on the device now, as far as it reports them."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_memory_bytes()


def tile_bytes(device: torch.device, memory_mb: int | Literal["auto"]) -> int:
    """Return how many bytes one tile may take: `memory_mb`, or what suits the device's free memory."""
    if memory_mb != "auto":
        return memory_mb * 1_000_000
    free = free_bytes(device)
    return min(free * 6 // 10, CPU_TILE_BYTES) if device.type == "cpu" else free * 8 // 10


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that the device's memory ran out; each backend has its own way to say so."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    signs = (
        "can't allocate memory",
        "out of memory",
        "not enough memory",
        "could not create a memory",
        "could not create a primitive",
    )
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in signs)


def release_unused(device: torch.device) -> None:
    """Give cached blocks back to the device, so that a smaller tile finds room."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def held_bytes(device: torch.device) -> int:
    """Return the bytes of the device's memory that this process holds: on a CPU its resident memory."""
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    return int(psutil.Process().memory_info().rss)


def peak_bytes(device: torch.device) -> int | None:
    """Return the most bytes of a CUDA device's memory that this process has held so far; None for another device."""
    return int(torch.cuda.max_memory_reserved(device)) if device.type == "cuda" else None


def cuda_devices() -> list[str]:
    """Return the names of all CUDA devices that torch sees."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
