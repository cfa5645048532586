"""Small checkpoints with random weights, in the layouts that published files of SD2 and SDXL have."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from nodes.models.text_config import TextConfig
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import UNetConfig
from tests.oracle.diffusers_unet import PREFIX, random_weights

OPENAI = TextConfig(width=64, layers=3, mlp=128)
OPENCLIP = TextConfig(width=128, layers=3, mlp=256, activation="gelu", projection=96)
_SMALL = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 1),
    output_depth=(1, 1, 1, 1),
    context_width=OPENCLIP.width,
    linear_projections=True,
)
_PARTS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


@dataclass(frozen=True)
class Small:
    """One small checkpoint: its U-Net, and its text encoders with their prefix and whether they are OpenCLIP's."""

    unet: UNetConfig
    encoders: dict[str, tuple[str, TextConfig, bool]]

    def weights(self) -> dict[str, Tensor]:
        """The U-Net's, without prefix."""
        return random_weights(self.unet)

    def text_weights(self, name: str) -> dict[str, Tensor]:
        """An encoder's, in transformers' layout, without prefix."""
        return random_text(self.encoders[name][1], seed=ord(name))

    def write(self, path: Path, markers: dict[str, Tensor] | None = None) -> Path:
        """The file, with tensors that mark how it is sampled."""
        tensors = {PREFIX + name: tensor for name, tensor in self.weights().items()}
        for name, (prefix, _, is_openclip) in self.encoders.items():
            weights = self.text_weights(name)
            layout = openclip_layout(weights) if is_openclip else weights
            tensors |= {prefix + inner: tensor for inner, tensor in layout.items()}
        save_file({name: tensor.contiguous() for name, tensor in {**tensors, **(markers or {})}.items()}, path)
        return path


SD2 = Small(_SMALL, {"h": ("cond_stage_model.model.", OPENCLIP, True)})
SDXL = Small(
    replace(
        _SMALL,
        input_depth=(0, 1),
        output_depth=(1, 1, 0, 0),
        context_width=OPENAI.width + OPENCLIP.width,
        adm_in_channels=96 + 6 * 256,
    ),
    {
        "l": ("conditioner.embedders.0.transformer.", OPENAI, False),
        "g": ("conditioner.embedders.1.model.", OPENCLIP, True),
    },
)
REFINER = Small(
    replace(
        _SMALL,
        channel_mult=(1, 1, 1),
        res_blocks=(1, 1, 1),
        input_depth=(0, 1, 0),
        output_depth=(0, 0, 1, 1, 0, 0),
        adm_in_channels=96 + 5 * 256,
    ),
    {"g": ("conditioner.embedders.0.model.", OPENCLIP, True)},
)


def random_text(config: TextConfig, seed: int) -> dict[str, Tensor]:
    """Weights of a text encoder that keep activations near unit size."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator) * (0.5 / shape[-1] ** 0.5) + (".layer_norm" in name)
        for name, shape in text_shapes(config).items()
    }


def openclip_layout(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A text encoder's weights as open_clip's CLIP keeps them: packed projections, transposed text projection."""
    packed: dict[str, Tensor] = {"logit_scale": torch.tensor(4.6)}
    for name, tensor in weights.items():
        if name == "text_projection.weight":
            packed["text_projection"] = tensor.T
        elif name.startswith("text_model.embeddings.position"):
            packed["positional_embedding"] = tensor
        elif name.startswith("text_model.embeddings.token"):
            packed["token_embedding.weight"] = tensor
        elif name.startswith("text_model.final"):
            packed[f"ln_final.{name.rpartition('.')[2]}"] = tensor
        elif match := re.match(r"text_model\.encoder\.layers\.(\d+)\.self_attn\.q_proj\.(\w+)", name):
            parts = [weights[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            packed[f"transformer.resblocks.{match[1]}.attn.in_proj_{match[2]}"] = torch.cat(parts)
        elif (match := re.match(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(\w+)$", name)) and match[2] in _PARTS:
            packed[f"transformer.resblocks.{match[1]}.{_PARTS[match[2]]}.{match[3]}"] = tensor
    return packed
