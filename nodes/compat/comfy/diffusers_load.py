"""``comfy.diffusers_load``: pipelines in diffusers' layout, a folder with a file for each network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nodes.compat import folder_paths
from nodes.compat.comfy._diffusion_model import DiffusionModel
from nodes.compat.comfy.model_objects import CLIP, VAE
from nodes.models import diffusers_folder


def first_file(path: str, filenames: Sequence[str]) -> str | None:
    """Return the path of the first of ``filenames`` that exists in the folder ``path``; None if none does."""
    paths = [os.path.join(path, name) for name in filenames]
    return next((found for found in paths if os.path.exists(found)), None)


def load_diffusers(
    model_path: str, output_vae: bool = True, output_clip: bool = True, embedding_directory: Any = None
) -> tuple[DiffusionModel, CLIP | None, VAE | None]:
    """Return the model, text encoders and VAE of a folder; None for parts that were not asked for.

    Raises CheckpointError naming the file that is missing or damaged.
    """
    folder = Path(model_path)
    clip = CLIP(diffusers_folder.text_encoders_in_folder(folder, folder_paths.folders())) if output_clip else None
    vae = VAE(diffusers_folder.vae_in_folder(folder)) if output_vae else None
    return DiffusionModel(diffusers_folder.model_in_folder(folder)), clip, vae
