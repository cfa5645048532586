"""``comfy.model_management``: devices, precisions, memory, and whether the run is to stop.

``nodes.models.residency`` keeps Sumi's own networks in memory. Packs move their networks themselves.
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
    """The modes of memory for models."""

    DISABLED = 0
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(Enum):
    """The kinds of device that compute."""

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
    """Compute ``vram_state``, ``cpu_state``, and ``total_vram`` and ``total_ram`` in MiB when a pack reads them."""
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
    """Return the device that computes."""
    return devices.device()


def get_torch_device_name(device: torch.device | str) -> str:
    """A device's name for people."""
    device = torch.device(device)
    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)


def get_autocast_device(dev: Any) -> str:
    """Return the kind of a device."""
    return str(getattr(dev, "type", "cuda"))


def intermediate_device() -> torch.device:
    """Return the device for values between nodes."""
    return torch.device("cpu")


def text_encoder_device() -> torch.device:
    """Return the device that encodes texts."""
    return get_torch_device()


def vae_device() -> torch.device:
    """Return the device that decodes latents."""
    return get_torch_device()


def unet_offload_device() -> torch.device:
    """Return the device where unused networks are kept."""
    return torch.device("cpu")


def unet_inital_load_device(parameters: int, dtype: torch.dtype) -> torch.device:
    """Return the device where a network is created."""
    return torch.device("cpu")


unet_initial_load_device = unet_inital_load_device


def text_encoder_initial_device(load_device: Any, offload_device: Any, model_size: int = 0) -> Any:
    """Return the device where a text encoder is created."""
    return offload_device


text_encoder_offload_device = unet_offload_device
vae_offload_device = unet_offload_device


def is_device_type(device: Any, kind: str) -> bool:
    """Return whether the device is of that kind."""
    return getattr(device, "type", None) == kind


def is_device_cpu(device: Any) -> bool:
    """Return whether it is the CPU."""
    return is_device_type(device, "cpu")


def is_device_cuda(device: Any) -> bool:
    """Return whether it is a CUDA GPU."""
    return is_device_type(device, "cuda")


def is_device_xpu(device: Any) -> bool:
    """Return whether it is an Intel GPU."""
    return is_device_type(device, "xpu")


def is_directml_enabled() -> bool:
    """False: Sumi does not use DirectML."""
    return False


is_ascend_npu = is_mlu = is_ixuca = is_directml_enabled


def is_device_mps(device: Any) -> bool:
    """Return whether it is an Apple GPU."""
    return is_device_type(device, "mps")


def cpu_mode() -> bool:
    """Return whether everything is computed on the CPU."""
    return is_device_cpu(get_torch_device())


def mps_mode() -> bool:
    """Return whether an Apple GPU computes."""
    return is_device_mps(get_torch_device())


def is_nvidia() -> bool:
    """Return whether an Nvidia GPU computes."""
    return is_device_cuda(get_torch_device()) and torch.version.cuda is not None


def is_amd() -> bool:
    """Return whether an AMD GPU computes."""
    return is_device_cuda(get_torch_device()) and torch.version.hip is not None


def is_intel_xpu() -> bool:
    """Return whether an Intel GPU computes."""
    return is_device_type(get_torch_device(), "xpu")


def xformers_enabled() -> bool:
    """Attention is torch's own."""
    return False


xformers_enabled_vae = sage_attention_enabled = flash_attention_enabled = xformers_enabled


def pytorch_attention_enabled() -> bool:
    """Attention is torch's own."""
    return True


def pytorch_attention_flash_attention() -> bool:
    """Return whether torch's attention may use its flash kernels."""
    return is_nvidia()


def force_upcast_attention_dtype() -> None:
    """Return None: attention is computed in the network's precision."""


# -- precisions --------------------------------------------------------------------------------------------------


def unet_dtype(
    device: Any = None, model_params: int = 0, supported_dtypes: Iterable[torch.dtype] = (), **_: Any
) -> torch.dtype:
    """Return the precision of a diffusion network with that many parameters."""
    return devices.unet_dtype(model_params)


def text_encoder_dtype(device: Any = None) -> torch.dtype:
    """Return the precision of text encoders."""
    return devices.text_dtype()


def vae_dtype(device: Any = None, allowed_dtypes: Iterable[torch.dtype] = ()) -> torch.dtype:
    """Return the precision of autoencoders."""
    return devices.vae_dtype()


def should_use_fp16(device: Any = None, model_params: int = 0, **_: Any) -> bool:
    """Return whether a network of that size computes in fp16."""
    return devices.unet_dtype(model_params) is torch.float16


def should_use_bf16(device: Any = None, model_params: int = 0, **_: Any) -> bool:
    """Return whether a network of that size computes in bf16."""
    return devices.unet_dtype(model_params) is torch.bfloat16


def unet_manual_cast(
    weight_dtype: torch.dtype, inference_device: Any = None, supported_dtypes: Iterable[torch.dtype] = (), **_: Any
) -> torch.dtype | None:
    """Return the precision to compute in if it is not the weights' own, or None if it is."""
    natural = (torch.float32, torch.float16, torch.bfloat16)
    if weight_dtype is torch.float32 or (weight_dtype in natural and supports_dtype(inference_device, weight_dtype)):
        return None
    return torch.float32 if is_device_cpu(inference_device) else devices.unet_dtype(devices.LARGE_UNET)


FLOAT8_TYPES: Final = [torch.float8_e4m3fn, torch.float8_e5m2]
VAE_DTYPES: Final = [torch.float32]
ENABLE_PYTORCH_ATTENTION: Final = True
FORCE_FP32: Final = False


