"""A diffusion network's prediction type and the noise levels that it was trained on, as plain data.

:mod:`nodes.models.noise_levels` holds the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from nodes.models.noise_levels import NoiseLevels

PredictionName = Literal["eps", "v", "x0", "edm"]
"""The network's output: the noise, the velocity (arXiv:2202.00512), the clean latent, or EDM's F (arXiv:2206.00364)."""


class SampledAs(Protocol):
    """The meaning of a network's output, and its noise levels."""

    def levels(self) -> NoiseLevels:
        """The noise levels."""


@dataclass(frozen=True)
class ModelSampling:
    """The prediction and the table of noise levels that a DDPM was trained with.

    ``timesteps`` betas, linear in sqrt from ``linear_start`` to ``linear_end`` (Rombach et al.,
    arXiv:2112.10752); ``zero_terminal_snr`` rescales them as Lin et al. do (arXiv:2305.08891).
    """

    prediction: PredictionName = "eps"
    zero_terminal_snr: bool = False
    linear_start: float = 0.00085
    linear_end: float = 0.012
    timesteps: int = 1000

    def levels(self) -> NoiseLevels:
        """The noise levels that follow from these betas."""
        from nodes.models.noise_levels import NoiseLevels

        return NoiseLevels.of(self)


DDPM: Final = ModelSampling()
"""The training setup of SD1 and SDXL: they predict the noise, at 1000 levels."""


@dataclass(frozen=True)
class ContinuousSampling:
    """The prediction and the range of noise levels of a network trained on any level between two (arXiv:2206.00364).

    ``sigma_data`` is the standard deviation of the training data that the preconditioning assumes.
    """

    prediction: PredictionName = "edm"
    sigma_min: float = 0.002
    sigma_max: float = 120.0
    sigma_data: float = 1.0

    def levels(self) -> NoiseLevels:
        """The noise levels between the two."""
        from nodes.models.noise_levels import ContinuousLevels
        from nodes.models.prediction import PREDICTIONS

        return ContinuousLevels.between(self.sigma_min, self.sigma_max, PREDICTIONS[self.prediction](self.sigma_data))
