"""Saves LoRA files: safetensors with kohya-ss's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import safetensors.torch
from torch import Tensor

from graph.context import Context
from graph.results import SavedFile
from nodes.saving import save_files


def save_lora_file(context: Context, lora: Mapping[str, Tensor], prefix: str) -> list[SavedFile]:
    """Save the tensors as ``{prefix}_{counter:05}_.safetensors`` in the output folder. Raises OutputFileError."""

    def write(file: BinaryIO) -> None:
        file.write(safetensors.torch.save({name: tensor.contiguous() for name, tensor in lora.items()}))

    return save_files(context, [write], prefix=prefix, suffix=".safetensors")
