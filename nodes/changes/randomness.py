"""Random numbers for functions inside the network: one generator for each run, seeded with the run's seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from nodes.changes.adding import around_denoise, with_changes
from nodes.models.changes import NetworkCall, Run
from nodes.models.handle import Model

GENERATOR: Final = "generator"
"""The key of the generator among the options that functions inside the network get."""
_KEPT: Final = "generator for the network"


def with_generator(model: Model) -> Model:
    """The model with a generator among the options of its network's functions; see :func:`generator_of`."""
    if _give in model.changes.around_denoise:
        return model
    return around_denoise(with_changes(model, on_start=(*model.changes.on_start, _seed)), _give)


def generator_of(options: Mapping[str, Any]) -> torch.Generator:
    """The run's generator, on the CPU."""
    found: torch.Generator = options[GENERATOR]
    return found


def _seed(run: Run) -> None:
    run.predictor.kept[_KEPT] = torch.Generator("cpu").manual_seed(run.seed)


def _give(proceed: Callable[[NetworkCall], Tensor], call: NetworkCall) -> Tensor:
    kept = call.predictor.kept
    if _KEPT not in kept:  # a prediction outside a run
        kept[_KEPT] = torch.Generator("cpu").manual_seed(0)
    return proceed(dataclasses.replace(call, options={**call.options, GENERATOR: kept[_KEPT]}))
