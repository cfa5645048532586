"""How much of a device's memory weights may take: ComfyUI's memory flags, with their meaning.

``normal``: weights use the free memory minus a reserve and room to compute. ``low``: a network gets a part of the free
memory, and its other weights are read for each call. ``no``: no weights stay on the device. ``high`` and ``gpu-only``:
complete networks stay there until it runs out of memory. On a CPU, weights may take a share of the memory, and the
flags have no effect, as in ComfyUI.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final, Literal

from graph.machine_memory import memory_limit

Mode = Literal["normal", "low", "no", "high", "gpu-only"]

SHARE_OF_MEMORY: Final = 0.6
"""Share of a CPU's memory that weights may take; the rest is for activations, pictures and other programs."""
SHARE_OF_FREE: Final = 0.4
"""Share of a GPU's free memory that weights may take with ``low``."""
LEAST_WITH_LOW: Final = 64 << 20
RESERVED: Final = (600 if sys.platform == "win32" else 400) << 20
"""Bytes of a GPU to leave to other programs, unless ``--reserve-vram`` sets another number."""
FOR_COMPUTING: Final = 1 << 30
"""Bytes of a GPU to leave for activations."""
UNLIMITED: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class _Setting:
    mode: Mode = "normal"
    reserved: int | None = None


_setting = _Setting()


def configure(mode: Mode = "normal", reserved: int | None = None) -> None:
    """Choose the mode of this process, and the bytes of a GPU to leave to other programs (None: a default)."""
    global _setting
    _setting = _Setting(mode, reserved)


def mode() -> Mode:
    """Return the mode of this process."""
    return _setting.mode


def reserved() -> int:
    """Return the bytes of a GPU to leave to other programs."""
    return RESERVED if _setting.reserved is None else _setting.reserved


def weight_budget(device: str, held: int) -> int:
    """Return the bytes of weights that may be on ``device`` (a name, such as ``cuda:0``), which now holds ``held``."""
    if not device.startswith("cuda"):
        return int(memory_limit() * SHARE_OF_MEMORY)
    free, idle = free_bytes(device)
    return budget_of(_setting.mode, held + free + idle - reserved())


def free_bytes(device: str) -> tuple[int, int]:
    """Return the free bytes of a CUDA device, and those that torch has reserved there and does not use."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return free, torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def budget_of(mode: Mode, available: int) -> int:
    """Return the bytes of weights that may be on a GPU if weights and activations may use ``available`` bytes."""
    if mode in ("high", "gpu-only"):
        return UNLIMITED
    if mode == "no":
        return 0
    budget = available - FOR_COMPUTING
    if mode == "low":
        budget = max(LEAST_WITH_LOW, min(int(available * SHARE_OF_FREE), budget))
    return max(0, budget)


def describe(device: str) -> str:
    """Describe the memory of ``device`` for weights in one line."""
    if not device.startswith("cuda"):
        limit = f"weights take at most {weight_budget(device, 0) / 2**30:.1f} GB"
        return limit if _setting.mode == "normal" else f"{limit}; --{_flag()} has no effect on {device}"
    return f"--{_flag()}, {reserved() / 2**30:.1f} GB reserved"


def _flag() -> str:
    return _setting.mode if _setting.mode == "gpu-only" else f"{_setting.mode}vram"
