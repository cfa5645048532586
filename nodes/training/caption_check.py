"""Measures whether a model follows captions: the error of the clean latent with the right, a wrong and no caption.

The loss alone does not show it: a small model's loss falls for a long time before its pictures depend on the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from nodes.training.objective import noised_and_target

TIMESTEPS: Final = (900, 650, 300)
EXAMPLES: Final = 32


class CaptionErrors(NamedTuple):
    """Mean squared errors of the predicted clean latent, at one timestep."""

    timestep: int
    right: float
    wrong: float
    empty: float

    def __str__(self) -> str:
        return f"t={self.timestep}: right {self.right:.3f}, wrong {self.wrong:.3f}, empty {self.empty:.3f}"


@torch.no_grad()
def caption_errors(
    network: Callable[[Tensor, Tensor, Tensor], Tensor],
    latents: Tensor,
    embeddings: Tensor,
    empty: Tensor,
    sigmas: Tensor,
    prediction: str,
    timesteps: Sequence[int] = TIMESTEPS,
) -> list[CaptionErrors]:
    """Compute the errors at each of ``timesteps``. The wrong caption is the next example's.

    Args:
        network: ``network(noisy, timesteps, embeddings)`` returns a noise predictor's output.
        latents: [B, C, h, w], scaled, with the ``embeddings`` [B, T, width] of their captions.
        empty: [1, T, width], of the empty caption.
        sigmas: [T], the noise level of each timestep.
        prediction: ``eps`` or ``v``.
    """
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0)).to(latents)
    found = []
    for timestep in timesteps:
        steps = torch.full((len(latents),), timestep, device=latents.device)
        sigma = sigmas[steps.cpu()].to(latents)
        noisy, target = noised_and_target(latents, noise, sigma, prediction)
        # An error of the noise is n²/s² times as large in the latent, an error of the velocity n² times.
        factor = sigma[0] ** 2 if prediction == "eps" else sigma[0] ** 2 / (sigma[0] ** 2 + 1)
        errors = [
            float((network(noisy, steps, given) - target).square().mean() * factor)
            for given in (embeddings, embeddings.roll(1, dims=0), empty.expand_as(embeddings))
        ]
        found.append(CaptionErrors(timestep, *errors))
    return found
