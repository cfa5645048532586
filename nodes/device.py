"""Where the mathematics runs and in which precision. Decided once, before anything heavy is imported.

``auto`` precision: fp16 on CUDA; on CPUs that multiply bfloat16 matrices (avx512_bf16, amx) bf16 for U-Nets
of 200 M parameters or more; else fp32. Sigmas, guidance and solver state are always float32.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graph.errors import SumiError
from nodes.heap import keep_freed_memory

if TYPE_CHECKING:
    import torch

PRECISIONS: Final = ("auto", "fp32", "bf16", "fp16")
LARGE_UNET: Final = 200_000_000
"""Parameters from which bf16 on a CPU is worth its drift: SD1 has 860 M, the embedded model 9 M."""


_DEVICE: Final = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d+)?")


class DeviceError(SumiError):
    """The device or precision asked for is not to be had here."""


@dataclass(frozen=True, slots=True)
class _Setting:
    device: str = "auto"
    precision: str = "auto"


_setting = _Setting()


def configure(device: str = "auto", precision: str = "auto") -> None:
    """Choose the device (``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``) and precision of this process.

    Raises DeviceError for names that mean nothing. Whether the device is there shows at first use.
    """
    global _setting
    if not _DEVICE.fullmatch(device):
        raise DeviceError(f"--device {device}: expected auto, cpu, cuda, cuda:N, mps or xpu")
    if precision not in PRECISIONS:
        raise DeviceError(f"--precision {precision}: expected one of {', '.join(PRECISIONS)}")
    _setting = _Setting(device, precision)
    keep_freed_memory()


def device_name() -> str:
    """The device as a string, found without importing torch."""
    return _detected_device() if _setting.device == "auto" else _setting.device


def device() -> torch.device:
    """The device that samples. Raises DeviceError if torch cannot use it."""
    import torch

    name = device_name()
    kind = name.split(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        if _setting.device == "auto":
            return torch.device("cpu")
        raise DeviceError(f"--device {name}: this build of torch ({torch.__version__}) finds no CUDA device; try --cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(f"--device {name}: this build of torch finds no Metal device; try --cpu")
    if kind == "xpu" and not torch.xpu.is_available():
        raise DeviceError(f"--device {name}: this build of torch finds no Intel GPU; try --cpu")
    where = torch.device(name)
    count = {"cuda": torch.cuda.device_count, "xpu": torch.xpu.device_count}.get(kind, lambda: 1)()
    if where.index is not None and where.index >= count:
        raise DeviceError(f"--device {name}: there are {count}, counted from 0; expected {kind}:{count - 1} at most")
    return where


def unet_dtype(parameters: int) -> torch.dtype:
    """The precision of a diffusion network with that many parameters."""
    return _dtype(_unet_precision(parameters))


def text_dtype() -> torch.dtype:
    """Text encoders run once per prompt: fp32 on a CPU, half precision on a GPU."""
    return _dtype(_unet_precision(0))


def vae_dtype() -> torch.dtype:
    """A decoder's range overflows fp16 (SDXL's does), so halves are bf16: on GPUs, and where bf16 is asked for."""
    precision = _setting.precision
    if precision == "auto":
        precision = "fp32" if device_name() == "cpu" else "bf16"
    return _dtype("bf16" if precision == "fp16" else precision)


def describe() -> str:
    """One line for the log: device, precision and why."""
    name = device_name()
    if _setting.precision != "auto":
        return f"{name}, {_setting.precision}"
    if name.startswith("cuda"):
        return f"{name}, fp16 (auto)"
    if name == "cpu" and cpu_multiplies_bf16():
        return "cpu, fp32; bf16 for U-Nets of 200 M parameters or more (auto: this CPU has bf16 matrix instructions)"
    return f"{name}, fp32 (auto)"


@cache
def _library_versions() -> str:
    return f"torch {torch_version()}, sumi {sumi_version()}"


def torch_version() -> str:
    """The installed torch, read without importing it."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def sumi_version() -> str:
    """The version in pyproject.toml, as installed."""
    try:
        return importlib.metadata.version("sumi")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def tag() -> str:
    """What results depend on besides inputs and code. Part of the keys of nodes that compute tensors."""
    kind = device_name().split(":")[0]
    precision = _setting.precision
    if precision == "auto" and kind == "cpu":
        precision = "auto-bf16" if cpu_multiplies_bf16() else "auto-fp32"
    return f"{kind}, {precision}, {_library_versions()}"


def _unet_precision(parameters: int) -> str:
    if _setting.precision != "auto":
        return _setting.precision
    name = device_name()
    if name.startswith("cuda"):
        return "fp16"
    if name == "cpu" and parameters >= LARGE_UNET and cpu_multiplies_bf16():
        return "bf16"
    return "fp32"


def _dtype(precision: str) -> torch.dtype:
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


@cache
def _detected_device() -> str:
    """cuda if a driver is loaded and torch is not a CPU build, mps on Apple silicon, else cpu."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "mps"
    if "+cpu" not in torch_version() and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1"):
        drivers = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
        if sys.platform == "win32" or any(path.exists() for path in drivers):
            return _cuda_that_answers()
    return "cpu"


def _cuda_that_answers() -> str:
    """A driver alone is no GPU: torch may be a build without CUDA, or see no card."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def cpu_multiplies_bf16() -> bool:
    """Whether this CPU has bfloat16 matrix instructions (avx512_bf16 or amx_bf16)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
