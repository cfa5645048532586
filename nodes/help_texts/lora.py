"""Help texts of the nodes that load and save LoRA files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "LoraLoader": {
        "model": "The diffusion model that gets the file's changes.",
        "clip": "The text encoder that gets the file's changes.",
        "strength_clip": (
            "How strongly the text encoder changes: 1 is as trained, 0 not at all, negative the opposite."
        ),
    },
    "LoraLoaderModelOnly": {
        "model": "The diffusion model that gets the file's changes.",
    },
    "LoraSave": {
        "lora_type": "standard stores low-rank matrices; full_diff the whole difference.",
        "bias_diff": "Whether differences of biases and norms are saved, too.",
        "model_diff": "Difference of two diffusion models.",
        "text_encoder_diff": "Difference of two text encoders.",
    },
}
