"""Writes a Stable Diffusion 1 checkpoint: one safetensors file in the layout of latent diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from nodes.models.checkpoint import Checkpoint
from nodes.training.state import write_tensors

UNET: Final = "model.diffusion_model."
TEXT: Final = "cond_stage_model.transformer."
VAE: Final = "first_stage_model."


def write_single_file(
    path: Path,
    *,
    unet: Mapping[str, Tensor],
    text: Mapping[str, Tensor],
    vae: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write the three networks' tensors, named without prefix, to ``path``. Raises OutputFileError."""
    parts = {UNET: unet, TEXT: text, VAE: vae}
    write_tensors(
        path,
        {prefix + name: tensor.to(dtype) for prefix, tensors in parts.items() for name, tensor in tensors.items()},
        {"format": "pt"},
    )


def tensors_of(handle: Any) -> dict[str, Tensor]:
    """Return the tensors of a handle's network from its file, with names without prefix. Raises CheckpointError."""
    checkpoint = Checkpoint.open(handle.weights.path)
    prefix = handle.weights.prefix
    return {
        name.removeprefix(prefix): checkpoint.tensor(name).clone()
        for name in checkpoint.shapes
        if name.startswith(prefix)
    }
