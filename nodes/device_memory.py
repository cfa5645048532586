"""The memory of this machine's devices, in the form of ``GET /system_stats``."""

from __future__ import annotations

import sys
from typing import Any

from graph.machine_memory import available_memory, memory_limit
from nodes import device


def device_stats() -> list[dict[str, Any]]:
    """Return the computing device: name, type, index, and total and free bytes, of the machine and of torch.

    Does not import torch: until it is imported elsewhere, a GPU's memory is unknown and returned as 0.
    """
    name = device.device_name()
    kind, _, index = name.partition(":")
    torch = sys.modules.get("torch")
    if kind == "cuda" and torch is not None and hasattr(torch, "cuda") and torch.cuda.is_available():
        number = int(index or 0)
        free, total = torch.cuda.mem_get_info(number)
        reserved = torch.cuda.memory_reserved(number)
        unused = reserved - torch.cuda.memory_allocated(number)
        return [_entry(torch.cuda.get_device_name(number), kind, number, total, free + unused, reserved, unused)]
    if kind in ("cpu", "mps"):
        total, available = memory_limit(), available_memory()
        free = total if available is None else min(total, available)
        return [_entry(name, kind, None, total, free, total, free)]
    return [_entry(name, kind, int(index or 0), 0, 0, 0, 0)]


def _entry(
    name: str, kind: str, index: int | None, total: int, free: int, torch_total: int, torch_free: int
) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "index": index,
        "vram_total": total,
        "vram_free": free,
        "torch_vram_total": torch_total,
        "torch_vram_free": torch_free,
    }
