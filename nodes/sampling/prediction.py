"""Conditions to predictions: batches that go through the network together, weighted and averaged side by side."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from nodes.batches import repeat_to
from nodes.models import residency
from nodes.models.changes import NetworkCall, Predictions, Step, around
from nodes.models.handle import Model
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.condition_inputs import ConditionInput
from nodes.sampling.conditions import Condition
from nodes.sampling.network import DenoisingNetwork

log = logging.getLogger(__name__)

_JOINED_KEPT: Final = 64
"""Joined inputs kept in a run: a text is projected once because its joined tensor stays the same."""


class Predictor:
    """Predicts the denoised latents of conditions with one model's network, for one run.

    ``sigmas`` are the noise levels of the run, for functions that look at them.
    When a GPU's memory runs out, other models are unloaded and the call is repeated; if that does not suffice, the
    conditions of a batch go through the network one after the other for the rest of the run.
    """

    def __init__(self, model: Model, sigmas: Tensor | None = None):
        self.model = model
        self.network = DenoisingNetwork(model)
        self.sigmas = sigmas
        self.kept: dict[str, Any] = {}
        """State that functions keep during the run, each under its own name."""
        self._joined: OrderedDict[tuple[Any, ...], tuple[Sequence[ConditionInput], Any]] = OrderedDict()
        self._one_by_one = False

    @property
    def levels(self) -> NoiseLevels:
        """The model's noise levels."""
        return self.network.levels

    def predict(self, step: Step) -> Predictions:
        """The denoised latent of each side: the average of its active conditions, weighted per pixel.

        A pixel that no condition of a side covers is 0.
        """
        return around(step.changes.around_conditions, self._predict)(step)

    def _predict(self, step: Step) -> dict[str, Tensor]:
        x = step.x
        side_of = {
            condition: number
            for number, conditions in enumerate(step.conditions.values())
            for condition in conditions
            if condition.is_active(step.level)
        }
        sums = [torch.zeros_like(x) for _ in step.conditions]
        # A pixel that no condition covers is 0 rather than NaN.
        totals = [torch.full_like(x[:, :1], 1e-37) for _ in step.conditions]
        for batch in batches(list(side_of)):
            batch.reverse()  # the last side first: functions that halve a batch expect the unconditional half there
            for condition, denoised in zip(batch, self._denoised(batch, side_of, step), strict=True):
                side = side_of[condition]
                weight = repeat_to(condition.weight, x.shape[0])
                condition.area.crop(sums[side]).add_(denoised * weight)
                condition.area.crop(totals[side]).add_(weight)
        means = [total / weights for total, weights in zip(sums, totals, strict=True)]
        return dict(zip(step.conditions, means, strict=True))

    def _denoised(self, batch: Sequence[Condition], side_of: Mapping[Condition, int], step: Step) -> Sequence[Tensor]:
        """Each condition's prediction [B, C, h, w] for its area."""
        if not self._one_by_one or len(batch) == 1:
            denoised = self._attempt(batch, side_of, step)
            if denoised is None:
                log.warning("out of memory while sampling; unloading the other models and trying the step again")
                _free_other_models(self.network)
                denoised = self._attempt(batch, side_of, step)
            if denoised is not None:
                return denoised
            if len(batch) == 1:
                return self._call(batch, side_of, step)  # raises the error
            log.warning("out of memory while sampling; conditions run one after the other for the rest of this run")
            self._one_by_one = True
        return [self._denoised([condition], side_of, step)[0] for condition in batch]

    def _attempt(
        self, batch: Sequence[Condition], side_of: Mapping[Condition, int], step: Step
    ) -> Sequence[Tensor] | None:
        """:meth:`_call`, or None if a GPU's memory runs out. The error and its tensors are released on return."""
        try:
            return self._call(batch, side_of, step)
        except torch.OutOfMemoryError:
            return None

    def _call(self, batch: Sequence[Condition], side_of: Mapping[Condition, int], step: Step) -> Sequence[Tensor]:
        items = step.x.shape[0]
        x = torch.cat([condition.area.crop(step.x) for condition in batch])
        sides = tuple(side_of[condition] for condition in batch)
        options: dict[str, Any] = {
            "cond_or_uncond": list(sides),
            "uuids": [condition.uuid for condition in batch],
            "sigmas": per_item(step.sigma, step.x),
        }
        if self.sigmas is not None:
            options["sample_sigmas"] = self.sigmas
        sigma = step.sigma * len(batch) if isinstance(step.sigma, tuple) else step.sigma
        call = NetworkCall(x, sigma, self._inputs(batch, items, x.device), sides, self, step.changes, options)
        return self.network.denoise(call).chunk(len(batch))

    def _inputs(self, batch: Sequence[Condition], items: int, device: torch.device) -> dict[str, Any]:
        return {name: self._input(name, batch, items, device) for name in batch[0].inputs}

    def _input(self, name: str, batch: Sequence[Condition], items: int, device: torch.device) -> Any:
        inputs = [condition.inputs[name] for condition in batch]
        areas = tuple(condition.area for condition in batch)
        key = (name, items, areas, *(id(each) for each in inputs))
        if key not in self._joined:
            first, *others = [each.cropped(area).repeated(items) for each, area in zip(inputs, areas, strict=True)]
            joined = first.join(others)
            self._joined[key] = inputs, joined.to(device) if isinstance(joined, Tensor) else joined
            if len(self._joined) > _JOINED_KEPT:
                self._joined.popitem(last=False)
        else:
            self._joined.move_to_end(key)
        return self._joined[key][1]


def batches(conditions: Sequence[Condition]) -> Iterator[list[Condition]]:
    """``conditions`` in groups that can go through the network together."""
    waiting = list(conditions)
    while waiting:
        group: list[Condition] = []
        for condition in waiting:
            if not group or _fits(condition, group):
                group.append(condition)
        yield list(group)
        waiting = [condition for condition in waiting if condition not in group]


def _fits(condition: Condition, group: Sequence[Condition]) -> bool:
    """Whether areas are of one size, and the inputs of each name can be joined."""
    area, inputs = group[0].area, group[0].inputs
    if condition.area[:2] != area[:2] or condition.inputs.keys() != inputs.keys():
        return False
    return all(
        first.joins([*(other.inputs[name] for other in group[1:]), condition.inputs[name]])
        for name, first in inputs.items()
    )


def per_item(sigma: float | tuple[float, ...], x: Tensor) -> Tensor:
    """Noise levels [B] of a batch [B, …], on its device."""
    if isinstance(sigma, tuple):
        return torch.tensor(sigma, device=x.device)
    return torch.full((len(x),), sigma, device=x.device)


def _free_other_models(network: DenoisingNetwork) -> None:
    """Unload the weights of every network except the one in use."""
    residency.free_others(network.module)
