"""``comfy.sd``: models from files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from graph.context import warn
from nodes.compat import folder_paths
from nodes.compat.comfy import clip_vision
from nodes.compat.comfy._diffusion_model import DiffusionModel
from nodes.compat.comfy.clip_vision import ClipVisionModel
from nodes.compat.comfy.model_objects import CLIP, VAE, StyleModel
from nodes.compat.missing.errors import missing_part
from nodes.compat.values import from_pack, to_pack
from nodes.control.boxes import gligen_in
from nodes.control.style_model import style_model_in
from nodes.lora.application import apply
from nodes.lora.sources import LoadedLora
from nodes.merging.saving import checkpoint_entries, modelspec
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.safetensors_writer import write_safetensors
from nodes.models.storage import Storage
from nodes.models.text_roles import SDXL_TEXT

log = logging.getLogger(__name__)


class CLIPType(Enum):
    """The family of models that a text encoder is for. Sumi has the first."""

    STABLE_DIFFUSION = 1
    STABLE_CASCADE = 2
    SD3 = 3
    FLUX = 6


def load_checkpoint_guess_config(
    ckpt_path: str,
    output_vae: bool = True,
    output_clip: bool = True,
    output_clipvision: bool = False,
    embedding_directory: Any = None,
    output_model: bool = True,
    model_options: Mapping[str, Any] | None = None,
    te_model_options: Mapping[str, Any] | None = None,
) -> tuple[DiffusionModel | None, CLIP | None, VAE | None, None]:
    """Return the model, text encoder and VAE of a checkpoint; None for parts that it lacks or that were not asked for.

    Raises CheckpointError for a file that is damaged or foreign.
    """
    checkpoint = Checkpoint.open(Path(ckpt_path))

    def part(wanted: bool, find: Any) -> Any:
        try:
            return find() if wanted else None
        except contents.AbsentModelError:
            return None

    model = part(output_model, lambda: _diffusion_model(checkpoint, model_options))
    clip = part(output_clip, lambda: CLIP(contents.text_encoder_in(checkpoint, folder_paths.folders())))
    vae = part(output_vae, lambda: VAE(contents.vae_in(checkpoint)))
    return model, clip, vae, None


def load_diffusion_model(unet_path: str, model_options: Mapping[str, Any] | None = None) -> DiffusionModel:
    """Return the diffusion model of a file; ``dtype`` in the options may be an fp8 type. Raises CheckpointError."""
    return _diffusion_model(Checkpoint.open(Path(unet_path)), model_options)


def _diffusion_model(checkpoint: Checkpoint, options: Mapping[str, Any] | None) -> DiffusionModel:
    storage = _STORAGES.get((options or {}).get("dtype"), "default")
    return DiffusionModel(replace(contents.model_in(checkpoint), storage=storage))


_STORAGES: Final[Mapping[Any, Storage]] = {torch.float8_e4m3fn: "fp8_e4m3fn", torch.float8_e5m2: "fp8_e5m2"}


load_unet = load_diffusion_model


def load_clip(
    ckpt_paths: Sequence[str],
    embedding_directory: Any = None,
    clip_type: CLIPType = CLIPType.STABLE_DIFFUSION,
    model_options: Mapping[str, Any] | None = None,
) -> CLIP:
    """Return the text encoder of a file, or SDXL's of two files. Raises CheckpointError, also for other families."""
    if len(ckpt_paths) not in (1, 2) or clip_type is not CLIPType.STABLE_DIFFUSION:
        raise CheckpointError(f"{', '.join(ckpt_paths)}: Sumi has the text encoders of SD1, SD2 and SDXL")
    files = [Checkpoint.open(Path(path)) for path in ckpt_paths]
    if len(files) == 2:
        return CLIP(contents.text_encoders_in(files, SDXL_TEXT, folder_paths.folders()))
    return CLIP(contents.text_encoder_in(files[0], folder_paths.folders()))


def load_style_model(ckpt_path: str) -> StyleModel:
    """Return the style model of a file. Raises CheckpointError."""
    return StyleModel(style_model_in(Checkpoint.open(Path(ckpt_path))))


def load_gligen(ckpt_path: str) -> Any:
    """Return the GLIGEN model of a file, for the node GLIGENTextBoxApply. Raises CheckpointError."""
    return gligen_in(Checkpoint.open(Path(ckpt_path)))


def save_checkpoint(
    output_path: str,
    model: DiffusionModel,
    clip: CLIP | None = None,
    vae: VAE | None = None,
    clip_vision: Any = None,
    metadata: Mapping[str, str] | None = None,
    extra_keys: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint in the original layout. Raises MissingPartError for ``clip_vision`` and ``extra_keys``."""
    if clip_vision is not None or extra_keys:
        raise missing_part("comfy.sd.save_checkpoint with clip_vision or extra_keys")
    handle = from_pack(model)
    entries = checkpoint_entries(handle, from_pack(clip), from_pack(vae))
    with open(output_path, "wb") as file:
        write_safetensors(file, entries, {"format": "pt", **modelspec(handle), **(metadata or {})})


def load_lora_for_models(
    model: DiffusionModel | None,
    clip: CLIP | None,
    lora: Mapping[str, Tensor],
    strength_model: float,
    strength_clip: float,
) -> tuple[DiffusionModel | None, CLIP | None]:
    """``model`` and ``clip`` with a LoRA, whose tensors ``comfy.utils.load_torch_file`` reads.

    Raises LoraError if the LoRA belongs to another family of models.
    """
    applied = apply(LoadedLora.of(lora), from_pack(model), from_pack(clip), strength_model, strength_clip)
    for warning in applied.warnings:
        warn(log, warning)
    return to_pack(applied.model), to_pack(applied.clip)


def load_clip_vision(ckpt_path: str) -> ClipVisionModel:
    """Return the image encoder of a file. Raises CheckpointError."""
    return clip_vision.load(ckpt_path)


__all__ = [
    "CLIP",
    "VAE",
    "CLIPType",
    "StyleModel",
    "load_checkpoint_guess_config",
    "load_clip",
    "load_clip_vision",
    "load_diffusion_model",
    "load_gligen",
    "load_lora_for_models",
    "load_style_model",
    "load_unet",
    "save_checkpoint",
]
