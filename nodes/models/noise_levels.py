"""The noise levels of a model's timesteps.

A latent x at noise level sigma is ``clean + sigma * noise`` with unit-variance noise (the
variance-exploding form of Karras et al., arXiv:2206.00364). The models were trained on the
variance-preserving form of DDPM (arXiv:2006.11239): the same thing, divided by sqrt(1 + sigma²).
What the network's output means: :mod:`nodes.models.prediction`.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

import torch
from torch import Tensor

from nodes.models.prediction import PREDICTIONS, NoisePrediction, Prediction

# sqrt(alpha_bar) of the last step is 0 after the rescale; this keeps its sigma finite (about 4518).
_LAST_ALPHA_BAR_OF_ZERO_TERMINAL_SNR = 4.8973451890853435e-08

_EPS: Final = NoisePrediction()
_CONTINUOUS_TABLE: Final = 1000
"""Levels that a continuous range shows to schedules which pick from a table."""


class Betas(Protocol):
    """The table of betas that a DDPM was trained with, as :class:`nodes.models.model_sampling.ModelSampling` has it."""

    @property
    def prediction(self) -> str:
        """A name in :data:`nodes.models.prediction.PREDICTIONS`."""

    @property
    def zero_terminal_snr(self) -> bool:
        """Whether the betas are rescaled so that the last step is noise alone."""

    @property
    def linear_start(self) -> float:
        """The first beta."""

    @property
    def linear_end(self) -> float:
        """The last beta."""

    @property
    def timesteps(self) -> int:
        """How many betas there are."""


class NoiseLevels:
    """The table of a model's noise levels, one per training timestep, rising, and the model's prediction.

    ``sigmas`` float32 [T] on the CPU. Between timesteps sigma is linear in log-sigma. Models with other
    levels have a subclass.
    """

    def __init__(self, sigmas: Tensor, prediction: Prediction = _EPS):
        self.sigmas = sigmas.float()
        self.prediction = prediction
        self._log_sigmas = sigmas.log().float()

    @classmethod
    def of(cls, sampling: Betas) -> NoiseLevels:
        """The levels of a model's betas, which are linear in their square root, as Stable Diffusion's are."""
        start, end = sampling.linear_start**0.5, sampling.linear_end**0.5
        betas = torch.linspace(start, end, sampling.timesteps, dtype=torch.float64) ** 2
        alpha_bar = (1 - betas).cumprod(0)
        if sampling.zero_terminal_snr:
            alpha_bar = with_zero_terminal_snr(alpha_bar)
        return cls(((1 - alpha_bar) / alpha_bar).sqrt(), PREDICTIONS[sampling.prediction](1.0))

    @property
    def sigma_min(self) -> float:
        """The smallest level."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The largest level."""
        return float(self.sigmas[-1])

    def sigma(self, timestep: Tensor | float) -> Tensor:
        """The noise level at real-valued timesteps of any shape, clamped to 0 … T-1."""
        t = torch.as_tensor(timestep, dtype=torch.float32).clamp(0, len(self.sigmas) - 1)
        below, above = t.floor().long(), t.ceil().long()
        return self._log_sigmas[below].lerp(self._log_sigmas[above], t - below).exp()

    def timestep(self, sigma: Tensor | float) -> float:
        """The timestep whose noise level is nearest to ``sigma``, compared in log-sigma."""
        log_sigma = torch.as_tensor(sigma, dtype=torch.float32, device="cpu").log()
        return int((log_sigma - self._log_sigmas).abs().argmin())

    def sigma_at(self, percent: float) -> float:
        """The noise level when ``percent`` (0..1) of the timesteps are done: infinite at 0, 0 at 1."""
        if percent <= 0:
            return math.inf
        if percent >= 1:
            return 0.0
        return self._sigma_between(percent)

    def is_maximum(self, sigma: float) -> bool:
        """Whether sampling that starts at ``sigma`` starts from pure noise."""
        return sigma > self.sigma_max or math.isclose(sigma, self.sigma_max, rel_tol=1e-5)

    def noised(self, latent: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """The latent with which sampling from ``sigma`` starts."""
        return self.prediction.noised(latent, noise, sigma, self.is_maximum(sigma))

    def noised_to(self, latent: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """A clean latent at noise level ``sigma`` in the course of a run."""
        return self.prediction.noised(latent, noise, sigma, from_pure_noise=False)

    def finished(self, x: Tensor, sigma: float) -> Tensor:
        """The latent at the end of a run, ``sigma``, without the scale that :meth:`noised` gave it."""
        return self.prediction.finished(x, sigma)

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        """The network's input for the noisy latent ``x``."""
        return self.prediction.network_input(x, sigma)

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """The clean latent that the network's ``output`` for ``x`` at ``sigma`` predicts."""
        return self.prediction.denoised(x, output, sigma)

    def _sigma_between(self, percent: float) -> float:
        return float(self.sigma((len(self.sigmas) - 1) * (1 - percent)))


class ContinuousLevels(NoiseLevels):
    """All noise levels between two. The network is given a quarter of their logarithm (arXiv:2206.00364, table 1)."""

    @classmethod
    def between(cls, sigma_min: float, sigma_max: float, prediction: Prediction) -> ContinuousLevels:
        """The levels from ``sigma_min`` to ``sigma_max``; the table that schedules see is log-uniform."""
        table = torch.linspace(math.log(sigma_min), math.log(sigma_max), _CONTINUOUS_TABLE, dtype=torch.float64)
        return cls(table.exp(), prediction)

    def sigma(self, timestep: Tensor | float) -> Tensor:
        """The noise level of which ``timestep`` is a quarter of the logarithm."""
        return (4 * torch.as_tensor(timestep, dtype=torch.float32)).exp()

    def timestep(self, sigma: Tensor | float) -> float:
        """A quarter of the logarithm of ``sigma``."""
        return 0.25 * float(torch.as_tensor(sigma, dtype=torch.float32, device="cpu").log())

    def _sigma_between(self, percent: float) -> float:
        lowest, highest = math.log(self.sigma_min), math.log(self.sigma_max)
        return math.exp(lowest + (highest - lowest) * (1 - percent))


def with_zero_terminal_snr(alpha_bar: Tensor) -> Tensor:
    """Algorithm 1 of Lin et al., Common Diffusion Noise Schedules ... are Flawed, arXiv:2305.08891."""
    root = alpha_bar.sqrt()
    first, last = root[0], root[-1]
    rescaled = ((root - last) * first / (first - last)) ** 2
    rescaled[-1] = _LAST_ALPHA_BAR_OF_ZERO_TERMINAL_SNR
    return rescaled
