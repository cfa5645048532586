"""Saves and loads latents: ComfyUI's ``.latent`` files, which are safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from graph.context import Context
from graph.errors import InputFileError
from graph.results import SavedFile
from nodes.pictures import metadata
from nodes.saving import save_files

TENSOR, VERSION = "latent_tensor", "latent_format_version_0"

OLD_SCALE = 0.18215
"""Scale of latents in files without a version: they hold the U-Net's latents times this."""


def save_latent(
    context: Context, samples: torch.Tensor, *, prefix: str, prompt: Any = None, extra_pnginfo: Any = None
) -> list[SavedFile]:
    """Save a batch [B, C, H, W] as one file ``{prefix}_{counter:05}_.latent``. Raises OutputFileError."""
    texts = metadata.texts(prompt, extra_pnginfo)

    def write(file: BinaryIO) -> None:
        tensors = {
            TENSOR: samples.detach().to("cpu", torch.float32).contiguous(),
            VERSION: torch.empty(0),
        }
        file.write(safetensors.torch.save(tensors, texts or None))

    return save_files(context, [write], prefix=prefix, suffix=".latent")


def load_latent(path: Path) -> torch.Tensor:
    """Load the samples [B, C, H, W] float32 of a ``.latent`` file, unscaled. Raises InputFileError."""
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            if TENSOR not in names:
                raise InputFileError(f"{path} is not a latent: it holds no tensor '{TENSOR}'")
            samples = file.get_tensor(TENSOR).to(torch.float32)
    except (SafetensorError, OSError) as error:
        raise InputFileError(f"{path} cannot be read as a latent (a safetensors file): {error}") from error
    if samples.ndim < 4:
        raise InputFileError(f"{path} is not a latent: '{TENSOR}' is {list(samples.shape)}, not [batch, channels, …]")
    return samples if VERSION in names else samples / OLD_SCALE
