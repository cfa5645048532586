"""The value of a GUIDER socket: a model and its guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

from torch import Tensor

from nodes.models.changes import Guider
from nodes.models.handle import Handle, Model
from nodes.sampling.sample import RunSettings, sample_guided


@dataclass(frozen=True, eq=False)
class GuidedModel(Handle):
    """A model with its guider. Samples with :func:`nodes.sampling.sample.sample_guided`."""

    model: Model
    guider: Guider

    def sample(self, noise: Tensor, sigmas: Tensor, **settings: Unpack[RunSettings]) -> Tensor:
        """Sample over ``sigmas``, starting with ``noise``, and return the latent."""
        return sample_guided(self.model, self.guider, noise, sigmas, **settings)
