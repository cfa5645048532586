"""The error for a file of another kind says what the file is."""

from __future__ import annotations

import pytest

from graph.formats.model_kinds import kind_of_file
from nodes.models.text_config import TextConfig
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import SD1, expected_shapes
from nodes.models.vae_config import VaeConfig
from nodes.models.vae_config import expected_shapes as vae_shapes


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"], "a LoRA"),
        (["unet.down_blocks.0.attentions.0.proj_in.lora_A.weight"], "a LoRA"),
        (["base_model.model.x.lora_up.weight", "base_model.model.x.alpha"], "a LoRA"),
        (["lora_unet_x.hada_w1_a"], "a LoRA"),
        (["control_model.zero_convs.0.0.weight"], "a ControlNet"),
        (["controlnet_down_blocks.0.weight", "down_blocks.0.resnets.0.conv1.weight"], "a ControlNet"),
        (["double_blocks.0.img_attn.qkv.weight"], "a Flux transformer, which Sumi does not run"),
        (["model.diffusion_model.joint_blocks.0.x"], "an SD3 transformer, which Sumi does not run"),
        (["conv_in.weight", "down_blocks.0.resnets.0.norm1.weight"], "a U-Net in diffusers' layout"),
        (["encoder.down_blocks.0.resnets.0.norm1.weight", "decoder.conv_in.weight"], "a VAE in diffusers' layout"),
        ([f"model.diffusion_model.{name}" for name in expected_shapes(SD1)], "a checkpoint with a diffusion model"),
        (list(expected_shapes(SD1)), "a U-Net"),
        (list(vae_shapes(VaeConfig())), "a VAE"),
        (list(text_shapes(TextConfig())), "a CLIP text encoder"),
        (["vision_model.post_layernorm.weight", "visual_projection.weight"], "a CLIP vision model"),
        (["emb_params"], "a textual inversion"),
        (["shared.weight"], "a T5 text encoder, which Sumi does not run"),
        (["a"], None),
    ],
)
def test_the_kind_follows_from_the_names(names: list[str], kind: str | None) -> None:
    assert kind_of_file(names) == kind
