"""A sampler with its settings, and what each name in the editor stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from torch import Tensor

from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise, brownian_noise, independent_noise
from nodes.sampling.noise_levels import NoiseLevels
from nodes.sampling.samplers.euler import euler, euler_ancestral, euler_ancestral_cfg_pp, euler_cfg_pp


@dataclass(frozen=True)
class Sampler:
    """A sampling function, its options, and where it takes the noise of its steps from."""

    function: Callable[..., Tensor]
    noise: Literal["independent", "brownian", "brownian on device"] | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    skips_penultimate: bool = False
    """Better without the last noise level above 0 of a schedule."""
    renews_masked_noise: bool = False
    """Outside an inpainting mask, noise other than that of the start is put."""

    def run(self, model: Denoiser, x: Tensor, sigmas: Tensor, seed: int, levels: NoiseLevels) -> Tensor:
        """``x`` at ``sigmas[0]`` brought to ``sigmas[-1]``."""
        options = dict(self.options)
        if self.noise is not None:
            options["noise"] = self._step_noise(x, sigmas, seed)
        return self.function(model, x, sigmas, **options)

    def _step_noise(self, x: Tensor, sigmas: Tensor, seed: int) -> StepNoise:
        if self.noise == "independent":
            return independent_noise(x, seed)
        return brownian_noise(x, sigmas, seed, "cpu" if self.noise == "brownian" else x.device)


SAMPLERS: Final[Mapping[str, Sampler]] = {
    "euler": Sampler(euler),
    "euler_cfg_pp": Sampler(euler_cfg_pp),
    "euler_ancestral": Sampler(euler_ancestral, "independent"),
    "euler_ancestral_cfg_pp": Sampler(euler_ancestral_cfg_pp, "independent"),
    "ddim": Sampler(euler, renews_masked_noise=True),
}
