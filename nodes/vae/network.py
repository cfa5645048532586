"""The network of a VAE handle."""

from __future__ import annotations

from typing import cast

from nodes.models.handle import Vae
from nodes.vae.autoencoder import AutoencoderKL


def autoencoder(vae: Vae) -> AutoencoderKL:
    """Return the autoencoder with its weights, and load it if necessary.

    Raises CheckpointError if its file changed, or holds NaN or infinity.
    """
    return cast(AutoencoderKL, vae.network())
