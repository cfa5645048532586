"""The VAE: encodes pictures to latents and decodes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodes.models.handle import TinyVae
from nodes.models.networks import register_network
from nodes.models.tiny_config import TinyConfig
from nodes.models.vae_config import VaeConfig

if TYPE_CHECKING:
    from nodes.vae.autoencoder import AutoencoderKL
    from nodes.vae.tiny import TinyAutoencoder, TinyHalf


def autoencoder(config: VaeConfig) -> AutoencoderKL:
    from nodes.vae.autoencoder import AutoencoderKL

    return AutoencoderKL(config)


def tiny_half(config: TinyConfig) -> TinyHalf:
    from nodes.vae.tiny import TinyHalf

    return TinyHalf(config)


def tiny_autoencoder(vae: TinyVae) -> TinyAutoencoder:
    from nodes.vae.tiny import TinyAutoencoder

    return TinyAutoencoder(vae.half(vae.encoder), vae.half(vae.weights), vae.config, vae.scale, vae.shift)


register_network(VaeConfig, autoencoder)
register_network(TinyConfig, tiny_half)
register_network(TinyVae, tiny_autoencoder)
