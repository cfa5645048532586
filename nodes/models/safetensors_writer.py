"""Writes safetensors files tensor by tensor, so that a large model never lies in memory whole.

The format: https://huggingface.co/docs/safetensors. Written files are read by every program that reads safetensors.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import BinaryIO, Final

import torch
from torch import Tensor

from nodes.models.checkpoint import BITS, dtype_name

_ALIGNMENT: Final = 8
"""Bytes: the header is padded, so that the data begins at a multiple of this."""


@dataclass(frozen=True)
class Entry:
    """One tensor to write: its name, dtype and shape, and a function that returns it when its turn comes."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[], Tensor]


def write_safetensors(
    file: BinaryIO,
    entries: Sequence[Entry],
    metadata: Mapping[str, str],
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write ``entries`` and ``metadata`` to ``file``. ``tick(done, total)`` is called before each tensor.

    Raises ValueError if a tensor does not have the shape that its entry states.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for entry in entries:
        name = dtype_name(entry.dtype)
        end = position + prod(entry.shape) * BITS[name] // 8
        header[entry.name] = {"dtype": name, "shape": list(entry.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    file.write(struct.pack("<Q", len(text)) + text)
    for number, entry in enumerate(entries):
        tick(number, len(entries))
        tensor = entry.read().to("cpu", entry.dtype).contiguous()
        if tuple(tensor.shape) != entry.shape:
            raise ValueError(f"tensor '{entry.name}' has shape {list(tensor.shape)}, not {list(entry.shape)}")
        file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)
