"""diffusers' U-Net with the same sizes and weights as one of ours: the oracle of tests and benchmarks."""

from __future__ import annotations

from math import prod

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

from nodes.models.unet_config import UNetConfig, expected_shapes

PREFIX = "model.diffusion_model."
SIZE_WIDTH = 256
SIZES = 6


def random_weights(config: UNetConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights in the real layout that keep activations near unit size; norms and biases are random too."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in expected_shapes(config).items():
        drawn = torch.randn(shape, generator=generator)
        if name.endswith("bias"):
            weights[name] = drawn * 0.1
        elif len(shape) == 1:
            weights[name] = 1 + drawn * 0.1
        else:
            weights[name] = drawn / prod(shape[1:]) ** 0.5
    return weights


def diffusers_unet(config: UNetConfig, weights: dict[str, torch.Tensor]) -> UNet2DConditionModel:
    """The weights are shared, not copied, where their dtype is the model's."""
    kwargs = diffusers_kwargs(config)
    converted = convert_ldm_unet_checkpoint({PREFIX + k: v for k, v in weights.items()}, {**kwargs})
    with torch.device("meta"):
        model = UNet2DConditionModel(**kwargs)
    model.load_state_dict(converted, assign=True)
    return model.eval().requires_grad_(False)


def diffusers_kwargs(config: UNetConfig) -> dict:
    levels = len(config.channel_mult)
    if len(set(config.res_blocks)) != 1:
        raise ValueError("diffusers takes one number of residual blocks for all levels")
    blocks = config.res_blocks[0]
    by_level = [config.input_depth[level * blocks : (level + 1) * blocks] for level in range(levels)]
    depths = [max(level) for level in by_level]
    widths = [config.model_channels * mult for mult in config.channel_mult]
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths]
    up = ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)]
    kwargs = {
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": tuple(widths),
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
        "layers_per_block": blocks,
        "attention_head_dim": tuple(config.heads(width) for width in widths),
        "cross_attention_dim": config.context_width,
        "use_linear_projection": config.linear_projections,
    }
    if config.has_middle and config.middle_depth is not None:
        kwargs["transformer_layers_per_block"] = (*(max(depth, 1) for depth in depths[:-1]), config.middle_depth)
    else:
        outputs = config.output_depth
        kwargs |= {
            "mid_block_type": "UNetMidBlock2D" if config.has_middle else None,
            "transformer_layers_per_block": [list(level) if max(level) else 1 for level in by_level],
            "reverse_transformer_layers_per_block": [
                list(outputs[up : up + blocks + 1]) if max(outputs[up : up + blocks + 1]) else 1
                for up in range(0, len(outputs), blocks + 1)
            ],
        }
    if config.classes is not None:
        kwargs["num_class_embeds"] = config.classes
    if config.text_only:
        kwargs["only_cross_attention"] = config.text_only
        kwargs["mid_block_only_cross_attention"] = False
    if config.adm_in_channels is not None:
        kwargs |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": SIZE_WIDTH,
            "projection_class_embeddings_input_dim": config.adm_in_channels,
        }
    return kwargs
