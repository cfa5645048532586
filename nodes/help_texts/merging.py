"""Help texts of the nodes that merge and save models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ModelMergeSimple": {
        "ratio": "Share of the first model: 1 is all model1, 0 all model2.",
    },
    "ModelMergeBlocks": {
        "input": "Share of the first model in the input blocks, which shape the composition: 1 is all model1.",
        "middle": "Share of the first model in the middle block: 1 is all model1.",
        "out": "Share of the first model in the output blocks, which shape details and style: 1 is all model1.",
    },
    "ModelMergeSubtract": {
        "multiplier": "Factor on the difference.",
    },
    "CLIPMergeSimple": {
        "ratio": "Share of the first CLIP: 1 is all clip1, 0 all clip2.",
    },
    "CLIPMergeSubtract": {
        "multiplier": "Factor on the difference.",
    },
    "CheckpointSave": {
        "model": "The diffusion model to save, with its patches and merges.",
        "clip": "The text encoder to save.",
        "vae": "The VAE to save.",
    },
    "ModelSave": {
        "model": "The diffusion model to save, with its patches and merges.",
    },
    "CLIPSave": {
        "clip": "The text encoder to save.",
    },
    "VAESave": {
        "vae": "The VAE to save.",
    },
}
