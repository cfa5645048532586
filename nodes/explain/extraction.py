"""Takes the VAE out of a checkpoint, as the scripts do that copy ``first_stage_model.*`` without the prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO, Final, Literal

import torch

from graph.context import Context
from graph.results import SavedFile
from nodes.merging.saving import save_vae, vae_entries, values_of
from nodes.models.checkpoint import BITS, Checkpoint
from nodes.models.contents import UNET_PREFIXES, prefixes_of
from nodes.models.handle import Vae
from nodes.models.open_files import close
from nodes.models.text_config import text_prefixes
from nodes.saving import save_files

Format = Literal["safetensors", "pt"]

_TRAINING: Final = "averages and buffers of training"


@dataclass(frozen=True)
class Part:
    """One network in a checkpoint: its number of tensors, their numbers, and their bytes in the file."""

    name: str
    tensors: int
    numbers: int
    bytes: int

    @property
    def megabytes(self) -> float:
        """Return the size in units of a million bytes."""
        return self.bytes / 1e6


def parts_of(checkpoint: Checkpoint, vae: Vae) -> list[Part]:
    """Return the networks in a checkpoint that have tensors, and the rest as a last part."""
    text = [prefix for prefix in text_prefixes(checkpoint.shapes) if prefix]
    prefixes = {
        "diffusion model (U-Net)": tuple(prefix for prefix in UNET_PREFIXES if prefix),
        "text encoder (CLIP)": ("cond_stage_model.", "conditioner.", *text),
        "VAE": tuple(prefixes_of(vae)),
    }
    names: dict[str, list[str]] = {name: [] for name in (*prefixes, _TRAINING)}
    for tensor in checkpoint.shapes:
        names[next((name for name, own in prefixes.items() if tensor.startswith(own)), _TRAINING)].append(tensor)
    return [_part(checkpoint, name, tensors) for name, tensors in names.items() if tensors]


def save_extracted(
    context: Context, vae: Vae, prefix: str, format: Format, prompt: Any = None, extra_pnginfo: Any = None
) -> list[SavedFile]:
    """Save a VAE alone, in the original layout and its file's precision.

    ``pt`` is torch.save's format, with the tensors in ``state_dict`` as in a ``.ckpt``; it holds no workflow.
    Raises OutputFileError.
    """
    if format == "safetensors":
        return save_vae(context, vae, prefix, prompt, extra_pnginfo)

    def write(file: BinaryIO) -> None:
        tensors = {name: tensor.clone() for name, tensor in values_of(vae_entries(vae)).items()}
        torch.save({"state_dict": tensors}, file)

    try:
        return save_files(context, [write], prefix=prefix, suffix=".pt")
    finally:
        close()


def _part(checkpoint: Checkpoint, name: str, tensors: Sequence[str]) -> Part:
    numbers = {tensor: prod(checkpoint.shapes[tensor]) for tensor in tensors}
    size = sum(count * BITS[checkpoint.dtypes[tensor]] // 8 for tensor, count in numbers.items())
    return Part(name, len(tensors), sum(numbers.values()), size)
