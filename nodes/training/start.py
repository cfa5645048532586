"""Makes a small Stable Diffusion 1 model with random weights, to train from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn

from nodes.models.text_config import TextConfig
from nodes.models.unet_config import UNetConfig
from nodes.models.vae_config import VaeConfig
from nodes.training.errors import TrainingError
from nodes.training.single_file import write_single_file
from nodes.training.text_start import random_text_encoder
from nodes.unet.residual_block import ResidualBlock
from nodes.unet.unet import UNet
from nodes.vae.autoencoder import AutoencoderKL, Downsample, Upsample
from nodes.vae.autoencoder import ResidualBlock as VaeResidualBlock

GROUPS: Final = 32
RESIDUAL_SHARE: Final = 0.1
"""The initial scale of residual branches; it is small, so that the network starts near the identity."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a small SD1 model.

    ``channels`` and ``multipliers``: the noise predictor's channels on each level; all levels except the last have
    transformers. ``text_width`` (a multiple of 64) and ``text_layers``: the text encoder. ``vae_widths``: the
    autoencoder's channels from full resolution down; each level except the last halves the size.
    """

    channels: int = 64
    multipliers: tuple[int, ...] = (1, 2, 2)
    text_width: int = 128
    text_layers: int = 4
    vae_widths: tuple[int, ...] = (64, 64, 128, 128)


def write_random_model(path: Path, sizes: Sizes, seed: int) -> None:
    """Write a checkpoint with random weights of those sizes. Raises TrainingError for impossible sizes."""
    for width in (sizes.channels, *sizes.vae_widths):
        if width % GROUPS:
            raise TrainingError(f"{width} channels: expected a multiple of {GROUPS}")
    if sizes.text_width % 64:
        raise TrainingError(f"text_width {sizes.text_width}: expected a multiple of 64")
    text = TextConfig(width=sizes.text_width, layers=sizes.text_layers, mlp=4 * sizes.text_width)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        unet, encoder, vae = random_unet(sizes), random_text_encoder(text), random_autoencoder(sizes)
    write_single_file(
        path, unet=unet.state_dict(), text=encoder.state_dict(), vae=vae.state_dict(), dtype=torch.float32
    )


def random_unet(sizes: Sizes) -> UNet:
    """Make a noise predictor that predicts zero: the last layer of every residual branch is zero or small."""
    levels = len(sizes.multipliers)
    depths = [1] * (levels - 1) + [0]
    config = UNetConfig(
        model_channels=sizes.channels,
        channel_mult=sizes.multipliers,
        res_blocks=(2,) * levels,
        input_depth=tuple(depth for depth in depths for _ in range(2)),
        output_depth=tuple(depth for depth in reversed(depths) for _ in range(3)),
        context_width=sizes.text_width,
    )
    unet = UNet(config)
    with torch.no_grad():
        for module in unet.modules():
            if isinstance(module, ResidualBlock):
                module.get_parameter("out_layers.3.weight").mul_(RESIDUAL_SHARE)
        unet.get_parameter("out.2.weight").zero_()
        unet.get_parameter("out.2.bias").zero_()
    return unet


def random_autoencoder(sizes: Sizes) -> AutoencoderKL:
    """Make an autoencoder that starts near averaging (down) and repetition (up), with little posterior noise.

    With ordinary random weights, a small autoencoder stays grey for hundreds of steps: its residual branches hide the
    colours.
    """
    network = AutoencoderKL(VaeConfig(encoder_widths=sizes.vae_widths, decoder_widths=sizes.vae_widths))
    with torch.no_grad():
        for module in network.modules():
            match module:
                case VaeResidualBlock():
                    module.conv2.weight.mul_(RESIDUAL_SHARE)
                    if hasattr(module, "nin_shortcut"):
                        nn.init.orthogonal_(module.nin_shortcut.weight.flatten(1))
                case Downsample():
                    module.conv.weight.mul_(0.3)
                    for channel in range(module.conv.out_channels):
                        module.conv.weight[channel, channel, :2, :2] += 0.25
                case Upsample():
                    module.conv.weight.mul_(0.3)
                    for channel in range(module.conv.out_channels):
                        module.conv.weight[channel, channel, 1, 1] += 1.0
        network.encoder.conv_in.weight.mul_(2.5)
        network.decoder.conv_in.weight.mul_(2.5)
        assert network.quant_conv.bias is not None
        network.quant_conv.bias[network.config.latent_channels :] = -5.0
    return network
