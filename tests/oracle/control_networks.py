"""Control networks with small random weights in the real layouts, and diffusers' networks with the same weights."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from torch import Tensor

from nodes.control.controlnet_config import ControlNetConfig, expected_shapes
from nodes.models.unet_config import UNetConfig
from tests.oracle.diffusers_unet import diffusers_kwargs

SD1_LIKE = UNetConfig(
    model_channels=32,
    channel_mult=(1, 2, 4),
    res_blocks=(2, 2, 2),
    input_depth=(1, 1, 1, 1, 0, 0),
    output_depth=(0,) * 9,
    context_width=24,
)
SD2_LIKE = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 1),
    output_depth=(0,) * 4,
    linear_projections=True,
    context_width=40,
)
SDXL_LIKE = replace(
    SD2_LIKE, input_depth=(0, 2), middle_depth=3, adm_in_channels=16 + 6 * 256, channel_mult=(1, 2), context_width=48
)


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Weights that keep activations near unit size; no tensor is zero, unlike an untrained ControlNet's."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        drawn = torch.randn(shape, generator=generator)
        if name.endswith("bias"):
            weights[name] = drawn * 0.1
        elif len(shape) == 1:
            weights[name] = 1 + drawn * 0.1
        else:
            weights[name] = drawn / prod(shape[1:]) ** 0.5
    return weights


def random_controlnet(config: ControlNetConfig, seed: int = 3) -> dict[str, Tensor]:
    """Weights of a ControlNet in the original layout, without prefix."""
    return random_tensors(expected_shapes(config), seed)


def diffusers_controlnet(config: ControlNetConfig, seed: int = 5) -> ControlNetModel | ControlNetUnionModel:
    """diffusers' ControlNet of the same sizes with random weights."""
    full = replace(config.unet, output_depth=tuple(_mirrored(config.unet)))
    kwargs: dict[str, Any] = diffusers_kwargs(full)
    for name in ("out_channels", "up_block_types"):
        kwargs.pop(name)
    kwargs["conditioning_embedding_out_channels"] = tuple(config.hint_widths[::2])
    kwargs["conditioning_channels"] = config.hint_channels
    if config.union is None:
        model: Any = ControlNetModel(**kwargs)
    else:
        model = ControlNetUnionModel(
            **kwargs,
            num_control_type=config.union.types,
            num_trans_channel=config.unet.model_channels,
            num_trans_layer=config.union.layers,
            num_proj_channel=config.unet.model_channels,
        )
    state = model.state_dict()
    model.load_state_dict(random_tensors({name: tuple(t.shape) for name, t in state.items()}, seed))
    return model.eval().requires_grad_(False)


def _mirrored(config: UNetConfig) -> list[int]:
    """Output depths that diffusers' arguments can express; a ControlNet has no output blocks."""
    depths = []
    at = len(config.input_depth)
    for blocks in reversed(config.res_blocks):
        level = config.input_depth[at - blocks : at]
        depths += [level[0]] * (blocks + 1)
        at -= blocks
    return depths
