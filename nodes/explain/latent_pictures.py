"""Shows latents of a run as pictures: decoded by the VAE, or by the family's linear map to colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from nodes.explain.errors import ExplainError
from nodes.models.handle import Model, Vae

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.models.noise_levels import NoiseLevels

Decoding = Literal["VAE", "fast preview"]
ToPictures = Callable[[Sequence["Tensor"]], "list[Tensor]"]
"""Function that turns scaled latents [C, h, w] into pictures [H, W, 3], 0..1."""


def decoder_for(model: Model, decoding: Decoding, vae: Vae | None) -> ToPictures:
    """Return the function that shows scaled latents of ``model``.

    Raises ExplainError for "VAE" without a ``vae``, and for "fast preview" for a family without preview factors.
    """
    import torch

    from nodes.sampling.latent_preview import factors_for, latent_to_rgb
    from nodes.sampling.latents import scaled_out

    if decoding == "VAE":
        if vae is None:
            raise ExplainError("decode is 'VAE', and no VAE is connected; connect one, or choose 'fast preview'")

        def decoded(latents: Sequence[Tensor]) -> list[Tensor]:
            from nodes.vae import coding
            from nodes.vae.network import autoencoder

            return (
                list(coding.decode(autoencoder(vae), scaled_out(model, torch.stack(list(latents))))) if latents else []
            )

        return decoded

    factors = factors_for(model.latent)
    if factors is None:
        raise ExplainError("this model's latents have no preview factors; connect a VAE and choose 'VAE' for decode")

    def mapped(latents: Sequence[Tensor]) -> list[Tensor]:
        return [latent_to_rgb(latent, factors).float() / 255 for latent in latents]

    return mapped


def without_noise_scale(x: Tensor, sigma: float, levels: NoiseLevels) -> Tensor:
    """Scale a noisy latent, clean + sigma · noise, so that it has the spread of a clean one.

    For Stable Diffusion this is DDPM's x_t: x / √(sigma² + 1), the network's input (arXiv:2006.11239).
    """
    deviation: float = getattr(levels.prediction, "sigma_data", 1.0)
    return levels.network_input(x, sigma) * deviation
