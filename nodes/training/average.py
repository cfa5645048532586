"""An exponential moving average of weights: smoother than the weights themselves, and used for sampling."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Average:
    """The moving average of named tensors, float32.

    The decay rises with the steps, min(decay, (1 + n) / (10 + n)), so that the random first weights fade soon.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float):
        self.decay = decay
        self.tensors = {name: tensor.detach().float().clone() for name, tensor in parameters.items()}

    @torch.no_grad()
    def update(self, parameters: Mapping[str, Tensor], step: int) -> None:
        """Update the average with the weights after ``step`` (from 0)."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.tensors.values()), [parameters[name].float() for name in self.tensors], share)
