"""The objective of the noise predictor: pick a latent, add noise at a random step, predict, compare.

Ho et al., "Denoising Diffusion Probabilistic Models" (arXiv:2006.11239), algorithm 1; the velocity as target is
Salimans & Ho, arXiv:2202.00512. With s the latent's share and n the noise's, s² + n² = 1:
noisy = s · latent + n · noise, and the signal-to-noise ratio is s² / n².
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.models.noise_levels import NoiseLevels
from nodes.models.prediction import NoisePrediction, VelocityPrediction
from nodes.training.errors import TrainingError

Network = Callable[[Tensor, Tensor], Tensor]
"""``network(noisy latents, timesteps)`` returns the network's output for a batch with fixed conditions."""
Distance = Callable[..., Tensor]

DISTANCES: Final[Mapping[str, Distance]] = {
    "MSE": F.mse_loss,
    "L1": F.l1_loss,
    "Huber": F.huber_loss,
    "SmoothL1": F.smooth_l1_loss,
}
WEIGHTINGS: Final = ("none", "min-SNR", "clean latent")
MIN_SNR_GAMMA: Final = 5.0

_KINDS: Final = {"eps": NoisePrediction, "v": VelocityPrediction}


def prediction_of(levels: NoiseLevels) -> str:
    """Return the prediction of a model with these noise levels, ``eps`` or ``v``. Raises TrainingError for others."""
    name = next((name for name, kind in _KINDS.items() if isinstance(levels.prediction, kind)), None)
    if name is None or type(levels) is not NoiseLevels:
        raise TrainingError(
            f"the model's output is a {type(levels.prediction).__name__} over {type(levels).__name__}; training "
            "supports models of 1000 steps that predict the noise (eps) or the velocity (v)"
        )
    return name


def prediction_loss(
    network: Network,
    latents: Tensor,
    sigmas: Tensor,
    prediction: str,
    generator: torch.Generator,
    weighting: str = "none",
    distance: str = "MSE",
) -> Tensor:
    """Compute the mean loss of one batch, with timesteps and noise that ``generator`` draws on the CPU.

    Args:
        network: the noise predictor.
        latents: [B, C, h, w], in the network's scale.
        sigmas: [T], the noise level of each timestep.
        prediction: ``eps``: the network predicts the noise; ``v``: the velocity.
        generator: a CPU generator.
        weighting: the weight of each noise level, see :func:`loss_weight`.
        distance: one of DISTANCES.

    Raises:
        TrainingError: the model predicts something else.
    """
    timesteps = torch.randint(len(sigmas), (len(latents),), generator=generator)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    sigma = sigmas[timesteps].to(latents)
    noisy, target = noised_and_target(latents, noise, sigma, prediction)
    output = network(noisy, timesteps.to(latents.device))
    losses = DISTANCES[distance](output.float(), target, reduction="none").flatten(1).mean(dim=1)
    return (losses * loss_weight(sigma, prediction, weighting)).mean()


def noised_and_target(latents: Tensor, noise: Tensor, sigma: Tensor, prediction: str) -> tuple[Tensor, Tensor]:
    """Return the network's input and its target output, both [B, C, h, w]; ``sigma`` [B].

    Raises TrainingError for predictions other than ``eps`` and ``v``.
    """
    signal = (1 / (sigma**2 + 1).sqrt()).view(-1, 1, 1, 1)
    share_of_noise = sigma.view(-1, 1, 1, 1) * signal
    noisy = signal * latents + share_of_noise * noise
    if prediction == "eps":
        return noisy, noise
    if prediction == "v":
        return noisy, signal * noise - share_of_noise * latents
    raise TrainingError(f"the model predicts '{prediction}'; training supports models that predict eps or v")


def loss_weight(sigma: Tensor, prediction: str, weighting: str) -> Tensor:
    """Return the weight of the loss at each noise level of ``sigma`` [B].

    ``none``: 1. ``min-SNR``: min(snr, 5)/snr for eps, min(snr, 5)/(snr + 1) for v (Hang et al., arXiv:2303.09556).
    ``clean latent``: (1/(snr + 0.02) + 0.1)/5 for eps, nearly the error of the predicted clean latent; the same error
    for v. It gives weight to very noisy steps, at which a small model decides what the picture shows.

    Raises TrainingError for another name.
    """
    snr = sigma**-2
    per_v = 1.0 if prediction == "eps" else snr / (snr + 1)
    match weighting:
        case "none":
            return torch.ones_like(sigma)
        case "min-SNR":
            return snr.clamp(max=MIN_SNR_GAMMA) / snr * per_v
        case "clean latent":
            return (1 / (snr + 0.02) + 0.1) / 5 * per_v
    raise TrainingError(f"loss weighting '{weighting}'; expected one of {', '.join(WEIGHTINGS)}")
