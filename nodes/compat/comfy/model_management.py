"""``comfy.model_management``: devices, precisions, memory, and whether the run is to stop.

Sumi's own networks are kept by ``nodes.models.residency``. A pack's networks are its own to move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

import torch

from graph.errors import Interrupted
from graph.machine_memory import available_memory, memory_limit
from nodes import device as devices
from nodes import vram
from nodes.compat.running import check_interrupted, interrupt

InterruptProcessingException = Interrupted
OOM_EXCEPTION = torch.OutOfMemoryError

DISABLE_SMART_MEMORY: Final = False
NUM_STREAMS: Final = 1
XFORMERS_IS_AVAILABLE: Final = False
directml_enabled: Final = False
torch_version: Final = str(torch.__version__)
lowvram_available: Final = False
current_loaded_models: list[Any] = []


class VRAMState(Enum):
    """How much memory the device has for models."""

    DISABLED = 0
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(Enum):
    """What computes."""

    GPU = 0
    CPU = 1
    MPS = 2


set_vram_to = VRAMState

_VRAM_STATES: Final[Mapping[vram.Mode, VRAMState]] = {
    "gpu-only": VRAMState.HIGH_VRAM,
    "high": VRAMState.HIGH_VRAM,
    "normal": VRAMState.NORMAL_VRAM,
    "low": VRAMState.LOW_VRAM,
    "no": VRAMState.NO_VRAM,
}


def __getattr__(name: str) -> Any:
    """What takes a look at the machine is found out when asked for: ``vram_state``, ``cpu_state``, and
    ``total_vram`` and ``total_ram`` in MiB."""
    if name == "vram_state":
        return VRAMState.DISABLED if is_device_cpu(get_torch_device()) else _VRAM_STATES[vram.mode()]
    if name == "cpu_state":
        return {"cpu": CPUState.CPU, "mps": CPUState.MPS}.get(get_torch_device().type, CPUState.GPU)
    if name == "total_vram":
        return get_total_memory() / (1 << 20)
    if name == "total_ram":
        return get_total_memory("cpu") / (1 << 20)
    raise AttributeError(f"module 'comfy.model_management' has no attribute {name!r} in Sumi")


# -- devices -----------------------------------------------------------------------------------------------------


def get_torch_device() -> torch.device:
    """The device that computes."""
    return devices.device()


def get_torch_device_name(device: torch.device | str) -> str:
    """A device's name for people."""
    device = torch.device(device)
    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)


def get_autocast_device(dev: Any) -> str:
    """The kind of a device."""
    return str(getattr(dev, "type", "cuda"))


def intermediate_device() -> torch.device:
    """Where what nodes exchange lies."""
    return torch.device("cpu")


def text_encoder_device() -> torch.device:
    """Where texts are encoded."""
    return get_torch_device()


def vae_device() -> torch.device:
    """Where latents are decoded."""
    return get_torch_device()


def unet_offload_device() -> torch.device:
    """Where a network waits."""
    return torch.device("cpu")


def unet_inital_load_device(parameters: int, dtype: torch.dtype) -> torch.device:
    """Where a network is put first."""
    return torch.device("cpu")


unet_initial_load_device = unet_inital_load_device
text_encoder_offload_device = unet_offload_device
vae_offload_device = unet_offload_device


def is_device_type(device: Any, kind: str) -> bool:
    """Whether the device is of that kind."""
    return getattr(device, "type", None) == kind


def is_device_cpu(device: Any) -> bool:
    """Whether it is the CPU."""
    return is_device_type(device, "cpu")


def is_device_cuda(device: Any) -> bool:
    """Whether it is a CUDA GPU."""
    return is_device_type(device, "cuda")


def is_device_mps(device: Any) -> bool:
    """Whether it is an Apple GPU."""
    return is_device_type(device, "mps")


def cpu_mode() -> bool:
    """Whether everything is computed on the CPU."""
    return is_device_cpu(get_torch_device())


def mps_mode() -> bool:
    """Whether an Apple GPU computes."""
    return is_device_mps(get_torch_device())


def is_nvidia() -> bool:
    """Whether an Nvidia GPU computes."""
    return is_device_cuda(get_torch_device()) and torch.version.cuda is not None


def is_amd() -> bool:
    """Whether an AMD GPU computes."""
    return is_device_cuda(get_torch_device()) and torch.version.hip is not None


def is_intel_xpu() -> bool:
    """Whether an Intel GPU computes."""
    return is_device_type(get_torch_device(), "xpu")


def xformers_enabled() -> bool:
    """Attention is torch's own."""
    return False


xformers_enabled_vae = sage_attention_enabled = flash_attention_enabled = xformers_enabled


def pytorch_attention_enabled() -> bool:
    """Attention is torch's own."""
    return True


def pytorch_attention_flash_attention() -> bool:
    """Whether torch's attention may use its flash kernels."""
    return is_nvidia()


def force_upcast_attention_dtype() -> None:
    """None: attention is computed in the network's own precision."""


# -- precisions --------------------------------------------------------------------------------------------------


def unet_dtype(
    device: Any = None, model_params: int = 0, supported_dtypes: Iterable[torch.dtype] = (), **_: Any
) -> torch.dtype:
    """The precision of a diffusion network with that many parameters."""
    return devices.unet_dtype(model_params)


def text_encoder_dtype(device: Any = None) -> torch.dtype:
    """The precision of text encoders."""
    return devices.text_dtype()


