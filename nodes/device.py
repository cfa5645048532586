"""The device and precision of all computation. They are chosen once, before anything heavy is imported.

``auto`` precision: fp16 on CUDA; on CPUs that multiply bfloat16 matrices (avx512_bf16, amx) bf16 for U-Nets
of 200 M parameters or more; else fp32. Sigmas, guidance and solver state are always float32.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graph.errors import SumiError
from nodes import compilers
from nodes.heap import keep_freed_memory

if TYPE_CHECKING:
    import torch

PRECISIONS: Final = ("auto", "fp32", "bf16", "fp16")
BACKENDS: Final = ("torch", "openvino")
LARGE_UNET: Final = 200_000_000
"""Parameters from which bf16's speed on a CPU outweighs its error: SD1 has 860 M, the embedded model 9 M."""


_DEVICE: Final = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d+)?")


class DeviceError(SumiError):
    """The requested device or precision is not available here."""


@dataclass(frozen=True, slots=True)
class _Setting:
    device: str = "auto"
    precision: str = "auto"
    backend: str = "torch"
    compile: bool = False


_setting = _Setting()


def configure(device: str = "auto", precision: str = "auto", backend: str = "torch", *, compile: bool = False) -> None:
    """Choose the device (``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``) and precision of this process.

    ``backend`` is the library that computes U-Nets: ``torch`` or ``openvino`` (on a CPU). With ``compile``,
    torch.compile compiles U-Nets and decoders of VAEs, if it finds a compiler.
    Raises DeviceError for invalid names, and for a backend that is not installed. Whether the device exists is checked
    at its first use.
    """
    global _setting
    if not _DEVICE.fullmatch(device):
        raise DeviceError(f"--device {device}: expected auto, cpu, cuda, cuda:N, mps or xpu")
    if precision not in PRECISIONS:
        raise DeviceError(f"--precision {precision}: expected one of {', '.join(PRECISIONS)}")
    if backend not in BACKENDS:
        raise DeviceError(f"--backend {backend}: expected one of {', '.join(BACKENDS)}")
    if backend == "openvino" and importlib.util.find_spec("openvino") is None:
        raise DeviceError(
            "--backend openvino: the package openvino is not installed; install it with: "
            "python install.py --extra openvino"
        )
    chosen = _Setting(device, precision, backend, compile)
    if backend == "openvino" and (name := _detected_device() if device == "auto" else device) != "cpu":
        raise DeviceError(f"--backend openvino computes on the CPU, and the device is {name}; add --cpu")
    _setting = chosen
    keep_freed_memory()


def backend() -> str:
    """Return the library that computes U-Nets: ``torch`` or ``openvino``."""
    return _setting.backend


def compiles() -> bool:
    """Whether torch.compile compiles networks, if it finds a compiler (``--compile``)."""
    return _setting.compile


def device_name() -> str:
    """Return the device's name, without importing torch."""
    return _detected_device() if _setting.device == "auto" else _setting.device


def device() -> torch.device:
    """Return the device for sampling. Raises DeviceError if torch cannot use it."""
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
        raise DeviceError(
            f"--device {name}: there are {count} devices, counted from 0; expected {kind}:{count - 1} at most"
        )
    return where


def cpu() -> torch.device:
    """The CPU."""
    import torch

    return torch.device("cpu")


def cpu_dtype() -> torch.dtype:
    """The precision of a network that runs on the CPU beside another device that samples."""
    return _dtype("fp32")


def unet_dtype(parameters: int, chosen: str | None = None) -> torch.dtype:
    """Return the precision of a diffusion network with that many parameters; ``chosen`` if the model has its own."""
    return _dtype(chosen or _unet_precision(parameters))


def text_dtype() -> torch.dtype:
    """Return the precision of text encoders, which run once per prompt: fp32 on a CPU, half precision on a GPU."""
    return _dtype(_unet_precision(0))


def vae_dtype() -> torch.dtype:
    """Return the precision of VAEs: bf16 on GPUs or if requested, else fp32. Decoders such as SDXL's overflow fp16."""
    precision = _setting.precision
    if precision == "auto":
        precision = "fp32" if device_name() == "cpu" else "bf16"
    return _dtype("bf16" if precision == "fp16" else precision)


def describe() -> str:
    """Describe device, precision, backend and compilation, and the reason, in one line."""
    backend = "" if _setting.backend == "torch" else f"; U-Nets computed by {_setting.backend}"
    compiled = "; U-Nets and VAE decoders compiled" if _setting.compile else ""
    return f"{_described()}{backend}{compiled}"


def _described() -> str:
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
    """Return the version of the installed torch, without importing it."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def sumi_version() -> str:
    """Return the installed version of Sumi."""
    try:
        return importlib.metadata.version("sumi")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def tag() -> str:
    """Return what results depend on in addition to inputs and code, for the keys of nodes that compute tensors."""
    kind = device_name().split(":")[0]
    precision = _setting.precision
    if precision == "auto" and kind == "cpu":
        precision = "auto-bf16" if cpu_multiplies_bf16() else "auto-fp32"
    computed_by = "" if _setting.backend == "torch" else f"openvino {importlib.metadata.version('openvino')}, "
    if _setting.compile and compilers.missing(kind) is None:
        computed_by += "compiled, "
    return f"{kind}, {precision}, {computed_by}{_library_versions()}"


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
    """Return cuda if a driver is loaded and torch is not a CPU build, mps on Apple silicon, else cpu."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "mps"
    if "+cpu" not in torch_version() and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1"):
        drivers = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
        if sys.platform == "win32" or any(path.exists() for path in drivers):
            return _cuda_that_answers()
    return "cpu"


def _cuda_that_answers() -> str:
    """Return cuda if torch can use it, else cpu: with a loaded driver, torch may still lack CUDA or find no card."""
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
