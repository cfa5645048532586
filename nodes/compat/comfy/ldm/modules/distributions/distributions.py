"""``comfy.ldm.modules.distributions.distributions``: the distribution that an autoencoder's encoder describes."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE = -30.0, 20.0


class DiracDistribution:
    """One value."""

    def __init__(self, value: Tensor):
        self.value = value

    def sample(self) -> Tensor:
        """Return the value."""
        return self.value

    def mode(self) -> Tensor:
        """Return the value."""
        return self.value


class DiagonalGaussianDistribution:
    """Independent normal distributions. ``parameters`` [B, 2C, …] hold the means, then the log-variances."""

    def __init__(self, parameters: Tensor, deterministic: bool = False):
        self.parameters = parameters
        self.deterministic = deterministic
        self.mean, logvar = parameters.chunk(2, dim=1)
        self.logvar = logvar.clamp(LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE)
        self.std = torch.zeros_like(self.mean) if deterministic else (0.5 * self.logvar).exp()
        self.var = self.std**2

    def sample(self) -> Tensor:
        """A sample, from torch's own generator."""
        return self.mean + self.std * torch.randn(self.mean.shape, device=self.parameters.device)

    def mode(self) -> Tensor:
        """Return the means."""
        return self.mean

    def kl(self, other: DiagonalGaussianDistribution | None = None) -> Tensor:
        """The Kullback-Leibler divergence [B] from ``other``; from the standard normal distribution by default."""
        if self.deterministic:
            return self.mean.new_zeros(len(self.mean))
        if other is None:
            terms = self.mean**2 + self.var - 1.0 - self.logvar
        else:
            terms = (self.mean - other.mean) ** 2 / other.var + self.var / other.var - 1.0 - self.logvar + other.logvar
        return 0.5 * terms.flatten(1).sum(dim=1)


def normal_kl(mean1: Tensor, logvar1: Tensor, mean2: Tensor, logvar2: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of two normal distributions, element by element."""
    logvar1, logvar2 = (torch.as_tensor(value).to(mean1) for value in (logvar1, logvar2))
    return 0.5 * (-1.0 + logvar2 - logvar1 + (logvar1 - logvar2).exp() + (mean1 - mean2) ** 2 * (-logvar2).exp())
