"""ControlLora: a ControlNet whose encoder is the model's own plus low-rank differences (Stability AI, 2023).

The file holds the complete head, and for each layer of the encoder either ``….up`` and ``….down``, whose product is
added to the model's weight, or a complete ``….weight`` or ``….bias`` that replaces the model's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from nodes.control.controlnet_config import ControlNetConfig, HeadConfig, head_shapes
from nodes.control.stored_changes import StoredLowRank, StoredReplacement
from nodes.models.checkpoint import Checkpoint, CheckpointError, Fingerprint
from nodes.models.unet_config import UNetConfig, encoder_shapes
from nodes.models.weight_patches import WeightPatch
from nodes.models.weights import Weights, weights_at

MARKER: Final = "lora_controlnet"
"""The tensor that marks such a file."""


def head_weights(path: Path, channels: int, unet: UNetConfig) -> Weights[HeadConfig]:
    """Return the head's weights, for a model of these sizes and pictures with that many channels.

    Raises CheckpointError naming missing and misshapen tensors.
    """
    config = ControlNetConfig(replace(unet, text_only=()), hint_channels=channels)
    return weights_at(Checkpoint.open(path), "", HeadConfig(config), head_shapes(config), lambda name: True)


def encoder_patches(path: Path, state: Fingerprint, unet: UNetConfig) -> list[WeightPatch]:
    """Return the patches of the model's encoder, which read the file when they are applied. Raises CheckpointError."""
    checkpoint = Checkpoint.open(path)
    if checkpoint.fingerprint != state:
        raise CheckpointError(f"{path}: has changed since the workflow named it; run the workflow again")
    patches = []
    for name in encoder_shapes(unet):
        layer, _, tensor = name.rpartition(".")
        change: Any = None
        if name in checkpoint.shapes:
            change = StoredReplacement(state, name)
        elif tensor == "weight" and f"{layer}.up" in checkpoint.shapes and f"{layer}.down" in checkpoint.shapes:
            change = StoredLowRank(state, f"{layer}.up", f"{layer}.down")
        if change is not None:
            patches.append(WeightPatch(name, change))
    return patches
