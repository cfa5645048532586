"""``comfy_extras.nodes_model_advanced``: the sampling of distilled networks, and the nodes that set it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nodes.compat.comfy import model_sampling
from nodes.compat.comfy.model_sampling import X0

__all__ = ["LCM", "X0", "ModelSamplingDiscreteDistilled"]

_STRETCH = 10.0
"""Factor by which consistency models scale timesteps (arXiv:2310.04378, appendix C)."""
_DATA_VARIANCE = 0.25


class LCM(model_sampling.EPS):
    """The output is the noise of a latent consistency model (Luo et al., arXiv:2310.04378)."""

    timestep: Any

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """Return the clean latent: c_out · (x - sigma · output) + c_skip · x."""
        shape = sigma.shape[:1] + (1,) * (model_output.ndim - 1)
        time = self.timestep(sigma).reshape(shape) * _STRETCH
        total = time**2 + _DATA_VARIANCE
        clean = model_input - model_output * sigma.reshape(shape)
        return time / total**0.5 * clean + _DATA_VARIANCE / total * model_input


class ModelSamplingDiscreteDistilled(model_sampling.ModelSamplingDiscrete):
    """Every n-th noise level of training, as many as ``original_timesteps``."""

    original_timesteps = 50

    def __init__(self, model_config: Any = None, zsnr: bool | None = None):
        super().__init__(model_config, zsnr)
        self.skip_steps = self.num_timesteps // self.original_timesteps
        last = self.num_timesteps - 1
        kept = [last - step * self.skip_steps for step in reversed(range(self.original_timesteps))]
        self.set_sigmas(self.sigmas[kept])

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the timestep of training nearest to each level."""
        return super().timestep(sigma) * self.skip_steps + (self.skip_steps - 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the level at each timestep of training."""
        place = (torch.as_tensor(timestep).float() - (self.skip_steps - 1)) / self.skip_steps
        return super().sigma(place)
