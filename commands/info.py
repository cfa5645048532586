"""``main.py info``: versions, devices, folders, and the models that Sumi found."""

from __future__ import annotations

import argparse
import platform
import sys

from commands.options import folders_of, registry_of
from commands.run import DONE, INVALID
from graph.errors import SumiError


def info(options: argparse.Namespace) -> int:
    """Print versions, devices, precision, folders and the model files in each."""
    from nodes import device, vram

    try:
        folders = folders_of(options)
        registry = registry_of(options, folders)
        print(f"sumi {device.sumi_version()}, python {platform.python_version()}, torch {device.torch_version()}")
        device.device()  # Raises if torch cannot use the requested device.
        print(f"computing on {device.describe()}")
        print(f"memory: {vram.describe(device.device_name())}")
        for line in _devices():
            print(f"device: {line}")
        print(f"{len(registry)} nodes")
    except SumiError as error:
        print(f"error: {error}", file=sys.stderr)
        return INVALID
    for name in ("input", "output", "temp", "user"):
        print(f"{name}: {getattr(folders, name)}")
    for name, directories in folders.model_folders().items():
        found = folders.names(name)
        print(f"{name}: {', '.join(map(str, directories))}{'' if found else ' (none)'}")
        for file in found:
            print(f"    {file}")
    return DONE


def _devices() -> list[str]:
    import torch

    found = [f"cpu, {torch.get_num_threads()} threads"]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        found.append(f"cuda:{index}, {properties.name}, {properties.total_memory / 2**30:.1f} GB")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found
