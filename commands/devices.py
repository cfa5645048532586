"""The devices of this machine, counted without torch."""

from __future__ import annotations

import os
from pathlib import Path


def devices_of(name: str) -> list[str]:
    """Return the devices that ``--device`` stands for: with auto and cuda every GPU, if there are several.

    Does not import torch: on a machine with one GPU or none, the worker decides what ``auto`` means.
    """
    from nodes import device

    if name not in ("auto", "cuda") or "+cpu" in device.torch_version():
        return [name]
    count = gpu_count() or 1
    return [f"cuda:{index}" for index in range(count)] if count > 1 else [name]


def gpu_count() -> int | None:
    """Return the number of Nvidia GPUs that this process may use; None where the system does not list them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([entry for entry in visible.split(",") if entry.strip()])
    try:
        return len(list(Path("/proc/driver/nvidia/gpus").iterdir()))
    except OSError:
        return None
