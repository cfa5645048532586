"""A small real U-Net with random weights behind a handle, and prompts for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nodes.models.changes import NO_CHANGES, Guider, ModelChanges
from nodes.models.handle import Model, ModelSampling
from nodes.models.unet_config import UNetConfig
from nodes.sampling.conditions import resolve_sides
from nodes.sampling.denoiser import GuidedDenoiser
from nodes.sampling.guiders import CfgGuider
from nodes.sampling.prediction import Predictor
from nodes.unet.unet import UNet

CONFIG = UNetConfig(
    model_channels=32,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 0),
    middle_depth=1,
    output_depth=(0, 0, 1, 1),
    context_width=16,
)


@dataclass(frozen=True)
class SmallModel(Model):
    """A handle of a network that is not in a file."""

    unet: UNet = field(kw_only=True)

    @property
    def config(self) -> UNetConfig:
        return self.unet.config

    def network(self) -> UNet:
        return self.unet


def small_unet(config: UNetConfig = CONFIG) -> UNet:
    torch.manual_seed(0)
    return UNet(config)


def model_of(network: UNet, changes: ModelChanges = NO_CHANGES, sampling: ModelSampling | None = None) -> Model:
    weights: Any = None
    return SmallModel(weights, sampling or ModelSampling(), changes=changes, unet=network)


def text(seed: int, tokens: int = 77) -> Tensor:
    return torch.randn(1, tokens, 16, generator=torch.Generator().manual_seed(seed))


def prompt(seed: int, **options: Any) -> list[list[Any]]:
    return [[text(seed), options]]


def noisy(batch: int = 1) -> Tensor:
    return torch.randn(batch, 4, 16, 16, generator=torch.Generator().manual_seed(9)) * 3


def denoiser_of(model: Model, guider: Guider) -> GuidedDenoiser:
    predictor = Predictor(model)
    conditions = resolve_sides(guider.sides, noisy(), model, predictor.levels)
    return GuidedDenoiser(guider, predictor, conditions, model.changes)


def guided(
    network: UNet,
    positive: Sequence[Any],
    negative: Sequence[Any],
    scale: float,
    changes: ModelChanges = NO_CHANGES,
    sampling: ModelSampling | None = None,
) -> GuidedDenoiser:
    """Classifier-free guidance over the network."""
    return denoiser_of(model_of(network, changes, sampling), CfgGuider(list(positive), list(negative), scale))
