"""Sampling under a mask: outside it the latent stays what it was."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nodes.sampling.conditions import repeat_to_batch
from nodes.sampling.denoiser import Denoiser, Sigma


class Inpainted:
    """A denoiser that sees, outside ``mask``, ``latent`` at the noise level of the call, and predicts it.

    ``mask`` [B, C, h, w] is 1 where the picture is made anew. ``latent`` and ``noise`` are those
    that the run starts from.
    """

    def __init__(self, model: Denoiser, mask: Tensor, latent: Tensor, noise: Tensor):
        self._model = model
        self._mask = mask
        self._latent = latent
        self._noise = noise

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        return self._keep(self._model(self._renoised(x, sigma), sigma))

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        denoised, unconditional = self._model.with_unconditional(self._renoised(x, sigma), sigma)
        return self._keep(denoised), unconditional

    def _renoised(self, x: Tensor, sigma: Sigma) -> Tensor:
        return x * self._mask + (self._latent + self._noise * sigma) * (1 - self._mask)

    def _keep(self, denoised: Tensor) -> Tensor:
        return denoised * self._mask + self._latent * (1 - self._mask)


def mask_for(latent: Tensor, noise_mask: Tensor) -> Tensor:
    """A noise mask [H, W], [B, H, W] or [B, 1, H, W] of any size, in the shape of ``latent`` [B, C, h, w]."""
    mask = noise_mask.reshape(-1, 1, *noise_mask.shape[-2:]).to(latent)
    mask = F.interpolate(mask, size=latent.shape[-2:], mode="bilinear")
    return repeat_to_batch(mask.expand(-1, latent.shape[1], -1, -1), latent.shape[0])
