"""The diffusion U-Net, and the functions that change it from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodes.models.networks import register_network
from nodes.models.unet_config import UNetConfig

if TYPE_CHECKING:
    from nodes.unet.unet import UNet


def diffusion_model(config: UNetConfig) -> UNet:
    from nodes.unet.unet import UNet

    return UNet(config)


register_network(UNetConfig, diffusion_model)
