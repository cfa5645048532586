"""Sampling under a mask: the latent outside it is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from nodes.batches import repeat_to
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.denoiser import Denoiser, Sigma
from nodes.sampling.latents import SamplingError


class Inpainted:
    """A denoiser that keeps ``latent`` outside ``mask``: there it gets the noised ``latent`` and returns ``latent``.

    ``mask`` [B, C, h, w] is 1 where the picture is regenerated. The run starts from ``latent`` and
    ``noise``. ``mask_at(mask, sigma)`` returns the mask for a noise level; without it every level has the same mask.
    """

    def __init__(
        self,
        model: Denoiser,
        mask: Tensor,
        latent: Tensor,
        noise: Tensor,
        levels: NoiseLevels,
        mask_at: Callable[[Tensor, float], Tensor] | None = None,
    ):
        self._model = model
        self._mask = mask
        self._latent = latent
        self._noise = noise
        self._levels = levels
        self._mask_at = mask_at

    def __call__(self, x: Tensor, sigma: Sigma, *more: Any) -> Tensor:
        mask = self._mask_of(sigma)
        return self._keep(self._model(self._renoised(x, sigma, mask), sigma, *more), mask)

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        mask = self._mask_of(sigma)
        denoised, unconditional = self._model.with_unconditional(self._renoised(x, sigma, mask), sigma)
        return self._keep(denoised, mask), unconditional

    def _mask_of(self, sigma: Sigma) -> Tensor:
        return self._mask if self._mask_at is None else self._mask_at(self._mask, float(sigma))

    def _renoised(self, x: Tensor, sigma: Sigma, mask: Tensor) -> Tensor:
        if x.shape[-2:] != self._latent.shape[-2:]:
            raise SamplingError(
                "the sampler changes the latent's size, which a noise mask does not allow; remove the mask, or choose "
                "a sampler that keeps the size"
            )
        kept = self._levels.noised_to(self._latent, self._noise, float(sigma))
        return x * mask + kept * (1 - mask)

    def _keep(self, denoised: Tensor, mask: Tensor) -> Tensor:
        return denoised * mask + self._latent * (1 - mask)


def mask_for(latent: Tensor, noise_mask: Tensor) -> Tensor:
    """Resize a noise mask [H, W], [B, H, W] or [B, 1, H, W] to the shape of ``latent`` [B, C, h, w]."""
    mask = noise_mask.reshape(-1, 1, *noise_mask.shape[-2:]).to(latent)
    mask = F.interpolate(mask, size=latent.shape[-2:], mode="bilinear")
    return repeat_to(mask.expand(-1, latent.shape[1], -1, -1), latent.shape[0])
