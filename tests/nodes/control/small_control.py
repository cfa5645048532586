"""A small model and ControlNets for it, in files with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from nodes.control.controlnet_config import ControlNetConfig
from nodes.control.handle import ControlHandle
from nodes.control.loading import control_in
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in
from nodes.models.handle import Model
from nodes.models.unet_config import UNetConfig
from nodes.sampling.nodes import ksampler
from tests.oracle.control_networks import random_controlnet
from tests.oracle.diffusers_unet import PREFIX, random_weights

UNET = UNetConfig(
    model_channels=32,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 0),
    output_depth=(0, 0, 1, 1),
    context_width=16,
)
CONTROL = ControlNetConfig(replace(UNET, output_depth=(0, 0, 0, 0)))
SIDE = 16
"""Tolerance for latents."""


def small_model(folder: Path, unet: UNetConfig = UNET) -> Model:
    path = folder / f"model_{unet.context_width}_{unet.in_channels}_{unet.linear_projections}.safetensors"
    save_file({PREFIX + name: tensor for name, tensor in random_weights(unet).items()}, path)
    return model_in(Checkpoint.open(path))


def small_control(folder: Path, seed: int = 3, config: ControlNetConfig = CONTROL, gain: float = 1.0) -> ControlHandle:
    path = folder / f"control_{seed}.safetensors"
    save_file({name: tensor * gain for name, tensor in random_controlnet(config, seed).items()}, path)
    return control_in(Checkpoint.open(path))


def picture(seed: int = 7, batch: int = 1, side: int = 8 * SIDE, channels: int = 3) -> Tensor:
    return torch.rand(batch, side, side, channels, generator=torch.Generator().manual_seed(seed))


def text(seed: int, width: int = 16, **options: Any) -> list[list[Any]]:
    embedding = torch.randn(1, 77, width, generator=torch.Generator().manual_seed(seed))
    return [[embedding, options]]


def sampled(
    model: Model,
    positive: list[list[Any]],
    negative: list[list[Any]],
    cfg: float = 3.0,
    batch: int = 1,
    steps: int = 3,
    more: Mapping[str, Any] | None = None,
) -> Tensor:
    context: Any = SimpleNamespace(progress=lambda *_: None, check_interrupted=lambda: None)
    found: Tensor = ksampler(
        context=context,
        model=model,
        seed=5,
        steps=steps,
        cfg=cfg,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent_image={"samples": torch.zeros(batch, 4, SIDE, SIDE), **(more or {})},
    )["samples"]
    return found
