"""Computes the clean latent from a network's output: the preconditioning of each kind of prediction.

A latent x at noise level sigma is ``clean + sigma * noise`` with unit-variance noise (the variance-exploding form of
Karras et al., arXiv:2206.00364). ``sigma_data`` (σ_d below) is the standard deviation of clean latents that a network's
input and output are scaled for; models in the variance-preserving form of DDPM (arXiv:2006.11239) have 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from torch import Tensor


class Prediction(Protocol):
    """How one kind of prediction scales latents and reads the network's output."""

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        """The network's input for the noisy latent ``x``."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """The clean latent that the network's ``output`` for ``x`` predicts."""

    def noised(self, latent: Tensor, noise: Tensor, sigma: float, from_pure_noise: bool) -> Tensor:
        """The latent with which sampling from ``sigma`` starts; ``from_pure_noise`` at the model's largest level."""

    def finished(self, x: Tensor, sigma: float) -> Tensor:
        """Undo the scale that ``noised`` gave the latent; ``sigma`` is the run's last level."""


@dataclass(frozen=True)
class _VarianceExploding:
    """Base of the predictions on ``clean + sigma * noise``."""

    sigma_data: float = 1.0

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        """x / √(σ² + σ_d²): unit variance at every level."""
        return x / math.sqrt(sigma**2 + self.sigma_data**2)

    def noised(self, latent: Tensor, noise: Tensor, sigma: float, from_pure_noise: bool) -> Tensor:
        """noise · σ + latent.

        From the largest level the noise is scaled by √(1 + σ²): the variance is that of a unit-variance latent plus
        its noise, so that an empty latent starts as the network expects its input.
        """
        return noise * (math.sqrt(1 + sigma**2) if from_pure_noise else sigma) + latent

    def finished(self, x: Tensor, sigma: float) -> Tensor:
        """``x``: the latent was not scaled."""
        return x


@dataclass(frozen=True)
class NoisePrediction(_VarianceExploding):
    """The output is the noise (eps)."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """x - σ · output."""
        return x - output * sigma


@dataclass(frozen=True)
class VelocityPrediction(_VarianceExploding):
    """The output is the velocity v of Salimans & Ho (arXiv:2202.00512)."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """x · σ_d² / (σ² + σ_d²) - output · σ · σ_d / √(σ² + σ_d²)."""
        data = self.sigma_data
        total = sigma**2 + data**2
        return x / (total / data**2) - output * (sigma * data / math.sqrt(total))


@dataclass(frozen=True)
class EdmPrediction(_VarianceExploding):
    """The output is F of Karras et al. (arXiv:2206.00364, equation 7 and table 1)."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """x · σ_d² / (σ² + σ_d²) + output · σ · σ_d / √(σ² + σ_d²)."""
        data = self.sigma_data
        total = sigma**2 + data**2
        return x / (total / data**2) + output * (sigma * data / math.sqrt(total))


@dataclass(frozen=True)
class CleanPrediction(_VarianceExploding):
    """The output is the clean latent (x0)."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """The output."""
        return output


PREDICTIONS: Final[Mapping[str, Callable[[float], Prediction]]] = {
    "eps": NoisePrediction,
    "v": VelocityPrediction,
    "x0": CleanPrediction,
    "edm": EdmPrediction,
}
"""Prediction by name, made for a ``sigma_data``."""