def get_supported_float8_types() -> list[torch.dtype]:
    """Return the precisions of 8 bits that weights may be stored in."""
    return list(FLOAT8_TYPES)


def supports_fp8_compute(device: Any = None) -> bool:
    """Return False: weights of 8 bits are converted to another precision for computing."""
    return False


def force_channels_last() -> bool:
    """Return True: the networks keep their feature maps channels-last."""
    return True


def pick_weight_dtype(dtype: torch.dtype | None, fallback_dtype: torch.dtype, device: Any = None) -> torch.dtype:
    """``dtype`` if weights can be in it on the device, else ``fallback_dtype``."""
    return dtype if dtype is not None and supports_cast(device, dtype) else fallback_dtype


def lora_compute_dtype(device: Any) -> torch.dtype:
    """float32: changes of weights are computed in it."""
    return torch.float32


def supports_dtype(device: Any, dtype: torch.dtype) -> bool:
    """Return whether networks compute on the device in that precision."""
    if dtype is torch.float32:
        return True
    if is_device_cpu(device):
        return dtype is torch.bfloat16 and devices.cpu_multiplies_bf16()
    return dtype in (torch.float16, torch.bfloat16)


def supports_cast(device: Any, dtype: torch.dtype) -> bool:
    """Return whether tensors on the device can have that precision: an Apple GPU has no float8."""
    return dtype.itemsize > 1 or not is_device_mps(device)


def dtype_size(dtype: torch.dtype) -> int:
    """Return the size of a number in bytes."""
    return dtype.itemsize


def cast_to_device(tensor: torch.Tensor, device: Any, dtype: torch.dtype, copy: bool = False) -> torch.Tensor:
    """Return ``tensor`` on that device and in that precision."""
    return tensor.to(device=device, dtype=dtype, copy=copy)


def cast_to(
    weight: torch.Tensor,
    dtype: torch.dtype | None = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> torch.Tensor:
    """Return ``weight`` on that device and in that precision: the same tensor if nothing changes, unless ``copy``."""
    return weight.to(device=device, dtype=dtype, non_blocking=non_blocking, copy=copy)


def device_supports_non_blocking(device: Any) -> bool:
    """Return whether copies to the device may be asynchronous."""
    return is_device_cuda(device)


# -- memory ------------------------------------------------------------------------------------------------------


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """Free bytes of a device; with ``torch_free_too`` also those that torch holds and does not use."""
    dev = torch.device(dev) if dev is not None else get_torch_device()
    if dev.type == "cuda":
        free, idle = vram.free_bytes(str(dev))
        return (free + idle, idle) if torch_free_too else free + idle
    free = available_memory() or 0
    return (free, free) if torch_free_too else free


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """Return the memory of a device in bytes."""
    dev = torch.device(dev) if dev is not None else get_torch_device()
    total = torch.cuda.get_device_properties(dev).total_memory if dev.type == "cuda" else memory_limit()
    return (total, total) if torch_total_too else total


def minimum_inference_memory() -> int:
    """Return the bytes of GPU memory reserved for activations and for other programs."""
    return vram.FOR_COMPUTING + vram.reserved()


def maximum_vram_for_weights(device: Any = None) -> int:
    """Return the bytes that a network's weights can use on a device."""
    return max(0, get_total_memory(device) - minimum_inference_memory())


def extra_reserved_memory() -> int:
    """Return the bytes of GPU memory reserved for other programs."""
    return vram.reserved()


def module_size(module: torch.nn.Module) -> int:
    """Return the size of a network's weights in bytes, whether they are in memory or not."""
    return sum(tensor.nbytes for tensor in [*module.parameters(), *module.buffers()])


def synchronize() -> None:
    """Wait until a GPU has computed everything."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def debug_memory_summary() -> str:
    """Return torch's report of a GPU's memory; empty on other devices."""
    return torch.cuda.memory_summary() if torch.cuda.is_available() else ""


def soft_empty_cache(force: bool = False) -> None:
    """Return the GPU memory that torch holds and does not use to the system."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def load_models_gpu(
    models: Iterable[Any], memory_required: int = 0, force_patch_weights: bool = False, **_: Any
) -> None:
    """Move packs' own networks to their devices. Sumi's models are moved when they are used."""
    for model in models:
        model.patch_model()


def load_model_gpu(model: Any) -> None:
    """Move a pack's own network to its device."""
    load_models_gpu([model])


def free_memory(memory_required: int, device: Any, keep_loaded: Iterable[Any] = ()) -> list[Any]:
    """Unload Sumi's networks if fewer bytes are free."""
    if get_free_memory(device) < memory_required:
        unload_all_models()
    return []


def unload_all_models() -> None:
    """Unload Sumi's networks."""
    from nodes.models import residency

    residency.free()


def cleanup_models() -> None:
    """Do nothing: unused networks are released automatically."""


cleanup_models_gc = cleanup_models


def unload_model_clones(model: Any, unload_weights_only: bool = True, force_unload: bool = True) -> bool:
    """Do nothing: clones share identical layers."""
    return False


def unload_model_and_clones(model: Any, unload_additional_models: bool = True, all_devices: bool = False) -> None:
    """Unload Sumi's networks."""
    unload_all_models()


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    """Sumi's networks in memory."""
    from nodes.models import residency

    return [entry.module for entry in residency.loaded()]


# -- interruption ------------------------------------------------------------------------------------------------


def processing_interrupted() -> bool:
    """Return whether the run should stop."""
    try:
        throw_exception_if_processing_interrupted()
    except Interrupted:
        return True
    return False


throw_exception_if_processing_interrupted = check_interrupted
interrupt_current_processing = interrupt
