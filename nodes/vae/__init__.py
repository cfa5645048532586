"""Between pictures and latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodes.models.networks import register_network
from nodes.models.vae_config import VaeConfig

if TYPE_CHECKING:
    from nodes.vae.autoencoder import AutoencoderKL


def autoencoder(config: VaeConfig) -> AutoencoderKL:
    from nodes.vae.autoencoder import AutoencoderKL

    return AutoencoderKL(config)


register_network(VaeConfig, autoencoder)
