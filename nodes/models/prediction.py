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
    """One kind of prediction: how it scales latents and interprets the network's output."""

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        """Return the network's input for the noisy latent ``x``."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Return the clean latent that the network's ``output`` for ``x`` predicts."""

    def noised(self, latent: Tensor, noise: Tensor, sigma: float, from_pure_noise: bool) -> Tensor:
        """Return the latent with which sampling from ``sigma`` starts; ``from_pure_noise``: it is the largest level."""

    def finished(self, x: Tensor, sigma: float) -> Tensor:
        """Undo the scale of ``noised``; ``sigma`` is the run's last level."""


@dataclass(frozen=True)
class _VarianceExploding:
    """Base of the predictions on ``clean + sigma * noise``."""

    sigma_data: float = 1.0

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        """Return x / √(σ² + σ_d²), which has unit variance at every level."""
        return x / math.sqrt(sigma**2 + self.sigma_data**2)

    def noised(self, latent: Tensor, noise: Tensor, sigma: float, from_pure_noise: bool) -> Tensor:
        """Return noise · σ + latent.

        At the largest level, the noise is scaled by √(1 + σ²), the deviation of a unit-variance latent plus its
        noise, so that an empty latent starts with the variance that the network expects.
        """
        return noise * (math.sqrt(1 + sigma**2) if from_pure_noise else sigma) + latent

    def finished(self, x: Tensor, sigma: float) -> Tensor:
        """Return ``x``, since the latent was not scaled."""
        return x


@dataclass(frozen=True)
class NoisePrediction(_VarianceExploding):
    """The output is the noise (eps)."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Return x - σ · output."""
        return x - output * sigma


@dataclass(frozen=True)
class VelocityPrediction(_VarianceExploding):
    """The output is the velocity v of Salimans & Ho (arXiv:2202.00512)."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Return x · σ_d² / (σ² + σ_d²) - output · σ · σ_d / √(σ² + σ_d²)."""
        data = self.sigma_data
        total = sigma**2 + data**2
        return x / (total / data**2) - output * (sigma * data / math.sqrt(total))


@dataclass(frozen=True)
class EdmPrediction(_VarianceExploding):
    """The output is F of Karras et al. (arXiv:2206.00364, equation 7 and table 1)."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Return x · σ_d² / (σ² + σ_d²) + output · σ · σ_d / √(σ² + σ_d²)."""
        data = self.sigma_data
        total = sigma**2 + data**2
        return x / (total / data**2) + output * (sigma * data / math.sqrt(total))


@dataclass(frozen=True)
class CleanPrediction(_VarianceExploding):
    """The output is the clean latent (x0)."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Return the output."""
        return output


@dataclass(frozen=True)
class ImagePrediction(CleanPrediction):
    """The output is the clean latent; the input is not scaled (img_to_img)."""

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        """``x``."""
        return x


@dataclass(frozen=True)
class FlowPrediction(_VarianceExploding):
    """The output is the velocity of a rectified flow (arXiv:2209.03003), whose time is τ = σ / (σ + 1)."""

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        """x · (1 - τ): the flow's own latent."""
        return x / (sigma + 1)

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """x · (1 - τ) - τ · output."""
        return x / (sigma + 1) - output * (sigma / (sigma + 1))

    def noised(self, latent: Tensor, noise: Tensor, sigma: float, from_pure_noise: bool) -> Tensor:
        """noise · σ + latent."""
        return noise * sigma + latent


PREDICTIONS: Final[Mapping[str, Callable[[float], Prediction]]] = {
    "eps": NoisePrediction,
    "v": VelocityPrediction,
    "x0": CleanPrediction,
    "edm": EdmPrediction,
    "img_to_img": ImagePrediction,
    "rflow": FlowPrediction,
}
"""Predictions by name; each is constructed with a ``sigma_data``."""
