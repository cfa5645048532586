"""Handles of networks in training, with which the other rooms can sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, eq=False)
class LiveWeights:
    """Replaces :class:`nodes.models.weights.Weights` in a handle, for a network that is already in memory."""

    module: nn.Module
    config: Any
    parameters: int = 0

    def resident(self, *args: Any, **options: Any) -> nn.Module:
        """Return the network in its current state, regardless of the configured device and precision."""
        return self.module
