"""``comfy.sd``: models from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from nodes.compat import folder_paths
from nodes.compat.comfy._diffusion_model import DiffusionModel
from nodes.compat.comfy.model_objects import CLIP, VAE
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint, CheckpointError


class CLIPType(Enum):
    """Which family of models a text encoder is for. Sumi has the first."""

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
    """Model, text encoder and VAE of a checkpoint, None for what it does not hold or was not asked for.

    Raises CheckpointError for a file that is damaged or foreign.
    """
    checkpoint = Checkpoint.open(Path(ckpt_path))

    def part(wanted: bool, find: Any) -> Any:
        try:
            return find() if wanted else None
        except contents.AbsentModelError:
            return None

    model = part(output_model, lambda: DiffusionModel(contents.model_in(checkpoint)))
    clip = part(output_clip, lambda: CLIP(contents.text_encoder_in(checkpoint, folder_paths.folders())))
    vae = part(output_vae, lambda: VAE(contents.vae_in(checkpoint)))
    return model, clip, vae, None


def load_diffusion_model(unet_path: str, model_options: Mapping[str, Any] | None = None) -> DiffusionModel:
    """The diffusion model of a file. Raises CheckpointError."""
    return DiffusionModel(contents.model_in(Checkpoint.open(Path(unet_path))))


load_unet = load_diffusion_model


def load_clip(
    ckpt_paths: Sequence[str],
    embedding_directory: Any = None,
    clip_type: CLIPType = CLIPType.STABLE_DIFFUSION,
    model_options: Mapping[str, Any] | None = None,
) -> CLIP:
    """The text encoder of a file. Raises CheckpointError, also for several files or another family."""
    if len(ckpt_paths) != 1 or clip_type is not CLIPType.STABLE_DIFFUSION:
        raise CheckpointError(
            f"{', '.join(ckpt_paths)}: Sumi has text encoders of one file, of Stable Diffusion 1 and 2"
        )
    return CLIP(contents.text_encoder_in(Checkpoint.open(Path(ckpt_paths[0])), folder_paths.folders()))


__all__ = [
    "CLIP",
    "VAE",
    "CLIPType",
    "load_checkpoint_guess_config",
    "load_clip",
    "load_diffusion_model",
    "load_unet",
]
