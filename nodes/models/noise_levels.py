"""How noisy a model's timesteps are, and what its network's output says about the clean latent.

A latent x at noise level sigma is ``clean + sigma * noise`` with unit-variance noise (the
variance-exploding form of Karras et al., arXiv:2206.00364). The models were trained on the
variance-preserving form of DDPM (arXiv:2006.11239): the same thing, divided by sqrt(1 + sigma²).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from nodes.models.handle import ModelSampling

Prediction = Literal["eps", "v"]

# sqrt(alpha_bar) of the last step is 0 after the rescale; this keeps its sigma finite (about 4518).
_LAST_ALPHA_BAR_OF_ZERO_TERMINAL_SNR = 4.8973451890853435e-08


class NoiseLevels:
    """The table of a model's noise levels, one per training timestep, rising.

    ``sigmas`` float32 [T] on the CPU. Between timesteps sigma is linear in log-sigma.
    """

    def __init__(self, sigmas: Tensor, prediction: Prediction = "eps"):
        self.sigmas = sigmas.float()
        self.prediction = prediction
        self._log_sigmas = sigmas.log().float()

    @classmethod
    def of(cls, sampling: ModelSampling) -> NoiseLevels:
        """The levels of a model's betas, which are linear in their square root, as Stable Diffusion's are."""
        start, end = sampling.linear_start**0.5, sampling.linear_end**0.5
        betas = torch.linspace(start, end, sampling.timesteps, dtype=torch.float64) ** 2
        alpha_bar = (1 - betas).cumprod(0)
        if sampling.zero_terminal_snr:
            alpha_bar = with_zero_terminal_snr(alpha_bar)
        return cls(((1 - alpha_bar) / alpha_bar).sqrt(), sampling.prediction)

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    def sigma(self, timestep: Tensor | float) -> Tensor:
        """The noise level at real-valued timesteps of any shape, clamped to 0 … T-1."""
        t = torch.as_tensor(timestep, dtype=torch.float32).clamp(0, len(self.sigmas) - 1)
        below, above = t.floor().long(), t.ceil().long()
        return self._log_sigmas[below].lerp(self._log_sigmas[above], t - below).exp()

    def timestep(self, sigma: Tensor | float) -> int:
        """The timestep whose noise level is nearest to ``sigma``, compared in log-sigma."""
        log_sigma = torch.as_tensor(sigma, dtype=torch.float32, device="cpu").log()
        return int((log_sigma - self._log_sigmas).abs().argmin())

    def sigma_at(self, percent: float) -> float:
        """The noise level when ``percent`` (0..1) of the timesteps are done: infinite at 0, 0 at 1."""
        if percent <= 0:
            return math.inf
        if percent >= 1:
            return 0.0
        return float(self.sigma((len(self.sigmas) - 1) * (1 - percent)))

    def is_maximum(self, sigma: float) -> bool:
        """Whether sampling that starts at ``sigma`` starts from pure noise."""
        return sigma > self.sigma_max or math.isclose(sigma, self.sigma_max, rel_tol=1e-5)

    def noised(self, latent: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Where sampling from ``sigma`` starts.

        From the largest level the variance is that of a unit-variance latent plus its noise, so
        that an empty latent starts as the network expects its input.
        """
        return noise * (math.sqrt(1 + sigma**2) if self.is_maximum(sigma) else sigma) + latent

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        return x / math.sqrt(sigma**2 + 1)

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """The clean latent that the network's ``output`` for ``x`` at ``sigma`` stands for.

        ``eps``: the output is the noise. ``v``: it is the velocity of arXiv:2202.00512.
        """
        if self.prediction == "v":
            return x / (sigma**2 + 1) - output * (sigma / math.sqrt(sigma**2 + 1))
        return x - output * sigma


def with_zero_terminal_snr(alpha_bar: Tensor) -> Tensor:
    """Algorithm 1 of Lin et al., Common Diffusion Noise Schedules ... are Flawed, arXiv:2305.08891."""
    root = alpha_bar.sqrt()
    first, last = root[0], root[-1]
    rescaled = ((root - last) * first / (first - last)) ** 2
    rescaled[-1] = _LAST_ALPHA_BAR_OF_ZERO_TERMINAL_SNR
    return rescaled
