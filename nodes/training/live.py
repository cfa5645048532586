"""A network that is being trained, as a handle that the other rooms can sample with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, eq=False)
class LiveWeights:
    """Takes the place of :class:`nodes.models.weights.Weights` in a handle: the network is in memory already."""

    module: nn.Module
    config: Any
    parameters: int = 0

    def resident(self, *args: Any, **options: Any) -> nn.Module:
        """The network as it is now, whatever device and precision are set."""
        return self.module