def vae_dtype(device: Any = None, allowed_dtypes: Iterable[torch.dtype] = ()) -> torch.dtype:
    """The precision of autoencoders."""
    return devices.vae_dtype()


def should_use_fp16(device: Any = None, model_params: int = 0, **_: Any) -> bool:
    """Whether a network of that size computes in fp16."""
    return devices.unet_dtype(model_params) is torch.float16


def should_use_bf16(device: Any = None, model_params: int = 0, **_: Any) -> bool:
    """Whether a network of that size computes in bf16."""
    return devices.unet_dtype(model_params) is torch.bfloat16


def unet_manual_cast(
    weight_dtype: torch.dtype, inference_device: Any = None, supported_dtypes: Iterable[torch.dtype] = (), **_: Any
) -> torch.dtype | None:
    """The precision to compute in if it is not the weights' own; None if it is."""
    natural = (torch.float32, torch.float16, torch.bfloat16)
    if weight_dtype is torch.float32 or (weight_dtype in natural and supports_dtype(inference_device, weight_dtype)):
        return None
    return torch.float32 if is_device_cpu(inference_device) else devices.unet_dtype(devices.LARGE_UNET)


def supports_dtype(device: Any, dtype: torch.dtype) -> bool:
    """Whether networks are computed there in that precision."""
    if dtype is torch.float32:
        return True
    if is_device_cpu(device):
        return dtype is torch.bfloat16 and devices.cpu_multiplies_bf16()
    return dtype in (torch.float16, torch.bfloat16)


def supports_cast(device: Any, dtype: torch.dtype) -> bool:
    """Whether numbers of that kind can lie there and be cast: an Apple GPU has no float8."""
    return dtype.itemsize > 1 or not is_device_mps(device)


def dtype_size(dtype: torch.dtype) -> int:
    """Bytes of a number."""
    return dtype.itemsize


def cast_to_device(tensor: torch.Tensor, device: Any, dtype: torch.dtype, copy: bool = False) -> torch.Tensor:
    """``tensor`` there and so."""
    return tensor.to(device=device, dtype=dtype, copy=copy)


def cast_to(
    weight: torch.Tensor,
    dtype: torch.dtype | None = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> torch.Tensor:
    """``weight`` there and so; the same tensor if it is already and no copy is asked for."""
    return weight.to(device=device, dtype=dtype, non_blocking=non_blocking, copy=copy)


def device_supports_non_blocking(device: Any) -> bool:
    """Whether copies may be left to happen."""
    return is_device_cuda(device)


# -- memory ------------------------------------------------------------------------------------------------------


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """Free bytes of a device; with ``torch_free_too`` also those that torch holds and does not use."""
    dev = torch.device(dev) if dev is not None else get_torch_device()
    if dev.type == "cuda":
        free, _ = torch.cuda.mem_get_info(dev)
        idle = torch.cuda.memory_reserved(dev) - torch.cuda.memory_allocated(dev)
        return (free + idle, idle) if torch_free_too else free + idle
    free = available_memory() or 0
    return (free, free) if torch_free_too else free


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """Bytes of a device."""
    dev = torch.device(dev) if dev is not None else get_torch_device()
    total = torch.cuda.get_device_properties(dev).total_memory if dev.type == "cuda" else memory_limit()
    return (total, total) if torch_total_too else total


def minimum_inference_memory() -> int:
    """Bytes of a GPU reserved for activations and for other programs."""
    return vram.FOR_COMPUTING + vram.reserved()


def maximum_vram_for_weights(device: Any = None) -> int:
    """Bytes that a network's weights may take of a device."""
    return max(0, get_total_memory(device) - minimum_inference_memory())


def extra_reserved_memory() -> int:
    """Bytes of a GPU reserved for other programs."""
    return vram.reserved()


def module_size(module: torch.nn.Module) -> int:
    """Bytes of a network's weights, whether they are in memory or not."""
    return sum(tensor.nbytes for tensor in [*module.parameters(), *module.buffers()])


def soft_empty_cache(force: bool = False) -> None:
    """Give back the GPU memory that torch holds and does not use."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def load_models_gpu(
    models: Iterable[Any], memory_required: int = 0, force_patch_weights: bool = False, **_: Any
) -> None:
    """Bring packs' own networks to their devices. Sumi's models come there when they are used."""
    for model in models:
        model.patch_model()


def load_model_gpu(model: Any) -> None:
    """Bring a pack's own network to its device."""
    load_models_gpu([model])


def free_memory(memory_required: int, device: Any, keep_loaded: Iterable[Any] = ()) -> list[Any]:
    """Have Sumi's networks leave memory if less than that many bytes are free."""
    if get_free_memory(device) < memory_required:
        unload_all_models()
    return []


def unload_all_models() -> None:
    """Have Sumi's networks leave memory."""
    from nodes.models import residency

    residency.free()


def cleanup_models() -> None:
    """Nothing to do: what is not used is let go of by itself."""


cleanup_models_gc = cleanup_models


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    """Sumi's networks in memory."""
    from nodes.models import residency

    return [entry.module for entry in residency.loaded()]


# -- interruption ------------------------------------------------------------------------------------------------


def processing_interrupted() -> bool:
    """Whether the run is to stop."""
    try:
        throw_exception_if_processing_interrupted()
    except Interrupted:
        return True
    return False


throw_exception_if_processing_interrupted = check_interrupted
interrupt_current_processing = interrupt
