"""The published names of a network's layers in LoRA files.

``lora_unet_down_blocks_0_attentions_0_proj_in`` (kohya-ss, after diffusers), ``lora_unet_input_blocks_1_1_proj_in``
(kohya-ss for SDXL), ``unet.down_blocks.0.attentions.0.proj_in`` (diffusers), ``down_blocks.0.attentions.0.proj_in``
(PEFT), ``lycoris_down_blocks_0_…``, ``diffusion_model.input_blocks.1.1.proj_in`` (ComfyUI) all name one layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from nodes.models.diffusers_names import diffusers_names
from nodes.models.text_config import TextConfig
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import UNetConfig
from nodes.models.unet_config import expected_shapes as unet_shapes

UNET: Final = "unet"
"""The name of the LoRA's part for the U-Net; the other parts have the names of text encoders (``l``, ``g``, ``h``)."""

KOHYA_UNET: Final = "lora_unet_"
KOHYA_TEXT: Final = "lora_te_"
KOHYA_TEXTS: Final = ("lora_te1_", "lora_te2_")

_UNET_PREFIXES: Final = (
    KOHYA_UNET,
    "model.diffusion_model.",
    "diffusion_model.",
    "unet.unet.",
    "unet.",
    "lycoris_unet_",
    "lycoris_",
)
_FIRST_TEXT: Final = (
    "lora_te1_",
    KOHYA_TEXT,
    "text_encoder.",
    "text_encoder_1.",
    "te1.",
    "te.",
    "lycoris_text_encoder_",
)
_SECOND_TEXT: Final = ("lora_te2_", "text_encoder_2.", "te2.", "lycoris_text_encoder_2_")
_NAMED_TEXT: Final = ("text_encoders.clip_{}.transformer.", "clip_{}.transformer.", "clip_{}.", "lora_clip_{}_")
_TRAINED: Final = ("resnets.", "attentions.", "samplers.")


def kohya_names(config: UNetConfig) -> dict[str, str]:
    """Map each layer of the network that kohya-ss trains to its name in LoRA files.

    These are the linear layers and convolutions of residual blocks, transformers, down- and upsamplers.
    """
    shapes = unet_shapes(config)
    return {
        layer: KOHYA_UNET + name.replace(".", "_")
        for layer, name in diffusers_names(config).items()
        if len(shapes.get(f"{layer}.weight", ())) > 1 and any(part in name for part in _TRAINED)
    }


def part_of(key: str) -> tuple[str | None, str]:
    """Split a layer's key into the part, which its prefix names, and the rest.

    The part is :data:`UNET`, ``first`` or ``second`` for text encoders by order, ``l``, ``g`` or ``h`` for text
    encoders by name, None for a key without a known prefix.
    """
    for name in "lgh":
        for prefix in _NAMED_TEXT:
            if key.startswith(prefix.format(name)):
                return name, key[len(prefix.format(name)) :]
    for part, prefixes in (("second", _SECOND_TEXT), ("first", _FIRST_TEXT), (UNET, _UNET_PREFIXES)):
        for prefix in prefixes:
            if key.startswith(prefix):
                return part, key[len(prefix) :]
    return None, key


@lru_cache(maxsize=16)
def unet_layers(config: UNetConfig) -> Mapping[str, str]:
    """Map every name of a layer, without prefix and with underscores for dots, to the layer of the network."""
    found: dict[str, str] = {}
    for layer, name in diffusers_names(config).items():
        for spelling in (layer, name):
            found[flat(spelling)] = layer
            if spelling.endswith("to_out.0"):
                # diffusers' attention processors name the list, not its first element.
                found[flat(spelling.removesuffix(".0"))] = layer
            if spelling.startswith("add_embedding."):
                found[flat(spelling.replace("add_", "class_"))] = layer
    return found


@lru_cache(maxsize=16)
def text_layers(config: TextConfig) -> Mapping[str, str]:
    """Map every name of a text encoder's layer to the layer, like :func:`unet_layers`."""
    found: dict[str, str] = {}
    for layer in _layers(text_shapes(config)):
        for spelling in (layer, layer.removeprefix("text_model.")):
            found[flat(spelling)] = layer
            for own, theirs in _TEXT_ATTENTION.items():
                if spelling.endswith(f"self_attn.{own}"):
                    found[flat(spelling.removesuffix(own) + theirs)] = layer
    return found


_TEXT_ATTENTION: Final = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}
"""Names of the attention's projections in the first LoRA files that diffusers wrote."""


def flat(name: str) -> str:
    """Return a layer's name without prefix, in the form of :func:`unet_layers`."""
    return name.replace(".", "_")


def _layers(tensors: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
