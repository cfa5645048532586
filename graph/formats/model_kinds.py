"""Recognises the kind of a model file by its tensors' names, for messages about unexpected files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_KINDS: Final[tuple[tuple[str, str, str], ...]] = (
    (r"^lora_controlnet$", "a ControlLora", "controlnet"),
    (r"^redux_(up|down)\.", "a Flux Redux model, which Sumi does not run", "other"),
    (r"^style_embedding$", "a T2I style adapter", "style"),
    (r"(^|\.)position_net\.", "a GLIGEN model", "gligen"),
    (r"^lllite_", "a ControlNet-LLLite, which Sumi does not run", "other"),
    (
        r"^(controlnet_x_embedder|controlnet_blocks|controlnet_mode_embedder|pos_embed_input)\.",
        "a ControlNet of a transformer family, which Sumi does not run",
        "other",
    ),
    (r"^(adapter\.)?body\.\d+\.(resnets\.\d+\.|body\.\d+\.)?block1\.", "a T2I-Adapter", "t2i_adapter"),
    (
        r"(^|\.)(lora_(up|down|A|B)|hada_w1_a|lokr_w1|lora_unet_|lora_te)|\.(lora_(A|B)|lora\.(up|down))\.",
        "a LoRA",
        "lora",
    ),
    (
        r"^(control_model\.|controlnet_|zero_convs\.|controlnet_cond_embedding\.)|\.zero_convs\.",
        "a ControlNet",
        "controlnet",
    ),
    (r"double_blocks\.\d+\.img_attn\.", "a Flux transformer, which Sumi does not run", "diffusion_model"),
    (r"joint_blocks\.\d+\.", "an SD3 transformer, which Sumi does not run", "diffusion_model"),
    (r"time_stack\.|\.time_mix_blocks\.|temporal_", "a video model, which Sumi does not run", "other"),
    (
        r"^(down_blocks|up_blocks|mid_block)\..*(attentions|resnets)\.",
        "a U-Net in diffusers' layout",
        "diffusion_model",
    ),
    (r"^(encoder|decoder)\.(down_blocks|up_blocks|mid_block)\.", "a VAE in diffusers' layout", "vae"),
    (r"diffusion_model\.input_blocks\.0\.0\.weight$", "a checkpoint with a diffusion model", "checkpoint"),
    (r"^input_blocks\.0\.0\.weight$", "a U-Net", "diffusion_model"),
    (r"(^|\.)decoder\.conv_in\.weight$", "a VAE", "vae"),
    (r"vision_model\.|^visual\.", "a CLIP vision model", "clip_vision"),
    (r"text_model\.embeddings\.token_embedding\.weight$", "a CLIP text encoder", "text_encoder"),
    (r"^shared\.weight$|encoder\.block\.\d+\.layer\.", "a T5 text encoder, which Sumi does not run", "text_encoder"),
    (r"^(string_to_param|emb_params$|clip_[lgh]$)", "a textual inversion", "embedding"),
)
"""A pattern for tensor names, the kind of a file with such a name, and its short name. The first match counts."""


def kind_of_file(names: Iterable[str]) -> str | None:
    """Return the kind of a file with these tensor names, with its article ("a LoRA"); None if it is unknown."""
    found = _kind(names)
    return found and found[0]


def short_kind_of_file(names: Iterable[str]) -> str | None:
    """Return the kind of a file with these tensor names in one word (``lora``, ``text_encoder``); None if unknown."""
    found = _kind(names)
    return found and found[1]


def _kind(names: Iterable[str]) -> tuple[str, str] | None:
    listed = list(names)
    for pattern, kind, short in _KINDS:
        search = re.compile(pattern).search
        if any(search(name) for name in listed):
            return kind, short
    return None
