"""DeepCache: computes the deep part of the U-Net only at every few steps. Ma et al., arXiv:2312.00858."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from torch import Tensor

from nodes.changes.run_position import RunPosition, kept_in
from nodes.changes.step_caches import Window
from nodes.models.changes import RawCall, Step
from nodes.unet.deep_features import OPTION, DeepFeatures


@dataclass
class _Kept:
    position: RunPosition = field(default_factory=RunPosition)
    features: dict[Hashable, DeepFeatures] = field(default_factory=dict)
    """The deep features of each call in the last complete prediction."""
    age: int = 0
    """Number of predictions since the last complete one, with the current one."""


@dataclass(frozen=True, eq=False)
class DeepCache:
    """Compute the whole U-Net at every ``interval``-th prediction, and its outermost ``depth`` blocks at the others.

    Outside the window every prediction is complete. Functions inside the blocks that are left out, and the control of
    their skip connections, have the effect of the last complete prediction. Add :meth:`begin` around predictions and
    :meth:`run` around the network.
    """

    interval: int
    depth: int
    window: Window

    def begin(self, proceed: Callable[[Step], Tensor], step: Step) -> Tensor:
        """Begin a guided prediction."""
        kept = kept_in(step.predictor, self, _Kept)
        rose = kept.position.begin(step)
        kept.age += 1
        if rose or not kept.features or kept.age >= self.interval or not self.window.holds(step.level):
            kept.age = 0
            kept.features.clear()
        return proceed(step)

    def run(self, proceed: Callable[[RawCall], Tensor], call: RawCall) -> Tensor:
        """Return the network's output [N, C, h, w]."""
        kept = kept_in(call.predictor, self, _Kept)
        if kept.position.predictions == 0:
            return proceed(call)
        features = kept.features.setdefault(kept.position.next_call(call), DeepFeatures(self.depth))
        return proceed(dataclasses.replace(call, options={**call.options, OPTION: features}))
