"""A diffusion network's prediction type and the noise levels that it was trained on, as plain data.

:mod:`nodes.models.noise_levels` holds the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from nodes.models.noise_levels import ConsistencyLevels, NoiseLevels

PredictionName = Literal["eps", "v", "x0", "edm", "img_to_img", "rflow"]
"""The network's output: the noise, the velocity (arXiv:2202.00512), the clean latent, EDM's F (arXiv:2206.00364), the
clean latent of an unscaled input, or the velocity of a rectified flow (arXiv:2209.03003).
"""
TimeName = Literal["log", "angle", "flow"]
"""The number that a network gets for a noise level σ of a continuous range: ln σ / 4, 2 atan(σ) / π, or σ / (σ + 1)."""


class SampledAs(Protocol):
    """The meaning of a network's output, and its noise levels."""

    def levels(self) -> NoiseLevels:
        """Return the noise levels."""


@dataclass(frozen=True)
class ModelSampling:
    """The prediction and the table of noise levels with which a DDPM was trained.

    ``timesteps`` betas, linear in sqrt from ``linear_start`` to ``linear_end`` (Rombach et al.,
    arXiv:2112.10752); ``zero_terminal_snr`` rescales them as in Lin et al. (arXiv:2305.08891).
    """

    prediction: PredictionName = "eps"
    zero_terminal_snr: bool = False
    linear_start: float = 0.00085
    linear_end: float = 0.012
    timesteps: int = 1000

    def levels(self) -> NoiseLevels:
        """Return the noise levels that follow from these betas."""
        from nodes.models.noise_levels import NoiseLevels

        return NoiseLevels.of(self)


DDPM: Final = ModelSampling()
"""The training setup of SD1 and SDXL: noise prediction at 1000 levels."""


@dataclass(frozen=True)
class ConsistencySampling:
    """The noise levels of a latent consistency model (Luo et al., arXiv:2310.04378).

    It was distilled at ``count`` of the levels of ``trained``, at equal distances from the largest down.
    """

    trained: ModelSampling = DDPM
    count: int = 50

    def levels(self) -> ConsistencyLevels:
        """The ``count`` noise levels."""
        from nodes.models.noise_levels import ConsistencyLevels

        return ConsistencyLevels(self.trained.levels(), self.count)


@dataclass(frozen=True)
class ContinuousSampling:
    """The prediction and the range of noise levels of a network trained on continuous levels (arXiv:2206.00364).

    ``sigma_data`` is the standard deviation of the training data in the preconditioning. ``time`` is the number that
    the network gets for a noise level.
    """

    prediction: PredictionName = "edm"
    sigma_min: float = 0.002
    sigma_max: float = 120.0
    sigma_data: float = 1.0
    time: TimeName = "log"

    def levels(self) -> NoiseLevels:
        """Return the noise levels in the range."""
        from nodes.models.noise_levels import CONTINUOUS
        from nodes.models.prediction import PREDICTIONS

        prediction = PREDICTIONS[self.prediction](self.sigma_data)
        return CONTINUOUS[self.time].between(self.sigma_min, self.sigma_max, prediction)
