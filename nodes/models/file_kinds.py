"""The kind of a model file, read from its tensors' names, for messages about unexpected files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_KINDS: Final[tuple[tuple[str, str], ...]] = (
    (r"(^|\.)(lora_(up|down|A|B)|hada_w1_a|lokr_w1|lora_unet_|lora_te)|\.(lora_(A|B)|lora\.(up|down))\.", "a LoRA"),
    (
        r"^(control_model\.|controlnet_|zero_convs\.|controlnet_cond_embedding\.)|\.zero_convs\.",
        "a ControlNet",
    ),
    (r"double_blocks\.\d+\.img_attn\.", "a Flux transformer, which Sumi does not run"),
    (r"joint_blocks\.\d+\.", "an SD3 transformer, which Sumi does not run"),
    (r"time_stack\.|\.time_mix_blocks\.|temporal_", "a video model, which Sumi does not run"),
    (r"^(down_blocks|up_blocks|mid_block)\..*(attentions|resnets)\.", "a U-Net in diffusers' layout"),
    (r"^(encoder|decoder)\.(down_blocks|up_blocks|mid_block)\.", "a VAE in diffusers' layout"),
    (r"diffusion_model\.input_blocks\.0\.0\.weight$", "a checkpoint with a diffusion model"),
    (r"^input_blocks\.0\.0\.weight$", "a U-Net"),
    (r"(^|\.)decoder\.conv_in\.weight$", "a VAE"),
    (r"vision_model\.|^visual\.", "a CLIP vision model"),
    (r"text_model\.embeddings\.token_embedding\.weight$", "a CLIP text encoder"),
    (r"^shared\.weight$|encoder\.block\.\d+\.layer\.", "a T5 text encoder, which Sumi does not run"),
    (r"^(string_to_param|emb_params$|clip_[lgh]$)", "a textual inversion"),
)
"""A pattern for tensor names, and the kind of a file with a name that matches. The first match counts."""


def kind_of_file(names: Iterable[str]) -> str | None:
    """The kind of a file with tensors of these names, with its article; None if it is unknown."""
    listed = list(names)
    for pattern, kind in _KINDS:
        search = re.compile(pattern).search
        if any(search(name) for name in listed):
            return kind
    return None
