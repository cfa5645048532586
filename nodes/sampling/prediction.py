"""Predicts from conditions: batches them for the network, and averages the results of each side by weight."""

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
from nodes.sampling.composition import WHOLE, Part, compose, part_of
from nodes.sampling.condition_inputs import ConditionInput
from nodes.sampling.conditions import Condition
from nodes.sampling.network import DenoisingNetwork

log = logging.getLogger(__name__)

_JOINED_KEPT: Final = 64
"""Number of joined inputs kept in a run, so that a text's joined tensor stays the same and is projected once."""


class Predictor:
    """Predicts the denoised latents of conditions with one model's network, for one run.

    ``sigmas`` are the noise levels of the run, for functions that need them.
    If a GPU's memory runs out, other models are unloaded and the call is repeated. If that is not enough, the
    conditions of a batch go through the network one by one for the rest of the run.
    """

    def __init__(self, model: Model, sigmas: Tensor | None = None):
        self.model = model
        self.network = DenoisingNetwork(model)
        self.sigmas = sigmas
        self.kept: dict[str, Any] = {}
        """State that functions keep during the run, under different names."""
        self._joined: OrderedDict[tuple[Any, ...], tuple[Sequence[ConditionInput], Any]] = OrderedDict()
        self._one_by_one = False

    @property
    def levels(self) -> NoiseLevels:
        """The model's noise levels."""
        return self.network.levels

    def predict(self, step: Step) -> Predictions:
        """Return the denoised latent of each side: the weighted average of its active conditions for each pixel.

        A pixel that no condition of a side covers is 0.
        """
        return around(step.changes.around_conditions, self._predict)(step)

    def _predict(self, step: Step) -> dict[str, Tensor]:
        x = step.x
        sides = list(step.conditions)
        side_of = {
            condition: number
            for number, conditions in enumerate(step.conditions.values())
            for condition in conditions
            if condition.is_active(step.level)
        }
        part_in = {c: WHOLE if sides[number] == "negative" else part_of(c) for c, number in side_of.items()}
        parts = {(number, part_in[c]): _Mean(x) for c, number in side_of.items()}
        for number in set(range(len(sides))) - set(side_of.values()):
            parts[number, WHOLE] = _Mean(x)  # a side without a condition is 0
        for batch in batches(list(side_of)):
            batch.reverse()  # the last side first: functions that split a batch expect it there
            for condition, denoised in zip(batch, self._denoised(batch, side_of, step), strict=True):
                parts[side_of[condition], part_in[condition]].add(denoised, condition)
        means: dict[str, dict[Part, Tensor]] = {side: {} for side in sides}
        for (number, part), mean in parts.items():
            means[sides[number]][part] = mean.value()
        away = means["negative"][WHOLE] if "negative" in means else None
        return {side: compose(made, away) for side, made in means.items()}

    def _denoised(self, batch: Sequence[Condition], side_of: Mapping[Condition, int], step: Step) -> Sequence[Tensor]:
        """Return each condition's prediction [B, C, h, w] for its area."""
        if not self._one_by_one or len(batch) == 1:
            denoised = self._attempt(batch, side_of, step)
            if denoised is None:
                log.warning("out of memory while sampling; unloading the other models and repeating the step")
                _free_other_models(self.network)
                denoised = self._attempt(batch, side_of, step)
            if denoised is not None:
                return denoised
            if len(batch) == 1:
                return self._call(batch, side_of, step)  # raises the error
            log.warning("out of memory while sampling; conditions run one by one for the rest of this run")
            self._one_by_one = True
        return [self._denoised([condition], side_of, step)[0] for condition in batch]

    def _attempt(
        self, batch: Sequence[Condition], side_of: Mapping[Condition, int], step: Step
    ) -> Sequence[Tensor] | None:
        """Return :meth:`_call`, or None if a GPU's memory runs out. The error and its tensors are released."""
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


class _Mean:
    """The mean of predictions for a latent like ``x``, weighted for each pixel of their areas."""

    def __init__(self, x: Tensor):
        self._sum = torch.zeros_like(x)
        # A pixel that no condition covers is 0 rather than NaN.
        self._weights = torch.full_like(x[:, :1], 1e-37)

    def add(self, denoised: Tensor, condition: Condition) -> None:
        weight = repeat_to(condition.weight, self._sum.shape[0])
        condition.area.crop(self._sum).add_(denoised * weight)
        condition.area.crop(self._weights).add_(weight)

    def value(self) -> Tensor:
        return self._sum / self._weights


def batches(conditions: Sequence[Condition]) -> Iterator[list[Condition]]:
    """Group ``conditions`` that can go through the network together."""
    waiting = list(conditions)
    while waiting:
        group: list[Condition] = []
        for condition in waiting:
            if not group or _fits(condition, group):
                group.append(condition)
        yield list(group)
        waiting = [condition for condition in waiting if condition not in group]


def _fits(condition: Condition, group: Sequence[Condition]) -> bool:
    """Whether the areas have one size, and the inputs with each name can be joined."""
    area, inputs = group[0].area, group[0].inputs
    if condition.area[:2] != area[:2] or condition.inputs.keys() != inputs.keys():
        return False
    return all(
        first.joins([*(other.inputs[name] for other in group[1:]), condition.inputs[name]])
        for name, first in inputs.items()
    )


def per_item(sigma: float | tuple[float, ...], x: Tensor) -> Tensor:
    """Return the noise levels [B] of a batch [B, …], on its device."""
    if isinstance(sigma, tuple):
        return torch.tensor(sigma, device=x.device)
    return torch.full((len(x),), sigma, device=x.device)


def _free_other_models(network: DenoisingNetwork) -> None:
    """Unload the weights of every network except the one in use."""
    residency.free_others(network.module)
