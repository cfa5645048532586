"""The noise levels of a model's timesteps.

A latent x at noise level sigma is ``clean + sigma * noise`` with unit-variance noise (the
variance-exploding form of Karras et al., arXiv:2206.00364). The models were trained on the
variance-preserving form of DDPM (arXiv:2006.11239), which is the same divided by sqrt(1 + sigma²).
:mod:`nodes.models.prediction` interprets the network's output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

import torch
from torch import Tensor

from nodes.models.prediction import PREDICTIONS, NoisePrediction, Prediction

Number = TypeVar("Number", float, Tensor)

# sqrt(alpha_bar) of the last step is 0 after the rescale; this keeps its sigma finite (about 4518).
_LAST_ALPHA_BAR_OF_ZERO_TERMINAL_SNR = 4.8973451890853435e-08

_EPS: Final = NoisePrediction()
_CONTINUOUS_TABLE: Final = 1000
"""Number of levels that a continuous range offers to schedules that pick from a table."""


class Betas(Protocol):
    """The betas with which a DDPM was trained; :class:`nodes.models.model_sampling.ModelSampling` has this form."""

    @property
    def prediction(self) -> str:
        """The prediction, a name in :data:`nodes.models.prediction.PREDICTIONS`."""

    @property
    def zero_terminal_snr(self) -> bool:
        """Whether the betas are rescaled so that the last step is pure noise."""

    @property
    def linear_start(self) -> float:
        """The first beta."""

    @property
    def linear_end(self) -> float:
        """The last beta."""

    @property
    def timesteps(self) -> int:
        """The number of betas."""


class NoiseLevels:
    """A model's noise levels, one per training timestep, rising, and the model's prediction.

    ``sigmas`` is float32 [T] on the CPU. Between timesteps, log-sigma is interpolated linearly. Subclasses have
    other levels.
    """

    def __init__(self, sigmas: Tensor, prediction: Prediction = _EPS):
        self.sigmas = sigmas.float()
        self.prediction = prediction
        self._log_sigmas = sigmas.log().float()

    @classmethod
    def of(cls, sampling: Betas) -> NoiseLevels:
        """Compute the levels from a model's betas, which are linear in their square root, as in Stable Diffusion."""
        start, end = sampling.linear_start**0.5, sampling.linear_end**0.5
        betas = torch.linspace(start, end, sampling.timesteps, dtype=torch.float64) ** 2
        alpha_bar = (1 - betas).cumprod(0)
        if sampling.zero_terminal_snr:
            alpha_bar = with_zero_terminal_snr(alpha_bar)
        return cls(((1 - alpha_bar) / alpha_bar).sqrt(), PREDICTIONS[sampling.prediction](1.0))

    @property
    def sigma_min(self) -> float:
        """Return the smallest level."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """Return the largest level."""
        return float(self.sigmas[-1])

    def sigma(self, timestep: Tensor | float) -> Tensor:
        """Return the noise level at real-valued timesteps of any shape, clamped to 0 … T-1."""
        t = torch.as_tensor(timestep, dtype=torch.float32).clamp(0, len(self.sigmas) - 1)
        below, above = t.floor().long(), t.ceil().long()
        return self._log_sigmas[below].lerp(self._log_sigmas[above], t - below).exp()

    def timestep(self, sigma: Tensor | float) -> float:
        """Return the timestep whose noise level is nearest to ``sigma``, compared in log-sigma."""
        log_sigma = torch.as_tensor(sigma, dtype=torch.float32, device="cpu").log()
        return int((log_sigma - self._log_sigmas).abs().argmin())

    def sigma_at(self, percent: float) -> float:
        """Return the noise level after the part ``percent`` (0..1) of the timesteps: infinite at 0, 0 at 1."""
        if percent <= 0:
            return math.inf
        if percent >= 1:
            return 0.0
        return self._sigma_between(percent)

    def is_maximum(self, sigma: float) -> bool:
        """Whether sampling that starts at ``sigma`` starts from pure noise."""
        return sigma > self.sigma_max or math.isclose(sigma, self.sigma_max, rel_tol=1e-5)

    def noised(self, latent: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return the latent with which sampling from ``sigma`` starts."""
        return self.prediction.noised(latent, noise, sigma, self.is_maximum(sigma))

    def noised_to(self, latent: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Add noise of level ``sigma`` to a clean latent, for the middle of a run."""
        return self.prediction.noised(latent, noise, sigma, from_pure_noise=False)

    def finished(self, x: Tensor, sigma: float) -> Tensor:
        """Return the latent at the end of a run, at ``sigma``, without the scale from :meth:`noised`."""
        return self.prediction.finished(x, sigma)

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        """Return the network's input for the noisy latent ``x``."""
        return self.prediction.network_input(x, sigma)

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Return the clean latent that the network's ``output`` for ``x`` at ``sigma`` predicts."""
        return self.prediction.denoised(x, output, sigma)

    def _sigma_between(self, percent: float) -> float:
        return float(self.sigma((len(self.sigmas) - 1) * (1 - percent)))


class ContinuousLevels(NoiseLevels):
    """A continuous range of noise levels. The network's input is log(sigma) / 4 (arXiv:2206.00364, table 1)."""

    @classmethod
    def between(cls, sigma_min: float, sigma_max: float, prediction: Prediction) -> ContinuousLevels:
        """Return the levels from ``sigma_min`` to ``sigma_max``; the table for schedules is log-uniform."""
        table = torch.linspace(math.log(sigma_min), math.log(sigma_max), _CONTINUOUS_TABLE, dtype=torch.float64)
        return cls(table.exp(), prediction)

    def sigma(self, timestep: Tensor | float) -> Tensor:
        """Return the noise level whose logarithm is four times ``timestep``."""
        return (4 * torch.as_tensor(timestep, dtype=torch.float32)).exp()

    def timestep(self, sigma: Tensor | float) -> float:
        """Return a quarter of the logarithm of ``sigma``."""
        return 0.25 * float(torch.as_tensor(sigma, dtype=torch.float32, device="cpu").log())

    def _sigma_between(self, percent: float) -> float:
        lowest, highest = math.log(self.sigma_min), math.log(self.sigma_max)
        return math.exp(lowest + (highest - lowest) * (1 - percent))


class AngleLevels(ContinuousLevels):
    """:class:`ContinuousLevels` whose network is given the angle atan(sigma), as a part of a quarter turn."""

    def sigma(self, timestep: Tensor | float) -> Tensor:
        """tan(timestep · π / 2)."""
        return (torch.as_tensor(timestep, dtype=torch.float32) * (math.pi / 2)).tan()

    def timestep(self, sigma: Tensor | float) -> float:
        """2 · atan(sigma) / π."""
        return float(torch.as_tensor(sigma, dtype=torch.float32, device="cpu").atan() * (2 / math.pi))


class FlowLevels(ContinuousLevels):
    """:class:`ContinuousLevels` whose network is given the time of a rectified flow (arXiv:2209.03003), 0 to 1."""

    def sigma(self, timestep: Tensor | float) -> Tensor:
        """timestep / (1 - timestep), the largest level at most."""
        t = torch.as_tensor(timestep, dtype=torch.float32)
        return torch.where(t >= self.sigma_max / (self.sigma_max + 1), self.sigma_max, t / (1 - t))

    def timestep(self, sigma: Tensor | float) -> float:
        """sigma / (sigma + 1)."""
        return float(sigma) / (float(sigma) + 1)


CONTINUOUS: Final[Mapping[str, type[ContinuousLevels]]] = {
    "log": ContinuousLevels,
    "angle": AngleLevels,
    "flow": FlowLevels,
}
"""Continuous levels by what the network is given; see :data:`nodes.models.model_sampling.TimeName`."""


class ConsistencyLevels(NoiseLevels):
    """``count`` of the levels of ``trained``, and the boundary conditions of a consistency model (arXiv:2310.04378).

    At time t, ten times the timestep, the prediction is c_skip · x + c_out · (x - σ · output) with
    c_skip = σ_d² / (t² + σ_d²), c_out = t / √(t² + σ_d²) and σ_d = ½.
    """

    _DATA_VARIANCE: Final = 0.25
    _TIME_SCALE: Final = 10.0

    def __init__(self, trained: NoiseLevels, count: int):
        self._stride = len(trained.sigmas) // count
        super().__init__(trained.sigmas[self._stride - 1 :: self._stride], _EPS)

    def sigma(self, timestep: Tensor | float) -> Tensor:
        """The noise level at real-valued timesteps of the training."""
        t = torch.as_tensor(timestep, dtype=torch.float32)
        return super().sigma((t - (self._stride - 1)) / self._stride)

    def timestep(self, sigma: Tensor | float) -> float:
        """The timestep of the training whose level is nearest to ``sigma``, of the levels that are kept."""
        return super().timestep(sigma) * self._stride + self._stride - 1

    def boundary(self, timestep: Number) -> tuple[Number, Number]:
        """Return c_skip and c_out at ``timestep`` of the training, a number or a tensor of any shape."""
        t = self._TIME_SCALE * timestep
        total = t**2 + self._DATA_VARIANCE
        return self._DATA_VARIANCE / total, t / total**0.5

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """The clean latent under the boundary conditions."""
        skip, out = self.boundary(self.timestep(sigma))
        return super().denoised(x, output, sigma) * out + x * skip

    def _sigma_between(self, percent: float) -> float:
        return float(self.sigma((len(self.sigmas) * self._stride - 1) * (1 - percent)))


def with_zero_terminal_snr(alpha_bar: Tensor) -> Tensor:
    """Rescale by algorithm 1 of Lin et al., Common Diffusion Noise Schedules ... are Flawed, arXiv:2305.08891."""
    root = alpha_bar.sqrt()
    first, last = root[0], root[-1]
    rescaled = ((root - last) * first / (first - last)) ** 2
    rescaled[-1] = _LAST_ALPHA_BAR_OF_ZERO_TERMINAL_SNR
    return rescaled
