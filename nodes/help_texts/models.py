"""Help texts of the nodes that load models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "CheckpointLoader": {
        "config_name": "The training configuration in models/configs.",
    },
    "UNETLoader": {
        "unet_name": "The diffusion model's file in models/diffusion_models.",
        "weight_dtype": "How the weights are kept in memory; fp8 needs half the memory of fp16.",
    },
    "CLIPLoader": {
        "type": "The family of models that the text encoder belongs to.",
        "clip_name": "The text encoder's file in models/text_encoders.",
    },
    "DualCLIPLoader": {
        "type": "The family of models that the text encoders belong to.",
        "clip_name1": "The first text encoder's file in models/text_encoders.",
        "clip_name2": "The second text encoder's file in models/text_encoders.",
    },
    "DiffusersLoader": {
        "model_path": "The folder in models/diffusers.",
    },
    "VAELoader": {
        "vae_name": "The VAE's file in models/vae.",
    },
}
